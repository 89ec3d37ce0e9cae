//! `/v1/rotation/policies…`: rotation policies, and the secrets attached to them.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use scaivault_api::ErrorCode;
use scaivault_api::rotation as wire;
use scaivault_core::ids::{RotationPolicyId, WebhookId};
use scaivault_core::rotation::{Assignment, GRACE_DEFAULT, RotationPolicy, Rules};
use scaivault_core::time::Timestamp;
use scaivault_engine::{Caller, RotationPolicyChange, RotationPolicyDraft};

use super::id_in_path;
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

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/policies", get(list).post(create))
        .route(
            "/v1/rotation/policies/{id}",
            get(show).patch(change).delete(remove),
        )
        .route("/v1/rotation/policies/{id}/enable", post(enable))
        .route("/v1/rotation/policies/{id}/disable", post(disable))
        .route("/v1/rotation/policies/{id}/secrets", post(assign))
        .route(
            "/v1/rotation/policies/{id}/secrets/{path}",
            delete(unassign),
        )
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
    no_recipe(body.secret_policy_id.as_deref())?;
    let draft = RotationPolicyDraft {
        name: fields::name(&body.name, "name")?,
        description: fields::free_text(body.description, "description")?,
        interval: fields::span(&body.interval, "interval")?,
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
        rules: Rules::default(),
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
    no_recipe(body.secret_policy_id.as_deref())?;
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
        rules: None,
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

async fn assign(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let body: wire::AssignBody = read(&app, body).await?;
    let path = fields::path(&body.secret_path)?;
    let (assignment, policy) = app.vault.assignment_create(&caller, &id, &path).await?;
    Ok(json_response(
        StatusCode::CREATED,
        &assignment_view(&assignment, Some(&policy)),
    ))
}

async fn unassign(
    State(app): State<Shared>,
    Path((id, path)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let path = fields::path(&path)?;
    app.vault.assignment_delete(&caller, &id, &path).await?;
    Ok(no_content())
}

fn no_recipe(id: Option<&str>) -> Result<(), Problem> {
    match id {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            ErrorCode::SecretPolicyNotFound,
            "there is no such secret policy",
        )),
    }
}

fn webhook_ids(texts: Vec<String>) -> Result<Vec<WebhookId>, Problem> {
    if texts.len() > 20 {
        return Err(Problem::field("webhook_ids", "has at most 20 webhooks"));
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
        interval: policy.interval.as_str().to_owned(),
        interval_seconds: policy.interval.as_secs(),
        grace_period: policy.grace_period.as_str().to_owned(),
        warn_before: (!warn.is_empty()).then(|| warn.join(",")),
        auto_generate: policy.auto_generate,
        secret_policy_id: None,
        webhook_ids: policy
            .webhook_ids
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect(),
        is_active: policy.is_active,
        secrets_count,
        created_at: policy.created_at.to_rfc3339(),
        updated_at: policy.updated_at.to_rfc3339(),
    }
}

fn assignment_view(assignment: &Assignment, policy: Option<&RotationPolicy>) -> wire::Assignment {
    wire::Assignment {
        secret_path: assignment.path.as_str().to_owned(),
        rotation_policy_id: assignment.policy_id.as_str().to_owned(),
        rotation_policy_name: policy.map(|policy| policy.name.clone()),
        assigned_at: assignment.assigned_at.to_rfc3339(),
        assigned_by: assignment.assigned_by.as_str().to_owned(),
        last_rotated_at: assignment.last_rotated_at.map(Timestamp::to_rfc3339),
        next_rotation_at: assignment.next_rotation_at.to_rfc3339(),
        open_rotation_id: assignment
            .open_rotation
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        drift: super::rotation_view::drift_view(assignment),
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
        .fails(&["rotation_policy_not_found"]),
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
        Operation::post(
            "/v1/rotation/policies/{id}/secrets",
            "assignSecret",
            tag,
            "Attach a secret",
        )
        .scope("admin")
        .takes::<wire::AssignBody>()
        .answers::<wire::Assignment>(201)
        .fails(&[
            "rotation_policy_not_found",
            "secret_not_found",
            "invalid_path",
        ]),
        Operation::delete(
            "/v1/rotation/policies/{id}/secrets/{secret_path}",
            "unassignSecret",
            tag,
            "Detach a secret (path encoded as one segment)",
        )
        .scope("admin")
        .empty(204)
        .fails(&["assignment_not_found", "invalid_path"]),
    ]
}
