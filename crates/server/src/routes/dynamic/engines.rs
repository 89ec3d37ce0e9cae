//! `/v1/dynamic/engines`: what makes credentials, and what is done with all of one's.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use scaivault_api::dynamic as wire;
use scaivault_core::dynamic::{EngineKind, settings_of};
use scaivault_core::ids::RotationPolicyId;
use scaivault_engine::{EngineAt, EngineChange, EngineDraft};
use serde_json::{Map, Value};

use super::TAG;
use super::view::{engine_view, health_view, lease_view};
use crate::app::Shared;
use crate::body::{json_response, no_content, read, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;
use crate::routes::id_in_path;
use crate::routes::rotation_view::row_view;

const ENGINES: &str = "/v1/dynamic/engines";
const ENGINE: &str = "/v1/dynamic/engines/{engine}";
const HEALTH: &str = "/v1/dynamic/engines/{engine}/health";
const REVOKE_ALL: &str = "/v1/dynamic/engines/{engine}/revoke-all";
const SWEEP: &str = "/v1/dynamic/engines/{engine}/sweep";
const ROTATE_ROOT: &str = "/v1/dynamic/engines/{engine}/rotate-root";
const PUBLIC_KEY: &str = "/v1/dynamic/engines/{engine}/public-key";
const REVOKED: &str = "/v1/dynamic/engines/{engine}/revocation-list";

const DEFAULT_TTL: &str = "1h";
const MAX_TTL: &str = "24h";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(ENGINES, get(engines).post(create_engine))
        .route(
            ENGINE,
            get(show_engine).patch(change_engine).delete(delete_engine),
        )
        .route(HEALTH, get(health))
        .route(REVOKE_ALL, post(revoke_all))
        .route(SWEEP, post(sweep))
        .route(ROTATE_ROOT, post(rotate_root))
        .route(PUBLIC_KEY, get(public_key))
        .route(REVOKED, get(revocation_list))
}

async fn engines(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, "engines");
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .engine_list(&caller, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::EngineList {
            engines: rows.into_iter().map(engine_view).collect(),
            cursor,
            has_more,
        },
    ))
}

async fn create_engine(
    State(app): State<Shared>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let body: wire::EngineBody = read(&app, body).await?;
    let ttl = |text: Option<String>, standard: &str, field: &str| {
        fields::span(text.as_deref().unwrap_or(standard), field)
    };
    let draft = EngineDraft {
        name: body.name,
        description: fields::free_text(body.description, "description")?,
        kind: EngineKind::parse(&body.kind)
            .ok_or_else(|| Problem::field("type", "is database, ssh or custom"))?,
        at: place(&body.config)?,
        plugin: body.config.plugin,
        default_ttl: ttl(body.default_ttl, DEFAULT_TTL, "default_ttl")?,
        max_ttl: ttl(body.max_ttl, MAX_TTL, "max_ttl")?,
        verify: body.config.verify_connection.unwrap_or(true),
        connection: None,
    };
    let _slot = app.target_slots.acquire().await;
    let engine = app.vault.engine_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &engine_view(engine)))
}

/// A target that is there, or a new one.
fn place(config: &wire::EngineConfig) -> Result<EngineAt, Problem> {
    match (&config.target, &config.connection_url) {
        (Some(_), Some(_)) => Err(Problem::field(
            "config.target",
            "is given instead of connection_url",
        )),
        (Some(target), None) => match config.settings.is_empty() {
            true => Ok(EngineAt::Target(target.clone())),
            false => Err(Problem::field(
                "config.settings",
                "belong to the target: change them there",
            )),
        },
        (None, url) => Ok(EngineAt::New {
            settings: settings(&config.plugin, url.as_deref(), &config.settings)?,
            root_path: config
                .root_credentials_path
                .as_deref()
                .map(fields::path)
                .transpose()?,
        }),
    }
}

fn settings(
    plugin: &str,
    url: Option<&str>,
    more: &Map<String, Value>,
) -> Result<Map<String, Value>, Problem> {
    let mut settings = match url {
        Some(url) => settings_of(plugin, url)
            .map_err(|error| Problem::field("config.connection_url", error.to_string()))?,
        None => Map::new(),
    };
    settings.extend(more.clone());
    Ok(settings)
}

async fn show_engine(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let engine = app.vault.engine_show(&caller, &engine).await?;
    Ok(json_response(StatusCode::OK, &engine_view(engine)))
}

async fn change_engine(
    State(app): State<Shared>,
    Path(name): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let body: wire::EnginePatch = read(&app, body).await?;
    let config = body.config.unwrap_or_default();
    let plugin = match config.connection_url {
        Some(_) => app.vault.engine_show(&caller, &name).await?.plugin,
        None => String::new(),
    };
    let ttl =
        |text: Option<String>, field: &str| text.map(|text| fields::span(&text, field)).transpose();
    let change = EngineChange {
        description: fields::free_text(body.description, "description")?,
        settings: settings(&plugin, config.connection_url.as_deref(), &config.settings)?,
        root_path: config
            .root_credentials_path
            .as_deref()
            .map(fields::path)
            .transpose()?,
        default_ttl: ttl(body.default_ttl, "default_ttl")?,
        max_ttl: ttl(body.max_ttl, "max_ttl")?,
        same_accounts: config.same_accounts.unwrap_or_default(),
        verify: config.verify_connection.unwrap_or(true),
        connection: None,
    };
    let _slot = app.target_slots.acquire().await;
    let engine = app.vault.engine_change(&caller, &name, change).await?;
    Ok(json_response(StatusCode::OK, &engine_view(engine)))
}

async fn delete_engine(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    app.vault.engine_delete(&caller, &engine).await?;
    Ok(no_content())
}

async fn health(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let _slot = app.target_slots.acquire().await;
    let health = app.vault.engine_health(&caller, &engine).await?;
    Ok(json_response(StatusCode::OK, &health_view(health)))
}

async fn revoke_all(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Lease).await?;
    let query = Query::parse(uri.query())?;
    let ended = app
        .vault
        .leases_revoke_all(&caller, &engine, query.text("role"))
        .await?;
    Ok(json_response(
        StatusCode::ACCEPTED,
        &wire::LeasesRevoked {
            revoked: u64::try_from(ended).unwrap_or(u64::MAX),
        },
    ))
}

async fn sweep(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let _slot = app.target_slots.acquire().await;
    let found = app.vault.engine_sweep(&caller, &engine).await?;
    Ok(json_response(
        StatusCode::OK,
        &wire::EngineSwept {
            found: found.into_iter().map(lease_view).collect(),
        },
    ))
}

async fn rotate_root(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let body: wire::RotateRootBody = read_or_default(&app, body).await?;
    let policy = match body.rotation_policy_id {
        Some(id) => Some(id_in_path!(RotationPolicyId, id, RotationPolicyNotFound)?),
        None => None,
    };
    let _slot = app.target_slots.acquire().await;
    let rotation = app
        .vault
        .engine_rotate_root(&caller, &engine, policy.as_ref())
        .await?;
    Ok(json_response(
        StatusCode::ACCEPTED,
        &row_view(&rotation, app.vault.now()),
    ))
}

async fn public_key(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let key = app.vault.engine_public_key(&caller, &engine).await?;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], format!("{key}\n")).into_response())
}

async fn revocation_list(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let list = app.vault.engine_revocation_list(&caller, &engine).await?;
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], list).into_response())
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(ENGINES, "listEngines", TAG, "Engines")
            .scope(super::SEE)
            .paged()
            .answers::<wire::EngineList>(200)
            .fails(&["invalid_cursor"]),
        Operation::post(
            ENGINES,
            "createEngine",
            TAG,
            "Make an engine, after a look at its target",
        )
        .scope(super::MANAGE)
        .takes::<wire::EngineBody>()
        .answers::<wire::Engine>(201)
        .fails(&[
            "invalid_config",
            "name_exists",
            "access_denied",
            "invalid_path",
            "invalid_duration",
            "target_not_found",
        ]),
        Operation::get(ENGINE, "readEngine", TAG, "One engine")
            .scope(super::SEE)
            .answers::<wire::Engine>(200)
            .fails(&["engine_not_found"]),
        Operation::patch(ENGINE, "updateEngine", TAG, "Change only given fields")
            .scope(super::MANAGE)
            .takes::<wire::EnginePatch>()
            .answers::<wire::Engine>(200)
            .fails(&[
                "engine_not_found",
                "engine_in_use",
                "invalid_config",
                "access_denied",
                "invalid_path",
                "invalid_duration",
            ]),
        Operation::delete(
            ENGINE,
            "deleteEngine",
            TAG,
            "Forget an engine without leases",
        )
        .scope(super::MANAGE)
        .empty(204)
        .fails(&["engine_not_found", "engine_in_use", "access_denied"]),
        Operation::get(
            HEALTH,
            "engineHealth",
            TAG,
            "Log in at the engine's target and look",
        )
        .scope(super::SEE)
        .answers::<wire::EngineHealth>(200)
        .fails(&["engine_not_found", "target_not_found"]),
        Operation::post(
            REVOKE_ALL,
            "revokeEngineLeases",
            TAG,
            "End all leases of an engine, or of one of its roles",
        )
        .scope(super::MANAGE)
        .query("role", "string", "Only those of this role")
        .answers::<wire::LeasesRevoked>(202)
        .fails(&["engine_not_found"]),
        Operation::post(
            SWEEP,
            "sweepEngine",
            TAG,
            "Compare what is at the engine's target with its leases",
        )
        .scope(super::MANAGE)
        .answers::<wire::EngineSwept>(200)
        .fails(&[
            "engine_not_found",
            "target_not_found",
            "engine_failed",
            "store_restored",
        ]),
        Operation::post(
            ROTATE_ROOT,
            "rotateEngineRoot",
            TAG,
            "Rotate the root credential, under which credentials are made all the while",
        )
        .scope(super::MANAGE)
        .takes_optional::<wire::RotateRootBody>()
        .answers::<scaivault_api::rotation::Rotation>(202)
        .fails(&[
            "engine_not_found",
            "target_not_found",
            "rotation_policy_not_found",
            "secret_not_found",
            "access_denied",
            "invalid_config",
            "credential_not_verified",
            "rotation_in_progress",
            "store_restored",
        ]),
        Operation::get(
            PUBLIC_KEY,
            "engineSigningKey",
            TAG,
            "The key that signs, as servers are told to trust it",
        )
        .scope(super::SEE)
        .text(200, "text/plain")
        .fails(&[
            "engine_not_found",
            "target_not_found",
            "invalid_config",
            "engine_failed",
        ]),
        Operation::get(
            REVOKED,
            "engineRevocationList",
            TAG,
            "What was revoked and has not ended by itself, as servers read it (KRL)",
        )
        .scope(super::SEE)
        .text(200, "application/octet-stream")
        .fails(&[
            "engine_not_found",
            "target_not_found",
            "invalid_config",
            "engine_failed",
        ]),
    ]
}
