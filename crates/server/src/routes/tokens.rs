//! `/v1/auth/…`

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use scaivault_api::token as wire;
use scaivault_core::access::Cidr;
use scaivault_core::identity::{ScopeSet, Token, TokenBounds};
use scaivault_core::ids::TokenId;
use scaivault_core::tenancy::{Role, Roles};
use scaivault_core::time::Timestamp;
use scaivault_engine::{TokenDraft, TokenLimits};

use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const LIST: &str = "tokens";
const TTL_DEFAULT: &str = "90d";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/auth/whoami", get(whoami))
        .route("/v1/auth/introspect", post(introspect))
        .route("/v1/auth/tokens", get(list).post(create))
        .route("/v1/auth/tokens/self/renew", post(renew))
        .route("/v1/auth/tokens/{id}", delete(revoke))
}

async fn whoami(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let principal = &caller.principal;
    let foreign = principal.foreign.as_deref();
    let own = app.vault.token_own(&caller).await?;
    let bounds = own.and_then(|token| token.bounds).unwrap_or_default();
    let view = wire::WhoAmI {
        identity_id: principal.identity.as_str().to_owned(),
        identity_type: principal.identity.kind().as_str().to_owned(),
        display_name: foreign
            .and_then(|foreign| foreign.display_name.clone())
            .unwrap_or_else(|| {
                let name = principal.identity.as_str();
                name.trim_start_matches(principal.identity.kind().prefix())
                    .to_owned()
            }),
        tenant_id: principal.tenant.as_str().to_owned(),
        partner_id: principal.seat.partner.as_str().to_owned(),
        scopes: principal
            .scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect(),
        groups: principal
            .groups
            .iter()
            .map(|group| group.as_str().to_owned())
            .collect(),
        roles: role_words(principal.seat.roles),
        issuer: foreign.map(|foreign| foreign.issuer.to_string()),
        mfa_verified_at: principal.mfa_at.map(Timestamp::to_rfc3339),
        token_expires_at: principal.expires_at.map(Timestamp::to_rfc3339),
        token_id: principal.token_id.as_ref().map(|id| id.as_str().to_owned()),
        parent_id: parent_word(&bounds),
        uses_left: bounds.uses.map(|uses| uses.left),
        allowed_addresses: ranges(&bounds.allowed_addresses),
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::TokenBody = read(&app, body).await?;
    let draft = TokenDraft {
        identity: fields::identity(&body.identity_type, &body.identity_id, false)?,
        scopes: fields::scopes(&body.scopes)?,
        roles: roles(&body.roles)?,
        ttl: fields::span(body.ttl.as_deref().unwrap_or(TTL_DEFAULT), "ttl")?,
        description: fields::free_text(body.description, "description")?,
    };
    let limits = TokenLimits {
        uses: fields::uses(body.uses, "uses")?,
        allowed_addresses: fields::addresses(&body.allowed_addresses, "allowed_addresses")?,
        no_parent: body.no_parent,
    };
    let minted = app
        .vault
        .token_create_within(&caller, draft, limits)
        .await?;
    let bounds = minted.token.bounds.clone().unwrap_or_default();
    let view = wire::NewToken {
        id: minted.token.id.as_str().to_owned(),
        token: minted.text.expose().to_owned(),
        identity_id: minted.token.identity.as_str().to_owned(),
        scopes: scope_words(&minted.token),
        roles: role_words(minted.token.roles),
        expires_at: minted.token.expires_at.map(Timestamp::to_rfc3339),
        parent_id: parent_word(&bounds),
        uses_left: bounds.uses.map(|uses| uses.left),
        allowed_addresses: ranges(&bounds.allowed_addresses),
    };
    Ok(json_response(StatusCode::CREATED, &view))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let rows = app
        .vault
        .token_list(&caller, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |token| token.id.as_str())?;
    let now = app.vault.now();
    let tokens = rows.iter().map(|token| token_view(token, now)).collect();
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::TokenList {
            tokens,
            cursor,
            has_more,
        },
    ))
}

async fn revoke(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let id = id_in_path!(TokenId, id, TokenNotFound)?;
    app.vault.token_revoke(&caller, &id).await?;
    Ok(no_content())
}

async fn renew(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let token = app.vault.token_renew_self(&caller).await?;
    let view = wire::RenewedToken {
        id: token.id.as_str().to_owned(),
        identity_id: token.identity.as_str().to_owned(),
        scopes: scope_words(&token),
        expires_at: token.expires_at.map(Timestamp::to_rfc3339),
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn introspect(
    State(app): State<Shared>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Auth).await?;
    let body: wire::IntrospectBody = read(&app, body).await?;
    let found = app.vault.token_introspect(&caller, &body.token).await?;
    let view = found.map_or_else(wire::Introspection::default, |found| {
        let bounds = found.bounds.unwrap_or_default();
        wire::Introspection {
            active: true,
            parent_id: parent_word(&bounds),
            uses_left: bounds.uses.map(|uses| uses.left),
            allowed_addresses: ranges(&bounds.allowed_addresses),
            token_id: found.token_id.map(|id| id.as_str().to_owned()),
            identity_id: Some(found.identity.as_str().to_owned()),
            identity_type: Some(found.identity.kind().as_str().to_owned()),
            tenant_id: Some(found.tenant.as_str().to_owned()),
            scopes: Some(words_of(found.scopes)),
            expires_at: found.expires_at.map(Timestamp::to_rfc3339),
            issued_at: found.issued_at.map(Timestamp::to_rfc3339),
            issuer: found.issuer,
        }
    });
    Ok(json_response(StatusCode::OK, &view))
}

fn roles(words: &[String]) -> Result<Roles, Problem> {
    words
        .iter()
        .map(|word| {
            Role::parse(word).ok_or_else(|| {
                Problem::field("roles", "are super_admin, partner_admin and tenant_admin")
            })
        })
        .collect()
}

fn parent_word(bounds: &TokenBounds) -> Option<String> {
    bounds.parent.as_ref().map(|id| id.as_str().to_owned())
}

pub(crate) fn ranges(ranges: &[Cidr]) -> Vec<String> {
    ranges.iter().map(|range| format!("{range:?}")).collect()
}

fn role_words(roles: Roles) -> Vec<String> {
    roles.iter().map(|role| role.as_str().to_owned()).collect()
}

fn scope_words(token: &Token) -> Vec<String> {
    words_of(token.scopes)
}

fn words_of(scopes: ScopeSet) -> Vec<String> {
    scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect()
}

fn token_view(token: &Token, now: Timestamp) -> wire::TokenItem {
    let ended = token.ended_at(now);
    let status = match ended {
        None => "active",
        Some(_) if ended == token.revoked_at => "revoked",
        Some(_) if ended == token.used_up_at() => "used_up",
        Some(_) => "expired",
    };
    let bounds = token.bounds.as_deref().cloned().unwrap_or_default();
    wire::TokenItem {
        id: token.id.as_str().to_owned(),
        identity_type: token.identity.kind().as_str().to_owned(),
        identity_id: token.identity.as_str().to_owned(),
        scopes: scope_words(token),
        roles: role_words(token.roles),
        is_root: token.is_root,
        description: token.description.clone(),
        created_at: token.created_at.to_rfc3339(),
        created_by: token.created_by.as_str().to_owned(),
        expires_at: token.expires_at.map(Timestamp::to_rfc3339),
        revoked_at: token.revoked_at.map(Timestamp::to_rfc3339),
        status: status.to_owned(),
        ended_with_parent: bounds.ended_with_parent,
        parent_id: parent_word(&bounds),
        uses_left: bounds.uses.map(|uses| uses.left),
        allowed_addresses: ranges(&bounds.allowed_addresses),
        machine_role: bounds.machine_role,
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Identity";
    vec![
        Operation::get("/v1/auth/whoami", "whoAmI", tag, "Who the token speaks for")
            .answers::<wire::WhoAmI>(200),
        Operation::post(
            "/v1/auth/introspect",
            "introspectToken",
            tag,
            "What another token stands for now",
        )
        .scope("admin")
        .takes::<wire::IntrospectBody>()
        .answers::<wire::Introspection>(200)
        .fails(&["invalid_request"]),
        Operation::post(
            "/v1/auth/tokens",
            "createToken",
            tag,
            "Mint a token; it is shown this once",
        )
        .scope("admin")
        .takes::<wire::TokenBody>()
        .answers::<wire::NewToken>(201)
        .fails(&["validation_error", "invalid_duration", "forbidden"]),
        Operation::get(
            "/v1/auth/tokens",
            "listTokens",
            tag,
            "Tokens, without the tokens themselves",
        )
        .scope("admin")
        .paged()
        .answers::<wire::TokenList>(200)
        .fails(&["invalid_cursor"]),
        Operation::post(
            "/v1/auth/tokens/self/renew",
            "renewToken",
            tag,
            "Count the own token's lifetime again from now",
        )
        .answers::<wire::RenewedToken>(200)
        .fails(&["forbidden"]),
        Operation::delete(
            "/v1/auth/tokens/{id}",
            "revokeToken",
            tag,
            "Revoke a token: refused from the answer on",
        )
        .scope("admin")
        .empty(204)
        .fails(&["token_not_found"]),
    ]
}
