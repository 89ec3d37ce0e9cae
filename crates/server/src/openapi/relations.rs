//! Bodies whose fields have to do with each other, and those that are no plain objects.

use scaivault_core::receiver::BUFFER_MAX;
use serde_json::{Value, json};

use super::kinds::{DURATION, duration, signing_secret, typed, url};

/// Schemas that are no objects.
pub(super) fn instead(name: &str) -> Option<Value> {
    let item = DURATION;
    let most = scaivault_core::expiry::NOTIFY_BEFORE_MAX;
    let more = most - 1;
    if name == "DeliveryBody" {
        let mut secret = signing_secret();
        secret["type"] = json!(["string", "null"]);
        return Some(json!({ "oneOf": [
            {
                "type": "object",
                "description": "Signed, to a receiver.",
                "required": ["type", "url"],
                "properties": {
                    "type": { "const": "webhook" },
                    "url": typed("string", url()),
                    "secret": secret,
                    "buffer_size": { "type": "null" },
                },
                "additionalProperties": false,
            },
            {
                "type": "object",
                "description": "Kept until it is asked for.",
                "required": ["type"],
                "properties": {
                    "type": { "const": "polling" },
                    "url": { "type": "null" },
                    "secret": { "type": "null" },
                    "buffer_size": { "type": ["integer", "null"], "minimum": 1, "maximum": BUFFER_MAX },
                },
                "additionalProperties": false,
            },
        ] }));
    }
    (name == "WarnBefore").then(|| {
        json!({ "oneOf": [
            {
                "type": "string",
                "description": "`\"7d,1d\"`",
                "format": "scaivault-durations",
                "pattern": format!("^(?:{item}(?:,{item}){{0,{more}}})?$"),
            },
            {
                "type": "array",
                "description": "`[\"7d\",\"1d\"]`",
                "maxItems": most,
                "items": typed("string", duration("")),
            },
        ], "example": ["7d", "1d"] })
    })
}

/// What fields of one body have to do with each other.
pub(super) fn together(name: &str) -> Option<Value> {
    let nothing = json!({ "type": "null" });
    Some(match name {
        "PutSecret" => json!({ "anyOf": [
            {
                "required": ["data"],
                "properties": {
                    "data": { "type": "object" },
                    "options": { "anyOf": [nothing, { "properties": { "generate_from": nothing } }] },
                },
            },
            {
                "required": ["options"],
                "properties": {
                    "data": nothing,
                    "options": {
                        "type": "object",
                        "required": ["generate_from"],
                        "properties": { "generate_from": { "type": "string" } },
                    },
                },
            },
        ] }),
        "TokenBody" | "RoleBody" => pairs(&[("user", "user:"), ("service_account", "sa:")]),
        // Both or neither.
        "RolePatch" => {
            let mut either = pairs(&[("user", "user:"), ("service_account", "sa:")]);
            for pair in either["oneOf"].as_array_mut().into_iter().flatten() {
                pair["required"] = json!(["identity_type", "identity_id"]);
            }
            let neither =
                json!({ "properties": { "identity_type": nothing, "identity_id": nothing } });
            if let Some(all) = either["oneOf"].as_array_mut() {
                all.push(neither);
            }
            either
        }
        // Where it is, or another target's.
        "EngineConfig" => json!({ "oneOf": [
            {
                "required": ["connection_url"],
                "properties": { "connection_url": { "type": "string" }, "target": nothing },
            },
            { "properties": { "connection_url": nothing } },
        ] }),
        "BindingBody" => pairs(&[
            ("user", "user:"),
            ("service_account", "sa:"),
            ("group", "group:"),
        ]),
        "CampaignBody" => {
            let all = ["identity", "token_id", "policy_id", "group", "paths"];
            let only = all.map(|one| {
                let mut properties: serde_json::Map<String, Value> = all
                    .iter()
                    .filter(|other| **other != one)
                    .map(|other| ((*other).to_owned(), nothing.clone()))
                    .collect();
                let kind = if one == "paths" { "array" } else { "string" };
                properties.insert(one.to_owned(), json!({ "type": kind }));
                if one != "token_id" {
                    properties.insert("keep_token".to_owned(), nothing.clone());
                }
                json!({ "required": [one], "properties": properties })
            });
            json!({ "oneOf": only })
        }
        // A slug is made of the name where it can be.
        "PartnerBody" | "TenantBody" => json!({ "anyOf": [
            { "required": ["slug"], "properties": { "slug": { "type": "string" } } },
            { "properties": { "name": { "pattern": "[A-Za-z0-9]" } } },
        ] }),
        "SubscriptionBody" => json!({ "allOf": [{ "properties": { "delivery": { "anyOf": [
            { "properties": { "type": { "const": "polling" } } },
            { "required": ["secret"], "properties": { "secret": { "type": "string" } } },
        ] } } }] }),
        "RotationPolicyBody" => json!({ "anyOf": [
            { "required": ["interval"], "properties": { "interval": { "type": "string" } } },
            {
                "required": ["calendar"],
                "properties": { "calendar": {
                    "type": "object",
                    "required": ["cron"],
                    "properties": { "cron": { "type": "string", "minLength": 9 } },
                } },
            },
        ] }),
        "ReplayBody" => json!({ "anyOf": [
            { "properties": { "status": { "enum": ["dead", null] } } },
            { "required": ["from"], "properties": { "from": { "type": "string" } } },
        ] }),
        _ => return None,
    })
}

/// A type, and names of that type.
fn pairs(pairs: &[(&str, &str)]) -> Value {
    let either: Vec<_> = pairs
        .iter()
        .map(|(kind, prefix)| {
            json!({ "properties": {
                "identity_type": { "const": kind },
                "identity_id": { "pattern": format!("^{prefix}") },
            } })
        })
        .collect();
    json!({ "oneOf": either })
}
