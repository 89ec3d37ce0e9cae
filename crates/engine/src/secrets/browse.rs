//! Everything about one secret that answers without its value: metadata, versions, consumers.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::consumer::Consumer;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, ConsumerReads, SecretReads, Unit};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::{SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// A secret without its value.
#[derive(Debug, Clone)]
pub struct SecretDetails {
    /// The head.
    pub head: SecretHead,
    /// Its schedule.
    pub assignment: Option<Assignment>,
    /// Stored versions (pending and withdrawn candidates left out).
    pub version_count: usize,
    /// Last read by anyone.
    pub last_accessed_at: Option<Timestamp>,
}

impl Vault {
    /// Metadata of one secret: the documented existence test.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is none.
    pub async fn secret_details(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretDetails, VaultError> {
        let head = self.listed_head(caller, path).await?;
        let details = self.details_of(head).await?;
        self.audit_list(caller, path).await?;
        Ok(details)
    }

    /// What is known of a secret beside its value.
    pub(super) async fn details_of(&self, head: SecretHead) -> Result<SecretDetails, VaultError> {
        let (tenant, path) = (&head.tenant, &head.path);
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let version_count = SecretReads::version_list(&*self.store, tenant, path)
            .await?
            .iter()
            .filter(|row| !matches!(row.state, VersionState::Pending | VersionState::Withdrawn))
            .count();
        let last_accessed_at = ConsumerReads::consumer_list(&*self.store, tenant, path)
            .await?
            .iter()
            .map(|consumer| consumer.last_read_at)
            .max();
        Ok(SecretDetails {
            head,
            assignment,
            version_count,
            last_accessed_at,
        })
    }

    /// Every version, newest first; candidates nobody could read are left out.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_versions(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<Vec<Version>, VaultError> {
        let head = self.listed_head(caller, path).await?;
        let mut rows = SecretReads::version_list(&*self.store, &head.tenant, path).await?;
        rows.retain(|row| !matches!(row.state, VersionState::Pending | VersionState::Withdrawn));
        self.audit_list(caller, path).await?;
        Ok(rows)
    }

    /// Who read which version, and what they say of it; their own words only for those who may
    /// rotate the secret.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_consumers(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<(SecretHead, Vec<Consumer>), VaultError> {
        let head = self.listed_head(caller, path).await?;
        let mut consumers =
            ConsumerReads::consumer_list(&*self.store, caller.tenant(), path).await?;
        // What consumers say is for those who rotate.
        let rotates = caller.principal.scopes.contains(Scope::SecretsRotate)
            && self
                .decision(caller, Permission::Rotate, path, self.now())
                .await?
                .is_ok();
        if !rotates {
            consumers.iter_mut().for_each(|row| row.detail = None);
        }
        self.audit_list(caller, path).await?;
        Ok((head, consumers))
    }

    pub(super) async fn listed_head(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretHead, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsList,
            Permission::List,
            path,
            Action::List,
        )
        .await?;
        let found = SecretReads::secret_find(&*self.store, caller.tenant(), path)
            .await?
            .filter(|head| !head.is_deleted())
            .ok_or(VaultError::NotFound(Missing::Secret));
        self.on_trail(caller, Action::List, path, found).await
    }

    pub(super) async fn audit_list(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<(), VaultError> {
        let row = caller.row(Action::List, Some(path), self.now(), AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }
}
