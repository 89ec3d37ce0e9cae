//! `sys/auth`: the ways in, which are always these.

use scaivault_api::ErrorCode;
use scaivault_core::identity::Scope;
use scaivault_engine::Caller;
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::request::{Asked, Verb};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

const WAYS: [(&str, &str); 5] = [
    ("approle", "machine roles and secret ids"),
    ("jwt", "the issuers and rules of the server's settings"),
    (
        "kubernetes",
        "the issuers and rules of the server's settings",
    ),
    ("token", "token based credentials"),
    ("userpass", "names and passwords"),
];

/// `rest` is what stands behind `sys/auth`.
pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let path = rest.trim_matches('/');
    if asked.verb == Verb::Write && WAYS.iter().any(|(name, _)| *name == path) {
        return enable(app, asked, &caller, path).await;
    }
    if !matches!(asked.verb, Verb::Read | Verb::List) || !path.is_empty() {
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "ways to log in are not mounted: approle, jwt, kubernetes, token and userpass are always there, \
             at these paths",
        ));
    }
    permitted(&caller)?;
    let way = |(name, description): &(&str, &str)| {
        let view = json!({
            "type": name,
            "description": description,
            "accessor": format!("auth_{name}_0"),
            "local": false,
            "seal_wrap": false,
            "external_entropy_access": false,
            "options": null,
            "config": {
                "default_lease_ttl": 0,
                "max_lease_ttl": 0,
                "force_no_cache": false,
                "token_type": "default-service",
            },
            "uuid": "",
        });
        (format!("{name}/"), view)
    };
    let all: Map<String, Value> = WAYS.iter().map(way).collect();
    Ok(Reply::data(&Value::Object(all))?.doubled())
}

fn permitted(caller: &Caller) -> Result<(), Problem> {
    match caller.principal.scopes.contains(Scope::Admin) {
        true => Ok(()),
        false => Err(Problem::new(
            ErrorCode::InsufficientScope,
            "the token lacks the scope admin",
        )),
    }
}

/// Scripts begin with it. What is asked for is so already.
async fn enable(app: &App, asked: &Asked, caller: &Caller, path: &str) -> Result<Reply, Problem> {
    permitted(caller)?;
    let kind = asked.fields(app).await?.needed("type")?;
    match kind == path {
        true => Ok(Reply::empty()),
        false => Err(Problem::new(
            ErrorCode::InvalidRequest,
            format!("path is already in use at {path}/, by the type {path}"),
        )),
    }
}
