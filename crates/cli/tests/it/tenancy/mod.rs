//! Tenants of one server: nothing of one is seen, changed or disturbed from another; a partner's
//! admins act in its tenants, and what belongs to the partner is read by all of them.

mod choosing;
mod ids;
mod partners;
mod service;

use serde_json::{Value, json};

use crate::harness::{Api, Reply};

/// A partner and a tenant of it, with a token that may do everything there.
pub(crate) struct Place {
    partner: String,
    pub(crate) tenant: String,
    /// Every scope, every path, no role.
    pub(crate) everyone: Api,
    /// The same with the role of a partner admin.
    pub(crate) admin: Api,
}

pub(crate) async fn partner(root: &Api, name: &str) -> String {
    let made = root
        .post("/v1/identity/partners", json!({ "name": name }))
        .await
        .ok(201);
    made["id"].as_str().expect("an id").to_owned()
}

async fn tenant(root: &Api, partner: &str, name: &str) -> String {
    let body = json!({ "name": name, "partner_id": partner });
    let made = root.post("/v1/identity/tenants", body).await.ok(201);
    assert_eq!(made["status"], "ACTIVE");
    made["id"].as_str().expect("an id").to_owned()
}

const SCOPES: [&str; 18] = [
    "transit:use",
    "dynamic:read",
    "dynamic:manage",
    "dynamic:generate",
    "secrets:read",
    "secrets:write",
    "secrets:delete",
    "secrets:list",
    "secrets:rotate",
    "policies:read",
    "policies:write",
    "audit:read",
    "audit:export",
    "subscriptions:read",
    "subscriptions:write",
    "identity:read",
    "identity:admin",
    "admin",
];

async fn token(root: &Api, tenant: &str, identity: &str, roles: &[&str]) -> Api {
    let body = json!({
        "identity_type": "service_account", "identity_id": identity, "scopes": SCOPES,
        "roles": roles, "ttl": "1h",
    });
    let made = root
        .in_tenant(tenant)
        .post("/v1/auth/tokens", body)
        .await
        .ok(201);
    root.with_token(made["token"].as_str().expect("a token"))
}

async fn allow_all(root: &Api, tenant: &str, identity: &str) {
    let there = root.in_tenant(tenant);
    let policy = json!({
        "name": format!("all of {}", identity.replace(':', "-")),
        "rules": [{ "path_pattern": "**", "permissions": ["admin"] }],
    });
    let policy = there.post("/v1/policies", policy).await.ok(201);
    let bindings = format!(
        "/v1/policies/{}/bindings",
        policy["id"].as_str().expect("an id")
    );
    let body = json!({ "identity_type": "service_account", "identity_id": identity });
    there.post(&bindings, body).await.ok(201);
}

pub(crate) async fn place(root: &Api, partner: &str, name: &str) -> Place {
    let tenant = tenant(root, partner, name).await;
    for identity in ["sa:everyone", "sa:admin"] {
        allow_all(root, &tenant, identity).await;
    }
    Place {
        everyone: token(root, &tenant, "sa:everyone", &[]).await,
        admin: token(root, &tenant, "sa:admin", &["partner_admin"]).await,
        partner: partner.to_owned(),
        tenant,
    }
}

/// The answer without what differs between any two requests.
fn bare(reply: &Reply) -> (u16, String) {
    let mut body = reply.body.clone();
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("request_id");
    }
    if let Some(summary) = body.get_mut("summary").and_then(Value::as_object_mut) {
        // The window looked at ends now.
        summary.remove("from");
        summary.remove("to");
    }
    (reply.status, body.to_string())
}
