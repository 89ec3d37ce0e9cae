//! After a restore: nothing is changed at a target until somebody says that reality has been learned
//! again.
//!
//! What a restored store knows of its targets is of the past: rotations that ended since are open
//! again, credentials made since are unknown, and the numbers of its changes are behind those that
//! were sent. So while the mark stands, whatever leads to an effect holds (`Vault::is_held`), and
//! every attached credential is tried by a login instead. When the store is resumed, all numbers
//! begin again above the clock, and with them above everything that was sent before.
//!
//! The mark is read from the store wherever it matters, never from memory: it holds on all nodes
//! at once, and so does its end.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{RotationId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Login, MarkReads, Op, ReadError, Record, RotationFilter,
    RotationReads, SecretReads, StoreMarks, TargetReads, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Finding, Phase, Rotation};
use scaivault_core::secret::VersionState;
use scaivault_core::target::Target;
use scaivault_core::time::Timestamp;

use super::worker::StepError;
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// Rows read at a time.
const ROWS_MAX: usize = 1_000;
/// Rotations raised in one commit.
const RAISED_MAX: usize = 64;
/// Logins in a row that did not reach a target before the rest of its credentials is passed over.
const UNREACHED_MAX: usize = 2;

/// What a look at one attached credential found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// The secret.
    pub path: SecretPath,
    /// Where it is attached.
    pub target_id: TargetId,
    /// Its name.
    pub target_name: String,
    /// What readers get.
    pub version: u64,
    /// What is wrong with it; `None` when the target accepts it.
    pub found: Option<Finding>,
    /// Other stored versions that the target accepts instead.
    pub accepted: Vec<u64>,
    /// A rotation that was under way when the backup was made.
    pub rotation_id: Option<RotationId>,
}

/// What is known after a restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciliation {
    /// The store's marks.
    pub marks: StoreMarks,
    /// When the last look ended, by this node; nothing before the first has.
    pub looked_at: Option<Timestamp>,
    /// What it found, by target and path.
    pub attachments: Vec<Reconciled>,
}

/// The last look of this node, and whether it held when it was asked last.
#[derive(Default)]
pub(crate) struct LastLook(Mutex<Option<Look>>, AtomicBool);

/// When it ended, and what it found of whose secrets.
type Look = (Timestamp, Vec<(TenantId, Reconciled)>);

impl Vault {
    /// Whether targets are not to be changed, because the store was restored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_reconcile_only(&self) -> Result<bool, ReadError> {
        let held = MarkReads::marks(&*self.store).await?.restored_at.is_some();
        self.last_look.1.store(held, Ordering::Relaxed);
        Ok(held)
    }

    /// The same as this node's workers found it last: for showing it, not for deciding.
    pub fn was_reconcile_only(&self) -> bool {
        self.last_look.1.load(Ordering::Relaxed)
    }

    /// Refuses what would change a target while the store is only reconciled.
    pub(crate) async fn not_restored(&self) -> Result<(), VaultError> {
        match self.is_reconcile_only().await? {
            true => Err(VaultError::Restored),
            false => Ok(()),
        }
    }

    /// While the store is only reconciled: tries every attached credential once. Answers how many
    /// were looked at; 0 when nothing is to be reconciled.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn reconcile_run_once(&self) -> Result<usize, VaultError> {
        if !self.is_reconcile_only().await? {
            *self.last_look.0.lock() = None;
            return Ok(0);
        }
        let mut all = Vec::new();
        for tenant in SecretReads::secret_counts(&*self.store).await?.into_keys() {
            let mut after: Option<String> = None;
            loop {
                let last = after.as_deref();
                let rows = TargetReads::target_list(&*self.store, &tenant, last, ROWS_MAX).await?;
                for target in &rows {
                    let looked = self.reconcile_target(target).await?;
                    all.extend(looked.into_iter().map(|found| (tenant.clone(), found)));
                }
                match rows.last().filter(|_| rows.len() == ROWS_MAX) {
                    Some(last) => after = Some(last.id.as_str().to_owned()),
                    None => break,
                }
            }
        }
        for (_, looked) in &all {
            if let Some(found) = looked.found {
                tracing::warn!(
                    path = %looked.path, target = %looked.target_name, found = found.as_str(),
                    "after the restore: the stored credential does not get in"
                );
            }
        }
        let number = all.len();
        *self.last_look.0.lock() = Some((self.now(), all));
        Ok(number)
    }

    async fn reconcile_target(&self, target: &Target) -> Result<Vec<Reconciled>, VaultError> {
        let (mut found, mut after, mut unreached) = (Vec::new(), None::<String>, 0);
        loop {
            let last = after.as_deref();
            let store = &*self.store;
            let rows = AssignmentReads::assignment_at_target(
                store,
                &target.tenant,
                &target.id,
                last,
                ROWS_MAX,
            );
            let rows = rows.await?;
            for row in &rows {
                let passed_over = unreached >= UNREACHED_MAX;
                let looked = self.reconcile_one(target, row, passed_over).await;
                let looked = match looked {
                    Ok(looked) => looked,
                    Err(StepError::Vault(error)) => return Err(error),
                    Err(StepError::LostRace) => None,
                };
                match looked.as_ref().map(|looked| looked.found) {
                    Some(Some(Finding::Unreachable)) => unreached += 1,
                    Some(_) => unreached = 0,
                    None => {}
                }
                found.extend(looked);
            }
            match rows.last().filter(|_| rows.len() == ROWS_MAX) {
                Some(last) => after = Some(last.path.as_str().to_owned()),
                None => return Ok(found),
            }
        }
    }

    /// Tries what readers get; where the target refuses that, whatever else is stored.
    async fn reconcile_one(
        &self,
        target: &Target,
        row: &Assignment,
        passed_over: bool,
    ) -> Result<Option<Reconciled>, StepError> {
        let (tenant, path) = (&row.tenant, &row.path);
        let opened = SecretReads::secret_open(&*self.store, tenant, path, None).await?;
        let opened = opened.filter(|(head, _)| !head.is_deleted());
        let (Some((head, value)), Some(at)) = (opened, &row.attached) else {
            return Ok(None);
        };
        let mut looked = Reconciled {
            path: path.clone(),
            target_id: target.id.clone(),
            target_name: target.name.clone(),
            version: head.current_version,
            found: Some(Finding::Unreachable),
            accepted: Vec::new(),
            rotation_id: row.open_rotation.clone(),
        };
        if passed_over {
            return Ok(Some(looked));
        }
        looked.found = match &value {
            Some(value) => Finding::of(&self.probe_login(&head, value, at).await?),
            // The first version is still to be made.
            None => Some(Finding::Unclear),
        };
        let refused = matches!(
            looked.found,
            Some(Finding::ChangedOutside | Finding::AnotherAccount)
        );
        if !refused {
            return Ok(Some(looked));
        }
        let versions = SecretReads::version_list(&*self.store, tenant, path).await?;
        let may_work = [
            VersionState::Pending,
            VersionState::Previous,
            VersionState::Owed,
        ];
        for version in versions.iter().filter(|row| may_work.contains(&row.state)) {
            let version = version.version;
            let opened =
                SecretReads::secret_open(&*self.store, tenant, path, Some(version)).await?;
            if let Some((head, Some(value))) = opened
                && self.probe_login(&head, &value, at).await? == Login::Accepted
            {
                looked.accepted.push(version);
            }
        }
        Ok(Some(looked))
    }

    /// What is known after a restore.
    ///
    /// # Errors
    /// [`VaultError::Scope`]; when the store cannot be read or written.
    pub async fn reconciliation(&self, caller: &Caller) -> Result<Reconciliation, VaultError> {
        self.require(caller, Scope::Admin, Action::StoreReconcile)
            .await?;
        let marks = MarkReads::marks(&*self.store).await?;
        let row = caller.row(
            Action::StoreReconcile,
            None,
            self.now(),
            AuditExtra::default(),
        );
        self.commit(Unit::audit_only(row)).await?;
        Ok(self.reconciled(caller, marks))
    }

    fn reconciled(&self, caller: &Caller, marks: StoreMarks) -> Reconciliation {
        let look = self.last_look.0.lock();
        let current = look
            .as_ref()
            .filter(|(at, _)| marks.restored_at.is_some_and(|restored| *at >= restored));
        let Some((at, all)) = current else {
            return Reconciliation {
                marks,
                ..Reconciliation::default()
            };
        };
        let own = all.iter().filter(|(tenant, _)| tenant == caller.tenant());
        let mut attachments: Vec<_> = own.map(|(_, looked)| looked.clone()).collect();
        attachments.sort_by(|a, b| (&a.target_name, &a.path).cmp(&(&b.target_name, &b.path)));
        Reconciliation {
            marks,
            looked_at: Some(*at),
            attachments,
        }
    }

    /// Says that reality has been learned again: rotations, campaigns and debts go on. Every number
    /// that goes with a change at a target begins again above all that were given out before.
    ///
    /// # Errors
    /// [`VaultError::Scope`]; [`VaultError::NotLooked`] before this node has looked at all targets,
    /// unless `without_look`; when the store cannot be written: then it stays as it is, and may be
    /// asked again.
    pub async fn store_resume(
        &self,
        caller: &Caller,
        without_look: bool,
    ) -> Result<StoreMarks, VaultError> {
        let action = Action::StoreResume;
        self.require(caller, Scope::Admin, action).await?;
        let marks = MarkReads::marks(&*self.store).await?;
        if marks.restored_at.is_none() {
            return Ok(marks);
        }
        if !without_look && self.reconciled(caller, marks).looked_at.is_none() {
            return Err(VaultError::NotLooked);
        }
        let now = self.now();
        for tenant in SecretReads::secret_counts(&*self.store).await?.into_keys() {
            self.raise_all(caller, &tenant, now).await?;
        }
        let resumed = StoreMarks {
            restored_at: None,
            resumed_at: Some(now),
        };
        let row = caller.row(action, None, now, AuditExtra::default());
        let unit = Unit::new(UnitName::StoreResume)
            .op(Op::Mark(resumed))
            .audited(row);
        self.commit(unit).await?;
        Ok(resumed)
    }

    /// Unfinished rotations go on with numbers from `now` on.
    async fn raise_all(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let filter = RotationFilter {
            phases: Phase::ALL
                .into_iter()
                .filter(|phase| !phase.is_final())
                .collect(),
            ..RotationFilter::default()
        };
        let mut races = 0;
        let mut after: Option<String> = None;
        loop {
            let last = after.as_deref();
            let store = &*self.store;
            let rows =
                RotationReads::rotation_list(store, tenant, &filter, last, RAISED_MAX).await?;
            let behind: Vec<Rotation> = rows.iter().filter_map(|row| raised(row, now)).collect();
            if !behind.is_empty() {
                let row = caller.row(Action::StoreResume, None, now, AuditExtra::default());
                let mut unit = Unit::new(UnitName::StoreResume).audited(row);
                for rotation in behind {
                    unit = unit.put(Record::Rotation(rotation));
                }
                match self.commit(unit).await {
                    Ok(_) => {}
                    // Somebody acted on one of them: the same rows again, as they are now.
                    Err(CommitError::Conflict(_)) if races < RACES_MAX => {
                        races += 1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            match rows.last().filter(|_| rows.len() == RAISED_MAX) {
                Some(last) => after = Some(last.id.as_str().to_owned()),
                None => return Ok(()),
            }
        }
    }
}

/// The row with its numbers from `now` on; nothing when they are there already, or go nowhere.
fn raised(rotation: &Rotation, now: Timestamp) -> Option<Rotation> {
    let fence = u64::try_from(now.as_micros()).unwrap_or(0);
    let mut next = rotation.clone();
    let at = next.at_target.as_mut()?;
    if at.fence >= fence {
        return None;
    }
    at.fence = fence;
    next.revision += 1;
    Some(next)
}
