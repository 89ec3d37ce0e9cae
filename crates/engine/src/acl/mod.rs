//! Access policies by their names, as clients of HashiCorp Vault write and hold them.
//!
//! Such a policy is an access policy like any other, bound to the group of those who hold it by its
//! name (`group:acl/{name}`), in the commit that makes it. It also says what its holders may ask for
//! ([`AccessPolicy::scopes`]): a token with such a group has these scopes beside its own, as the
//! policies are when it is used ([`Vault::principal_now`]). So what a policy loses its holders lose at
//! once, and what it never had nobody got.
//!
//! Nobody gives by a policy a scope he lacks: neither by writing one, nor by making a token, a role or
//! a secret id that holds one.

mod capabilities;
mod held;

pub(crate) use held::groups;

use scaivault_core::access::{AccessPolicy, Binding, Conditions, PolicyScope};
use scaivault_core::acl::{Compiled, group_of};
use scaivault_core::audit::Action;
use scaivault_core::event::EventType;
use scaivault_core::identity::{Identity, Scope, ScopeSet};
use scaivault_core::ids::{BindingId, PolicyId, TenantId};
use scaivault_core::ports::{CommitError, PolicyReads, Record};

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Policies read at once, and at most, for a list of names.
const LIST_STEP: usize = 500;
const LIST_MAX: usize = 10_000;

impl Vault {
    /// Whether the caller may write policies: asked before their text is read, which takes its time.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:write`.
    pub async fn acl_may_put(&self, caller: &Caller) -> Result<(), VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyUpdate)
            .await
    }

    /// Writes a policy under its name, made if there is none.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:write`, or for scopes that the policy would give and the
    /// caller lacks; [`VaultError::InvalidPolicy`] for a name that is none, or that a policy has which
    /// cannot be written so.
    pub async fn acl_put(
        &self,
        caller: &Caller,
        name: &str,
        compiled: &Compiled,
    ) -> Result<AccessPolicy, VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyUpdate)
            .await?;
        let group = group_of(name).ok_or_else(|| VaultError::InvalidPolicy(NAME.to_owned()))?;
        for _ in 0..RACES_MAX {
            let found = self.acl_named(caller.tenant(), &group, name).await?;
            let action = match &found {
                Some(_) => Action::PolicyUpdate,
                None => Action::PolicyCreate,
            };
            // What is not active gives nothing, and by this it would.
            let active = found.as_ref().filter(|policy| policy.is_active);
            let had = active.and_then(|policy| policy.scopes);
            let had = had.unwrap_or_default();
            let given = compiled.scopes.iter().filter(|scope| !had.contains(*scope));
            self.may_give(caller, given.collect(), action).await?;
            let unit = match found {
                Some(policy) => self.acl_changed(caller, policy, compiled)?,
                None => self.acl_made(caller, name, &group, compiled),
            };
            let (policy, unit) = unit;
            match self.commit(unit).await {
                Ok(_) => return Ok(policy),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Duplicate(..)) => {
                    // Made meanwhile by somebody else, or in the native API.
                    if self
                        .acl_named(caller.tenant(), &group, name)
                        .await?
                        .is_none()
                    {
                        return Err(VaultError::InvalidPolicy(format!(
                            "an access policy of this name is there, which is not bound to {group}: \
                             bind it, rename it, or choose another name"
                        )));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the policy changes too quickly: try again".into(),
        ))
    }

    fn acl_changed(
        &self,
        caller: &Caller,
        mut policy: AccessPolicy,
        compiled: &Compiled,
    ) -> Result<(AccessPolicy, scaivault_core::ports::Unit), VaultError> {
        let plain = Conditions::default();
        if policy.rules.iter().any(|rule| rule.conditions != plain) {
            return Err(VaultError::InvalidPolicy(
                "this policy has rules with conditions, which would be lost: change it in the native \
                 API, or delete it first"
                    .to_owned(),
            ));
        }
        let now = self.now();
        policy.revision += 1;
        policy.updated_at = now;
        policy.rules.clone_from(&compiled.rules);
        policy.scopes = Some(compiled.scopes);
        policy.is_active = true;
        let unit = self.policy_unit(caller, &policy, Action::PolicyUpdate, now);
        Ok((policy, unit))
    }

    fn acl_made(
        &self,
        caller: &Caller,
        name: &str,
        group: &Identity,
        compiled: &Compiled,
    ) -> (AccessPolicy, scaivault_core::ports::Unit) {
        let now = self.now();
        let policy = AccessPolicy {
            id: PolicyId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            name: name.to_owned(),
            description: None,
            rules: compiled.rules.clone(),
            scopes: Some(compiled.scopes),
            scope: PolicyScope::Tenant,
            is_active: true,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let binding = Binding {
            id: BindingId::mint(now, &*self.entropy),
            tenant: policy.tenant.clone(),
            policy_id: policy.id.clone(),
            identity: group.clone(),
            expires_at: None,
            created_at: now,
            revision: 1,
        };
        let unit = self
            .policy_unit(caller, &policy, Action::PolicyCreate, now)
            .put(Record::Binding(binding.clone()));
        let kind = EventType::PolicyBindingCreated;
        let unit = self.binding_told(caller, unit, &binding, kind, Action::PolicyBind, now);
        (policy, unit)
    }

    /// The policy of this name.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn acl_show(&self, caller: &Caller, name: &str) -> Result<AccessPolicy, VaultError> {
        self.require_list(caller, Scope::PoliciesRead).await?;
        let missing = VaultError::NotFound(Missing::Policy);
        let Some(group) = group_of(name) else {
            return Err(missing);
        };
        let found = self.acl_named(caller.tenant(), &group, name).await?;
        found.ok_or(missing)
    }

    /// The names of the policies that can be held by their names.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:read`.
    pub async fn acl_list(&self, caller: &Caller) -> Result<Vec<String>, VaultError> {
        self.require_list(caller, Scope::PoliciesRead).await?;
        let (mut names, mut after) = (Vec::new(), None::<PolicyId>);
        loop {
            let from = after.as_ref().map(PolicyId::as_str);
            let page =
                PolicyReads::policy_list(&*self.store, caller.tenant(), true, from, LIST_STEP)
                    .await?;
            let groups = page.iter().filter_map(|policy| group_of(&policy.name));
            let groups: Vec<Identity> = groups.collect();
            let bound = PolicyReads::grants(&*self.store, caller.tenant(), &groups).await?;
            names.extend(
                bound
                    .iter()
                    .filter(named)
                    .map(|(policy, _)| policy.name.clone()),
            );
            after = page.last().map(|policy| policy.id.clone());
            if page.len() < LIST_STEP || names.len() >= LIST_MAX {
                names.sort();
                names.dedup();
                return Ok(names);
            }
        }
    }

    /// Deletes the policy of this name: whoever holds it has nothing by it from the answer on. That
    /// there is none is as good.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `policies:write`.
    pub async fn acl_delete(&self, caller: &Caller, name: &str) -> Result<(), VaultError> {
        self.require(caller, Scope::PoliciesWrite, Action::PolicyDelete)
            .await?;
        let Some(group) = group_of(name) else {
            return Ok(());
        };
        match self.acl_named(caller.tenant(), &group, name).await? {
            Some(policy) => self.policy_delete(caller, &policy.id, true).await,
            None => Ok(()),
        }
    }

    async fn acl_named(
        &self,
        tenant: &TenantId,
        group: &Identity,
        name: &str,
    ) -> Result<Option<AccessPolicy>, VaultError> {
        let bound = PolicyReads::grants(&*self.store, tenant, std::slice::from_ref(group)).await?;
        let policies = bound.into_iter().map(|(policy, _)| policy);
        Ok(policies.into_iter().find(|policy| policy.name == name))
    }

    /// Whether the caller may give these scopes to whoever holds a policy.
    pub(crate) async fn may_give(
        &self,
        caller: &Caller,
        scopes: ScopeSet,
        action: Action,
    ) -> Result<(), VaultError> {
        let own = caller.principal.scopes;
        match scopes.iter().find(|scope| !own.contains(*scope)) {
            None => Ok(()),
            Some(lacking) => {
                let error = VaultError::Scope(lacking);
                self.refuse(caller, action, None, None, error).await
            }
        }
    }
}

const NAME: &str = "a policy's name has 1 to 128 characters without capitals, spaces, slashes and \
                    quotes; root and default are fixed";

/// Whether a binding is the one by which a policy is held by its name.
fn named((policy, binding): &&(AccessPolicy, Binding)) -> bool {
    scaivault_core::acl::policy_of(&binding.identity) == Some(policy.name.as_str())
}
