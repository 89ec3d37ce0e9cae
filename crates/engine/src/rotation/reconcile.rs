//! After a restore: nothing is changed at a target until somebody says that reality has been learned
//! again.
//!
//! What a restored store knows of its targets is of the past: rotations that ended since are open
//! again, credentials made since are unknown, and the numbers of its changes are behind those that
//! were sent. So while the mark stands, whatever leads to an effect holds (`Vault::is_reconcile_only`), and
//! every attached credential is tried by a login instead (`relearn.rs`). When the store is resumed, all numbers
//! begin again above the clock, and with them above everything that was sent before.
//!
//! The mark is read from the store wherever it matters, never from memory: it holds on all nodes
//! at once, and so does its end.

use std::sync::atomic::{AtomicBool, Ordering};

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ids::{RotationId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    CommitError, MarkReads, Op, ReadError, Record, RotationFilter, RotationReads, SecretReads,
    StoreMarks, Unit, UnitName,
};
use scaivault_core::rotation::{Finding, Phase, Rotation};
use scaivault_core::time::Timestamp;
use tokio::sync::Notify;

use super::relearn::{Walk, learned};
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// Rotations raised in one commit.
const RAISED_MAX: usize = 64;

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
    /// When the last attached credential was looked at, by whichever node; nothing before all have.
    pub looked_at: Option<Timestamp>,
    /// What was found, by target and path; while looks are under way, some of it.
    pub attachments: Vec<Reconciled>,
}

/// What this node's looks wait for, and whether it held when the mark was read last.
#[derive(Default)]
pub(crate) struct LastLook {
    asked: Notify,
    held: AtomicBool,
}

impl LastLook {
    /// Another look is wanted.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }
}

impl Vault {
    /// Whether targets are not to be changed, because the store was restored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_reconcile_only(&self) -> Result<bool, ReadError> {
        let held = MarkReads::marks(&*self.store).await?.restored_at.is_some();
        self.last_look.held.store(held, Ordering::Relaxed);
        Ok(held)
    }

    /// The same as this node's workers found it last: for showing it, not for deciding.
    pub fn was_reconcile_only(&self) -> bool {
        self.last_look.held.load(Ordering::Relaxed)
    }

    /// Refuses what would change a target while the store is only reconciled.
    pub(crate) async fn not_restored(&self) -> Result<(), VaultError> {
        match self.is_reconcile_only().await? {
            true => Err(VaultError::Restored),
            false => Ok(()),
        }
    }

    /// Completes when another look at the targets is wanted of this node.
    pub async fn reconcile_asked(&self) {
        self.last_look.asked.notified().await;
    }

    /// What is known after a restore.
    ///
    /// # Errors
    /// [`VaultError::Scope`]; when the store cannot be read or written.
    pub async fn reconciliation(&self, caller: &Caller) -> Result<Reconciliation, VaultError> {
        self.require_operator(caller, Action::StoreReconcile)
            .await?;
        let marks = MarkReads::marks(&*self.store).await?;
        let row = caller.row(
            Action::StoreReconcile,
            None,
            self.now(),
            AuditExtra::default(),
        );
        self.commit(Unit::audit_only(row)).await?;
        self.reconciled(caller, marks).await
    }

    /// While the store is only reconciled: every attached credential is tried once more.
    ///
    /// # Errors
    /// [`VaultError::Scope`]; when the store cannot be read or written: then some are, and it may
    /// be asked again.
    pub async fn reconcile_again(&self, caller: &Caller) -> Result<Reconciliation, VaultError> {
        self.require_operator(caller, Action::StoreReconcile)
            .await?;
        let marks = MarkReads::marks(&*self.store).await?;
        let extra = AuditExtra {
            reason: Some("again".to_owned()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::StoreReconcile, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        if marks.restored_at.is_some() {
            self.unlearn().await?;
        }
        self.reconciled(caller, marks).await
    }

    /// What all nodes learned.
    async fn reconciled(
        &self,
        caller: &Caller,
        marks: StoreMarks,
    ) -> Result<Reconciliation, VaultError> {
        let mut known = Reconciliation {
            marks,
            ..Reconciliation::default()
        };
        let Some(restored_at) = marks.restored_at else {
            return Ok(known);
        };
        let (mut last, mut is_whole) = (restored_at, true);
        let mut walk = Walk::new(self).await?;
        while let Some((target, rows)) = walk.next(self).await? {
            for row in rows {
                let Some(learned) = learned(&row, restored_at) else {
                    is_whole = false;
                    continue;
                };
                last = last.max(learned.at);
                if row.tenant != *caller.tenant() || learned.version == 0 {
                    continue;
                }
                known.attachments.push(Reconciled {
                    path: row.path.clone(),
                    target_id: target.id.clone(),
                    target_name: target.name.clone(),
                    version: learned.version,
                    found: learned.found,
                    accepted: learned.accepted.clone(),
                    rotation_id: row.open_rotation.clone(),
                });
            }
        }
        known.looked_at = is_whole.then_some(last);
        known
            .attachments
            .sort_by(|a, b| (&a.target_name, &a.path).cmp(&(&b.target_name, &b.path)));
        Ok(known)
    }

    /// Says that reality has been learned again: rotations, campaigns and debts go on. Every number
    /// that goes with a change at a target begins again above all that were given out before.
    ///
    /// # Errors
    /// [`VaultError::Scope`]; [`VaultError::NotLooked`] before all targets have been looked at,
    /// unless `without_look`; when the store cannot be written: then it stays as it is, and may be
    /// asked again.
    pub async fn store_resume(
        &self,
        caller: &Caller,
        without_look: bool,
    ) -> Result<StoreMarks, VaultError> {
        let action = Action::StoreResume;
        self.require_operator(caller, action).await?;
        let marks = MarkReads::marks(&*self.store).await?;
        if marks.restored_at.is_none() {
            return Ok(marks);
        }
        if !without_look && self.reconciled(caller, marks).await?.looked_at.is_none() {
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
