//! Looking at rotations.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{RotationId, RotationPolicyId};
use scaivault_core::ports::{RotationFilter, RotationReads};
use scaivault_core::rotation::Rotation;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

impl Vault {
    /// One rotation. Who may neither administer nor rotate its secret does not see it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn rotation_details(
        &self,
        caller: &Caller,
        id: &RotationId,
    ) -> Result<Rotation, VaultError> {
        self.require_rotation_view(caller).await?;
        let rotation = RotationReads::rotation_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Rotation))?;
        if self.may_see(caller, &rotation).await? {
            Ok(rotation)
        } else {
            Err(VaultError::NotFound(Missing::Rotation))
        }
    }

    /// A page of rotations, newest first, and the id to go on below. Those of secrets the caller
    /// may neither administer nor rotate are left out, so a page may be short and still go on.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `secrets:rotate` nor `admin`.
    pub async fn rotation_list(
        &self,
        caller: &Caller,
        filter: &RotationFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Rotation>, Option<RotationId>), VaultError> {
        self.require_rotation_view(caller).await?;
        let tenant = caller.tenant();
        let mut rows =
            RotationReads::rotation_list(&*self.store, tenant, filter, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| last.id.clone());
        let mut seen = Vec::with_capacity(rows.len());
        for rotation in rows {
            if self.may_see(caller, &rotation).await? {
                seen.push(rotation);
            }
        }
        Ok((seen, next))
    }

    /// The history of a policy, newest first.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:read`; [`VaultError::NotFound`] for the policy.
    pub async fn rotation_history(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        filter: RotationFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Rotation>, VaultError> {
        self.require(caller, Scope::AuditRead, Action::AuditQuery)
            .await?;
        self.rotation_policy_of(caller, policy_id).await?;
        let filter = RotationFilter {
            policy_id: Some(policy_id.clone()),
            ..filter
        };
        let tenant = caller.tenant();
        Ok(RotationReads::rotation_list(&*self.store, tenant, &filter, after, limit).await?)
    }

    pub(crate) async fn require_rotation_view(&self, caller: &Caller) -> Result<(), VaultError> {
        let admin = caller.principal.scopes.contains(Scope::Admin);
        let scope = if admin {
            Scope::Admin
        } else {
            Scope::SecretsRotate
        };
        self.require_list(caller, scope).await
    }

    async fn may_see(&self, caller: &Caller, rotation: &Rotation) -> Result<bool, VaultError> {
        if caller.principal.scopes.contains(Scope::Admin) {
            return Ok(true);
        }
        let now = self.now();
        Ok(self
            .decision(caller, Permission::Rotate, &rotation.path, now)
            .await?
            .is_ok())
    }
}
