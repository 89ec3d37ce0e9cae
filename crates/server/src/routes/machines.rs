//! `/v1/auth/roles…`: roles that machines log in by, and their secret ids.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::machine as wire;
use scaivault_core::ids::SecretIdAccessor;
use scaivault_core::machine::SecretId;
use scaivault_core::time::Timestamp;
use scaivault_engine::{MachineRoleDraft, SecretIdDraft};

use super::id_in_path;
use super::machine_fields::{Parsed, parsed, view};
use super::tokens::ranges;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ROOT: &str = "/v1/auth/roles";
const ONE: &str = "/v1/auth/roles/{role}";
const SECRET_IDS: &str = "/v1/auth/roles/{role}/secret-ids";
const LOOKUP: &str = "/v1/auth/roles/{role}/secret-ids/lookup";
const SECRET_ID: &str = "/v1/auth/roles/{role}/secret-ids/{accessor}";
const LIST: &str = "machine_roles";
const LIST_IDS: &str = "secret_ids";

/// Texts that go with a secret id.
pub(crate) const METADATA_MAX: usize = 50;
/// Of a name among them, and of a text.
pub(crate) const METADATA_CHARS_MAX: usize = 512;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(ROOT, get(list).post(create))
        .route(ONE, get(show).patch(change).delete(remove))
        .route(SECRET_IDS, get(ids).post(make_id))
        .route(LOOKUP, post(look_up))
        .route(SECRET_ID, get(show_id).delete(revoke_id))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .machine_role_list(&caller, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.name.as_str())?;
    let has_more = cursor.is_some();
    let roles = rows.iter().map(view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::RoleList {
            roles,
            cursor,
            has_more,
        },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::RoleBody = read(&app, body).await?;
    let draft = MachineRoleDraft {
        name: body.name.clone(),
        role_id: body.role_id.clone(),
        identity: fields::identity(&body.identity_type, &body.identity_id, false)?,
        scopes: fields::scopes(&body.scopes)?,
    };
    let fill = Parsed::of(body)?;
    let role = app
        .vault
        .machine_role_create(&caller, draft, &move |role| fill.apply(role))
        .await?;
    Ok(json_response(StatusCode::CREATED, &view(&role)))
}

async fn show(
    State(app): State<Shared>,
    Path(role): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let role = app.vault.machine_role_show(&caller, &role).await?;
    Ok(json_response(StatusCode::OK, &view(&role)))
}

async fn change(
    State(app): State<Shared>,
    Path(role): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::RolePatch = read(&app, body).await?;
    let change = parsed(body)?;
    let role = app
        .vault
        .machine_role_change(&caller, &role, &move |role| change.apply(role))
        .await?;
    Ok(json_response(StatusCode::OK, &view(&role)))
}

async fn remove(
    State(app): State<Shared>,
    Path(role): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    app.vault.machine_role_delete(&caller, &role).await?;
    Ok(no_content())
}

async fn make_id(
    State(app): State<Shared>,
    Path(role): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::SecretIdBody = read(&app, body).await?;
    let fits = |(name, text): (&String, &String)| {
        let chars = 1..=METADATA_CHARS_MAX;
        chars.contains(&name.chars().count()) && text.chars().count() <= METADATA_CHARS_MAX
    };
    if body.metadata.len() > METADATA_MAX || !body.metadata.iter().all(fits) {
        let why = "has at most 50 texts of at most 512 characters";
        return Err(Problem::field("metadata", why));
    }
    let draft = SecretIdDraft {
        metadata: body.metadata,
        ttl: body
            .ttl
            .as_deref()
            .map(|ttl| fields::span(ttl, "ttl"))
            .transpose()?,
        num_uses: fields::uses(body.num_uses, "num_uses")?,
        bound_cidrs: fields::addresses(&body.bound_cidrs, "bound_cidrs")?,
        token_bound_cidrs: fields::addresses(&body.token_bound_cidrs, "token_bound_cidrs")?,
    };
    let minted = app.vault.secret_id_create(&caller, &role, draft).await?;
    let view = wire::NewSecretId {
        secret_id: minted.text.expose().to_owned(),
        accessor: minted.record.id.as_str().to_owned(),
        role: minted.record.role.clone(),
        role_id: minted.role_id,
        num_uses: minted.record.uses.map(|uses| uses.given),
        expires_at: minted.record.expires_at.map(Timestamp::to_rfc3339),
    };
    Ok(json_response(StatusCode::CREATED, &view))
}

async fn ids(
    State(app): State<Shared>,
    Path(role): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST_IDS);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .secret_id_list(&caller, &role, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let has_more = cursor.is_some();
    let secret_ids = rows.iter().map(item).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::SecretIdList {
            secret_ids,
            cursor,
            has_more,
        },
    ))
}

async fn show_id(
    State(app): State<Shared>,
    Path((role, accessor)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let id = id_in_path!(SecretIdAccessor, accessor, SecretIdNotFound)?;
    let row = app.vault.secret_id_show(&caller, &role, &id).await?;
    Ok(json_response(StatusCode::OK, &item(&row)))
}

async fn look_up(
    State(app): State<Shared>,
    Path(role): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::SecretIdLookup = read(&app, body).await?;
    let row = app
        .vault
        .secret_id_lookup(&caller, &role, &body.secret_id)
        .await?;
    Ok(json_response(StatusCode::OK, &item(&row)))
}

async fn revoke_id(
    State(app): State<Shared>,
    Path((role, accessor)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let id = id_in_path!(SecretIdAccessor, accessor, SecretIdNotFound)?;
    app.vault.secret_id_revoke(&caller, &role, &id).await?;
    Ok(no_content())
}

fn item(row: &SecretId) -> wire::SecretIdItem {
    wire::SecretIdItem {
        accessor: row.id.as_str().to_owned(),
        role: row.role.clone(),
        metadata: row.metadata.clone(),
        num_uses: row.uses.map(|uses| uses.given),
        uses_left: row.uses.map(|uses| uses.left),
        bound_cidrs: ranges(&row.bound_cidrs),
        token_bound_cidrs: ranges(&row.token_bound_cidrs),
        created_at: row.created_at.to_rfc3339(),
        created_by: row.created_by.as_str().to_owned(),
        expires_at: row.expires_at.map(Timestamp::to_rfc3339),
        last_used_at: row.last_used_at.map(Timestamp::to_rfc3339),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Machine login";
    vec![
        Operation::get(ROOT, "listRoles", tag, "Roles that machines log in by")
            .scope("admin")
            .paged()
            .answers::<wire::RoleList>(200)
            .fails(&["invalid_cursor"]),
        Operation::post(ROOT, "createRole", tag, "Make a role")
            .scope("admin")
            .takes::<wire::RoleBody>()
            .answers::<wire::Role>(201)
            .fails(&[
                "validation_error",
                "invalid_duration",
                "forbidden",
                "name_exists",
            ]),
        Operation::get(ONE, "getRole", tag, "One role")
            .scope("admin")
            .answers::<wire::Role>(200)
            .fails(&["role_not_found"]),
        Operation::patch(ONE, "updateRole", tag, "Change given fields of a role")
            .scope("admin")
            .takes::<wire::RolePatch>()
            .answers::<wire::Role>(200)
            .fails(&[
                "role_not_found",
                "validation_error",
                "invalid_duration",
                "forbidden",
            ]),
        Operation::delete(ONE, "deleteRole", tag, "Remove a role and its secret ids")
            .scope("admin")
            .empty(204)
            .fails(&["role_not_found"]),
        Operation::post(
            SECRET_IDS,
            "createSecretId",
            tag,
            "Make a secret id; it is shown this once",
        )
        .scope("admin")
        .takes::<wire::SecretIdBody>()
        .answers::<wire::NewSecretId>(201)
        .fails(&[
            "role_not_found",
            "validation_error",
            "invalid_duration",
            "forbidden",
        ]),
        Operation::get(
            SECRET_IDS,
            "listSecretIds",
            tag,
            "Secret ids of a role, without the secret ids themselves",
        )
        .scope("admin")
        .paged()
        .answers::<wire::SecretIdList>(200)
        .fails(&["role_not_found", "invalid_cursor"]),
        Operation::post(
            LOOKUP,
            "lookUpSecretId",
            tag,
            "The record of a secret id that somebody has",
        )
        .scope("admin")
        .takes::<wire::SecretIdLookup>()
        .answers::<wire::SecretIdItem>(200)
        .fails(&["role_not_found", "secret_id_not_found"]),
        Operation::get(SECRET_ID, "getSecretId", tag, "One secret id's record")
            .scope("admin")
            .answers::<wire::SecretIdItem>(200)
            .fails(&["role_not_found", "secret_id_not_found"]),
        Operation::delete(SECRET_ID, "revokeSecretId", tag, "End a secret id")
            .scope("admin")
            .empty(204)
            .fails(&["role_not_found", "secret_id_not_found"]),
    ]
}
