//! `/v1/rotation/debts…`, and the sweep of a target, which makes debts.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use scaivault_api::debt as wire;
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::ids::DebtId;
use scaivault_core::time::Timestamp;
use scaivault_engine::Stuck;

use super::at_target::trouble_view;
use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const LIST: &str = "debts";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rotation/debts", get(list))
        .route("/v1/rotation/debts/{id}", delete(write_off))
        .route("/v1/rotation/debts/{id}/retry", post(retry))
        .route("/v1/rotation/targets/{id}/sweep", post(sweep))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let (rows, next) = app
        .vault
        .debts_list(&caller, after.as_deref(), limit)
        .await?;
    let now = app.vault.now();
    let mut data: Vec<_> = rows.iter().map(|debt| view(debt, now)).collect();
    // What is computed stands behind the last stored one.
    if next.is_none() {
        let stuck = app.vault.debts_stuck(&caller).await?;
        data.extend(stuck.iter().filter_map(|stuck| stuck_view(stuck, now)));
    }
    let cursor = next.map(|id| cursors.at(id.as_str())).transpose()?;
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::DebtList {
            data,
            cursor,
            has_more,
        },
    ))
}

async fn retry(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(DebtId, id, DebtNotFound)?;
    let debt = app.vault.debt_retry(&caller, &id).await?;
    Ok(json_response(
        StatusCode::ACCEPTED,
        &view(&debt, app.vault.now()),
    ))
}

async fn write_off(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let id = id_in_path!(DebtId, id, DebtNotFound)?;
    let body: wire::WriteOffBody = read(&app, body).await?;
    app.vault.debt_write_off(&caller, &id, &body.reason).await?;
    Ok(no_content())
}

async fn sweep(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    // Targets answer when they like; those that do not must not take all of the server.
    let _slot = app.target_slots.acquire().await;
    let found = app.vault.target_sweep(&caller, &id).await?;
    let now = app.vault.now();
    let debts = found.iter().map(|debt| view(debt, now)).collect();
    Ok(json_response(StatusCode::OK, &wire::Sweep { debts }))
}

fn view(debt: &Debt, now: Timestamp) -> wire::Debt {
    let (version, account) = match &debt.owed {
        Owed::Credential { version, .. } => (Some(*version), None),
        Owed::Residue { .. } => (None, None),
        Owed::Account { account, .. } => (None, Some(account.clone())),
    };
    wire::Debt {
        id: debt.id.as_str().to_owned(),
        kind: debt.owed.as_str().to_owned(),
        target_id: debt.target_id.as_str().to_owned(),
        target_name: debt.target_name.clone(),
        secret_path: debt.owed.path().map(|path| path.as_str().to_owned()),
        version,
        rotation_id: debt.owed.rotation_id().map(|id| id.as_str().to_owned()),
        account,
        since: debt.since.to_rfc3339(),
        age_seconds: now.since(debt.since).as_secs(),
        attempts: debt.attempts,
        next_attempt_at: debt.wake_at.map(Timestamp::to_rfc3339),
        trouble: debt.trouble.as_ref().map(trouble_view),
    }
}

fn stuck_view(stuck: &Stuck, now: Timestamp) -> Option<wire::Debt> {
    let rotation = &stuck.rotation;
    let at = rotation.at_target.as_ref()?;
    Some(wire::Debt {
        id: rotation.id.as_str().to_owned(),
        kind: "stuck_rotation".to_owned(),
        target_id: at.attached.target_id.as_str().to_owned(),
        target_name: at.attached.target_name.clone(),
        secret_path: Some(rotation.path.as_str().to_owned()),
        version: None,
        rotation_id: Some(rotation.id.as_str().to_owned()),
        account: None,
        since: stuck.since.to_rfc3339(),
        age_seconds: now.since(stuck.since).as_secs(),
        attempts: rotation.attempts,
        next_attempt_at: rotation.wake_at.map(Timestamp::to_rfc3339),
        trouble: rotation.trouble.as_ref().map(trouble_view),
    })
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Rotation";
    vec![
        Operation::get(
            "/v1/rotation/debts",
            "listDebts",
            tag,
            "What is still to be removed at targets, oldest first",
        )
        .scope("secrets:rotate")
        .paged()
        .answers::<wire::DebtList>(200)
        .fails(&["invalid_cursor"]),
        Operation::post(
            "/v1/rotation/debts/{id}/retry",
            "retryDebt",
            tag,
            "Try a debt again now",
        )
        .scope("secrets:rotate")
        .answers::<wire::Debt>(202)
        .fails(&["debt_not_found", "access_denied"]),
        Operation::delete(
            "/v1/rotation/debts/{id}",
            "writeOffDebt",
            tag,
            "Write a debt off: nothing is tried any more",
        )
        .scope("admin")
        .takes::<wire::WriteOffBody>()
        .empty(204)
        .fails(&["debt_not_found"]),
        Operation::post(
            "/v1/rotation/targets/{id}/sweep",
            "sweepTarget",
            tag,
            "Look for what lies at a target under our names and belongs to nothing",
        )
        .scope("admin")
        .answers::<wire::Sweep>(200)
        .fails(&["target_not_found", "validation_error"]),
    ]
}
