//! `/v1/rotation/reconcile…`: after a restore from a backup.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::reconcile as wire;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Reconciled, Reconciliation};

use crate::app::Shared;
use crate::body::{json_response, read_or_default};
use crate::call::Call;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/reconcile", get(show))
        .route("/v1/rotation/reconcile/look", post(look))
        .route("/v1/rotation/reconcile/resume", post(resume))
}

async fn show(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let known = app.vault.reconciliation(&caller).await?;
    Ok(json_response(StatusCode::OK, &view(&known)))
}

async fn look(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let known = app.vault.reconcile_again(&caller).await?;
    Ok(json_response(StatusCode::ACCEPTED, &view(&known)))
}

async fn resume(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::ResumeBody = read_or_default(&app, body).await?;
    let marks = app.vault.store_resume(&caller, body.without_look).await?;
    let known = Reconciliation {
        marks,
        ..Reconciliation::default()
    };
    Ok(json_response(StatusCode::OK, &view(&known)))
}

fn view(known: &Reconciliation) -> wire::Reconciliation {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_rfc3339());
    wire::Reconciliation {
        reconcile_only: known.marks.restored_at.is_some(),
        restored_at: time(known.marks.restored_at),
        resumed_at: time(known.marks.resumed_at),
        looked_at: time(known.looked_at),
        attachments: known.attachments.iter().map(attachment).collect(),
    }
}

fn attachment(looked: &Reconciled) -> wire::Reconciled {
    wire::Reconciled {
        secret_path: looked.path.as_str().to_owned(),
        target_id: looked.target_id.as_str().to_owned(),
        target_name: looked.target_name.clone(),
        version: looked.version,
        found: looked
            .found
            .map_or("works", |found| found.as_str())
            .to_owned(),
        advice: looked.found.map(|found| found.advice().to_owned()),
        accepted_versions: looked.accepted.clone(),
        rotation_id: looked.rotation_id.as_ref().map(|id| id.as_str().to_owned()),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    vec![
        Operation::get(
            "/v1/rotation/reconcile",
            "reconciliation",
            tag,
            "After a restore: what the targets accept of what is stored",
        )
        .fails(&["forbidden"])
        .answers::<wire::Reconciliation>(200),
        Operation::post(
            "/v1/rotation/reconcile/look",
            "lookAgain",
            tag,
            "After a restore: every attached credential is tried once more",
        )
        .fails(&["forbidden"])
        .answers::<wire::Reconciliation>(202),
        Operation::post(
            "/v1/rotation/reconcile/resume",
            "resumeStore",
            tag,
            "After a restore: rotations, campaigns and debts go on",
        )
        .takes_optional::<wire::ResumeBody>()
        .fails(&["store_restored", "forbidden"])
        .answers::<wire::Reconciliation>(200),
    ]
}
