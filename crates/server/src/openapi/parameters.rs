//! The bounds of parameters in paths and queries.

use scaivault_core::audit::Action;
use scaivault_core::ids::{
    BindingId, EventId, PartnerId, PolicyId, RotationId, RotationPolicyId, SubscriptionId,
    TenantId, TokenId, WebhookId,
};
use scaivault_core::rotation::Phase;
use serde_json::{Value, json};

use super::kinds::{
    any_identity, at_most, comma_separated, id, list, path, path_prefix, secret_type, tag, time,
    typed, whole, words,
};
use super::limits::merge;
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX, SHORT_CHARS_MAX};
use crate::routes::bounds;

/// A parameter of a path.
pub(super) fn in_path(route: &str, name: &str) -> Value {
    let schema = match (route, name) {
        (_, "path" | "secret_path") => path(),
        (_, "binding_id") => id(BindingId::PREFIX),
        _ if route.starts_with("/v1/policies/") => id(PolicyId::PREFIX),
        _ if route.starts_with("/v1/auth/tokens/") => id(TokenId::PREFIX),
        _ if route.starts_with("/v1/identity/partners/") => id(PartnerId::PREFIX),
        _ if route.starts_with("/v1/identity/tenants/") => id(TenantId::PREFIX),
        _ if route.starts_with("/v1/rotations/") => id(RotationId::PREFIX),
        _ if route.starts_with("/v1/rotation/policies/") => id(RotationPolicyId::PREFIX),
        (_, "id") if route.starts_with("/v1/webhooks/") => id(WebhookId::PREFIX),
        _ if route.starts_with("/v1/subscriptions/") => id(SubscriptionId::PREFIX),
        (_, "engine" | "role") if route.starts_with("/v1/dynamic/") => super::limits::segment(),
        // Ids or names, and identities that nobody has.
        _ => json!({ "minLength": 1, "maxLength": SHORT_CHARS_MAX, "example": "payments" }),
    };
    typed("string", schema)
}

/// A parameter of a query. An empty text is as good as none.
pub(super) fn in_query(route: &str, name: &str, kind: &str) -> Value {
    let limit = match (route, name) {
        (_, "limit") => with_default(whole(1, LIMIT_MAX as u64), LIMIT_DEFAULT as u64),
        (_, "page") => with_default(whole(1, bounds::PAGE_MAX), 1),
        (_, "page_size") => with_default(whole(1, LIMIT_MAX as u64), LIMIT_DEFAULT as u64),
        (_, "version") => whole(1, u64::MAX >> 1),
        (_, "days") => with_default(whole(0, bounds::DAYS_MAX), 30),
        (_, "within_hours") => with_default(whole(0, bounds::WITHIN_HOURS_MAX), 24),
        (_, "after") => whole(0, u64::MAX >> 1),
        ("/v1/rotations/{id}", "timeout") => with_default(whole(0, bounds::WAIT_MAX_S), 30),
        (_, "timeout") => with_default(whole(0, bounds::POLL_MAX_S), 30),
        (_, "max_events") => with_default(whole(1, bounds::POLL_EVENTS_MAX), 100),
        (_, "cursor") => cursor(),
        (_, "since_event_id") => or_empty(id(EventId::PREFIX)),
        (_, "from" | "to") => time(),
        (_, "action") => comma_separated(Action::ALL.iter().map(|action| action.as_str())),
        (_, "phase") => comma_separated(Phase::ALL.map(Phase::as_str)),
        ("/v1/dynamic/leases", "identity_id") => or_empty(any_identity()),
        (_, "identity_type") => words(["", "user", "service_account", "group", "system"]),
        (_, "identity_id" | "source_ip" | "request_id") => at_most(SHORT_CHARS_MAX),
        (_, "path_prefix" | "prefix") => path_prefix(),
        (_, "path") => or_empty(path()),
        ("/v1/identity/partners" | "/v1/identity/tenants", "status") => {
            words(["", "ACTIVE", "SUSPENDED"])
        }
        ("/v1/webhooks/{id}/deliveries", "status") => {
            words(["", "success", "failed", "dead", "pending"])
        }
        ("/v1/dynamic/leases", "status") => {
            words(["", "creating", "active", "revoking", "revoked"])
        }
        (_, "status") => words(["", "success", "failed", "pending"]),
        (_, "scope") => words(["", "tenant", "partner"]),
        (_, "policy_id") => or_empty(id(RotationPolicyId::PREFIX)),
        (_, "partner_id") => or_empty(id(PartnerId::PREFIX)),
        (_, "delimiter") => words(["", "/"]),
        (_, "secret_type") => {
            let mut kinds = secret_type();
            if let Some(words) = kinds["enum"].as_array_mut() {
                words.push("".into());
            }
            kinds
        }
        (_, "q") => at_most(bounds::TEXT_MAX),
        (_, "tag") => return typed("array", list(0, bounds::TAGS_ASKED_MAX, tag())),
        _ => json!({}),
    };
    let mut schema = json!({ "type": kind });
    merge(&mut schema, limit);
    schema
}

/// Where a page ended. The server made it; nobody else can.
pub(super) fn cursor() -> Value {
    json!({
        "maxLength": scaivault_engine::CURSOR_CHARS_MAX,
        "pattern": "^[A-Za-z0-9_-]*$",
        "format": "scaivault-cursor",
    })
}

fn with_default(mut schema: Value, default: u64) -> Value {
    schema["default"] = default.into();
    schema
}

fn or_empty(schema: Value) -> Value {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let mut other = json!({ "pattern": format!("^(?:{pattern})?$") });
    for key in ["maxLength", "example"] {
        if let Some(value) = schema.get(key) {
            other[key] = value.clone();
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_lists() {
        assert_eq!(in_query("/v1/policies", "limit", "integer")["default"], 100);
        let delimiter = in_query("/v1/secrets", "delimiter", "string");
        assert_eq!(delimiter, json!({ "type": "string", "enum": ["", "/"] }));
    }
}
