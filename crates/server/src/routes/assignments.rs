//! `/v1/rotation/policies/{id}/secrets…`: attaching secrets to rotation policies and targets.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, post};
use scaivault_api::rotation as wire;
use scaivault_core::ids::RotationPolicyId;
use scaivault_core::rotation::{Assignment, Turn};
use scaivault_core::time::Timestamp;
use scaivault_engine::{Attach, AttachTo, Attachment};

use super::at_target::overlap;
use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/policies/{id}/secrets", post(assign))
        .route(
            "/v1/rotation/policies/{id}/secrets/{path}",
            delete(unassign),
        )
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
    let attach = attach(body)?;
    // Targets answer when they like; those that do not must not take all of the server.
    let _slot = app.target_slots.acquire().await;
    let made = app
        .vault
        .assignment_attach(&caller, &id, &path, &attach)
        .await?;
    Ok(json_response(StatusCode::CREATED, &attachment_view(made)))
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

fn attach(body: wire::AssignBody) -> Result<Attach, Problem> {
    let turn = body.group.map(|group| Turn {
        group: group.name,
        order: group.order,
    });
    let strategy = body.strategy.as_deref();
    let strategy = strategy.map(|word| overlap("strategy", word)).transpose()?;
    let set = |flag: Option<bool>| flag.unwrap_or(false);
    let (manager, create) = (set(body.manager), set(body.create));
    let unverified = set(body.unverified);
    let Some(target) = body.target else {
        let more = strategy.is_some() || body.account.is_some();
        if more || manager || create || unverified {
            let why = "is needed with strategy, account, manager, create and unverified";
            return Err(Problem::field("target", why));
        }
        return Ok(Attach { to: None, turn });
    };
    let to = AttachTo {
        target,
        strategy,
        account: body.account,
        manager,
        create,
        unverified,
    };
    Ok(Attach { to: Some(to), turn })
}

fn attachment_view(made: Attachment) -> wire::Assignment {
    wire::Assignment {
        rotation_policy_name: Some(made.policy.name),
        warnings: made.warnings,
        ..assignment_view(&made.assignment)
    }
}

fn assignment_view(assignment: &Assignment) -> wire::Assignment {
    let attached = assignment.attached.as_ref();
    wire::Assignment {
        secret_path: assignment.path.as_str().to_owned(),
        rotation_policy_id: assignment.policy_id.as_str().to_owned(),
        rotation_policy_name: None,
        assigned_at: assignment.assigned_at.to_rfc3339(),
        assigned_by: assignment.assigned_by.as_str().to_owned(),
        last_rotated_at: assignment.last_rotated_at.map(Timestamp::to_rfc3339),
        next_rotation_at: assignment.next_rotation_at.to_rfc3339(),
        open_rotation_id: assignment
            .open_rotation
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        target: attached.map(|attached| wire::AssignedTarget {
            id: attached.target_id.as_str().to_owned(),
            name: attached.target_name.clone(),
        }),
        strategy: attached.map(|attached| attached.overlap.as_str().to_owned()),
        account: attached.map(|attached| attached.account.clone()),
        is_manager: attached.is_some_and(|attached| attached.is_manager),
        group: assignment.turn.as_ref().map(|turn| wire::Group {
            name: turn.group.clone(),
            order: turn.order,
        }),
        warnings: Vec::new(),
        drift: super::rotation_view::drift_view(assignment),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    vec![
        Operation::post(
            "/v1/rotation/policies/{id}/secrets",
            "assignSecret",
            tag,
            "Attach a secret, and where it has one, to its target",
        )
        .scope("admin")
        .takes::<wire::AssignBody>()
        .answers::<wire::Assignment>(201)
        .fails(&[
            "rotation_policy_not_found",
            "secret_not_found",
            "secret_exists",
            "invalid_path",
            "validation_error",
            "access_denied",
            "rotation_in_progress",
            "credential_not_verified",
        ]),
        Operation::delete(
            "/v1/rotation/policies/{id}/secrets/{secret_path}",
            "unassignSecret",
            tag,
            "Detach a secret (path encoded as one segment)",
        )
        .scope("admin")
        .empty(204)
        .fails(&[
            "assignment_not_found",
            "invalid_path",
            "rotation_in_progress",
        ]),
    ]
}
