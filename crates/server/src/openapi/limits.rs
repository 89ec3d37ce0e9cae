//! The bounds of bodies' fields. Every field of a request that is a text, a number or a list is
//! here; a test looks for those that are not.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::campaign::Mode;
use scaivault_core::dynamic::{EngineKind, Owned};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{
    EventId, PartnerId, RotationId, RotationPolicyId, SecretPolicyId, TenantId, TokenId, WebhookId,
};
use scaivault_core::receiver::{DeliveryOrder, Format};
use scaivault_core::recipe::{FIELDS_MAX, PolicyType};
use scaivault_core::rotation::{GROUP_NAME_MAX, OnDeadline, OnFailure, WINDOWS_MAX, Weekday};
use scaivault_core::secret::MAX_VERSIONS_LIMIT;
use scaivault_core::target::Overlap;
use scaivault_core::tenancy::{Role, SLUG_CHARS_MAX, Status};
use scaivault_engine::{BATCH_PATHS_MAX, GROUPS_MAX, MACHINE_NAME_CHARS_MAX, ROLE_ID_CHARS_MIN};
use serde_json::{Value, json};

use super::kinds::{
    any_identity, at_most, clock, duration, event_types, id, identity, list, name, name_of, path,
    path_prefix, pattern, patterns, secret_type, signing_secret, tags, text, time, typed, url,
    whole, words, zone,
};
use super::relations::{instead, together};
use crate::fields::{LIST_MAX, USES_MAX};
use crate::routes::bounds;
use crate::routes::machines::{METADATA_CHARS_MAX, METADATA_MAX};

/// Adds the bounds to a schema and what lies inside it.
pub(super) fn apply(name: &str, schema: &mut Value) {
    if let Some(mut other) = instead(name) {
        other["description"] = schema["description"].take();
        *schema = other;
        return;
    }
    fields(name, schema);
    if let Some(more) = together(name) {
        merge(schema, more);
    }
}

fn fields(name: &str, schema: &mut Value) {
    for part in ["allOf", "oneOf", "anyOf"] {
        for inner in schema[part].as_array_mut().into_iter().flatten() {
            fields(name, inner);
            // An enum's variants: one of them, and nothing beside it.
            if name == "Consumers" {
                inner["additionalProperties"] = false.into();
            }
        }
    }
    // Indexing made what was not there.
    if let Some(object) = schema.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (field, schema) in properties {
        if let Some(limit) = limit(name, field) {
            merge(schema, limit);
        }
    }
}

/// Keywords into a schema that may also be null.
pub(super) fn merge(schema: &mut Value, limit: Value) {
    let Value::Object(limit) = limit else { return };
    let nullable = schema["type"]
        .as_array()
        .is_some_and(|kinds| kinds.contains(&"null".into()));
    for (key, mut value) in limit {
        if let (true, "enum", Some(words)) = (nullable, key.as_str(), value.as_array_mut()) {
            words.push(Value::Null);
        }
        schema[key] = value;
    }
}

/// What a field of a request may say.
pub(super) fn limit(schema: &str, field: &str) -> Option<Value> {
    let wide = |least: u64| whole(least, u64::MAX);
    Some(match (schema, field) {
        ("Group", "name") => name_of(GROUP_NAME_MAX),
        ("Group", "order") => whole(0, u64::from(u32::MAX)),
        ("RecipeField", "name") => {
            json!({ "pattern": "^[A-Za-z0-9_.-]{1,64}$", "example": "password" })
        }
        ("RecipeField", "generator") => words([
            "random",
            "hex",
            "uuid",
            "template",
            "rsa_keypair",
            "ec_keypair",
            "ssh_keypair",
            "bcrypt_hash",
            "static",
        ]),
        ("SecretPolicyTry", "name" | "description" | "policy_type") => json!({}),
        (
            "PolicyBody"
            | "PolicyPatch"
            | "WebhookBody"
            | "WebhookPatch"
            | "SubscriptionBody"
            | "SubscriptionPatch"
            | "RotationPolicyBody"
            | "RotationPolicyPatch"
            | "TargetBody"
            | "TargetPatch"
            | "PartnerBody"
            | "TenantBody"
            | "TenancyPatch",
            "name",
        ) => name(),
        ("SecretPolicyBody" | "SecretPolicyPatch", "name") => {
            let mut name = name();
            // One could not be asked for.
            name["not"] = json!({ "anyOf": [
                { "type": "string", "pattern": format!("^{}", SecretPolicyId::PREFIX) },
                { "const": "preview" },
            ] });
            name
        }
        ("PartnerBody" | "TenantBody" | "TenancyPatch", "region") => name(),
        ("PartnerBody" | "TenantBody", "slug") => json!({
            "maxLength": SLUG_CHARS_MAX,
            "pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$",
            "example": "acme-eu",
        }),
        ("PartnerBody", "id") => given_id(PartnerId::PREFIX, ""),
        ("TenantBody", "id") => given_id(TenantId::PREFIX, "(?!p-)"),
        ("TenantBody", "partner_id") => id(PartnerId::PREFIX),
        ("TenancyPatch", "status") => words([Status::Active.as_str(), Status::Suspended.as_str()]),
        ("SecretMetadata", "owner") | (_, "description") | ("CampaignBody", "note") => text(),
        ("WriteOffBody", "reason") => json!({
            "minLength": 1,
            "maxLength": bounds::REASON_CHARS_MAX,
            "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$",
        }),
        ("SecretAck", "detail") => json!({}),
        ("SecretAck", "status") => words(["applied", "failed"]),
        ("SecretAck", "version") => wide(0),
        ("PutSecret" | "Filters", "secret_type") => secret_type(),
        ("PutOptions" | "PatchMetadata", "max_versions") => whole(1, MAX_VERSIONS_LIMIT.into()),
        ("PutOptions", "cas") => wide(0),
        ("PutOptions", "generate_from") => at_most(bounds::REFERENCE_CHARS_MAX),
        ("PutOptions" | "RotateRootBody", "rotation_policy_id") => {
            at_most(bounds::REFERENCE_CHARS_MAX)
        }
        ("PutOptions", "rotation_id") => id(RotationId::PREFIX),
        ("PutOptions", "expires_in") => duration(""),
        ("PatchMetadata" | "RotationPolicyBody" | "RotationPolicyPatch", "secret_policy_id") => {
            at_most(bounds::REFERENCE_CHARS_MAX)
        }
        ("SecretMetadata" | "PatchMetadata" | "Filters", "tags") => tags(),
        ("PatchMetadata" | "BindingBody", "expires_at") => time(),
        ("BatchRead" | "BatchMetadata", "paths") => {
            // What is no path is told of one by one.
            list(
                1,
                BATCH_PATHS_MAX,
                json!({ "type": "string", "example": "app/db" }),
            )
        }
        ("BatchReadOptions", "version") => wide(1),
        ("BatchMetadataOptions", "limit") => whole(1, BATCH_PATHS_MAX as u64),
        ("BatchMetadataOptions" | "ReplayBody", "cursor") => super::parameters::cursor(),
        ("TokenBody" | "RoleBody" | "RolePatch", "identity_type") => {
            words(["user", "service_account"])
        }
        ("TokenBody" | "RoleBody" | "RolePatch", "identity_id") => identity(&["user:", "sa:"]),
        ("TokenBody" | "SecretIdBody", "uses" | "num_uses")
        | ("RoleBody" | "RolePatch", "secret_id_num_uses" | "token_num_uses") => whole(1, USES_MAX),
        ("TokenBody", "allowed_addresses")
        | ("SecretIdBody", "bound_cidrs" | "token_bound_cidrs")
        | ("RoleBody" | "RolePatch", "secret_id_bound_cidrs" | "token_bound_cidrs") => {
            list(0, LIST_MAX, typed("string", range()))
        }
        ("SecretIdBody", "metadata") => json!({
            "maxProperties": METADATA_MAX,
            "propertyNames": { "minLength": 1, "maxLength": METADATA_CHARS_MAX },
            "additionalProperties": { "type": "string", "maxLength": METADATA_CHARS_MAX },
            "example": { "host": "build-7" },
        }),
        ("RoleBody", "name") => plain_name(1),
        ("RoleBody" | "RolePatch", "role_id") => plain_name(ROLE_ID_CHARS_MIN),
        ("RoleBody" | "RolePatch", "groups") => {
            list(0, GROUPS_MAX, typed("string", identity(&["group:"])))
        }
        (
            "RoleBody" | "RolePatch",
            "secret_id_ttl" | "token_ttl" | "token_max_ttl" | "token_period",
        )
        | ("SecretIdBody", "ttl") => duration(""),
        ("LoginBody", "role_id") => json!({ "example": "build" }),
        ("LoginBody" | "SecretIdLookup", "secret_id") => json!({ "example": "sks_…" }),
        ("EngineBody" | "EngineRoleBody", "name") => segment(),
        ("EngineBody", "type") => words(EngineKind::ALL.map(EngineKind::as_str)),
        ("EngineBody" | "EnginePatch" | "EngineRoleBody", "default_ttl" | "max_ttl")
        | ("CredentialBody", "ttl")
        | ("RenewLeaseBody", "increment") => duration(""),
        ("EngineConfig", "plugin") => words(bounds::CONNECTORS),
        ("EngineConfig" | "EngineConfigPatch", "connection_url") => json!({
            "example": "postgresql://{{username}}:{{password}}@db.example.com:5432/orders",
        }),
        ("EngineConfig" | "EngineConfigPatch", "root_credentials_path") => path(),
        ("EngineConfig", "target") => at_most(bounds::REFERENCE_CHARS_MAX),
        (
            "EngineRoleBody",
            "creation_statements"
            | "rollback_statements"
            | "renew_statements"
            | "revocation_statements",
        ) => list(
            0,
            bounds::STATEMENTS_MAX,
            typed("string", at_most(bounds::STATEMENT_CHARS_MAX)),
        ),
        ("EngineRoleBody", "owned_objects") => words(Owned::ALL.map(Owned::as_str)),
        ("EngineRoleBody", "username_template") => json!({
            "maxLength": 512,
            "example": "app-{{.RoleName | truncate 8}}-{{random}}",
        }),
        ("AuditExportBody", "from" | "to") => time(),
        ("AuditExportBody", "actions") => {
            let actions = words(Action::ALL.iter().map(|action| action.as_str()));
            list(0, Action::ALL.len(), typed("string", actions))
        }
        ("AuditExportBody", "format") => words(["jsonl", "csv"]),
        ("AuditExportBody", "destination") => words(["directory"]),
        ("TokenBody" | "RoleBody" | "RolePatch", "scopes") => {
            let scopes = words(Scope::ALL.iter().map(|scope| scope.as_str()));
            json!({ "minItems": 1, "items": typed("string", scopes), "example": ["secrets:read"] })
        }
        ("TokenBody", "roles") => {
            let roles = words(Role::ALL.iter().map(|role| role.as_str()));
            json!({ "items": typed("string", roles), "example": ["tenant_admin"] })
        }
        ("TokenBody", "ttl") => duration(""),
        ("IntrospectBody", "token") => json!({ "example": "skt_…" }),
        ("ExchangeBody", "grant_type") => words([bounds::GRANT_TYPE]),
        ("ExchangeBody", "subject_token_type") => words(bounds::SUBJECT_TYPES),
        ("ExchangeBody", "requested_token_type") => words([bounds::ACCESS_TOKEN]),
        ("ExchangeBody", "subject_token") => json!({ "minLength": 1, "example": "eyJ…" }),
        ("ExchangeBody", "actor_token") => json!({ "type": "null" }),
        ("ExchangeBody", "rule") => json!({ "example": "ci" }),
        ("ExchangeBody", "scope") => {
            let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
            let scope = scopes.join("|");
            json!({
                "pattern": format!("^ *(?:(?:{scope})(?: +(?:{scope}))* *)?$"),
                "example": "secrets:read",
            })
        }
        ("BindingBody", "identity_type") => words(["user", "service_account", "group"]),
        ("BindingBody", "identity_id") => identity(&["user:", "sa:", "group:"]),
        ("PolicyBody", "scope") => words(["tenant", "partner"]),
        ("PolicyBody" | "PolicyPatch", "rules") => {
            json!({ "minItems": 1, "maxItems": bounds::RULES_MAX })
        }
        ("Rule", "path_pattern") => pattern(),
        ("Rule", "permissions") => {
            json!({ "minItems": 1, "items": typed("string", permissions()), "example": ["read"] })
        }
        ("Rule", "conditions") => conditions(),
        ("PolicyTest", "permission") => permissions(),
        ("PolicyTest", "path") => path(),
        ("PolicyTest", "identity_id") => any_identity(),
        ("PolicyTestContext", "groups") => json!({ "items": typed("string", any_identity()) }),
        ("PolicyTestContext", "timestamp") => time(),
        ("PolicyTestContext", "source_ip") => json!({ "format": "ip", "example": "10.0.0.1" }),
        ("Filters", "path_prefix") => path_prefix(),
        ("WebhookBody" | "WebhookPatch", "url") => url(),
        ("WebhookBody" | "WebhookPatch", "secret") => signing_secret(),
        ("WebhookPatch", "previous_secret_ttl") => duration(""),
        ("WebhookBody" | "WebhookPatch" | "SubscriptionBody" | "SubscriptionPatch", "events")
        | ("ReplayBody", "events") => event_types(),
        ("WebhookBody" | "WebhookPatch", "format") => words(Format::ALL.map(Format::as_str)),
        ("WebhookBody" | "WebhookPatch", "ordered") => {
            words(DeliveryOrder::ALL.map(DeliveryOrder::as_str))
        }
        ("SubscriptionBody" | "SubscriptionPatch", "paths") => patterns(),
        ("SubscriptionBody" | "SubscriptionPatch", "ttl") => duration("1h.."),
        ("AckBody", "event_ids") => list(0, bounds::ACK_MAX, typed("string", id(EventId::PREFIX))),
        ("ReplayBody", "from" | "to") => time(),
        ("ReplayBody", "status") => words(["dead", "success", "all"]),
        ("ReplayBody", "limit") => whole(1, bounds::REPLAY_MAX.into()),
        ("RotationPolicyBody" | "RotationPolicyPatch", "interval" | "grace_period") => duration(""),
        ("RotationPolicyBody" | "RotationPolicyPatch", "webhook_ids") => list(
            0,
            bounds::WEBHOOKS_MAX,
            typed("string", id(WebhookId::PREFIX)),
        ),
        ("RotationPolicyBody" | "RotationPolicyPatch", "drift_check") => {
            json!({ "anyOf": [
                { "type": "null" }, { "const": "off" }, typed("string", duration("1m..30d")),
            ] })
        }
        ("RotationRulesBody", "quiet_period") => duration("1s..7d"),
        ("RotationRulesBody", "poll") => duration("1s..1h"),
        ("RotationRulesBody", "propagation_bound") => duration("1m..30d"),
        ("RotationRulesBody", "deadline") => json!({ "anyOf": [
            { "type": "null" }, { "const": "grace_period" },
            typed("string", duration("2s..365d")),
        ] }),
        ("RotationRulesBody", "on_deadline") => words(OnDeadline::ALL.map(OnDeadline::as_str)),
        ("RotationRulesBody", "on_failure") => words(OnFailure::ALL.map(OnFailure::as_str)),
        ("RotationRulesBody", "ignore") => {
            list(0, bounds::IDENTITIES_MAX, typed("string", any_identity()))
        }
        ("Consumers", "live") => duration("1s..365d"),
        ("Consumers", "listed") => list(1, bounds::IDENTITIES_MAX, typed("string", any_identity())),
        ("Consumers", "count") => whole(1, bounds::CONSUMERS_MAX.into()),
        ("RotationCalendarBody", "windows") => json!({ "maxItems": WINDOWS_MAX }),
        ("RotationCalendarBody", "cron") => json!({ "format": "cron", "example": "0 3 * * sun" }),
        ("RotationCalendarBody", "time_zone") => zone(),
        ("RotationWindow", "days") => {
            json!({ "items": typed("string", words(Weekday::ALL.map(Weekday::as_str))) })
        }
        ("RotationWindow", "from" | "to") => clock(),
        ("AssignBody", "secret_path") => path(),
        ("AssignBody", "target") => at_most(bounds::REFERENCE_CHARS_MAX),
        ("AssignBody" | "RehearseBody", "strategy") | ("TargetCheckBody", "overlap") => {
            words(Overlap::ALL.map(Overlap::as_str))
        }
        ("RotateBody", "secret_paths") => json!({ "items": typed("string", path()) }),
        ("TargetBody", "connector") => words(bounds::CONNECTORS),
        ("TargetBody" | "TargetPatch", "manager_path") => path(),
        ("CampaignBody", "identity") => any_identity(),
        ("CampaignBody", "token_id") => id(TokenId::PREFIX),
        ("CampaignBody", "policy_id") => id(RotationPolicyId::PREFIX),
        ("CampaignBody", "group") => name(),
        ("CampaignBody", "paths" | "exclude") => list(
            usize::from(field == "paths"),
            bounds::CAMPAIGN_PATHS_MAX,
            typed("string", path()),
        ),
        ("CampaignBody", "mode") => words(Mode::ALL.map(Mode::as_str)),
        ("CampaignBody", "modes") => json!({
            "propertyNames": path(),
            "additionalProperties": typed("string", words(Mode::ALL.map(Mode::as_str))),
            "example": { "app/db": "containment" },
        }),
        ("CampaignBody", "webhook_ids") => list(
            0,
            bounds::WEBHOOKS_MAX,
            typed("string", id(WebhookId::PREFIX)),
        ),
        ("SecretPolicyBody" | "SecretPolicyPatch" | "SecretPolicyTry", "fields") => {
            json!({ "minItems": 1, "maxItems": FIELDS_MAX })
        }
        ("SecretPolicyBody" | "SecretPolicyPatch", "policy_type") => {
            words(PolicyType::ALL.map(PolicyType::as_str))
        }
        _ => return None,
    })
}

fn permissions() -> Value {
    words(Permission::ALL.map(Permission::as_str))
}

/// One that is not minted here.
fn given_id(prefix: &str, but: &str) -> Value {
    let most = scaivault_engine::ID_BODY_MAX;
    json!({
        "pattern": format!("^{prefix}{but}[A-Za-z0-9_-]{{1,{most}}}$"),
        "example": format!("{prefix}acme"),
    })
}

/// A name that stands in paths and URLs.
pub(super) fn segment() -> Value {
    json!({ "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9_-]+$", "example": "orders" })
}

/// An address or a range of them.
fn range() -> Value {
    json!({ "format": "cidr", "example": "10.0.0.0/8" })
}

/// A name that programs write without quoting.
fn plain_name(least: usize) -> Value {
    json!({
        "minLength": least,
        "maxLength": MACHINE_NAME_CHARS_MAX,
        "pattern": "^[A-Za-z0-9._-]+$",
        "example": "build-machines",
    })
}

fn conditions() -> Value {
    json!({
        "properties": {
            "ip_ranges": {
                "type": ["array", "null"],
                "items": { "type": "string", "format": "cidr", "example": "10.0.0.0/8" },
            },
            "require_mfa": { "type": "boolean" },
            "mfa_max_age": typed_or_null(duration("")),
            "time_window": {
                "type": ["object", "null"],
                "properties": {
                    "days": {
                        "type": "array",
                        "items": typed("string", words(Weekday::ALL.map(Weekday::as_str))),
                    },
                    "start": typed("string", clock()),
                    "end": typed("string", clock()),
                    "timezone": typed("string", zone()),
                },
                "required": ["start", "end"],
                "additionalProperties": false,
            },
        },
        "additionalProperties": false,
    })
}

fn typed_or_null(mut schema: Value) -> Value {
    schema["type"] = json!(["string", "null"]);
    schema
}
