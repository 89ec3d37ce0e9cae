//! Deleting, bringing back, purging.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, Record, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::Reason;
use scaivault_core::secret::{RETENTION_S, SecretHead};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::events;
use crate::vault::Vault;

/// What a deletion left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Until when it can be brought back; `None`: gone for good.
    pub recoverable_until: Option<Timestamp>,
}

impl Vault {
    /// Deletes a secret: softly for the retention time, or for good. Its rotation ends.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is nothing to delete;
    /// [`VaultError::RotationUnfinished`] while it is rotated at a target;
    /// [`VaultError::ManagerInUse`] while it is the credential of a target's manager;
    /// [`VaultError::CredentialOwed`] for good, while a credential of it is still to be revoked.
    pub async fn secret_delete(
        &self,
        caller: &Caller,
        path: &SecretPath,
        permanent: bool,
    ) -> Result<Deleted, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsDelete,
            Permission::Delete,
            path,
            Action::Delete,
        )
        .await?;
        let outcome = self.secret_delete_allowed(caller, path, permanent).await;
        self.on_trail(caller, Action::Delete, path, outcome).await
    }

    async fn secret_delete_allowed(
        &self,
        caller: &Caller,
        path: &SecretPath,
        permanent: bool,
    ) -> Result<Deleted, VaultError> {
        for _ in 0..RACES_MAX {
            let head = SecretReads::secret_find(&*self.store, caller.tenant(), path)
                .await?
                .filter(|head| permanent || !head.is_deleted())
                .ok_or(VaultError::NotFound(Missing::Secret))?;
            self.manages_no_target(&head.tenant, &head.path).await?;
            let (unit, deleted) = self.plan_delete(caller, head, permanent).await?;
            let unit = self.told_to_tenants(caller.tenant(), unit).await?;
            match self.commit(unit).await {
                Ok(_) => return Ok(deleted),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }

    async fn plan_delete(
        &self,
        caller: &Caller,
        head: SecretHead,
        permanent: bool,
    ) -> Result<(Unit, Deleted), VaultError> {
        let now = self.now();
        let count = SecretReads::version_list(&*self.store, &head.tenant, &head.path)
            .await?
            .len();
        let recoverable_until =
            (!permanent).then(|| now.plus(std::time::Duration::from_secs(RETENTION_S)));
        let event = events::deleted(&head, count, recoverable_until, caller);
        let mut unit = Unit::new(UnitName::SecretDelete);
        let assignment =
            AssignmentReads::assignment_find(&*self.store, &head.tenant, &head.path).await?;
        // Softly deleted, what drains goes on draining: the secret may come back meanwhile.
        let ended = match &assignment {
            _ if permanent => self.rotations_unended(&head).await?,
            Some(assignment) => self.open_rotation_of(assignment).await?,
            None => Vec::new(),
        };
        unit = self
            .rotations_ended(caller, unit, ended, Reason::SecretDeleted, now)
            .await?;
        // Looked at after the rotations: one that was abandoned in between shows its debt.
        if permanent && let Some(owed) = self.debts_of(&head.tenant, &head.path).await?.first() {
            return Err(VaultError::CredentialOwed(owed.id.clone()));
        }
        if let Some(assignment) = assignment {
            unit = unit.op(Op::Delete(Record::Assignment(assignment)));
        }
        let extra = AuditExtra {
            version: Some(head.current_version),
            permanent: Some(permanent),
            ..AuditExtra::default()
        };
        unit = unit
            .emit(self.event(caller, event, now))
            .audited(caller.row(Action::Delete, Some(&head.path), now, extra));
        let unit = if permanent {
            unit.op(Op::SecretErase(head))
        } else {
            unit.put(Record::Secret(SecretHead {
                revision: head.revision + 1,
                updated_at: now,
                recoverable_until,
                ..head
            }))
        };
        Ok((unit, Deleted { recoverable_until }))
    }

    /// Brings a soft-deleted secret back with all its versions. Its rotation policy has to be
    /// attached anew.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when nothing is deleted there, or its retention is over.
    pub async fn secret_undelete(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretHead, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsDelete,
            Permission::Delete,
            path,
            Action::Delete,
        )
        .await?;
        let outcome = self.secret_undelete_allowed(caller, path).await;
        self.on_trail(caller, Action::Write, path, outcome).await
    }

    async fn secret_undelete_allowed(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretHead, VaultError> {
        let now = self.now();
        let head = SecretReads::secret_find(&*self.store, caller.tenant(), path)
            .await?
            .filter(|head| head.recoverable_until.is_some_and(|until| until > now))
            .ok_or(VaultError::NotFound(Missing::Secret))?;
        let mut head = SecretHead {
            revision: head.revision + 1,
            updated_at: now,
            recoverable_until: None,
            ..head
        };
        head.expiry.resume(head.expires_at, now);
        let extra = AuditExtra {
            version: Some(head.current_version),
            metadata_only: Some(true),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::SecretUndelete)
            .put(Record::Secret(head.clone()))
            .audited(caller.row(Action::Write, Some(path), now, extra));
        self.commit(unit).await?;
        if head.expires_at.is_some() {
            self.signals.end_given();
        }
        Ok(head)
    }

    /// Removes soft-deleted secrets whose retention is over, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn secrets_purge(&self, limit: usize) -> Result<usize, VaultError> {
        let now = self.now();
        let ended = SecretReads::secret_purgeable(&*self.store, now, limit).await?;
        let mut purged = 0;
        for head in ended {
            if let Err(error) = self.manages_no_target(&head.tenant, &head.path).await {
                tracing::warn!(path = %head.path, %error, "not purged yet");
                continue;
            }
            let caller = Caller::system(head.tenant.clone(), "retention", now);
            let extra = AuditExtra {
                permanent: Some(true),
                ..AuditExtra::default()
            };
            let count = SecretReads::version_list(&*self.store, &head.tenant, &head.path)
                .await?
                .len();
            let event = events::deleted(&head, count, None, &caller);
            let ended = self.rotations_unended(&head).await?;
            let unit = Unit::new(UnitName::SecretPurge);
            let ending = self.rotations_ended(&caller, unit, ended, Reason::SecretDeleted, now);
            let unit = match ending.await {
                // What may be live at its target is looked after first.
                Err(VaultError::RotationUnfinished(rotation)) => {
                    tracing::warn!(path = %head.path, %rotation, "not purged yet");
                    continue;
                }
                other => other?,
            };
            // The value of an owed credential is what it is revoked with.
            if let Some(owed) = self.debts_of(&head.tenant, &head.path).await?.first() {
                tracing::warn!(path = %head.path, debt = %owed.id, "not purged yet");
                continue;
            }
            let unit = unit
                .emit(self.event(&caller, event, now))
                .audited(caller.row(Action::Delete, Some(&head.path), now, extra))
                .op(Op::SecretErase(head));
            let unit = self.told_to_tenants(caller.tenant(), unit).await?;
            match self.commit(unit).await {
                Ok(_) => purged += 1,
                Err(CommitError::Conflict(_)) => {} // undeleted in between
                Err(error) => return Err(error.into()),
            }
        }
        Ok(purged)
    }
}
