//! A world of the model in the types of the domain, read from the words a caller would send.

use scaivault_core::access::{AccessPolicy, Attempt, Binding, Grants, Permission, PolicyScope};
use scaivault_core::access::{Condition, Denial, DenialReason, Grant, Rule};
use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::ids::{BindingId, PartnerId, PolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::tenancy::{Seat, space_of};
use scaivault_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Ask, Asker, World, naive};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The rules of the policy at `place`.
pub fn rules(world: &World, place: usize) -> Vec<Rule> {
    let rules = &world.policies[place].rules;
    rules
        .iter()
        .map(|rule| serde_json::from_value(rule_json(rule)).unwrap())
        .collect()
}

fn rule_json(rule: &super::Rule) -> Value {
    let mut conditions = json!({});
    if let Some(ranges) = &rule.ip_ranges {
        conditions["ip_ranges"] = json!(ranges);
    }
    if rule.require_mfa {
        conditions["require_mfa"] = true.into();
    }
    if let Some(age) = rule.mfa_max_age_s {
        conditions["mfa_max_age"] = format!("{age}s").into();
    }
    if let Some(window) = &rule.window {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let mut text = json!({
            "start": clock(window.start_min),
            "end": clock(window.end_min),
            "timezone": window.zone,
        });
        if !window.days.is_empty() {
            let day = |day: &i64| DAYS[usize::try_from(*day).unwrap()];
            text["days"] = window.days.iter().map(day).collect();
        }
        conditions["time_window"] = text;
    }
    json!({
        "path_pattern": rule.pattern,
        "permissions": rule.permissions,
        "conditions": conditions,
    })
}

/// The id of the policy at `place`.
pub fn policy_id(place: usize) -> PolicyId {
    PolicyId::parse(&format!("pol_{place}")).unwrap()
}

/// Every policy of the world, in its order.
pub fn policies(world: &World) -> Vec<AccessPolicy> {
    let policy = |place: usize| {
        let policy = &world.policies[place];
        AccessPolicy {
            id: policy_id(place),
            tenant: owner(policy),
            name: format!("p{place}"),
            description: None,
            rules: rules(world, place),
            scopes: None,
            scope: match policy.is_partner_wide {
                true => PolicyScope::Partner,
                false => PolicyScope::Tenant,
            },
            is_active: policy.is_active,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            revision: 1,
        }
    };
    (0..world.policies.len()).map(policy).collect()
}

/// Who owns a policy: its tenant, or the partner as such.
pub fn owner(policy: &super::Policy) -> TenantId {
    match policy.is_partner_wide {
        true => space_of(&partner(&policy.tenant)),
        false => TenantId::parse(&policy.tenant).unwrap(),
    }
}

/// The partner of a tenant.
pub fn partner(tenant: &str) -> PartnerId {
    PartnerId::parse(&format!("ptn_{}", naive::partner_of(tenant))).unwrap()
}

/// What a store answers for the asker: the policies of the tenant, and of its partner, that are
/// bound to it or its groups. Those of others are handed out, too, now and then: they decide
/// nothing.
pub fn grants(world: &World, policies: &[AccessPolicy], asker: &Asker) -> Grants {
    let mut entries = Vec::new();
    for (number, binding) in world.bindings.iter().enumerate() {
        let policy = &policies[binding.policy];
        let names = std::iter::once(&asker.identity).chain(&asker.groups);
        let strays = number % 7 == 0;
        let reaches = policy.tenant.as_str() == asker.tenant
            || policy.tenant == space_of(&partner(&asker.tenant));
        if (reaches || strays) && names.into_iter().any(|n| *n == binding.identity) {
            let binding = Binding {
                id: BindingId::parse(&format!("bnd_{number}")).unwrap(),
                tenant: policy.tenant.clone(),
                policy_id: policy.id.clone(),
                identity: Identity::parse(&binding.identity).unwrap(),
                expires_at: binding.expires_at.map(Timestamp::from_micros),
                created_at: Timestamp::default(),
                revision: 1,
            };
            entries.push((policy.clone(), binding));
        }
    }
    Grants::new(entries)
}

/// The asker.
pub fn principal(asker: &Asker, scopes: ScopeSet) -> Principal {
    Principal {
        tenant: TenantId::parse(&asker.tenant).unwrap(),
        seat: Seat::of(partner(&asker.tenant)),
        identity: Identity::parse(&asker.identity).unwrap(),
        scopes,
        groups: asker
            .groups
            .iter()
            .map(|group| Identity::parse(group).unwrap())
            .collect(),
        token_id: None,
        is_root: asker.is_root,
        mfa_at: None,
        expires_at: None,
        foreign: None,
        limited_as: None,
    }
}

/// The question.
pub fn attempt<'a>(ask: &Ask, path: &'a SecretPath) -> Attempt<'a> {
    Attempt {
        permission: Permission::parse(ask.permission).unwrap(),
        path,
        source_ip: ask.source_ip,
        mfa_at: ask.mfa_at.map(Timestamp::from_micros),
        now: Timestamp::from_micros(ask.now),
    }
}

/// The decision in the words of the model.
pub fn answer(decision: &Result<Grant, Denial>) -> Answer {
    match decision {
        Ok(_) => Answer::Allowed,
        Err(denial) => refusal(denial.reason),
    }
}

/// A refusal in the words of the model.
pub fn refusal(reason: DenialReason) -> Answer {
    match reason {
        DenialReason::NoRule => Answer::NoRule,
        DenialReason::Failed(Condition::IpRanges) => Answer::Address,
        DenialReason::Failed(Condition::RequireMfa) => Answer::SecondFactor,
        DenialReason::Failed(Condition::TimeWindow) => Answer::TimeWindow,
    }
}
