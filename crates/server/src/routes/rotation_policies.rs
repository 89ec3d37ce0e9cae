//! `/v1/rotation/policies…`: rotation policies.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::rotation as wire;
use scaivault_core::ids::{RotationPolicyId, WebhookId};
use scaivault_core::rotation::{
    Calendar, DRIFT_CHECK_DEFAULT, GRACE_DEFAULT, RotationPolicy, Rules,
};
use scaivault_engine::{Caller, RotationPolicyChange, RotationPolicyDraft};

use super::secret_policies::recipe_id;
use super::{id_in_path, rotation_rules};
use crate::app::{App, Shared};
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const LIST: &str = "rotation_policies";
/// Stored where a cron pattern says when; never used.
const INTERVAL_WITH_CRON: &str = "365d";
/// `interval` in answers where a cron pattern says when.
const CRON: &str = "cron";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/policies", get(list).post(create))
        .route(
            "/v1/rotation/policies/{id}",
            get(show).patch(change).delete(remove),
        )
        .route("/v1/rotation/policies/{id}/enable", post(enable))
        .route("/v1/rotation/policies/{id}/disable", post(disable))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let active_only = query.flag("active_only")?.unwrap_or(false);
    let rows = app
        .vault
        .rotation_policy_list(&caller, active_only, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |(policy, _)| policy.id.as_str())?;
    let data = rows
        .iter()
        .map(|(policy, count)| policy_view(policy, *count))
        .collect();
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::RotationPolicyList {
            data,
            cursor,
            has_more,
        },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::RotationPolicyBody = read(&app, body).await?;
    let calendar = match body.calendar {
        Some(calendar) => rotation_rules::calendar(calendar)?.apply(Calendar::default()),
        None => Calendar::default(),
    };
    let interval = match (&body.interval, &calendar.cron) {
        (Some(text), _) => fields::span(text, "interval")?,
        (None, Some(_)) => fields::span(INTERVAL_WITH_CRON, "interval")?,
        (None, None) => {
            let why = "is needed, unless calendar.cron says when";
            return Err(Problem::field("interval", why));
        }
    };
    let draft = RotationPolicyDraft {
        name: fields::name(&body.name, "name")?,
        description: fields::free_text(body.description, "description")?,
        interval,
        grace_period: fields::span(
            body.grace_period.as_deref().unwrap_or(GRACE_DEFAULT),
            "grace_period",
        )?,
        warn_before: body
            .warn_before
            .map(fields::warn_before)
            .transpose()?
            .unwrap_or_default(),
        auto_generate: body.auto_generate.unwrap_or(false),
        secret_policy_id: body
            .secret_policy_id
            .as_deref()
            .map(recipe_id)
            .transpose()?,
        rules: match body.rules {
            Some(rules) => rotation_rules::rules(rules)?.apply(Rules::default()),
            None => Rules::default(),
        },
        calendar,
        drift_check: rotation_rules::drift_check(
            body.drift_check.as_deref().unwrap_or(DRIFT_CHECK_DEFAULT),
        )?,
        webhook_ids: webhook_ids(body.webhook_ids.unwrap_or_default())?,
    };
    let policy = app.vault.rotation_policy_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &policy_view(&policy, 0)))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    shown(
        &app,
        &caller,
        &id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?,
    )
    .await
}

async fn shown(app: &App, caller: &Caller, id: &RotationPolicyId) -> Result<Response, Problem> {
    let (policy, count) = app.vault.rotation_policy_details(caller, id).await?;
    Ok(json_response(StatusCode::OK, &policy_view(&policy, count)))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let body: wire::RotationPolicyPatch = read(&app, body).await?;
    let optional_span =
        |text: Option<String>, field: &str| text.map(|text| fields::span(&text, field)).transpose();
    let change = RotationPolicyChange {
        name: body
            .name
            .map(|name| fields::name(&name, "name"))
            .transpose()?,
        description: fields::free_text(body.description, "description")?,
        interval: optional_span(body.interval, "interval")?,
        grace_period: optional_span(body.grace_period, "grace_period")?,
        warn_before: body.warn_before.map(fields::warn_before).transpose()?,
        auto_generate: body.auto_generate,
        secret_policy_id: match body.secret_policy_id {
            None => None,
            Some(id) => Some(id.as_deref().map(recipe_id).transpose()?),
        },
        rules: body.rules.map(rotation_rules::rules).transpose()?,
        calendar: body.calendar.map(rotation_rules::calendar).transpose()?,
        drift_check: body
            .drift_check
            .map(|text| rotation_rules::drift_check(&text))
            .transpose()?,
        webhook_ids: body.webhook_ids.map(webhook_ids).transpose()?,
        is_active: None,
    };
    app.vault
        .rotation_policy_change(&caller, &id, change)
        .await?;
    shown(&app, &caller, &id).await
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    app.vault.rotation_policy_delete(&caller, &id).await?;
    Ok(no_content())
}

async fn enable(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    switch(&app, call, id, true).await
}

async fn disable(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    switch(&app, call, id, false).await
}

async fn switch(app: &App, call: Call, id: String, on: bool) -> Result<Response, Problem> {
    let caller = call.enter(app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let change = RotationPolicyChange {
        is_active: Some(on),
        ..Default::default()
    };
    app.vault
        .rotation_policy_change(&caller, &id, change)
        .await?;
    shown(app, &caller, &id).await
}

/// Webhooks of one policy.
pub(crate) const WEBHOOKS_MAX: usize = 20;

fn webhook_ids(texts: Vec<String>) -> Result<Vec<WebhookId>, Problem> {
    if texts.len() > WEBHOOKS_MAX {
        let why = format!("has at most {WEBHOOKS_MAX} webhooks");
        return Err(Problem::field("webhook_ids", why));
    }
    texts
        .iter()
        .map(|text| {
            WebhookId::parse(text).map_err(|_| Problem::field("webhook_ids", "has ids wh_…"))
        })
        .collect()
}

fn policy_view(policy: &RotationPolicy, secrets_count: u64) -> wire::RotationPolicy {
    let warn: Vec<&str> = policy
        .warn_before
        .iter()
        .map(|span| span.as_str())
        .collect();
    wire::RotationPolicy {
        id: policy.id.as_str().to_owned(),
        name: policy.name.clone(),
        description: policy.description.clone(),
        interval: match policy.calendar.cron {
            Some(_) => CRON.to_owned(),
            None => policy.interval.as_str().to_owned(),
        },
        interval_seconds: match policy.calendar.cron {
            Some(_) => 0,
            None => policy.interval.as_secs(),
        },
        grace_period: policy.grace_period.as_str().to_owned(),
        warn_before: (!warn.is_empty()).then(|| warn.join(",")),
        auto_generate: policy.auto_generate,
        secret_policy_id: policy
            .secret_policy_id
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        webhook_ids: policy
            .webhook_ids
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect(),
        is_active: policy.is_active,
        secrets_count,
        created_at: policy.created_at.to_rfc3339(),
        updated_at: policy.updated_at.to_rfc3339(),
        rules: Some(rotation_rules::rules_view(&policy.rules)),
        calendar: Some(rotation_rules::calendar_view(&policy.calendar)),
        drift_check: Some(rotation_rules::drift_check_view(
            policy.drift_check.as_ref(),
        )),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    let one = "/v1/rotation/policies/{id}";
    vec![
        Operation::get(
            "/v1/rotation/policies",
            "listRotationPolicies",
            tag,
            "Rotation policies",
        )
        .scope("admin")
        .query("active_only", "boolean", "Only active ones")
        .paged()
        .answers::<wire::RotationPolicyList>(200)
        .fails(&["invalid_cursor"]),
        Operation::post(
            "/v1/rotation/policies",
            "createRotationPolicy",
            tag,
            "Create a rotation policy",
        )
        .scope("admin")
        .takes::<wire::RotationPolicyBody>()
        .answers::<wire::RotationPolicy>(201)
        .fails(&[
            "validation_error",
            "invalid_duration",
            "name_exists",
            "secret_policy_not_found",
        ]),
        Operation::get(one, "readRotationPolicy", tag, "One rotation policy")
            .scope("admin")
            .answers::<wire::RotationPolicy>(200)
            .fails(&["rotation_policy_not_found"]),
        Operation::patch(
            one,
            "updateRotationPolicy",
            tag,
            "Change only given fields; schedules are counted again",
        )
        .scope("admin")
        .takes::<wire::RotationPolicyPatch>()
        .answers::<wire::RotationPolicy>(200)
        .fails(&[
            "rotation_policy_not_found",
            "secret_policy_not_found",
            "validation_error",
            "invalid_duration",
            "name_exists",
        ]),
        Operation::delete(
            one,
            "deleteRotationPolicy",
            tag,
            "Delete a policy; its secrets are detached",
        )
        .scope("admin")
        .empty(204)
        .fails(&["rotation_policy_not_found", "rotation_in_progress"]),
        Operation::post(
            "/v1/rotation/policies/{id}/enable",
            "enableRotationPolicy",
            tag,
            "Let the schedule run",
        )
        .scope("admin")
        .answers::<wire::RotationPolicy>(200)
        .fails(&["rotation_policy_not_found"]),
        Operation::post(
            "/v1/rotation/policies/{id}/disable",
            "disableRotationPolicy",
            tag,
            "Let the schedule stand still; attachments stay",
        )
        .scope("admin")
        .answers::<wire::RotationPolicy>(200)
        .fails(&["rotation_policy_not_found"]),
    ]
}
