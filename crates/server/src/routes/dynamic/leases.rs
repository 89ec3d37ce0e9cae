//! Credentials on request, and `/v1/dynamic/leases`: each for as long as it lives.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::dynamic as wire;
use scaivault_core::dynamic::LeaseState;
use scaivault_core::identity::Identity;
use scaivault_core::ids::LeaseId;
use scaivault_core::ports::LeaseFilter;
use scaivault_engine::CredentialRequest;

use super::TAG;
use super::view::{credential_view, lease_view};
use crate::app::Shared;
use crate::body::{json_response, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;
use crate::routes::id_in_path;

const CREDS: &str = "/v1/dynamic/engines/{engine}/creds/{role}";
const LEASES: &str = "/v1/dynamic/leases";
const LEASE: &str = "/v1/dynamic/leases/{id}";
const RENEW: &str = "/v1/dynamic/leases/{id}/renew";
const REVOKE: &str = "/v1/dynamic/leases/{id}/revoke";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(CREDS, post(generate))
        .route(LEASES, get(leases))
        .route(LEASE, get(show_lease))
        .route(RENEW, post(renew))
        .route(REVOKE, post(revoke))
}

async fn generate(
    State(app): State<Shared>,
    Path((engine, role)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicGenerate).await?;
    let body: wire::CredentialBody = read_or_default(&app, body).await?;
    let request = CredentialRequest {
        ttl: body
            .ttl
            .map(|text| fields::span(&text, "ttl"))
            .transpose()?,
        params: body.params,
    };
    let made = app
        .vault
        .credential_generate(&caller, &engine, &role, &request)
        .await?;
    let now = app.vault.now();
    Ok(json_response(
        StatusCode::CREATED,
        &credential_view(&made, now),
    ))
}

async fn leases(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Lease).await?;
    let query = Query::parse(uri.query())?;
    let filter = filter(&app, &caller, &query).await?;
    let cursors = Cursors::of(&app, &caller, "leases");
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .lease_list(&caller, &filter, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::LeaseList {
            leases: rows.into_iter().map(lease_view).collect(),
            cursor,
            has_more,
        },
    ))
}

async fn filter(
    app: &Shared,
    caller: &scaivault_engine::Caller,
    query: &Query,
) -> Result<LeaseFilter, Problem> {
    let bad = |what: &str| {
        Problem::new(
            scaivault_api::ErrorCode::InvalidRequest,
            format!("query parameter '{what}"),
        )
    };
    let states = match query.text("status") {
        None => Vec::new(),
        Some(words) => words
            .split(',')
            .map(|word| {
                LeaseState::parse(word)
                    .ok_or_else(|| bad("status' is of creating, active, revoking, revoked"))
            })
            .collect::<Result<_, _>>()?,
    };
    let holder = query.text("identity_id").map(|text| {
        Identity::parse(text).map_err(|_| bad("identity_id' is a typed name such as sa:shop"))
    });
    Ok(LeaseFilter {
        engine_id: match query.text("engine") {
            Some(name) => Some(app.vault.engine_id(caller, name).await?),
            None => None,
        },
        role: query.text("role").map(ToOwned::to_owned),
        states,
        failing: query.flag("failing")?.unwrap_or(false),
        holder: holder.transpose()?,
    })
}

async fn show_lease(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Lease).await?;
    let lease = app.vault.lease_show(&caller, &lease_id(&id)?).await?;
    Ok(json_response(StatusCode::OK, &lease_view(lease)))
}

async fn renew(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Lease).await?;
    let body: wire::RenewLeaseBody = read_or_default(&app, body).await?;
    let increment = body
        .increment
        .map(|text| fields::span(&text, "increment"))
        .transpose()?;
    let lease = app
        .vault
        .lease_renew(&caller, &lease_id(&id)?, increment.as_ref())
        .await?;
    Ok(json_response(StatusCode::OK, &lease_view(lease)))
}

async fn revoke(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Lease).await?;
    let lease = app.vault.lease_revoke(&caller, &lease_id(&id)?).await?;
    Ok(json_response(StatusCode::ACCEPTED, &lease_view(lease)))
}

fn lease_id(text: &str) -> Result<LeaseId, Problem> {
    let text = text.to_owned();
    id_in_path!(LeaseId, text, LeaseNotFound)
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            CREDS,
            "generateCredential",
            TAG,
            "Make a credential of a role",
        )
        .scope(super::MAKE)
        .takes_optional::<wire::CredentialBody>()
        .answers::<wire::Credential>(201)
        .fails(&[
            "engine_not_found",
            "role_not_found",
            "access_denied",
            "engine_failed",
            "invalid_duration",
            "store_restored",
        ]),
        Operation::get(
            LEASES,
            "listLeases",
            TAG,
            "Leases, newest first: all with dynamic:read, else the caller's own",
        )
        .scope(super::MAKE)
        .paged()
        .query("engine", "string", "Of this engine")
        .query("role", "string", "Of this role")
        .query("status", "string", "In these states, between commas")
        .query("identity_id", "string", "Of this holder")
        .query(
            "failing",
            "boolean",
            "Whose accounts could not be removed so far",
        )
        .answers::<wire::LeaseList>(200)
        .fails(&["engine_not_found", "invalid_cursor"]),
        Operation::get(LEASE, "readLease", TAG, "One lease")
            .scope(super::MAKE)
            .answers::<wire::Lease>(200)
            .fails(&["lease_not_found"]),
        Operation::post(RENEW, "renewLease", TAG, "Move a lease's end")
            .scope(super::MAKE)
            .takes_optional::<wire::RenewLeaseBody>()
            .answers::<wire::Lease>(200)
            .fails(&[
                "lease_not_found",
                "lease_ended",
                "engine_failed",
                "engine_not_found",
                "role_not_found",
                "invalid_duration",
                "store_restored",
            ]),
        Operation::post(
            REVOKE,
            "revokeLease",
            TAG,
            "End a lease; its account is removed by the worker",
        )
        .scope(super::MAKE)
        .answers::<wire::Lease>(202)
        .fails(&["lease_not_found"]),
    ]
}
