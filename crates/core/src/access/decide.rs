//! The decision: allow-only, default deny, no order. One matching rule of one bound, active
//! policy allows; a rule that fails by a condition alone gives the denial its name.

use std::net::IpAddr;

use super::condition::Condition;
use super::policy::{AccessPolicy, Binding, Permission};
use crate::identity::Principal;
use crate::ids::{PolicyId, TenantId};
use crate::path::SecretPath;
use crate::tenancy::is_space_of;
use crate::time::Timestamp;

/// What is asked, once canonical.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// What for.
    pub permission: Permission,
    /// Where.
    pub path: &'a SecretPath,
    /// The caller's address, if known.
    pub source_ip: Option<IpAddr>,
    /// When the caller proved a second factor.
    pub mfa_at: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// The policies that may speak for one caller, each with the binding that reached it. Whoever
/// builds it has already chosen by tenant and identity (groups included).
#[derive(Debug, Default)]
pub struct Grants {
    entries: Vec<(AccessPolicy, Binding)>,
}

impl Grants {
    /// From stored rows.
    pub fn new(entries: Vec<(AccessPolicy, Binding)>) -> Self {
        Self { entries }
    }

    /// The policies and their bindings.
    pub fn entries(&self) -> &[(AccessPolicy, Binding)] {
        &self.entries
    }
}

/// Proof that a decision allowed this permission at this path. Only [`decide`] and
/// [`grant_all`] make one; opening a value asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    tenant: TenantId,
    path: SecretPath,
    permission: Permission,
    matched: Option<Matched>,
}

/// Which rule allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The policy.
    pub policy_id: PolicyId,
    /// The rule's place in it, from 0.
    pub rule_index: usize,
}

impl Grant {
    /// The tenant decided for.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The path decided for.
    pub fn path(&self) -> &SecretPath {
        &self.path
    }

    /// The permission decided for.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// The rule; `None` for a root token, which needs none.
    pub fn matched(&self) -> Option<&Matched> {
        self.matched.as_ref()
    }
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no matching policy rule")]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// No rule matched by pattern and permission.
    NoRule,
    /// A rule matched but for this condition.
    Failed(Condition),
}

/// Decides one attempt of `principal` against its grants.
///
/// # Errors
/// [`Denial`] when no rule allows. Where several rules fail by different conditions, the one
/// named is the first in the order address, second factor, time window.
pub fn decide(
    principal: &Principal,
    grants: &Grants,
    attempt: &Attempt<'_>,
) -> Result<Grant, Denial> {
    if principal.is_root {
        return Ok(grant_all(principal.tenant.clone(), attempt));
    }
    let mut failed: Option<Condition> = None;
    for (policy, binding) in &grants.entries {
        let lapsed = binding.expires_at.is_some_and(|end| end <= attempt.now);
        if !policy.is_active || lapsed || !rules(principal, &policy.tenant) {
            continue;
        }
        for (rule_index, rule) in policy.rules.iter().enumerate() {
            if !rule.permissions.allows(attempt.permission)
                || !rule.path_pattern.matches(attempt.path)
            {
                continue;
            }
            match rule.conditions.failed(attempt) {
                None => {
                    return Ok(Grant {
                        tenant: principal.tenant.clone(),
                        path: attempt.path.clone(),
                        permission: attempt.permission,
                        matched: Some(Matched {
                            policy_id: policy.id.clone(),
                            rule_index,
                        }),
                    });
                }
                Some(condition) => {
                    failed = Some(failed.map_or(condition, |seen| seen.min(condition)));
                }
            }
        }
    }
    let reason = failed.map_or(DenialReason::NoRule, DenialReason::Failed);
    Err(Denial { reason })
}

/// Whether policies of this owner speak for the principal: those of the tenant it acts in, and
/// those of its partner.
fn rules(principal: &Principal, owner: &TenantId) -> bool {
    *owner == *principal.acts_in() || is_space_of(owner, &principal.seat.partner)
}

/// The grant of a caller that needs no policy: a root token, or one of our own workers acting
/// on a stored instruction.
pub fn grant_all(tenant: TenantId, attempt: &Attempt<'_>) -> Grant {
    Grant {
        tenant,
        path: attempt.path.clone(),
        permission: attempt.permission,
        matched: None,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
