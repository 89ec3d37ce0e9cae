//! What somebody may at a path of the other API.

use std::sync::Arc;

use scaivault_core::access::Permission;
use scaivault_core::acl::{Capability, Mounts, Need, needs};
use scaivault_core::identity::{Principal, Scope, Token};

use crate::access::decided;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// What is asked for, in the order it is told.
const ASKED: [Capability; 6] = [
    Capability::Create,
    Capability::Delete,
    Capability::List,
    Capability::Patch,
    Capability::Read,
    Capability::Update,
];

impl Vault {
    /// The capabilities of the caller at a path: `root` alone, `deny` alone, or what it may. Leaves no
    /// audit row, as a test of policies does not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acl_capabilities(
        &self,
        caller: &Caller,
        mounts: &Mounts,
        path: &str,
    ) -> Result<Vec<&'static str>, VaultError> {
        if caller.principal.is_root {
            return Ok(vec!["root"]);
        }
        let grants = self.grants_for(caller).await?;
        let now = self.now();
        let has = |scope| caller.principal.scopes.contains(scope);
        let may = |capability: &Capability| match needs(mounts, path, *capability) {
            Need::Everyone => true,
            Need::Nobody => false,
            Need::Scope(scope) => has(scope),
            Need::Rule(scope, permission, path) => {
                scope.is_none_or(has) && decided(caller, &grants, permission, &path, now).is_ok()
            }
            Need::Both(path) => {
                let (read, write) = (Permission::Read, Permission::Write);
                let decides = |permission| decided(caller, &grants, permission, &path, now).is_ok();
                has(Scope::SecretsRead)
                    && has(Scope::SecretsWrite)
                    && decides(read)
                    && decides(write)
            }
            Need::Below(scope, folder) => {
                let lists = |policy: &scaivault_core::access::AccessPolicy| {
                    let rules = policy.rules.iter();
                    policy.is_active
                        && rules
                            .filter(|rule| rule.permissions.allows(Permission::List))
                            .any(|rule| rule.path_pattern.reaches_below(&folder))
                };
                let counts = |binding: &scaivault_core::access::Binding| {
                    binding.expires_at.is_none_or(|end| end > now)
                };
                let mut entries = grants.entries().iter();
                has(scope) && entries.any(|(policy, binding)| counts(binding) && lists(policy))
            }
        };
        let found: Vec<_> = ASKED
            .iter()
            .filter(|one| may(one))
            .map(|one| one.as_str())
            .collect();
        Ok(match found.is_empty() {
            true => vec!["deny"],
            false => found,
        })
    }

    /// The caller that the bearer of a token would be.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acl_bearer(&self, caller: &Caller, token: &Token) -> Result<Caller, VaultError> {
        let unavailable =
            |error: crate::access::AuthError| VaultError::Unavailable(error.to_string());
        let known = self.token_known(token.hash).await.map_err(unavailable)?;
        let principal: Arc<Principal> = self
            .principal_now(&known, self.now())
            .await
            .map_err(unavailable)?;
        Ok(Caller {
            principal,
            ..caller.clone()
        })
    }
}
