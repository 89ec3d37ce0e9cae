//! `POST …/rehearse`: a whole rotation of a throw-away account at a target, answered within a
//! minute.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use scaivault_api::debt as wire;
use scaivault_core::ids::RotationPolicyId;
use scaivault_engine::Rehearsal;

use super::at_target::{overlap, trouble_view};
use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, read_or_default};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/targets/{id}/rehearse", post(at_target))
        .route(
            "/v1/rotation/policies/{id}/secrets/{path}/rehearse",
            post(of_secret),
        )
}

async fn at_target(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::RehearseBody = read_or_default(&app, body).await?;
    let overlap = body
        .strategy
        .as_deref()
        .map(|word| overlap("strategy", word))
        .transpose()?;
    // Targets answer when they like; those that do not must not take all of the server.
    let _slot = app.target_slots.acquire().await;
    let done = app
        .vault
        .rehearse(&caller, &id, overlap, body.account)
        .await?;
    Ok(json_response(StatusCode::OK, &view(&done)))
}

async fn of_secret(
    State(app): State<Shared>,
    Path((id, path)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?;
    let path = fields::path(&path)?;
    // Targets answer when they like; those that do not must not take all of the server.
    let _slot = app.target_slots.acquire().await;
    let done = app.vault.rehearse_secret(&caller, &id, &path).await?;
    Ok(json_response(StatusCode::OK, &view(&done)))
}

fn view(done: &Rehearsal) -> wire::Rehearsal {
    wire::Rehearsal {
        target_id: done.target.id.as_str().to_owned(),
        target_name: done.target.name.clone(),
        strategy: done.overlap.as_str().to_owned(),
        passed: done.passed(),
        began_at: done.began_at.to_rfc3339(),
        seconds: done.took.as_secs_f64(),
        steps: done
            .steps
            .iter()
            .map(|step| wire::RehearsalStep {
                name: step.name.to_owned(),
                outcome: step.outcome().to_owned(),
                seconds: step.took.map(|took| took.as_secs_f64()),
                trouble: step.trouble.as_ref().map(trouble_view),
            })
            .collect(),
        debt_id: done.debt.as_ref().map(|id| id.as_str().to_owned()),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    vec![
        Operation::post(
            "/v1/rotation/targets/{id}/rehearse",
            "rehearseTarget",
            tag,
            "Rehearse a rotation with a throw-away account, within a minute",
        )
        .scope("admin")
        .takes_optional::<wire::RehearseBody>()
        .answers::<wire::Rehearsal>(200)
        .fails(&["target_not_found", "validation_error"]),
        Operation::post(
            "/v1/rotation/policies/{id}/secrets/{path}/rehearse",
            "rehearseSecret",
            tag,
            "Rehearse the rotation of an attached secret, within a minute",
        )
        .scope("secrets:rotate")
        .answers::<wire::Rehearsal>(200)
        .fails(&[
            "rotation_policy_not_found",
            "assignment_not_found",
            "target_not_found",
            "access_denied",
            "invalid_path",
            "validation_error",
        ]),
    ]
}
