//! `/v1/rotation/…` and `/v1/rotations…`

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use scaivault_api::ErrorCode;
use scaivault_api::rotation as wire;
use scaivault_core::ids::{RotationId, RotationPolicyId, WebhookId};
use scaivault_core::ports::RotationFilter;
use scaivault_core::rotation::{
    Assignment, GRACE_DEFAULT, Phase, Rotation, RotationPolicy, Strategy, Trigger,
};
use scaivault_core::time::Timestamp;
use scaivault_engine::{Caller, RotationPolicyChange, RotationPolicyDraft};

use super::id_in_path;
use crate::app::{App, Shared};
use crate::body::{json_response, no_content, read, read_or_default};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::{Query, cursor, page};
use crate::rate_limit::Category;

const POLICIES: &str = "rotation_policies";
const ROTATIONS: &str = "rotations";
const DUE_MAX: usize = 1_000;

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
        .route("/v1/rotation/policies/{id}/rotate", post(rotate))
        .route("/v1/rotation/policies/{id}/history", get(history))
        .route("/v1/rotation/due", get(due))
        .route("/v1/rotation/pending", get(due))
        .route("/v1/rotations", get(rotations))
        .route("/v1/rotations/{id}", get(rotation))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let (limit, after) = (query.limit()?, query.cursor(POLICIES)?);
    let active_only = query.flag("active_only")?.unwrap_or(false);
    let rows = app
        .vault
        .rotation_policy_list(&caller, active_only, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = page(rows, limit, POLICIES, |(policy, _)| policy.id.as_str());
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

async fn rotate(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let body: wire::RotateBody = read_or_default(&app, body).await?;
    let paths = body
        .secret_paths
        .map(|paths| paths.iter().map(|text| fields::path(text)).collect())
        .transpose()?;
    let rotations = app
        .vault
        .rotation_policy_rotate(&caller, &id, paths)
        .await?;
    let view: Vec<_> = rotations.iter().map(rotation_view).collect();
    Ok(json_response(StatusCode::OK, &view))
}

async fn history(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let query = Query::parse(uri.query())?;
    let (limit, after) = (query.limit()?, query.cursor(ROTATIONS)?);
    let phases = match query.text("status") {
        None => Vec::new(),
        Some(status @ ("success" | "failed" | "pending")) => Phase::ALL
            .into_iter()
            .filter(|phase| phase.status() == status)
            .collect(),
        Some(_) => {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "query parameter 'status' is success, failed or pending",
            ));
        }
    };
    let filter = RotationFilter {
        phases,
        ..RotationFilter::default()
    };
    let rows = app
        .vault
        .rotation_history(&caller, &id, filter, after.as_deref(), limit + 1)
        .await?;
    Ok(rotation_page(rows, limit))
}

async fn rotations(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let (limit, after) = (query.limit()?, query.cursor(ROTATIONS)?);
    let phase = |text: &str| {
        Phase::parse(text).ok_or_else(|| {
            Problem::new(
                ErrorCode::InvalidRequest,
                "query parameter 'phase' is not a phase",
            )
        })
    };
    let filter = RotationFilter {
        path: query.text("path").map(fields::path).transpose()?,
        policy_id: query
            .text("policy_id")
            .map(|id| id_in_path!(RotationPolicyId, id, RotationPolicyNotFound))
            .transpose()?,
        phases: match query.text("phase") {
            None => Vec::new(),
            Some(words) => words.split(',').map(phase).collect::<Result<_, _>>()?,
        },
    };
    let (rows, next) = app
        .vault
        .rotation_list(&caller, &filter, after.as_deref(), limit)
        .await?;
    let cursor = next.map(|id| cursor(ROTATIONS, id.as_str()));
    let has_more = cursor.is_some();
    let data = rows.iter().map(rotation_view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::RotationList {
            data,
            cursor,
            has_more,
        },
    ))
}

fn rotation_page(mut rows: Vec<Rotation>, limit: usize) -> Response {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let cursor = rows
        .last()
        .filter(|_| has_more)
        .map(|last| cursor(ROTATIONS, last.id.as_str()));
    let data = rows.iter().map(rotation_view).collect();
    json_response(
        StatusCode::OK,
        &wire::RotationList {
            data,
            cursor,
            has_more,
        },
    )
}

async fn rotation(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationId, id, RotationNotFound)?;
    let rotation = app.vault.rotation_details(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &rotation_view(&rotation)))
}

async fn due(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let hours = query.number("within_hours", 0..=876_000)?.unwrap_or(24);
    let overdue = query.flag("include_overdue")?.unwrap_or(true);
    let policy_id = query
        .text("policy_id")
        .map(|id| id_in_path!(RotationPolicyId, id, RotationPolicyNotFound))
        .transpose()?;
    let now = app.vault.now();
    let until = now.plus(std::time::Duration::from_secs(hours * 3_600));
    let rows = app
        .vault
        .assignments_due(&caller, until, policy_id.as_ref(), DUE_MAX)
        .await?;
    let data = rows
        .iter()
        .map(|(assignment, policy)| due_view(assignment, policy.as_ref(), now))
        .filter(|item| overdue || !item.is_overdue)
        .collect();
    Ok(json_response(StatusCode::OK, &wire::DueList { data }))
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
    }
}

fn due_view(
    assignment: &Assignment,
    policy: Option<&RotationPolicy>,
    now: Timestamp,
) -> wire::DueItem {
    let grace = policy
        .map(|policy| policy.grace_period.duration())
        .unwrap_or_default();
    wire::DueItem {
        secret_path: assignment.path.as_str().to_owned(),
        rotation_policy_id: assignment.policy_id.as_str().to_owned(),
        rotation_policy_name: policy.map(|policy| policy.name.clone()),
        next_rotation_at: assignment.next_rotation_at.to_rfc3339(),
        last_rotated_at: assignment.last_rotated_at.map(Timestamp::to_rfc3339),
        due_now: assignment.next_rotation_at <= now || assignment.open_rotation.is_some(),
        is_overdue: assignment.next_rotation_at.plus(grace) <= now,
        open_rotation_id: assignment
            .open_rotation
            .as_ref()
            .map(|id| id.as_str().to_owned()),
    }
}

pub(super) fn rotation_view(rotation: &Rotation) -> wire::Rotation {
    wire::Rotation {
        id: rotation.id.as_str().to_owned(),
        secret_path: rotation.path.as_str().to_owned(),
        rotation_policy_id: rotation.policy_id.as_str().to_owned(),
        rotation_policy_name: rotation.policy_name.clone(),
        status: rotation.phase.status().to_owned(),
        phase: rotation.phase.as_str().to_owned(),
        phase_since: rotation.phase_since.to_rfc3339(),
        strategy: match rotation.strategy {
            Strategy::EventDriven => "event_driven",
            Strategy::GeneratedValue => "generated_value",
        }
        .to_owned(),
        trigger: match rotation.trigger {
            Trigger::Schedule => "schedule",
            Trigger::Manual => "manual",
        }
        .to_owned(),
        requested_by: rotation.requested_by.as_str().to_owned(),
        started_at: rotation.opened_at.to_rfc3339(),
        finished_at: rotation.finished_at.map(Timestamp::to_rfc3339),
        old_version: rotation.from_version,
        new_version: rotation
            .to_version
            .filter(|_| rotation.phase.status() == "success"),
        grace_period_ends: rotation.grace_ends_at.map(Timestamp::to_rfc3339),
        waiting_for: waiting_for(rotation),
        next_attempt_at: rotation.wake_at.map(Timestamp::to_rfc3339),
        reason: rotation.reason.map(|reason| reason.as_str().to_owned()),
        advice: rotation.reason.map(|reason| reason.advice().to_owned()),
        last_error: rotation
            .last_failure
            .map(|failure| failure.kind.as_str().to_owned()),
    }
}

/// What it waits for, by name.
fn waiting_for(rotation: &Rotation) -> Option<String> {
    match rotation.phase {
        Phase::Generating if rotation.awaits_value() => Some(format!(
            "a new value: PUT /v1/secrets/{} by an identity that may rotate, before {}",
            rotation.path,
            rotation.overdue_at.to_rfc3339()
        )),
        Phase::Draining => rotation.grace_ends_at.map(|end| {
            format!(
                "the grace period: version {} stays readable until {}",
                rotation.from_version,
                end.to_rfc3339()
            )
        }),
        Phase::Parked => Some("a person: see reason and advice".to_owned()),
        _ => None,
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
        Operation::post(
            "/v1/rotation/policies/{id}/rotate",
            "rotatePolicy",
            tag,
            "Rotate attached secrets now",
        )
        .scope("secrets:rotate")
        .takes_optional::<wire::RotateBody>()
        .answers::<Vec<wire::Rotation>>(200)
        .fails(&[
            "rotation_policy_not_found",
            "assignment_not_found",
            "access_denied",
            "invalid_path",
        ]),
        Operation::get(
            "/v1/rotation/policies/{id}/history",
            "rotationHistory",
            tag,
            "Rotations of a policy, newest first",
        )
        .scope("audit:read")
        .query("status", "string", "success, failed or pending")
        .paged()
        .answers::<wire::RotationList>(200)
        .fails(&["rotation_policy_not_found", "invalid_cursor"]),
        Operation::get(
            "/v1/rotation/due",
            "rotationDue",
            tag,
            "What is due soon, now, or overdue",
        )
        .scope("secrets:rotate")
        .query("within_hours", "integer", "24")
        .query("include_overdue", "boolean", "true")
        .query("policy_id", "string", "Only of this policy")
        .answers::<wire::DueList>(200),
        Operation::get(
            "/v1/rotation/pending",
            "rotationPending",
            tag,
            "Deprecated: use /v1/rotation/due",
        )
        .scope("secrets:rotate")
        .deprecated()
        .answers::<wire::DueList>(200),
        Operation::get(
            "/v1/rotations",
            "listRotations",
            tag,
            "Rotations, newest first",
        )
        .scope("secrets:rotate")
        .query("path", "string", "Only of this secret")
        .query("phase", "string", "Only in these phases, comma-separated")
        .query("policy_id", "string", "Only of this policy")
        .paged()
        .answers::<wire::RotationList>(200)
        .fails(&["invalid_path", "invalid_cursor"]),
        Operation::get(
            "/v1/rotations/{id}",
            "readRotation",
            tag,
            "One rotation: its phase and what it waits for",
        )
        .scope("secrets:rotate")
        .answers::<wire::Rotation>(200)
        .fails(&["rotation_not_found"]),
    ]
}
