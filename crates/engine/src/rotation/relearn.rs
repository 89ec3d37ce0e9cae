//! The looks at the targets while a restored store is only reconciled.
//!
//! A login that is refused may count towards locking the account, whose users may hold the right
//! password. So what was learned is kept with the attachment, where every node sees it: a node
//! holds the attachment while it tries, and nobody tries again what was refused, until the value or
//! the target's settings change, or an operator asks for another look.

use std::collections::VecDeque;
use std::time::Duration;

use scaivault_core::ids::TenantId;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Login, MarkReads, Record, SecretReads, TargetReads, Unit,
    UnitName,
};
use scaivault_core::rotation::{Assignment, Attached, Finding, Relearned};
use scaivault_core::secret::{SealedVersion, SecretHead, VersionState};
use scaivault_core::target::Target;
use scaivault_core::time::Timestamp;

use super::worker::{HOLD, StepError, settle};
use crate::error::{RACES_MAX, VaultError};
use crate::vault::{Stopwatch, Vault};

/// Rows read at a time.
const ROWS_MAX: usize = 1_000;
/// Rows written in one commit.
const WRITTEN_MAX: usize = 64;
/// Logins in a row that did not reach a target before the rest of its credentials is passed over.
const UNREACHED_MAX: usize = 2;
/// A target that was not reached is tried again after this.
const UNREACHED_AGAIN: Duration = Duration::from_secs(3_600);
/// Other versions tried where what readers get is refused: with that one, fewer logins than any
/// sensible target locks an account for.
const OTHERS_MAX: usize = 2;

/// All attached credentials of all tenants, some at a time.
#[derive(Default)]
pub(super) struct Walk {
    tenants: Vec<TenantId>,
    last_target: Option<String>,
    targets: VecDeque<Target>,
    last_path: Option<String>,
}

impl Walk {
    pub(super) async fn new(vault: &Vault) -> Result<Self, VaultError> {
        let mut walk = Self::default();
        for tenant in SecretReads::secret_counts(&*vault.store).await?.into_keys() {
            if vault.seat_in(&tenant).await?.1 {
                walk.tenants.push(tenant);
            }
        }
        Ok(walk)
    }

    /// Some more of one target; nothing at the end.
    pub(super) async fn next(
        &mut self,
        vault: &Vault,
    ) -> Result<Option<(Target, Vec<Assignment>)>, VaultError> {
        let store = &*vault.store;
        loop {
            if let Some(target) = self.targets.front().cloned() {
                let (tenant, after) = (&target.tenant, self.last_path.take());
                let after = after.as_deref();
                let rows = AssignmentReads::assignment_at_target(
                    store, tenant, &target.id, after, ROWS_MAX,
                );
                let mut rows = rows.await?;
                match rows.last().filter(|_| rows.len() == ROWS_MAX) {
                    Some(last) => self.last_path = Some(last.path.as_str().to_owned()),
                    None => drop(self.targets.pop_front()),
                }
                rows.retain(|row| row.attached.is_some());
                if !rows.is_empty() {
                    return Ok(Some((target, rows)));
                }
            } else if let Some(tenant) = self.tenants.last() {
                let after = self.last_target.take();
                let rows = TargetReads::target_list(store, tenant, after.as_deref(), ROWS_MAX);
                let rows = rows.await?;
                match rows.last().filter(|_| rows.len() == ROWS_MAX) {
                    Some(last) => self.last_target = Some(last.id.as_str().to_owned()),
                    None => drop(self.tenants.pop()),
                }
                self.targets = rows.into();
            } else {
                return Ok(None);
            }
        }
    }
}

/// What was learned of this row after this restore.
pub(super) fn learned(row: &Assignment, restored_at: Timestamp) -> Option<&Relearned> {
    let learned = row.probe.relearned.as_ref();
    learned.filter(|learned| learned.restored_at == restored_at)
}

/// What is there to try.
struct Tried {
    head: SecretHead,
    value: Option<SealedVersion>,
}

impl Vault {
    /// While the store is only reconciled: tries every attached credential of which nothing is known
    /// yet. Answers how many were looked at.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn reconcile_run_once(&self) -> Result<usize, VaultError> {
        self.reconcile_run_until(&|| false).await
    }

    /// The same, but ends after the credential in hand once it is to stop. The next run goes on
    /// from there.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn reconcile_run_until(
        &self,
        is_to_stop: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<usize, VaultError> {
        // For whoever shows it.
        self.is_reconcile_only().await?;
        let Some(restored_at) = MarkReads::marks(&*self.store).await?.restored_at else {
            return Ok(0);
        };
        let mut walk = Walk::new(self).await?;
        let (mut looked_at, mut at, mut unreached) = (0, None, 0);
        while let Some((target, rows)) = walk.next(self).await? {
            if at.replace(target.id.clone()).as_ref() != Some(&target.id) {
                unreached = 0;
            }
            for row in rows {
                if is_to_stop() {
                    return Ok(looked_at);
                }
                let passed_over = unreached >= UNREACHED_MAX;
                let looked = self.relearn(&target, row, restored_at, passed_over).await;
                match looked {
                    Ok(None) | Err(StepError::LostRace) => continue,
                    Ok(Some(Some(Finding::Unreachable))) => unreached += 1,
                    Ok(Some(_)) => unreached = 0,
                    Err(StepError::Vault(error)) => return Err(error),
                }
                looked_at += 1;
            }
        }
        Ok(looked_at)
    }

    /// Looks at one credential, if it is to be looked at; what was found is kept with it.
    async fn relearn(
        &self,
        target: &Target,
        row: Assignment,
        restored_at: Timestamp,
        passed_over: bool,
    ) -> Result<Option<Option<Finding>>, StepError> {
        let now = self.now();
        if row.claimed_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        let (tenant, path) = (&row.tenant, &row.path);
        if let Some(known) = learned(&row, restored_at)
            && known.target_updated_at == target.updated_at
            && (known.found != Some(Finding::Unreachable) || now.since(known.at) < UNREACHED_AGAIN)
        {
            let head = SecretReads::secret_find(&*self.store, tenant, path).await?;
            let head = head.filter(|head| !head.is_deleted());
            if head.map_or(0, |head| head.current_version) == known.version {
                return Ok(None);
            }
        }
        // Somebody resumed the store meanwhile.
        if MarkReads::marks(&*self.store).await?.restored_at != Some(restored_at) {
            return Ok(None);
        }
        let opened = SecretReads::secret_open(&*self.store, tenant, path, None).await?;
        let opened = opened.filter(|(head, _)| !head.is_deleted());
        let version = opened.as_ref().map_or(0, |(head, _)| head.current_version);
        let tried = opened.map(|(head, value)| Tried { head, value });
        let (row, found, accepted) = match (&tried, &row.attached) {
            (Some(_), Some(_)) if passed_over => (row, Some(Finding::Unreachable), Vec::new()),
            (Some(tried), Some(at)) => {
                let (at, begun) = (at.clone(), self.stopwatch());
                let held = row.held(now.plus(HOLD));
                let unit = Unit::new(UnitName::ScheduleProbe);
                self.commit(unit.put(Record::Assignment(held.clone())))
                    .await?;
                let (found, accepted) = self.try_versions(tried, &at, &begun).await?;
                (held, found, accepted)
            }
            _ => (row, None, Vec::new()),
        };
        if let Some(found) = found {
            tracing::warn!(
                path = %row.path, target = %target.name, found = found.as_str(),
                "after the restore: the stored credential does not get in"
            );
        }
        let next = row.relearned(Some(Relearned {
            restored_at,
            at: self.now(),
            version,
            found,
            accepted,
            target_updated_at: target.updated_at,
        }));
        let unit = Unit::new(UnitName::ScheduleProbe).put(Record::Assignment(next));
        self.commit(unit).await?;
        Ok(Some(found))
    }

    /// Tries what readers get; where the target refuses that, some of what else is stored, unless
    /// the account turns out to be locked.
    async fn try_versions(
        &self,
        tried: &Tried,
        at: &Attached,
        begun: &Stopwatch,
    ) -> Result<(Option<Finding>, Vec<u64>), StepError> {
        let Tried { head, value } = tried;
        // The first version is still to be made.
        let Some(value) = value else {
            return Ok((Some(Finding::Unclear), Vec::new()));
        };
        let found = Finding::of(&self.probe_login(head, value, at).await?);
        let mut accepted = Vec::new();
        if !matches!(
            found,
            Some(Finding::ChangedOutside | Finding::AnotherAccount)
        ) {
            return Ok((found, accepted));
        }
        let (tenant, path) = (&head.tenant, &head.path);
        let versions = SecretReads::version_list(&*self.store, tenant, path).await?;
        let may_work = [
            VersionState::Pending,
            VersionState::Previous,
            VersionState::Owed,
        ];
        let others = versions.iter().filter(|row| may_work.contains(&row.state));
        let mut others: Vec<u64> = others.map(|row| row.version).collect();
        others.sort_unstable_by(|a, b| b.cmp(a));
        for version in others.into_iter().take(OTHERS_MAX) {
            // The claim may be over before the next one is.
            if self.took_since(begun) > HOLD / 2 {
                break;
            }
            let opened =
                SecretReads::secret_open(&*self.store, tenant, path, Some(version)).await?;
            let Some((head, Some(value))) = opened else {
                continue;
            };
            let login = self.probe_login(&head, &value, at).await?;
            match Finding::of(&login) {
                None => accepted.push(version),
                Some(Finding::Locked) => return Ok((Some(Finding::Locked), accepted)),
                Some(_) if matches!(login, Login::Unknown(_)) => break,
                Some(_) => {}
            }
        }
        Ok((found, accepted))
    }

    /// Forgets what was learned: every attached credential is tried again.
    pub(super) async fn unlearn(&self) -> Result<(), VaultError> {
        let mut walk = Walk::new(self).await?;
        while let Some((_, rows)) = walk.next(self).await? {
            for rows in rows.chunks(WRITTEN_MAX) {
                settle(self.unlearn_some(rows).await)?;
            }
        }
        self.last_look.ask();
        Ok(())
    }

    async fn unlearn_some(&self, rows: &[Assignment]) -> Result<(), StepError> {
        let mut rows = rows.to_vec();
        for _ in 0..RACES_MAX {
            rows.retain(|row| row.probe.relearned.is_some());
            if rows.is_empty() {
                return Ok(());
            }
            let mut unit = Unit::new(UnitName::ScheduleProbe);
            for row in &rows {
                unit = unit.put(Record::Assignment(Assignment {
                    claimed_until: row.claimed_until,
                    ..row.relearned(None)
                }));
            }
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
            // Somebody has one of them in hand: all of them as they are now.
            let mut now = Vec::with_capacity(rows.len());
            for row in &rows {
                let (tenant, path) = (&row.tenant, &row.path);
                now.extend(AssignmentReads::assignment_find(&*self.store, tenant, path).await?);
            }
            rows = now;
        }
        Err(StepError::Vault(VaultError::Unavailable(
            "what was learned changes too quickly: try again".into(),
        )))
    }
}
