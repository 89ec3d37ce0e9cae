//! `sys/wrapping/…`: answers that wait for whoever unwraps them. Any request of this API may ask for
//! it; its answer then names a token instead.

use scaivault_api::ErrorCode;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Caller, MintedToken};
use serde_json::{Value, json};

use super::fields::Fields;
use super::reply::{Reply, nothing_there};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    match (rest, asked.verb) {
        ("wrap", Verb::Write) => wrap(app, asked).await,
        ("unwrap", Verb::Write) => unwrap(app, asked).await,
        ("rewrap", Verb::Write) => rewrap(app, asked).await,
        ("lookup", Verb::Write | Verb::Read) => lookup(app, asked).await,
        ("wrap" | "unwrap" | "rewrap" | "lookup", _) => {
            asked.enter(app, Category::Auth).await?;
            Err(unsupported())
        }
        _ => nothing_there(app, asked).await,
    }
}

/// What was sent is what waits.
async fn wrap(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    asked.enter(app, Category::Auth).await?;
    if asked.wrap_ttl.is_none() {
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "endpoint requires response wrapping to be used: send X-Vault-Wrap-TTL",
        ));
    }
    let bytes = asked.bytes(app).await?;
    let fields = Fields::parse(&bytes)?;
    Reply::data(&fields.all())
}

/// The token to unwrap: named in the body, or the one that came with the request.
fn wrapping_token(asked: &Asked, fields: &Fields) -> Result<String, Problem> {
    match fields.text("token")?.filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => Ok(asked.token()?.to_owned()),
    }
}

async fn unwrap(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = match asked.enter(app, Category::Auth).await {
        Ok(caller) => caller,
        Err(problem) => return Err(used_up(app, asked, problem).await),
    };
    let fields = asked.fields(app).await?;
    let token = wrapping_token(asked, &fields)?;
    let body = app.vault.unwrap_once(&caller, &token).await?;
    Ok(Reply::whole(body))
}

/// Whoever comes with the wrapping token itself, and somebody else was there before, is told so as of
/// any other wrapping token. Clients take a 403 for a right that is missing.
async fn used_up(app: &App, asked: &Asked, problem: Problem) -> Problem {
    use ErrorCode::{TokenExpired, TokenInvalid, TokenRevoked};
    if !matches!(problem.code, TokenExpired | TokenInvalid | TokenRevoked) {
        return problem;
    }
    let named = asked
        .fields(app)
        .await
        .and_then(|fields| fields.text("token"));
    match named {
        Ok(None) => Problem::new(
            ErrorCode::InvalidRequest,
            "wrapping token is not valid or does not exist",
        ),
        _ => problem,
    }
}

async fn rewrap(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let token = wrapping_token(asked, &fields)?;
    let (minted, wrapping) = app.vault.rewrap(&caller, &token).await?;
    Ok(Reply::wrapped(info(
        &minted,
        wrapping.ttl_s,
        &wrapping.creation_path,
    )))
}

async fn lookup(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let token = wrapping_token(asked, &fields)?;
    let waiting = app.vault.wrapping_lookup(&caller, &token).await?;
    Reply::data(&json!({
        "creation_path": waiting.wrapping.creation_path,
        "creation_time": waiting.created_at.to_rfc3339_micros(),
        "creation_ttl": waiting.wrapping.ttl_s,
    }))
}

fn info(minted: &MintedToken, ttl_s: u64, creation_path: &str) -> Value {
    let made: Timestamp = minted.token.created_at;
    json!({
        "token": minted.text.expose(),
        "accessor": minted.token.id.as_str(),
        "ttl": ttl_s,
        "creation_time": made.to_rfc3339_micros(),
        "creation_path": creation_path,
    })
}

/// An answer as the request wants it: itself, or a token that it waits behind. `caller` is who the
/// request entered as.
pub(super) async fn as_wanted(app: &App, asked: &Asked, reply: Reply) -> Result<Reply, Problem> {
    let Some(ttl) = asked.wrap_ttl.filter(|_| reply.may_wait()) else {
        return Ok(reply);
    };
    let caller: Caller = asked.enter(app, Category::Auth).await?;
    let accessor = reply.accessor();
    let body = Plaintext::new(reply.body(&asked.call.passage));
    let minted = app.vault.wrap(&caller, &asked.path, ttl, &body).await?;
    let mut info = info(&minted, ttl.as_secs(), &asked.path);
    // So that whoever delivers a token can end it, and never sees it.
    if let Some(accessor) = accessor {
        info["wrapped_accessor"] = accessor.into();
    }
    Ok(Reply::wrapped(info))
}
