//! Filling a server through its own API: secrets as an application would store them, and an
//! identity that may read them by a policy and a binding, so that every decision is a real one.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server::{ROOT_TOKEN, Server};
use crate::wire::{Connection, request};

const CONNECTIONS: usize = 64;

/// A secret's name; `number` counts from 0.
pub(crate) fn name(number: usize) -> String {
    format!("apps/service-{:03}/database-{number:06}", number % 100)
}

/// The path of its requests.
pub(crate) fn path(number: usize) -> String {
    format!("/v1/secrets/{}", name(number))
}

/// A credential of ordinary size.
pub(crate) fn data(number: usize) -> Value {
    json!({
        "host": "db.internal.example.com",
        "username": format!("svc_{number:06}"),
        "password": format!("{:032x}", (number as u128 + 1) * 0x9e37_79b9_7f4a_7c15),
    })
}

/// The body of a write.
pub(crate) fn body(number: usize) -> String {
    json!({
        "data": data(number),
        "secret_type": "json",
        "metadata": { "description": "Benchmark credential", "tags": ["benchmark", "database"] },
    })
    .to_string()
}

/// Writes that many secrets.
pub(crate) async fn secrets(server: &Server, count: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for first in 0..CONNECTIONS.min(count) {
        let mut connection = Connection::open(&server.endpoint).await?;
        tasks.spawn(async move {
            for number in (first..count).step_by(CONNECTIONS) {
                let put = request("PUT", &path(number), ROOT_TOKEN, &body(number));
                connection.ask_well(&put).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A token of an identity that may read all of them by one rule.
pub(crate) async fn reader(server: &Server) -> Result<String> {
    identity(server, ROOT_TOKEN, &["read"]).await
}

/// A token of an identity that may do all this with them by one rule.
pub(crate) async fn identity(server: &Server, root: &str, permissions: &[&str]) -> Result<String> {
    let scopes: Vec<String> = permissions
        .iter()
        .map(|permission| format!("secrets:{permission}"))
        .collect();
    let rules = json!([{ "path_pattern": "apps/**", "permissions": permissions }]);
    caller(server, root, rules, &scopes).await
}

/// A token of an identity with one policy of these rules.
pub(crate) async fn caller(
    server: &Server,
    root: &str,
    rules: Value,
    scopes: &[String],
) -> Result<String> {
    let mut connection = Connection::open(&server.endpoint).await?;
    let mut post = async |path: &str, body: Value| -> Result<Value> {
        let request = request("POST", path, root, &body.to_string());
        Ok(serde_json::from_slice(
            connection.ask_well(&request).await?,
        )?)
    };
    let policy = post(
        "/v1/policies",
        json!({ "name": "bench-reads-apps", "rules": rules }),
    )
    .await?;
    let policy = policy["id"].as_str().context("a policy has an id")?;
    let identity = json!({ "identity_type": "service_account", "identity_id": "sa:bench" });
    post(&format!("/v1/policies/{policy}/bindings"), identity).await?;
    let token = json!({
        "identity_type": "service_account", "identity_id": "sa:bench",
        "scopes": scopes, "ttl": "1d",
    });
    let token = post("/v1/auth/tokens", token).await?;
    Ok(token["token"]
        .as_str()
        .context("a new token is shown")?
        .to_owned())
}

/// Requests that read them all with this token.
pub(crate) fn reads(count: usize, token: &str) -> Arc<Vec<Vec<u8>>> {
    Arc::new(
        (0..count)
            .map(|number| request("GET", &path(number), token, ""))
            .collect(),
    )
}
