//! What the holders of policies may ask for.

use std::sync::Arc;

use scaivault_core::access::Grants;
use scaivault_core::acl::{group_of, policy_of};
use scaivault_core::identity::{Identity, Principal, Scope, ScopeSet};
use scaivault_core::ports::PolicyReads;
use scaivault_core::time::Timestamp;

use super::named;
use crate::access::AuthError;
use crate::cache::KnownToken;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// The principal of a token as it is now: one that holds policies by their names may ask for what
    /// they give at this moment, and no longer for what they gave.
    pub(crate) async fn principal_now(
        &self,
        known: &KnownToken,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        if !known.token.holds_policies() {
            return Ok(known.principal.clone());
        }
        let grants = self.grants_of(&known.principal).await;
        let grants = grants.map_err(|error| AuthError::Unavailable(error.to_string()))?;
        let scopes = given(&grants, now).chain(known.token.scopes.iter());
        let scopes: ScopeSet = scopes.collect();
        match scopes == known.principal.scopes {
            true => Ok(known.principal.clone()),
            false => Ok(Arc::new(Principal {
                scopes,
                ..Principal::clone(&known.principal)
            })),
        }
    }

    /// Whether the caller may make what holds the policies of these groups, and the names among them
    /// that no policy has. Whoever could not write such a policy does not hold one in store for it.
    pub(crate) async fn may_hold(
        &self,
        caller: &Caller,
        groups: &[Identity],
    ) -> Result<Vec<String>, VaultError> {
        let wanted: Vec<Identity> = groups
            .iter()
            .filter(|group| policy_of(group).is_some())
            .cloned()
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let found = PolicyReads::grants(&*self.store, caller.tenant(), &wanted).await?;
        let is_there = |name: &str| {
            found
                .iter()
                .any(|entry| named(&entry) && entry.0.name == name)
        };
        let names = wanted.iter().filter_map(policy_of);
        let missing: Vec<String> = names
            .filter(|name| !is_there(name))
            .map(str::to_owned)
            .collect();
        let own = caller.principal.scopes;
        if !missing.is_empty() && !own.contains(Scope::PoliciesWrite) {
            return Err(VaultError::Forbidden(
                "no policy has this name, and only who may write policies holds one in store for it: \
                 the token needs the scope policies:write",
            ));
        }
        let held = found
            .iter()
            .filter(named)
            .filter_map(|(policy, _)| policy.scopes);
        let beyond = held.flat_map(|scopes| scopes.iter().collect::<Vec<_>>());
        match beyond.into_iter().find(|scope| !own.contains(*scope)) {
            Some(scope) => Err(VaultError::Scope(scope)),
            None => Ok(missing),
        }
    }

    /// The policies that the caller holds by their names.
    pub(crate) fn policies_held(&self, caller: &Caller) -> Vec<String> {
        let names = caller.principal.groups.iter().filter_map(policy_of);
        names.map(str::to_owned).collect()
    }
}

/// The groups of policies, each once; `None` when one is called what no policy is.
pub(crate) fn groups(names: &[String]) -> Option<Vec<Identity>> {
    let found: Option<Vec<Identity>> = names.iter().map(|name| group_of(name)).collect();
    let mut found = found?;
    found.sort();
    found.dedup();
    Some(found)
}

fn given(grants: &Grants, now: Timestamp) -> impl Iterator<Item = Scope> {
    let counts = move |(policy, binding): &&(
        scaivault_core::access::AccessPolicy,
        scaivault_core::access::Binding,
    )| { policy.is_active && binding.expires_at.is_none_or(|end| end > now) };
    let entries = grants.entries().iter().filter(named).filter(counts);
    let scopes = entries.filter_map(|(policy, _)| policy.scopes);
    scopes.flat_map(|scopes| scopes.iter().collect::<Vec<_>>())
}
