//! `/v1/dynamic…`: engines, their roles, credentials on request, and leases.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use scaivault_api::dynamic as wire;
use scaivault_core::dynamic::{EngineKind, LeaseState, settings_of};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{LeaseId, RotationPolicyId};
use scaivault_core::ports::LeaseFilter;
use scaivault_engine::{
    CredentialRequest, EngineAt, EngineChange, EngineDraft, RoleDraft, RoleWrite,
};
use serde_json::{Map, Value};

use super::dynamic_view::{credential_view, engine_view, health_view, lease_view, role_view};
use super::id_in_path;
use super::rotation_view::row_view;
use crate::app::Shared;
use crate::body::{json_response, no_content, read, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ENGINES: &str = "/v1/dynamic/engines";
const ENGINE: &str = "/v1/dynamic/engines/{engine}";
const HEALTH: &str = "/v1/dynamic/engines/{engine}/health";
const REVOKE_ALL: &str = "/v1/dynamic/engines/{engine}/revoke-all";
const SWEEP: &str = "/v1/dynamic/engines/{engine}/sweep";
const ROTATE_ROOT: &str = "/v1/dynamic/engines/{engine}/rotate-root";
const PUBLIC_KEY: &str = "/v1/dynamic/engines/{engine}/public-key";
const REVOKED: &str = "/v1/dynamic/engines/{engine}/revocation-list";
const ROLES: &str = "/v1/dynamic/engines/{engine}/roles";
const ROLE: &str = "/v1/dynamic/engines/{engine}/roles/{role}";
const CREDS: &str = "/v1/dynamic/engines/{engine}/creds/{role}";
const LEASES: &str = "/v1/dynamic/leases";
const LEASE: &str = "/v1/dynamic/leases/{id}";
const RENEW: &str = "/v1/dynamic/leases/{id}/renew";
const REVOKE: &str = "/v1/dynamic/leases/{id}/revoke";

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
        .route(ROLES, get(roles).post(create_role))
        .route(
            ROLE,
            get(show_role)
                .put(put_role)
                .patch(change_role)
                .delete(delete_role),
        )
        .route(CREDS, post(generate))
        .route(LEASES, get(leases))
        .route(LEASE, get(show_lease))
        .route(RENEW, post(renew))
        .route(REVOKE, post(revoke))
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

async fn roles(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, "engine_roles");
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .role_list(&caller, &engine, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.name.as_str())?;
    let has_more = cursor.is_some();
    let roles = rows.into_iter().map(|role| role_view(&engine, role));
    Ok(json_response(
        StatusCode::OK,
        &wire::EngineRoleList {
            roles: roles.collect(),
            cursor,
            has_more,
        },
    ))
}

async fn create_role(
    State(app): State<Shared>,
    Path(engine): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let body: wire::EngineRoleBody = read(&app, body).await?;
    let name = body.name.clone();
    let name = name.ok_or_else(|| Problem::field("name", "is required"))?;
    let draft = role_draft(body)?;
    let role = app
        .vault
        .role_write(&caller, (&engine, &name), RoleWrite::Create, draft)
        .await?;
    Ok(json_response(
        StatusCode::CREATED,
        &role_view(&engine, role),
    ))
}

async fn put_role(
    State(app): State<Shared>,
    Path((engine, name)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    write_role(&app, (&engine, &name), &call, body, RoleWrite::Put).await
}

async fn change_role(
    State(app): State<Shared>,
    Path((engine, name)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    write_role(&app, (&engine, &name), &call, body, RoleWrite::Change).await
}

async fn write_role(
    app: &Shared,
    (engine, name): (&str, &str),
    call: &Call,
    body: Body,
    how: RoleWrite,
) -> Result<Response, Problem> {
    let caller = call.enter(app, Category::DynamicAdmin).await?;
    let body: wire::EngineRoleBody = read(app, body).await?;
    if body.name.as_ref().is_some_and(|said| said != name) {
        return Err(Problem::field("name", "is the one of the URL, or left out"));
    }
    let draft = role_draft(body)?;
    let role = app.vault.role_write(&caller, (engine, name), how, draft);
    Ok(json_response(
        StatusCode::OK,
        &role_view(engine, role.await?),
    ))
}

fn role_draft(body: wire::EngineRoleBody) -> Result<RoleDraft, Problem> {
    let ttl =
        |text: Option<String>, field: &str| text.map(|text| fields::span(&text, field)).transpose();
    let owned = body.owned_objects.as_deref().map(|word| {
        scaivault_core::dynamic::Owned::parse(word)
            .ok_or_else(|| Problem::field("owned_objects", "is keep, reassign or drop"))
    });
    Ok(RoleDraft {
        creation_statements: statements(body.creation_statements, "creation_statements")?,
        rollback_statements: statements(body.rollback_statements, "rollback_statements")?,
        renew_statements: statements(body.renew_statements, "renew_statements")?,
        revocation_statements: statements(body.revocation_statements, "revocation_statements")?,
        owned: owned.transpose()?,
        username_template: body.username_template,
        settings: body.settings,
        default_ttl: ttl(body.default_ttl, "default_ttl")?,
        max_ttl: ttl(body.max_ttl, "max_ttl")?,
    })
}

/// At most so many texts, each at most so long.
pub(crate) const STATEMENTS_MAX: usize = 50;
pub(crate) const STATEMENT_CHARS_MAX: usize = 16_384;

fn statements(texts: Option<Vec<String>>, field: &str) -> Result<Option<Vec<String>>, Problem> {
    let Some(texts) = texts else { return Ok(None) };
    let fits = texts.len() <= STATEMENTS_MAX
        && texts
            .iter()
            .all(|text| text.chars().count() <= STATEMENT_CHARS_MAX);
    match fits {
        true => Ok(Some(texts)),
        false => Err(Problem::field(
            field,
            format!(
                "are at most {STATEMENTS_MAX} texts of at most {STATEMENT_CHARS_MAX} characters"
            ),
        )),
    }
}

async fn show_role(
    State(app): State<Shared>,
    Path((engine, name)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    let role = app.vault.role_show(&caller, &engine, &name).await?;
    Ok(json_response(StatusCode::OK, &role_view(&engine, role)))
}

async fn delete_role(
    State(app): State<Shared>,
    Path((engine, name)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::DynamicAdmin).await?;
    app.vault.role_delete(&caller, &engine, &name).await?;
    Ok(no_content())
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
    let tag = "Dynamic secrets";
    let (manage, see, make) = ("dynamic:manage", "dynamic:read", "dynamic:generate");
    vec![
        Operation::get(ENGINES, "listEngines", tag, "Engines")
            .scope(see)
            .paged()
            .answers::<wire::EngineList>(200)
            .fails(&["invalid_cursor"]),
        Operation::post(
            ENGINES,
            "createEngine",
            tag,
            "Make an engine, after a look at its target",
        )
        .scope(manage)
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
        Operation::get(ENGINE, "readEngine", tag, "One engine")
            .scope(see)
            .answers::<wire::Engine>(200)
            .fails(&["engine_not_found"]),
        Operation::patch(ENGINE, "updateEngine", tag, "Change only given fields")
            .scope(manage)
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
            tag,
            "Forget an engine without leases",
        )
        .scope(manage)
        .empty(204)
        .fails(&["engine_not_found", "engine_in_use", "access_denied"]),
        Operation::get(
            HEALTH,
            "engineHealth",
            tag,
            "Log in at the engine's target and look",
        )
        .scope(see)
        .answers::<wire::EngineHealth>(200)
        .fails(&["engine_not_found", "target_not_found"]),
        Operation::post(
            REVOKE_ALL,
            "revokeEngineLeases",
            tag,
            "End all leases of an engine, or of one of its roles",
        )
        .scope(manage)
        .query("role", "string", "Only those of this role")
        .answers::<wire::LeasesRevoked>(202)
        .fails(&["engine_not_found"]),
        Operation::post(
            SWEEP,
            "sweepEngine",
            tag,
            "Compare what is at the engine's target with its leases",
        )
        .scope(manage)
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
            tag,
            "Rotate the root credential, under which credentials are made all the while",
        )
        .scope(manage)
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
            tag,
            "The key that signs, as servers are told to trust it",
        )
        .scope(see)
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
            tag,
            "What was revoked and has not ended by itself, as servers read it (KRL)",
        )
        .scope(see)
        .text(200, "application/octet-stream")
        .fails(&[
            "engine_not_found",
            "target_not_found",
            "invalid_config",
            "engine_failed",
        ]),
        Operation::get(ROLES, "listEngineRoles", tag, "Roles of an engine")
            .scope(see)
            .paged()
            .answers::<wire::EngineRoleList>(200)
            .fails(&["engine_not_found", "invalid_cursor"]),
        Operation::post(ROLES, "createEngineRole", tag, "Make a role")
            .scope(manage)
            .takes::<wire::EngineRoleBody>()
            .answers::<wire::EngineRole>(201)
            .fails(&[
                "engine_not_found",
                "name_exists",
                "access_denied",
                "invalid_duration",
            ]),
        Operation::get(ROLE, "readEngineRole", tag, "One role")
            .scope(see)
            .answers::<wire::EngineRole>(200)
            .fails(&["engine_not_found", "role_not_found"]),
        Operation::put(ROLE, "putEngineRole", tag, "Make or change a role")
            .scope(manage)
            .takes::<wire::EngineRoleBody>()
            .answers::<wire::EngineRole>(200)
            .fails(&["engine_not_found", "access_denied", "invalid_duration"]),
        Operation::patch(ROLE, "updateEngineRole", tag, "Change only given fields")
            .scope(manage)
            .takes::<wire::EngineRoleBody>()
            .answers::<wire::EngineRole>(200)
            .fails(&[
                "engine_not_found",
                "role_not_found",
                "access_denied",
                "invalid_duration",
            ]),
        Operation::delete(
            ROLE,
            "deleteEngineRole",
            tag,
            "Forget a role; its leases end as they would have",
        )
        .scope(manage)
        .empty(204)
        .fails(&["engine_not_found", "role_not_found", "access_denied"]),
        Operation::post(
            CREDS,
            "generateCredential",
            tag,
            "Make a credential of a role",
        )
        .scope(make)
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
            tag,
            "Leases, newest first: all with dynamic:read, else the caller's own",
        )
        .scope(make)
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
        Operation::get(LEASE, "readLease", tag, "One lease")
            .scope(make)
            .answers::<wire::Lease>(200)
            .fails(&["lease_not_found"]),
        Operation::post(RENEW, "renewLease", tag, "Move a lease's end")
            .scope(make)
            .takes_optional::<wire::RenewLeaseBody>()
            .answers::<wire::Lease>(200)
            .fails(&[
                "lease_not_found",
                "lease_ended",
                "engine_failed",
                "store_restored",
                "engine_not_found",
                "role_not_found",
                "invalid_duration",
                "store_restored",
            ]),
        Operation::post(
            REVOKE,
            "revokeLease",
            tag,
            "End a lease; its account is removed by the worker",
        )
        .scope(make)
        .answers::<wire::Lease>(202)
        .fails(&["lease_not_found"]),
    ]
}
