//! `/v1/rotation/targets…` and `/v1/rotation/connectors`: the systems whose credentials are
//! rotated, looks at them, and what can be spoken to.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::target as wire;
use scaivault_core::ports::Descriptor;
use scaivault_core::target::{Overlap, Target};
use scaivault_engine::{TargetChange, TargetCheckQuery, TargetChecked, TargetDraft};
use serde_json::{Map, Value};

use super::at_target::{overlap, trouble_view};
use crate::app::Shared;
use crate::body::{json_response, no_content, read, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const LIST: &str = "targets";

/// Settings or an account, as JSON. A description of an HTTP API is the longest there is.
const SETTINGS_BYTES_MAX: usize = 128 * 1024;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/targets", get(list).post(create))
        .route(
            "/v1/rotation/targets/{id}",
            get(show).patch(change).delete(remove),
        )
        .route("/v1/rotation/targets/{id}/check", post(check))
        .route("/v1/rotation/connectors", get(connectors))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .target_list(&caller, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let has_more = cursor.is_some();
    let data = rows.into_iter().map(view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::TargetList {
            data,
            cursor,
            has_more,
        },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::TargetBody = read(&app, body).await?;
    let draft = TargetDraft {
        name: fields::name(&body.name, "name")?,
        description: fields::free_text(body.description, "description")?,
        connector: body.connector,
        settings: bounded(body.settings, "settings")?,
        manager_path: body.manager_path.as_deref().map(fields::path).transpose()?,
    };
    let target = app.vault.target_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &view(target)))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let target = app.vault.target_show(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &view(target)))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::TargetPatch = read(&app, body).await?;
    let name = body.name.map(|name| fields::name(&name, "name"));
    let change = TargetChange {
        name: name.transpose()?,
        description: fields::free_text(body.description, "description")?,
        settings: bounded(body.settings.unwrap_or_default(), "settings")?,
        manager_path: body.manager_path.as_deref().map(fields::path).transpose()?,
        same_accounts: body.same_accounts.unwrap_or_default(),
    };
    let target = app.vault.target_change(&caller, &id, change).await?;
    Ok(json_response(StatusCode::OK, &view(target)))
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    app.vault.target_delete(&caller, &id).await?;
    Ok(no_content())
}

async fn check(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::TargetCheckBody = read_or_default(&app, body).await?;
    let account = body.account.map(|account| bounded(account, "account"));
    let query = TargetCheckQuery {
        account: account.transpose()?,
        overlap: body
            .overlap
            .as_deref()
            .map(|word| overlap("overlap", word))
            .transpose()?,
    };
    // Targets answer when they like; those that do not must not take all of the server.
    let _slot = app.target_slots.acquire().await;
    let checked = app.vault.target_check(&caller, &id, query).await?;
    Ok(json_response(StatusCode::OK, &check_view(checked)))
}

async fn connectors(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let known = app.vault.connectors_list(&caller).await?;
    let connectors = known.iter().map(connector_view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::ConnectorList { connectors },
    ))
}

fn bounded(map: Map<String, Value>, field: &str) -> Result<Map<String, Value>, Problem> {
    let size = serde_json::to_vec(&map).map_or(usize::MAX, |bytes| bytes.len());
    match size > SETTINGS_BYTES_MAX {
        true => {
            let why = format!("has at most {SETTINGS_BYTES_MAX} bytes");
            Err(Problem::field(field, why))
        }
        false => Ok(map),
    }
}

fn view(target: Target) -> wire::Target {
    wire::Target {
        id: target.id.as_str().to_owned(),
        name: target.name,
        description: target.description,
        connector: target.connector,
        settings: target.settings,
        manager_path: target.manager_path.map(|path| path.as_str().to_owned()),
        created_at: target.created_at.to_rfc3339(),
        updated_at: target.updated_at.to_rfc3339(),
    }
}

fn check_view(checked: TargetChecked) -> wire::TargetCheck {
    let ready = checked.is_ready();
    let (found, trouble) = match checked.outcome {
        Ok(found) => (Some(found), None),
        Err(trouble) => (None, Some(trouble)),
    };
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let server = found.as_ref().and_then(|found| known(&found.server));
    let manager = found.as_ref().and_then(|found| known(&found.manager));
    let found = found.unwrap_or_default();
    let missing = found.missing.into_iter().map(|right| wire::MissingRight {
        what: right.what,
        statement: right.statement,
    });
    wire::TargetCheck {
        target_id: checked.target.id.as_str().to_owned(),
        target_name: checked.target.name,
        connector: checked.target.connector,
        checked_at: checked.at.to_rfc3339(),
        ready,
        trouble: trouble.as_ref().map(trouble_view),
        server,
        manager,
        may: found.may,
        missing: missing.collect(),
        overlaps: words(&found.overlaps),
        warnings: found.warnings,
    }
}

fn connector_view(about: &Descriptor) -> wire::Connector {
    wire::Connector {
        name: about.name.to_owned(),
        about: about.about.to_owned(),
        overlaps: words(about.overlaps),
        needs_manager: about.needs_manager,
        rotates_manager: about.rotates_manager,
    }
}

fn words(overlaps: &[Overlap]) -> Vec<String> {
    let words = overlaps.iter().map(|overlap| overlap.as_str().to_owned());
    words.collect()
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    let all = "/v1/rotation/targets";
    let one = "/v1/rotation/targets/{id}";
    vec![
        Operation::get(all, "listTargets", tag, "Targets")
            .scope("admin")
            .paged()
            .answers::<wire::TargetList>(200)
            .fails(&["invalid_cursor"]),
        Operation::post(
            all,
            "createTarget",
            tag,
            "Describe a target; the caller must be allowed to read the manager secret",
        )
        .scope("admin")
        .takes::<wire::TargetBody>()
        .answers::<wire::Target>(201)
        .fails(&["name_exists", "access_denied", "invalid_path"]),
        Operation::get(one, "readTarget", tag, "One target, by id or name")
            .scope("admin")
            .answers::<wire::Target>(200)
            .fails(&["target_not_found"]),
        Operation::patch(one, "updateTarget", tag, "Change only given fields")
            .scope("admin")
            .takes::<wire::TargetPatch>()
            .answers::<wire::Target>(200)
            .fails(&[
                "target_not_found",
                "engine_in_use",
                "name_exists",
                "access_denied",
                "invalid_path",
            ]),
        Operation::delete(one, "deleteTarget", tag, "Forget a target")
            .scope("admin")
            .empty(204)
            .fails(&["target_not_found", "target_in_use"]),
        Operation::post(
            "/v1/rotation/targets/{id}/check",
            "checkTarget",
            tag,
            "Log in as the manager and tell what it may do and what is missing",
        )
        .scope("admin")
        .takes_optional::<wire::TargetCheckBody>()
        .answers::<wire::TargetCheck>(200)
        .fails(&["target_not_found"]),
        Operation::get(
            "/v1/rotation/connectors",
            "listConnectors",
            tag,
            "Kinds of targets that can be spoken to",
        )
        .scope("admin")
        .answers::<wire::ConnectorList>(200),
    ]
}
