//! Access policies and bindings. A change holds from its answer on.

use std::net::IpAddr;

use scaivault_core::access::{
    AccessPolicy, Attempt, Binding, Condition, DenialReason, Grants, Matched, Permission,
    PolicyScope, Rule, decide,
};
use scaivault_core::acl::{HOLDER, is_policy_group};
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::event::EventType;
use scaivault_core::identity::{Identity, Principal, Scope, ScopeSet};
use scaivault_core::ids::{BindingId, PolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, Op, PolicyReads, Record, Unit, UnitName};
use scaivault_core::tenancy::{Role, Seat, partner_of_space, space_of};
use scaivault_core::time::Timestamp;
use serde_json::json;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::events::EventDraft;
use crate::vault::Vault;

/// What a policy says. Absent parts of a change stay as they are.
#[derive(Debug, Clone, Default)]
pub struct PolicyDraft {
    /// Unique in the tenant.
    pub name: Option<String>,
    /// Free text; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// At least one.
    pub rules: Option<Vec<Rule>>,
    /// Inactive policies allow nothing.
    pub is_active: Option<bool>,
    /// Its reach, fixed when it is made; the tenant when absent.
    pub scope: Option<PolicyScope>,
}

/// A binding to make.
#[derive(Debug, Clone)]
pub struct BindingDraft {
    /// Whom.
    pub identity: Identity,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// A question to the decision.
#[derive(Debug, Clone)]
pub struct PolicyTestQuery {
    /// Who would ask.
    pub identity: Identity,
    /// Groups it would be in.
    pub groups: Vec<Identity>,
    /// Where.
    pub path: SecretPath,
    /// What for.
    pub permission: Permission,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With a fresh second factor.
    pub mfa_verified: bool,
    /// When; default now.
    pub at: Option<Timestamp>,
}

/// What one policy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVerdict {
    /// The policy.
    pub policy_id: PolicyId,
    /// Its name.
    pub name: String,
    /// `allow`, `no_match`, `condition_failed`, `inactive` or `binding_expired`.
    pub result: &'static str,
}

/// The decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTestOutcome {
    /// The rule that allows, if one does.
    pub matched: Option<Matched>,
    /// The condition that stood in the way.
    pub failed_condition: Option<Condition>,
    /// Every policy reached by a binding.
    pub evaluated: Vec<PolicyVerdict>,
}

impl Vault {
    /// Creates a policy.
    ///
    /// # Errors
    /// [`VaultError::NameExists`] when the name is taken.
    pub async fn policy_create(
        &self,
        caller: &Caller,
        draft: PolicyDraft,
    ) -> Result<AccessPolicy, VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyCreate)
            .await?;
        let now = self.now();
        let scope = draft.scope.unwrap_or_default();
        let tenant = match scope {
            PolicyScope::Tenant => caller.tenant().clone(),
            PolicyScope::Partner => space_of(&caller.principal.seat.partner),
        };
        self.require_writer(caller, &tenant, Action::PolicyCreate)
            .await?;
        let policy = AccessPolicy {
            id: PolicyId::mint(now, &*self.entropy),
            tenant,
            name: draft.name.unwrap_or_default(),
            description: draft.description.flatten(),
            rules: draft.rules.unwrap_or_default(),
            scopes: None,
            scope,
            is_active: draft.is_active.unwrap_or(true),
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let unit = self.policy_unit(caller, &policy, Action::PolicyCreate, now);
        self.commit(unit).await?;
        Ok(policy)
    }

    /// Changes a policy and answers with it and its bindings, which stay. Needs no right to read
    /// policies: whoever may write one may see what became of it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::NameExists`].
    pub async fn policy_change(
        &self,
        caller: &Caller,
        id: &PolicyId,
        draft: PolicyDraft,
    ) -> Result<(AccessPolicy, Vec<Binding>), VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyUpdate)
            .await?;
        for _ in 0..RACES_MAX {
            let mut policy = self.policy_of(caller, id).await?;
            self.require_writer(caller, &policy.tenant, Action::PolicyUpdate)
                .await?;
            if draft.scope.is_some_and(|scope| scope != policy.scope) {
                let why = "is fixed when the policy is made: make another policy";
                return Err(VaultError::Validation(vec![("scope".into(), why.into())]));
            }
            let is_renamed = draft.name.as_ref().is_some_and(|name| *name != policy.name);
            let is_woken = draft.is_active == Some(true) && !policy.is_active;
            if is_renamed || is_woken {
                // Under another name others may hold it; and one that is not active gives nothing.
                let scopes = policy.scopes.unwrap_or_default();
                self.may_give(caller, scopes, Action::PolicyUpdate).await?;
            }
            // Read before the commit, so that nothing can fail between it and the answer. A
            // binding made meanwhile changes the policy's number and with it loses the race.
            let bindings = PolicyReads::binding_list(&*self.store, &policy.tenant, id).await?;
            let now = self.now();
            policy.revision += 1;
            policy.updated_at = now;
            let draft = draft.clone();
            policy.name = draft.name.unwrap_or(policy.name);
            policy.description = draft.description.unwrap_or(policy.description);
            policy.rules = draft.rules.unwrap_or(policy.rules);
            policy.is_active = draft.is_active.unwrap_or(policy.is_active);
            let unit = self.policy_unit(caller, &policy, Action::PolicyUpdate, now);
            match self.commit(unit).await {
                Ok(_) => return Ok((policy, bindings)),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the policy changes too quickly: try again".into(),
        ))
    }

    pub(crate) fn policy_unit(
        &self,
        caller: &Caller,
        policy: &AccessPolicy,
        action: Action,
        now: Timestamp,
    ) -> Unit {
        let kind = if action == Action::PolicyCreate {
            EventType::PolicyCreated
        } else {
            EventType::PolicyUpdated
        };
        let data = json!({ "policy_id": policy.id, "name": policy.name });
        let extra = AuditExtra {
            policy_id: Some(policy.id.clone()),
            partner_id: partner_of_space(&policy.tenant),
            ..AuditExtra::default()
        };
        Unit::new(UnitName::PolicyWrite)
            .put(Record::Policy(policy.clone()))
            .emit(self.event(caller, EventDraft::new(kind, data), now))
            .audited(caller.row(action, None, now, extra))
    }

    /// One policy with its bindings.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn policy_details(
        &self,
        caller: &Caller,
        id: &PolicyId,
    ) -> Result<(AccessPolicy, Vec<Binding>), VaultError> {
        self.require_list(caller, Scope::PoliciesRead).await?;
        let policy = self.policy_of(caller, id).await?;
        let bindings = PolicyReads::binding_list(&*self.store, &policy.tenant, id).await?;
        Ok((policy, bindings))
    }

    /// Policies by id, each with its number of bindings: of the tenant, of its partner, or both.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:read`.
    pub async fn policy_list(
        &self,
        caller: &Caller,
        scope: Option<PolicyScope>,
        include_inactive: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(AccessPolicy, usize)>, VaultError> {
        self.require_list(caller, Scope::PoliciesRead).await?;
        let space = space_of(&caller.principal.seat.partner);
        let mut policies = Vec::new();
        for (owner, of) in [
            (caller.tenant(), PolicyScope::Tenant),
            (&space, PolicyScope::Partner),
        ] {
            if scope.is_none_or(|scope| scope == of) {
                let store = &*self.store;
                policies.extend(
                    PolicyReads::policy_list(store, owner, include_inactive, after, limit).await?,
                );
            }
        }
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        policies.truncate(limit);
        let mut listed = Vec::with_capacity(policies.len());
        for policy in policies {
            let bindings = PolicyReads::binding_list(&*self.store, &policy.tenant, &policy.id)
                .await?
                .len();
            listed.push((policy, bindings));
        }
        Ok(listed)
    }

    /// Deletes a policy; with `force` its bindings too.
    ///
    /// # Errors
    /// [`VaultError::PolicyInUse`] when it has bindings and `force` is not given.
    pub async fn policy_delete(
        &self,
        caller: &Caller,
        id: &PolicyId,
        force: bool,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyDelete)
            .await?;
        for _ in 0..RACES_MAX {
            let policy = self.policy_of(caller, id).await?;
            self.require_writer(caller, &policy.tenant, Action::PolicyDelete)
                .await?;
            let bindings = PolicyReads::binding_list(&*self.store, &policy.tenant, id).await?;
            if !bindings.is_empty() && !force {
                return Err(VaultError::PolicyInUse);
            }
            let now = self.now();
            let data = json!({ "policy_id": policy.id, "name": policy.name });
            let extra = AuditExtra {
                policy_id: Some(policy.id.clone()),
                partner_id: partner_of_space(&policy.tenant),
                ..AuditExtra::default()
            };
            let mut unit = Unit::new(UnitName::PolicyDelete)
                .emit(self.event(caller, EventDraft::new(EventType::PolicyDeleted, data), now))
                .audited(caller.row(Action::PolicyDelete, None, now, extra));
            unit.ops
                .extend(bindings.into_iter().map(|b| Op::Delete(Record::Binding(b))));
            // Its number guards against a binding made meanwhile: making one changes it.
            let unit = unit.op(Op::Delete(Record::Policy(policy)));
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the policy changes too quickly: try again".into(),
        ))
    }

    /// Binds a policy to an identity.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn binding_create(
        &self,
        caller: &Caller,
        policy_id: &PolicyId,
        draft: BindingDraft,
    ) -> Result<Binding, VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyBind)
            .await?;
        // What holds policies by their names has no rights but by them.
        if draft.identity.as_str().starts_with(HOLDER) {
            let why = "sa:acl/… are identities of tokens that have their policies' rights alone: bind \
                       to another identity, or give the token another policy";
            let wrong = vec![("identity_id".to_owned(), why.to_owned())];
            return Err(VaultError::Validation(wrong));
        }
        for _ in 0..RACES_MAX {
            let mut policy = self.policy_of(caller, policy_id).await?;
            self.require_writer(caller, &policy.tenant, Action::PolicyBind)
                .await?;
            if is_policy_group(&draft.identity) {
                let scopes = policy.scopes.unwrap_or_default();
                self.may_give(caller, scopes, Action::PolicyBind).await?;
            }
            policy.revision += 1;
            let now = self.now();
            let binding = Binding {
                id: BindingId::mint(now, &*self.entropy),
                tenant: policy.tenant.clone(),
                policy_id: policy_id.clone(),
                identity: draft.identity.clone(),
                expires_at: draft.expires_at,
                created_at: now,
                revision: 1,
            };
            let unit = Unit::new(UnitName::BindingWrite)
                .put(Record::Policy(policy))
                .put(Record::Binding(binding.clone()));
            let kind = EventType::PolicyBindingCreated;
            let unit = self.binding_told(caller, unit, &binding, kind, Action::PolicyBind, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(binding),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the policy changes too quickly: try again".into(),
        ))
    }

    /// Removes a binding.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn binding_delete(
        &self,
        caller: &Caller,
        policy_id: &PolicyId,
        id: &BindingId,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyUnbind)
            .await?;
        let policy = self.policy_of(caller, policy_id).await?;
        self.require_writer(caller, &policy.tenant, Action::PolicyUnbind)
            .await?;
        let binding = PolicyReads::binding_find(&*self.store, &policy.tenant, id)
            .await?
            .filter(|binding| binding.policy_id == *policy_id)
            .ok_or(VaultError::NotFound(Missing::Binding))?;
        let now = self.now();
        let unit =
            Unit::new(UnitName::BindingDelete).op(Op::Delete(Record::Binding(binding.clone())));
        let kind = EventType::PolicyBindingDeleted;
        let unit = self.binding_told(caller, unit, &binding, kind, Action::PolicyUnbind, now);
        match self.commit(unit).await {
            Err(CommitError::Conflict(_)) => Err(VaultError::NotFound(Missing::Binding)),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    pub(crate) fn binding_told(
        &self,
        caller: &Caller,
        unit: Unit,
        binding: &Binding,
        kind: EventType,
        action: Action,
        now: Timestamp,
    ) -> Unit {
        let data = json!({
            "policy_id": binding.policy_id,
            "binding_id": binding.id,
            "identity_type": binding.identity.kind().as_str(),
            "identity_id": binding.identity.as_str(),
        });
        let extra = AuditExtra {
            policy_id: Some(binding.policy_id.clone()),
            binding_id: Some(binding.id.clone()),
            subject: Some(binding.identity.as_str().to_owned()),
            partner_id: partner_of_space(&binding.tenant),
            ..AuditExtra::default()
        };
        unit.emit(self.event(caller, EventDraft::new(kind, data), now))
            .audited(caller.row(action, None, now, extra))
    }

    /// What the decision would be. Leaves no audit row, as documented.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:read`.
    pub async fn policy_test(
        &self,
        caller: &Caller,
        query: &PolicyTestQuery,
    ) -> Result<PolicyTestOutcome, VaultError> {
        self.require(caller, Scope::PoliciesRead, Action::List)
            .await?;
        let now = query.at.unwrap_or_else(|| self.now());
        let asked = Principal {
            tenant: caller.tenant().clone(),
            seat: Seat::of(caller.principal.seat.partner.clone()),
            identity: query.identity.clone(),
            scopes: ScopeSet::all(),
            groups: query.groups.clone(),
            token_id: None,
            is_root: false,
            mfa_at: query.mfa_verified.then_some(now),
            expires_at: None,
            foreign: None,
            limited_as: None,
        };
        let attempt = Attempt {
            permission: query.permission,
            path: &query.path,
            source_ip: query.source_ip,
            mfa_at: asked.mfa_at,
            now,
        };
        let grants = self.grants_of(&asked).await?;
        let decision = decide(&asked, &grants, &attempt);
        let evaluated = grants
            .entries()
            .iter()
            .map(|(policy, binding)| verdict(&asked, policy, binding, &attempt))
            .collect();
        Ok(PolicyTestOutcome {
            failed_condition: match &decision {
                Err(denial) => match denial.reason {
                    DenialReason::Failed(condition) => Some(condition),
                    DenialReason::NoRule => None,
                },
                Ok(_) => None,
            },
            matched: decision.ok().and_then(|grant| grant.matched().cloned()),
            evaluated,
        })
    }

    async fn policy_of(&self, caller: &Caller, id: &PolicyId) -> Result<AccessPolicy, VaultError> {
        if let Some(own) = PolicyReads::policy_find(&*self.store, caller.tenant(), id).await? {
            return Ok(own);
        }
        let space = space_of(&caller.principal.seat.partner);
        PolicyReads::policy_find(&*self.store, &space, id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Policy))
    }

    /// Policies of a partner are seen by its tenants, to which they apply, and changed by its
    /// admins alone.
    pub(crate) async fn require_writer(
        &self,
        caller: &Caller,
        owner: &TenantId,
        action: Action,
    ) -> Result<(), VaultError> {
        if owner == caller.tenant() || caller.principal.seat.roles.may_as(Role::PartnerAdmin) {
            return Ok(());
        }
        let why = "only partner admins write policies of the partner: a token with the role \
                   partner_admin";
        self.refuse(caller, action, None, None, VaultError::Forbidden(why))
            .await
    }
}

/// What one policy alone would say: the same decision, over one entry.
fn verdict(
    asked: &Principal,
    policy: &AccessPolicy,
    binding: &Binding,
    attempt: &Attempt<'_>,
) -> PolicyVerdict {
    let result = if !policy.is_active {
        "inactive"
    } else if binding.expires_at.is_some_and(|end| end <= attempt.now) {
        "binding_expired"
    } else {
        let alone = Grants::new(vec![(policy.clone(), binding.clone())]);
        match decide(asked, &alone, attempt) {
            Ok(_) => "allow",
            Err(denial) => match denial.reason {
                DenialReason::NoRule => "no_match",
                DenialReason::Failed(_) => "condition_failed",
            },
        }
    };
    PolicyVerdict {
        policy_id: policy.id.clone(),
        name: policy.name.clone(),
        result,
    }
}
