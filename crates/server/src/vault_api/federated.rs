//! `auth/jwt/login` and `auth/kubernetes/login`: the exchange of a token that an issuer signed. A
//! role there is a rule here.

use axum::http::StatusCode;
use scaivault_api::ErrorCode;

use super::reply::Reply;
use super::request::{Asked, Verb, unsupported};
use super::token::auth_of;
use crate::app::App;
use crate::metrics::{LoginMethod, LoginResult};
use crate::problem::Problem;
use crate::rate_limit::Category;
use crate::routes::by_rule;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    if rest != "login" {
        asked.enter(app, Category::Auth).await?;
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "issuers and the rules by which their tokens are exchanged are settings of the server \
             ([[issuers]] and [[exchange]], docs/identities.md): a role is the name of such a rule",
        ));
    }
    if asked.verb != Verb::Write {
        return Err(unsupported());
    }
    let fields = asked.fields(app).await?;
    let (rule, jwt) = (fields.needed("role")?, fields.needed("jwt")?);
    let minted = by_rule(app, &asked.call, jwt, rule).await;
    let result = match &minted {
        Ok(_) => LoginResult::Success,
        Err(problem) => LoginResult::of(problem.code),
    };
    app.metrics.logins.ended(LoginMethod::Exchange, result);
    let minted = minted.map_err(|problem| match problem.code {
        // No rule of that name, or none that fits: told alike.
        ErrorCode::AccessDenied => Problem::new(
            ErrorCode::AccessDenied,
            "no rule of this name fits the token's subject and claims",
        ),
        _ => problem,
    })?;
    asked.logged_in(app, &minted).await?;
    let auth = auth_of(&minted.token, minted.text.expose(), app.vault.now());
    Ok(Reply::auth(&auth)?.status(StatusCode::OK))
}
