//! `/v1/rotations…` with what a person may do with one, and below `/v1/rotation/`: rotate, history, what is due.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::ErrorCode;
use scaivault_api::rotation as wire;
use scaivault_core::ids::{RotationId, RotationPolicyId};
use scaivault_core::ports::RotationFilter;
use scaivault_core::rotation::{Assignment, Phase, Rotation, RotationPolicy};
use scaivault_core::time::Timestamp;
use scaivault_engine::Act;

use super::id_in_path;
use super::rotation_view::{row_view, show_view};
use crate::app::{App, Shared};
use crate::body::{json_response, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ROTATIONS: &str = "rotations";
const DUE_MAX: usize = 1_000;
/// The longest one may wait for a change, and how long one waits without saying.
/// A hundred years.
pub(crate) const WITHIN_HOURS_MAX: u64 = 876_000;
pub(crate) const WAIT_MAX_S: u64 = 60;
const WAIT_DEFAULT_S: u64 = 30;
/// How long an act waits for the end of a step that is under way at the target.
const STEP_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Router<Shared> {
    let mut router = Router::new();
    for act in Act::ALL {
        let route = format!("/v1/rotations/{{id}}/{}", act.as_str());
        let perform = move |app, id, call, body| perform(act, app, id, call, body);
        router = router.route(&route, post(perform));
    }
    router
        .route("/v1/rotation/policies/{id}/rotate", post(rotate))
        .route("/v1/rotation/policies/{id}/history", get(history))
        .route("/v1/rotation/due", get(due))
        .route("/v1/rotation/pending", get(due))
        .route("/v1/rotations", get(rotations))
        .route("/v1/rotations/{id}", get(rotation))
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
    let view: Vec<_> = rotations
        .iter()
        .map(|row| row_view(row, app.vault.now()))
        .collect();
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
    let cursors = Cursors::of(&app, &caller, ROTATIONS);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
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
    let (rows, cursor) = cursors.page(rows, limit, |rotation| rotation.id.as_str())?;
    Ok(rotation_page(&app, &rows, cursor))
}

async fn rotations(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, ROTATIONS);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
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
        ..RotationFilter::default()
    };
    let (rows, next) = app
        .vault
        .rotation_list(&caller, &filter, after.as_deref(), limit)
        .await?;
    let cursor = next.map(|id| cursors.at(id.as_str())).transpose()?;
    Ok(rotation_page(&app, &rows, cursor))
}

fn rotation_page(app: &App, rows: &[Rotation], cursor: Option<String>) -> Response {
    let has_more = cursor.is_some();
    let now = app.vault.now();
    let data = rows.iter().map(|row| row_view(row, now)).collect();
    json_response(
        StatusCode::OK,
        &wire::RotationList {
            data,
            cursor,
            has_more,
        },
    )
}

/// With `after`, a rotation that is still at that revision is answered when it changes, or after
/// `timeout` seconds.
async fn rotation(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationId, id, RotationNotFound)?;
    let query = Query::parse(uri.query())?;
    let after = query.number("after", 0..=u64::MAX >> 1)?;
    let timeout_s = query.number("timeout", 0..=WAIT_MAX_S)?;
    let wait = Duration::from_secs(timeout_s.unwrap_or(WAIT_DEFAULT_S)).min(app.settings.poll_max);
    let mut view = app.vault.rotation_show(&caller, &id).await?;
    let shown = &view.rotation;
    if after == Some(shown.revision) && !shown.phase.is_final() {
        let mut stopping = app.stopping.subscribe();
        let give_up = async {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        };
        app.vault
            .rotation_changed(shown, shown.revision, give_up)
            .await?;
        let caller = call.enter_again(&app).await?;
        view = app.vault.rotation_show(&caller, &id).await?;
    }
    Ok(json_response(StatusCode::OK, &show_view(&view)))
}

async fn perform(
    act: Act,
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationId, id, RotationNotFound)?;
    let act = match act {
        Act::Abandon => {
            let body: wire::AbandonBody = read_or_default(&app, body).await?;
            match body.force {
                true => Act::AbandonByForce,
                false => Act::Abandon,
            }
        }
        other => other,
    };
    let give_up = tokio::time::sleep(STEP_PATIENCE);
    app.vault
        .rotation_act_soon(&caller, &id, act, give_up)
        .await?;
    let view = app.vault.rotation_show(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &show_view(&view)))
}

async fn due(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let hours = query
        .number("within_hours", 0..=WITHIN_HOURS_MAX)?
        .unwrap_or(24);
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

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    vec![
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
        .query("after", "integer", "Wait while it is at this revision")
        .query("timeout", "integer", "How long to wait: 30 s, at most 60")
        .answers::<wire::Rotation>(200)
        .fails(&["rotation_not_found"]),
        act_operation(
            "/v1/rotations/{id}/resume",
            "resumeRotation",
            "A parked rotation goes on",
        ),
        act_operation(
            "/v1/rotations/{id}/rollback",
            "rollBackRotation",
            "Readers get the old version again, the new one is retired",
        ),
        act_operation(
            "/v1/rotations/{id}/approve",
            "approveRotation",
            "The old credential may be revoked",
        ),
        act_operation(
            "/v1/rotations/{id}/abandon",
            "abandonRotation",
            "It ends here; what its target may still accept becomes a debt",
        )
        .takes_optional::<wire::AbandonBody>(),
    ]
}

fn act_operation(path: &'static str, id: &'static str, about: &'static str) -> Operation {
    Operation::post(path, id, "Rotation", about)
        .scope("secrets:rotate")
        .answers::<wire::Rotation>(200)
        .fails(&["rotation_not_found", "access_denied", "rotation_conflict"])
}
