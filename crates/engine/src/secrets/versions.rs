//! Single versions: deleted so that they can be brought back, and removed for good.
//!
//! A deleted version keeps its value and says from when on nobody reads it; a destroyed one is removed
//! as a row, and the head remembers that it was. Both write the head, so that whoever changes which
//! version readers get at the same time conflicts.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, Record, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::{Destroyed, SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// The most versions of one call.
pub const VERSIONS_MAX: usize = 100;

/// Which versions of a secret.
#[derive(Debug, Clone, Copy)]
pub enum Versions<'a> {
    /// The one that readers get.
    Current,
    /// These; numbers that are no version are passed over.
    Numbers(&'a [u64]),
}

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionAct {
    /// Read by nobody until it is brought back.
    Delete,
    /// Read again.
    Undelete,
    /// Removed, with its value.
    Destroy,
}

impl VersionAct {
    fn unit_name(self) -> UnitName {
        match self {
            Self::Delete => UnitName::VersionsDelete,
            Self::Undelete => UnitName::VersionsUndelete,
            Self::Destroy => UnitName::VersionsDestroy,
        }
    }

    /// On the trail: bringing back is told as [`Vault::secret_undelete`] is.
    fn action(self) -> Action {
        match self {
            Self::Delete | Self::Destroy => Action::Delete,
            Self::Undelete => Action::Write,
        }
    }
}

impl Vault {
    /// Deletes, brings back or destroys versions of a secret. Answers how many changed.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret; [`VaultError::RotationUnfinished`] while
    /// a rotation may still need what is stored; [`VaultError::ManagerInUse`] and
    /// [`VaultError::CredentialOwed`] where something else does.
    pub async fn versions_act(
        &self,
        caller: &Caller,
        path: &SecretPath,
        act: VersionAct,
        which: Versions<'_>,
    ) -> Result<usize, VaultError> {
        let (scope, permission) = (Scope::SecretsDelete, Permission::Delete);
        self.authorize(caller, scope, permission, path, act.action())
            .await?;
        let outcome = self.versions_act_allowed(caller, path, act, which).await;
        self.on_trail(caller, act.action(), path, outcome).await
    }

    async fn versions_act_allowed(
        &self,
        caller: &Caller,
        path: &SecretPath,
        act: VersionAct,
        which: Versions<'_>,
    ) -> Result<usize, VaultError> {
        if let Versions::Numbers(numbers) = which
            && numbers.len() > VERSIONS_MAX
        {
            let why = format!("has at most {VERSIONS_MAX} numbers");
            return Err(VaultError::Validation(vec![("versions".into(), why)]));
        }
        for _ in 0..RACES_MAX {
            let (tenant, now) = (caller.tenant(), self.now());
            let head = SecretReads::secret_find(&*self.store, tenant, path)
                .await?
                .filter(|head| !head.is_deleted())
                .ok_or(VaultError::NotFound(Missing::Secret))?;
            let rows = SecretReads::version_list(&*self.store, tenant, path).await?;
            let chosen = chosen(&head, rows, which, act, now);
            if chosen.is_empty() {
                let row = caller.row(act.action(), Some(path), now, AuditExtra::default());
                self.commit(Unit::audit_only(row)).await?;
                return Ok(0);
            }
            self.may_lose(&head, &chosen, act).await?;
            let count = chosen.len();
            let unit = planned(caller, head, chosen, act, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(count),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }

    /// Refuses to take away what something else still stands on.
    async fn may_lose(
        &self,
        head: &SecretHead,
        chosen: &[Version],
        act: VersionAct,
    ) -> Result<(), VaultError> {
        if act == VersionAct::Undelete {
            return Ok(());
        }
        let (tenant, path) = (&head.tenant, &head.path);
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        self.no_rotation_at_target(assignment.as_ref()).await?;
        let is_current = chosen.iter().any(|row| row.version == head.current_version);
        if is_current {
            self.manages_no_target(tenant, path).await?;
        }
        if act == VersionAct::Destroy {
            self.may_destroy(head, assignment.as_ref(), is_current)
                .await?;
        }
        Ok(())
    }

    async fn may_destroy(
        &self,
        head: &SecretHead,
        assignment: Option<&Assignment>,
        is_current: bool,
    ) -> Result<(), VaultError> {
        if let Some(rotation) = self.rotations_unended(head).await?.first() {
            return Err(VaultError::RotationUnfinished(rotation.id.clone()));
        }
        if is_current && assignment.is_some() {
            return Err(VaultError::Forbidden(
                "a rotation policy is attached, and the next rotation starts from the current version: \
                 detach the policy or write another version first",
            ));
        }
        // The value of an owed credential is what it is revoked with.
        match self.debts_of(&head.tenant, &head.path).await?.first() {
            Some(owed) => Err(VaultError::CredentialOwed(owed.id.clone())),
            None => Ok(()),
        }
    }

    /// A secret and its versions, newest first, without values; candidates that nobody could read are
    /// left out.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_history(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<(SecretHead, Vec<Version>), VaultError> {
        let head = self.listed_head(caller, path).await?;
        let mut rows = SecretReads::version_list(&*self.store, &head.tenant, path).await?;
        rows.retain(was_readable);
        self.audit_list(caller, path).await?;
        Ok((head, rows))
    }
}

/// Candidates are not known to anybody.
fn was_readable(row: &Version) -> bool {
    !matches!(row.state, VersionState::Pending | VersionState::Withdrawn)
}

/// The versions that the act changes.
fn chosen(
    head: &SecretHead,
    rows: Vec<Version>,
    which: Versions<'_>,
    act: VersionAct,
    now: Timestamp,
) -> Vec<Version> {
    let is_meant = |row: &Version| match which {
        Versions::Current => row.version == head.current_version,
        Versions::Numbers(numbers) => numbers.contains(&row.version),
    };
    let changes = |row: &Version| match act {
        VersionAct::Delete => !row.is_deleted(now),
        VersionAct::Undelete => row.deletes_at.is_some(),
        VersionAct::Destroy => true,
    };
    let of = rows.into_iter().filter(was_readable);
    of.filter(|row| is_meant(row) && changes(row)).collect()
}

fn planned(
    caller: &Caller,
    mut head: SecretHead,
    chosen: Vec<Version>,
    act: VersionAct,
    now: Timestamp,
) -> Unit {
    let mut unit = Unit::new(act.unit_name());
    head.revision += 1;
    if act == VersionAct::Destroy {
        let keep = usize::try_from(head.max_versions).unwrap_or(usize::MAX);
        let gone = chosen.iter().map(|row| Destroyed {
            version: row.version,
            created_at: row.created_at,
        });
        head.versioning.destroy(gone, keep);
    }
    for row in chosen {
        let extra = AuditExtra {
            version: Some(row.version),
            permanent: (act != VersionAct::Undelete).then_some(act == VersionAct::Destroy),
            metadata_only: (act == VersionAct::Undelete).then_some(true),
            ..AuditExtra::default()
        };
        unit = unit.audited(caller.row(act.action(), Some(&head.path), now, extra));
        unit = match act {
            VersionAct::Destroy => unit.op(Op::Delete(Record::Version(row))),
            VersionAct::Delete => unit.put(Record::Version(changed(row, Some(now)))),
            VersionAct::Undelete => unit.put(Record::Version(changed(row, None))),
        };
    }
    unit.put(Record::Secret(head))
}

fn changed(row: Version, deletes_at: Option<Timestamp>) -> Version {
    Version {
        deletes_at,
        revision: row.revision + 1,
        ..row
    }
}
