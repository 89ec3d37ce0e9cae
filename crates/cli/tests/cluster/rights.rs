//! Changes of rights: what one node was told holds on every node a second later.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, PAUSE};
use crate::record::HOLDS_AFTER;

/// Gives and takes tokens and bindings, again and again, and looks at other nodes what came of it.
pub(crate) async fn change(mut root: Client, name: String) {
    let path = format!("rights/{name}");
    let of = format!("/v1/secrets/{path}");
    let data = json!({ "data": { "v": "guarded" } });
    root.insist(Method::PUT, &of, Some(data)).await;
    let rules = json!([{ "path_pattern": path, "permissions": ["read"] }]);
    let policy = json!({ "name": name, "rules": rules });
    let policy = root
        .insist(Method::POST, "/v1/policies", Some(policy))
        .await;
    let Some(policy) = policy.body["id"].as_str() else {
        // Done before by a request whose answer was lost: there is another of these clients.
        return;
    };
    let bindings = format!("/v1/policies/{policy}/bindings");
    for number in 0_u64.. {
        let who = format!("sa:{name}-{number}");
        let token = json!({
            "identity_type": "service_account", "identity_id": who,
            "scopes": ["secrets:read"], "ttl": "3650d",
        });
        let token = root.ask(Method::POST, "/v1/auth/tokens", Some(token)).await;
        let binding = json!({ "identity_type": "service_account", "identity_id": who });
        let binding = root.ask(Method::POST, &bindings, Some(binding)).await;
        let done = |reply: Option<crate::harness::Reply>| {
            reply
                .filter(|reply| reply.status == 201)
                .map(|reply| reply.body)
        };
        let (Some(token), Some(binding)) = (done(token), done(binding)) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let text = |of: &Value, field: &str| of[field].as_str().expect("a text").to_owned();
        let mut reader = root.with_token(&text(&token, "token"));
        holds(&mut reader, &of, &[200], "granted").await;
        let unbind = format!("{bindings}/{}", text(&binding, "id"));
        if gone(root.ask(Method::DELETE, &unbind, None).await) {
            holds(&mut reader, &of, &[403], "unbound").await;
        }
        let revoke = format!("/v1/auth/tokens/{}", text(&token, "id"));
        if gone(root.ask(Method::DELETE, &revoke, None).await) {
            holds(&mut reader, &of, &[401], "revoked").await;
        }
        root.record.rights.fetch_add(1, Ordering::Relaxed);
    }
}

fn gone(reply: Option<crate::harness::Reply>) -> bool {
    reply.is_some_and(|reply| reply.status < 300)
}

/// From a second after now on, every answer has one of these statuses, or is that of a node that
/// cannot know.
pub(crate) async fn holds(reader: &mut Client, of: &str, statuses: &[u16], what: &str) {
    // The promise is about a time.
    tokio::time::sleep(HOLDS_AFTER).await;
    for _ in 0..4 {
        let Some(reply) = reader.get(of).await else {
            continue;
        };
        if reply.status != 503 && !statuses.contains(&reply.status) {
            let what = format!(
                "{what} a second ago, answered {}: {}",
                reply.status, reply.text
            );
            reader.record.broken(what);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
