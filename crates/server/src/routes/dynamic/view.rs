//! Engines, roles, credentials and leases as they are answered.

use scaivault_api::dynamic as wire;
use scaivault_api::target::MissingRight;
use scaivault_core::dynamic::{Cause, Engine, Lease, Role};
use scaivault_core::time::{Span, Timestamp};
use scaivault_engine::{EngineHealth, Generated};
use serde_json::{Map, Value};

use crate::routes::at_target::trouble_view;

pub(super) fn engine_view(engine: Engine) -> wire::Engine {
    wire::Engine {
        id: engine.id.as_str().to_owned(),
        name: engine.name,
        kind: engine.kind.as_str().to_owned(),
        description: engine.description,
        plugin: engine.plugin,
        target_id: engine.target_id.map(|id| id.as_str().to_owned()),
        default_ttl: engine.default_ttl.to_string(),
        max_ttl: engine.max_ttl.to_string(),
        created_at: engine.created_at.to_rfc3339(),
        updated_at: engine.updated_at.to_rfc3339(),
        swept_at: engine.swept_at.map(Timestamp::to_rfc3339),
    }
}

pub(super) fn health_view(health: EngineHealth) -> wire::EngineHealth {
    let (found, trouble) = match health.outcome {
        Ok(found) => (found, None),
        Err(trouble) => (scaivault_core::ports::Check::default(), Some(trouble)),
    };
    let known = |text: String| (!text.is_empty()).then_some(text);
    let missing = found.missing.into_iter().map(|right| MissingRight {
        what: right.what,
        statement: right.statement,
    });
    wire::EngineHealth {
        engine: health.engine.name,
        healthy: trouble.is_none(),
        checked_at: health.at.to_rfc3339(),
        trouble: trouble.as_ref().map(trouble_view),
        server: known(found.server),
        manager: known(found.manager),
        missing: missing.collect(),
        leases: health.leases,
    }
}

pub(super) fn role_view(engine: &str, role: Role) -> wire::EngineRole {
    let text = |span: Option<Span>| span.map(|span| span.to_string());
    wire::EngineRole {
        engine: engine.to_owned(),
        name: role.name,
        creation_statements: role.creation_statements,
        rollback_statements: role.rollback_statements,
        renew_statements: role.renew_statements,
        revocation_statements: role.revocation.statements,
        owned_objects: role.revocation.owned.as_str().to_owned(),
        username_template: role.username_template,
        settings: role.settings,
        default_ttl: text(role.default_ttl),
        max_ttl: text(role.max_ttl),
        created_at: role.created_at.to_rfc3339(),
        updated_at: role.updated_at.to_rfc3339(),
    }
}

pub(super) fn credential_view(made: &Generated, now: Timestamp) -> wire::Credential {
    let data: Map<String, Value> = made
        .fields
        .iter()
        .map(|field| {
            let text = String::from_utf8_lossy(field.value.expose()).into_owned();
            (field.name.clone(), Value::from(text))
        })
        .collect();
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    let lease = &made.lease;
    wire::Credential {
        lease_id: lease.id.as_str().to_owned(),
        engine: made.engine.clone(),
        role: lease.role.clone(),
        username: text("username"),
        password: text("password"),
        renewable: lease.expires_at < lease.expires_at_latest,
        ttl: lease.expires_at.since(now).as_secs(),
        expires_at: lease.expires_at.to_rfc3339(),
        max_expires_at: lease.expires_at_latest.to_rfc3339(),
        data,
    }
}

pub(super) fn lease_view(lease: Lease) -> wire::Lease {
    wire::Lease {
        id: lease.id.as_str().to_owned(),
        engine_id: lease.engine_id.as_str().to_owned(),
        role: lease.role,
        account: lease.account,
        identity_id: lease.holder.as_str().to_owned(),
        token_id: lease.token_id.map(|id| id.as_str().to_owned()),
        status: lease.state.as_str().to_owned(),
        cause: lease.cause.map(|cause| Cause::as_str(cause).to_owned()),
        issued_at: lease.issued_at.to_rfc3339(),
        expires_at: lease.expires_at.to_rfc3339(),
        max_expires_at: lease.expires_at_latest.to_rfc3339(),
        renewed_at: lease.renewed_at.map(Timestamp::to_rfc3339),
        revoked_at: lease.revoked_at.map(Timestamp::to_rfc3339),
        attempts: lease.attempts,
        failing_since: lease.failing_since.map(Timestamp::to_rfc3339),
        trouble: lease.trouble.as_ref().map(trouble_view),
    }
}
