//! `/v1/rotation/campaigns…`: many secrets rotated in order.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::campaign as wire;
use scaivault_core::campaign::Mode;
use scaivault_core::identity::Identity;
use scaivault_core::ids::{CampaignId, RotationPolicyId, TokenId, WebhookId};
use scaivault_core::path::SecretPath;
use scaivault_engine::{Caller, CampaignAct, CampaignDraft, Selector};

use super::campaign_view::{outline, view};
use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const CAMPAIGNS: &str = "campaigns";
pub(crate) const WEBHOOKS_MAX: usize = 20;
/// What a single request may name.
pub(crate) const PATHS_MAX: usize = 2_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/campaign", post(create))
        .route("/v1/rotations/campaign", post(create))
        .route("/v1/rotation/campaigns", get(list).post(create))
        .route("/v1/rotation/campaigns/{id}", get(show))
        .route("/v1/rotation/campaigns/{id}/pause", post(pause))
        .route("/v1/rotation/campaigns/{id}/resume", post(resume))
        .route("/v1/rotation/campaigns/{id}/end", post(end))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::CampaignBody = read(&app, body).await?;
    let draft = draft(body)?;
    let dry_run = draft.dry_run;
    let campaign = app.vault.campaign_create(&caller, draft).await?;
    let seen = app.vault.campaign_seen(&caller, campaign).await?;
    let status = match dry_run {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let view = view(&seen, dry_run, app.vault.now());
    Ok(json_response(status, &view))
}

fn draft(body: wire::CampaignBody) -> Result<CampaignDraft, Problem> {
    let keep_token = body.keep_token;
    let mut selectors = Vec::new();
    if let Some(text) = &body.identity {
        let who = Identity::parse_in_ledger(text)
            .map_err(|error| Problem::field("identity", format!("{error}; as in sa:name")))?;
        selectors.push(Selector::Identity(who));
    }
    if let Some(text) = &body.token_id {
        let id = TokenId::parse(text)
            .map_err(|_| Problem::field("token_id", "is the id of a token (tok_…), not a token"))?;
        let keep = keep_token.unwrap_or(false);
        selectors.push(Selector::Token { id, keep });
    }
    if let Some(text) = &body.policy_id {
        let id = RotationPolicyId::parse(text)
            .map_err(|_| Problem::field("policy_id", "is the id of a rotation policy (rot_…)"))?;
        selectors.push(Selector::Policy(id));
    }
    if let Some(text) = &body.group {
        selectors.push(Selector::Group(fields::name(text, "group")?));
    }
    if let Some(texts) = &body.paths {
        selectors.push(Selector::Paths(paths(texts, "paths")?));
    }
    let only = (selectors.pop(), selectors.is_empty());
    let (Some(selector), true) = only else {
        let why = "give exactly one of identity, token_id, policy_id, group, paths";
        return Err(Problem::field("selector", why));
    };
    if keep_token.is_some() && !matches!(selector, Selector::Token { .. }) {
        return Err(Problem::field("keep_token", "goes with token_id"));
    }
    let mut modes = BTreeMap::new();
    for (path, word) in body.modes.unwrap_or_default() {
        modes.insert(fields::path(&path)?, mode(&word, "modes")?);
    }
    let webhook_ids = body.webhook_ids.unwrap_or_default();
    if webhook_ids.len() > WEBHOOKS_MAX {
        let why = format!("names at most {WEBHOOKS_MAX} webhooks");
        return Err(Problem::field("webhook_ids", why));
    }
    let webhook = |text: &String| {
        WebhookId::parse(text)
            .map_err(|_| Problem::field("webhook_ids", "has ids of webhooks (wh_…)"))
    };
    Ok(CampaignDraft {
        selector,
        mode: match &body.mode {
            Some(word) => mode(word, "mode")?,
            None => Mode::Continuity,
        },
        modes,
        exclude: paths(&body.exclude.unwrap_or_default(), "exclude")?
            .into_iter()
            .collect(),
        note: fields::free_text(body.note, "note")?,
        webhook_ids: webhook_ids.iter().map(webhook).collect::<Result<_, _>>()?,
        dry_run: body.dry_run.unwrap_or(false),
    })
}

fn paths(texts: &[String], field: &str) -> Result<Vec<SecretPath>, Problem> {
    if texts.len() > PATHS_MAX {
        let why = format!("names at most {PATHS_MAX} paths");
        return Err(Problem::field(field, why));
    }
    texts.iter().map(|text| fields::path(text)).collect()
}

fn mode(word: &str, field: &str) -> Result<Mode, Problem> {
    Mode::parse(word).ok_or_else(|| Problem::field(field, "is continuity or containment"))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, CAMPAIGNS);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let (rows, next) = app
        .vault
        .campaign_list(&caller, after.as_deref(), limit)
        .await?;
    let cursor = next.map(|id| cursors.at(id.as_str())).transpose()?;
    let now = app.vault.now();
    let data = rows.iter().map(|row| outline(row, now)).collect();
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::CampaignList {
            data,
            cursor,
            has_more,
        },
    ))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(CampaignId, id, CampaignNotFound)?;
    let seen = app.vault.campaign_details(&caller, &id).await?;
    let view = view(&seen, false, app.vault.now());
    Ok(json_response(StatusCode::OK, &view))
}

async fn pause(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    act(&app, &caller, &id, CampaignAct::Pause).await
}

async fn resume(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    act(&app, &caller, &id, CampaignAct::Resume).await
}

async fn end(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    act(&app, &caller, &id, CampaignAct::End).await
}

async fn act(
    app: &Shared,
    caller: &Caller,
    id: &str,
    act: CampaignAct,
) -> Result<Response, Problem> {
    let id = id_in_path!(CampaignId, id, CampaignNotFound)?;
    let campaign = app.vault.campaign_act(caller, &id, act).await?;
    let seen = app.vault.campaign_seen(caller, campaign).await?;
    let view = view(&seen, false, app.vault.now());
    Ok(json_response(StatusCode::OK, &view))
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    let failures = [
        "access_denied",
        "invalid_path",
        "secret_not_found",
        "token_not_found",
        "rotation_policy_not_found",
    ];
    let begin = |route: &'static str, id: &'static str, text: &'static str| {
        Operation::post(route, id, tag, text)
            .scope("secrets:rotate")
            .takes::<wire::CampaignBody>()
            .answers::<wire::Campaign>(201)
            .answers::<wire::Campaign>(200)
            .fails(&failures)
    };
    let all = "/v1/rotation/campaigns";
    let act = |route: &'static str, id: &'static str, text: &'static str| {
        Operation::post(route, id, tag, text)
            .scope("secrets:rotate")
            .answers::<wire::Campaign>(200)
            .fails(&["campaign_not_found", "access_denied", "version_conflict"])
    };
    vec![
        begin(
            all,
            "startCampaign",
            "Rotate what an identity read, a policy, a group or paths, in order",
        ),
        begin(
            "/v1/rotation/campaign",
            "startCampaignShort",
            "The same as POST /v1/rotation/campaigns",
        ),
        begin(
            "/v1/rotations/campaign",
            "startCampaignAlias",
            "The same as POST /v1/rotation/campaigns",
        ),
        Operation::get(all, "listCampaigns", tag, "Campaigns, newest first")
            .scope("secrets:rotate")
            .paged()
            .answers::<wire::CampaignList>(200)
            .fails(&["invalid_cursor"]),
        Operation::get(
            "/v1/rotation/campaigns/{id}",
            "readCampaign",
            tag,
            "One campaign: progress, and the report at its end",
        )
        .scope("secrets:rotate")
        .answers::<wire::Campaign>(200)
        .fails(&["campaign_not_found"]),
        act(
            "/v1/rotation/campaigns/{id}/pause",
            "pauseCampaign",
            "Begin nothing more",
        ),
        act(
            "/v1/rotation/campaigns/{id}/resume",
            "resumeCampaign",
            "Go on",
        ),
        act(
            "/v1/rotation/campaigns/{id}/end",
            "endCampaign",
            "End it here; rotations under way go on by themselves",
        ),
    ]
}
