//! `/v1/dynamic/engines/{engine}/roles`: what credentials may do at the engine's target.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use scaivault_api::dynamic as wire;
use scaivault_engine::{RoleDraft, RoleWrite};

use super::TAG;
use super::view::role_view;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ROLES: &str = "/v1/dynamic/engines/{engine}/roles";
const ROLE: &str = "/v1/dynamic/engines/{engine}/roles/{role}";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(ROLES, get(roles).post(create_role))
        .route(
            ROLE,
            get(show_role)
                .put(put_role)
                .patch(change_role)
                .delete(delete_role),
        )
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

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(ROLES, "listEngineRoles", TAG, "Roles of an engine")
            .scope(super::SEE)
            .paged()
            .answers::<wire::EngineRoleList>(200)
            .fails(&["engine_not_found", "invalid_cursor"]),
        Operation::post(ROLES, "createEngineRole", TAG, "Make a role")
            .scope(super::MANAGE)
            .takes::<wire::EngineRoleBody>()
            .answers::<wire::EngineRole>(201)
            .fails(&[
                "engine_not_found",
                "name_exists",
                "access_denied",
                "invalid_duration",
            ]),
        Operation::get(ROLE, "readEngineRole", TAG, "One role")
            .scope(super::SEE)
            .answers::<wire::EngineRole>(200)
            .fails(&["engine_not_found", "role_not_found"]),
        Operation::put(ROLE, "putEngineRole", TAG, "Make or change a role")
            .scope(super::MANAGE)
            .takes::<wire::EngineRoleBody>()
            .answers::<wire::EngineRole>(200)
            .fails(&["engine_not_found", "access_denied", "invalid_duration"]),
        Operation::patch(ROLE, "updateEngineRole", TAG, "Change only given fields")
            .scope(super::MANAGE)
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
            TAG,
            "Forget a role; its leases end as they would have",
        )
        .scope(super::MANAGE)
        .empty(204)
        .fails(&["engine_not_found", "role_not_found", "access_denied"]),
    ]
}
