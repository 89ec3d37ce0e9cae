//! Examples, made of the schemas themselves: what a field says of its own example, or the least
//! that its type allows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Deeper is nothing of ours.
const DEPTH_MAX: usize = 8;
const TIME: &str = "2026-04-23T14:00:00Z";
const REQUEST_ID: &str = "req_01JDB2V9Q7C0M3F5Y8K4T6R1ZX";

type Schemas = BTreeMap<String, Value>;

/// An answer with all of its parts.
pub(super) fn of(schema: &Value, schemas: &Schemas) -> Value {
    Maker { schemas, all: true }.make("", schema, 0)
}

/// A body with what it needs, and what says its own example.
pub(super) fn body(schema: &Value, schemas: &Schemas) -> Value {
    let name = schema["$ref"].as_str().unwrap_or_default();
    match name.rsplit('/').next().unwrap_or_default() {
        "PutSecret" => json!({
            "data": { "username": "app", "password": "hunter2" },
            "metadata": { "tags": ["prod"], "owner": "team:payments" },
        }),
        "CampaignBody" => json!({ "identity": "sa:reporting-service", "dry_run": true }),
        "SubscriptionBody" => json!({
            "name": "orders", "paths": ["app/**"], "events": ["secret.rotated"],
            "delivery": { "type": "polling", "buffer_size": 1_000 },
        }),
        "RotationPolicyBody" => json!({
            "name": "app-90d", "interval": "90d", "grace_period": "48h", "auto_generate": true,
        }),
        "RotationPolicyPatch" => json!({ "interval": "30d" }),
        "SecretPolicyBody" => json!({
            "name": "app-password",
            "fields": [{ "name": "password", "generator": "random", "config": { "length": 32 } }],
        }),
        "SecretPolicyPatch" => json!({ "is_active": false }),
        "SecretPolicyTry" => {
            json!({ "fields": [{ "name": "password", "generator": "random", "config": {} }] })
        }
        "TargetBody" => json!({
            "name": "orders-db", "connector": "postgresql", "manager_path": "infra/orders-db/manager",
            "settings": { "host": "db.internal", "port": 5432, "database": "orders" },
        }),
        "TargetPatch" => json!({ "description": "the database of orders" }),
        "TokenBody" => json!({
            "identity_type": "service_account", "identity_id": "sa:reporting-service",
            "scopes": ["secrets:read"], "ttl": "90d",
        }),
        "BindingBody" => json!({
            "identity_type": "service_account", "identity_id": "sa:reporting-service",
        }),
        "ExchangeBody" => json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "eyJ…", "scope": "secrets:read",
        }),
        "WebhookPatch" | "ReplayBody" => json!({}),
        "SubscriptionPatch" => json!({ "events": ["secret.updated"] }),
        "PatchMetadata" => json!({ "tags": ["prod"], "expires_at": null }),
        "TenancyPatch" => json!({ "status": "ACTIVE" }),
        "TargetCheckBody" | "RehearseBody" | "RotateBody" | "ResumeBody" => json!({}),
        _ => Maker {
            schemas,
            all: false,
        }
        .make("", schema, 0),
    }
}

/// What a refusal with this code looks like.
pub(super) fn refusal(code: &str) -> Value {
    let (message, details) = match code {
        "validation_error" => (
            "some fields are not valid: see details.fields",
            json!({ "fields": { "name": "is required" } }),
        ),
        "insufficient_scope" => (
            "the token lacks the scope secrets:read",
            json!({ "scope": "secrets:read" }),
        ),
        "version_conflict" => (
            "the current version is another one",
            json!({ "current_version": 2 }),
        ),
        "payload_too_large" => (
            "the body is larger than 1048576 bytes",
            json!({ "max_bytes": 1_048_576 }),
        ),
        "rate_limited" => ("too many requests: see Retry-After", Value::Null),
        "service_unavailable" => ("the store cannot be written now: try again", Value::Null),
        _ => return envelope(code, &code.replace('_', " "), Value::Null),
    };
    envelope(code, message, details)
}

fn envelope(code: &str, message: &str, details: Value) -> Value {
    let mut error = json!({ "code": code, "message": message, "request_id": REQUEST_ID });
    if !details.is_null() {
        error["details"] = details;
    }
    json!({ "error": error })
}

struct Maker<'a> {
    schemas: &'a Schemas,
    /// Optional parts, too.
    all: bool,
}

impl Maker<'_> {
    fn make(&self, field: &str, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
            return first.clone();
        }
        if let Some(name) = schema["$ref"]
            .as_str()
            .and_then(|text| text.rsplit('/').next())
        {
            return match self.schemas.get(name) {
                Some(schema) => self.make(field, schema, depth + 1),
                None => Value::Null,
            };
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut object = Map::new();
            for part in parts {
                if let Value::Object(part) = self.make(field, part, depth + 1) {
                    object.extend(part);
                }
            }
            return object.into();
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
            _ => {
                let either = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
                let first = either.and_then(|either| either.first());
                return first.map_or_else(|| json!({}), |first| self.make(field, first, depth + 1));
            }
        };
        match kind {
            "string" if field == "cursor" => Value::Null,
            "string" => text(field, schema),
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
            "boolean" => true.into(),
            "array" => match schema.get("items") {
                Some(items) => json!([self.make(field, items, depth + 1)]),
                None => json!([]),
            },
            "object" => self.object(schema, depth),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array();
        let needed = |name: &str| required.is_some_and(|all| all.contains(&name.into()));
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if self.all || needed(name) || schema.get("example").is_some() {
                object.insert(name.clone(), self.make(name, schema, depth + 1));
            }
        }
        object.into()
    }
}

fn text(field: &str, schema: &Value) -> Value {
    let is_time = ["_at", "_until", "_since", "_ends", "timestamp", "since"]
        .iter()
        .any(|end| field.ends_with(end));
    let format = schema["format"].as_str().unwrap_or_default();
    let text = match field {
        _ if is_time => TIME,
        _ if format.starts_with("scaivault-duration") => "90d",
        "path" | "secret_path" => "app/db",
        "request_id" => REQUEST_ID,
        "identity_id" | "requested_by" | "created_by" => "sa:reporting-service",
        "tenant_id" => "tnt_default",
        "partner_id" => "ptn_default",
        "code" => "secret_not_found",
        _ => "text",
    };
    text.into()
}
