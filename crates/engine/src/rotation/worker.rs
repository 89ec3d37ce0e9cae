//! The rotation worker: claims what is due, looks at it, does one step, starts over from the
//! record. `run_once` does all that is due now, in bounded slices.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ids::TargetId;
use scaivault_core::ports::{
    Claims, CommitError, ConsumerReads, Op, Record, RotationPolicyReads, SecretReads, Unit,
    UnitName,
};
use scaivault_core::rotation::{
    Assignment, Due, Observed, Reason, Rotation, RotationPolicy, Standing, Step, Trigger, decide,
    schedule, standing,
};
use scaivault_core::time::Span;

use super::guards::unfinished_at_target;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::events;
use crate::vault::Vault;

/// How long a worker holds what it claimed: longer than any call to a target may take. A worker
/// that is paused for longer loses the race at its next write.
pub(super) const HOLD: Duration = Duration::from_secs(60);

/// Rows claimed at a time.
const CLAIM_MAX: usize = 64;

/// Steps of one rotation in a row before others get their turn.
const STEPS_MAX: usize = 32;

/// An attachment whose secret or policy is gone waits so long for its rotation to end.
const ORPHAN_WAIT: Duration = Duration::from_secs(3_600);

/// Whom the audit trail names.
pub(super) const WORKER: &str = "rotation-scheduler";

impl Vault {
    /// Does one slice of everything that is due, one after the other. Answers how many rows were
    /// looked at; 0 means nothing is due.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was claimed comes free again by itself.
    pub async fn rotation_run_once(&self) -> Result<usize, VaultError> {
        let mut looked_at = self.schedule_run_once().await?;
        for claimed in self.targets_claim(&[], CLAIM_MAX).await? {
            looked_at += 1;
            self.target_work(claimed).await?;
        }
        looked_at += self.campaigns_run_once().await?;
        for claimed in self.probes_claim(&[], CLAIM_MAX).await? {
            looked_at += 1;
            self.probe_work(claimed).await?;
        }
        Ok(looked_at)
    }

    /// Claims rotations at targets that are due, at most one per target and none of those in
    /// `busy`: a target that hangs holds back nobody else.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn targets_claim(
        &self,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<ClaimedRotation>, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(Vec::new());
        }
        let rows =
            Claims::rotation_claim_at_targets(&*self.store, self.now(), HOLD, busy, limit).await?;
        Ok(rows.into_iter().map(ClaimedRotation).collect())
    }

    /// Carries a claimed rotation on as far as it goes now.
    ///
    /// # Errors
    /// When the store cannot be read or written; the claim comes free again by itself.
    pub async fn target_work(&self, claimed: ClaimedRotation) -> Result<(), VaultError> {
        settle(self.rotation_steps(claimed.0).await)
    }

    /// Does one slice of what is due without a target: schedules first, then rotations. Answers
    /// how many rows were looked at; 0 means nothing is due.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was claimed comes free again by itself.
    pub async fn schedule_run_once(&self) -> Result<usize, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(0);
        }
        let assignments =
            Claims::assignment_claim(&*self.store, self.now(), HOLD, CLAIM_MAX).await?;
        let rotations = Claims::rotation_claim(&*self.store, self.now(), HOLD, CLAIM_MAX).await?;
        let looked_at = assignments.len() + rotations.len();
        // Side by side, so that their commits share a sync. One row that cannot be worked on must
        // not stand before the others for ever; a store that does not serve stands before all.
        let steps = assignments
            .into_iter()
            .map(|assignment| self.assignment_step(assignment));
        let schedules = together(steps).await;
        let steps = rotations
            .into_iter()
            .map(|rotation| self.rotation_steps(rotation));
        let rotations = together(steps).await;
        schedules.and(rotations).map(|()| looked_at)
    }

    async fn assignment_step(&self, assignment: Assignment) -> Result<(), StepError> {
        let now = self.now();
        let caller = Caller::system(assignment.tenant.clone(), WORKER, now);
        let policy = RotationPolicyReads::rotation_policy_find(
            &*self.store,
            &assignment.tenant,
            &assignment.policy_id,
        )
        .await?;
        let head = SecretReads::secret_find(&*self.store, &assignment.tenant, &assignment.path)
            .await?
            .filter(|head| !head.is_deleted());
        let (Some(policy), Some(head)) = (policy, head) else {
            return self.assignment_orphaned(&caller, assignment).await;
        };
        // The policy may have been changed since the row was written: count again.
        let due_at = assignment.counted_again(&policy, now);
        let moved = due_at != assignment.next_rotation_at;
        let warned_s = if moved { None } else { assignment.warned_s };
        let assignment = Assignment {
            next_rotation_at: due_at,
            warned_s,
            ..assignment
        };
        match schedule(&assignment, &policy, now) {
            Due::Warn(threshold) => {
                let unit = warn_unit(&assignment, &policy, &threshold, now);
                let event = events::due_warning(&head, &assignment, &policy, &threshold);
                self.commit(unit.emit(self.event(&caller, event, now)))
                    .await?;
            }
            Due::Rotate => {
                let opened = self
                    .open_rotation(&caller, &head, &assignment, &policy, Trigger::Schedule)
                    .await?;
                if opened.at_target.is_none() {
                    self.rotation_steps(opened).await?;
                }
            }
            Due::Nothing(wake_at) => {
                let next = assignment.rescheduled(&policy, now);
                let next = Assignment { wake_at, ..next };
                let unit = Unit::new(UnitName::ScheduleWait).put(Record::Assignment(next));
                self.commit(unit).await?;
            }
        }
        Ok(())
    }

    /// An attachment made while its secret or policy was being deleted goes as well.
    async fn assignment_orphaned(
        &self,
        caller: &Caller,
        assignment: Assignment,
    ) -> Result<(), StepError> {
        let now = self.now();
        let extra = AuditExtra {
            rotation_policy_id: Some(assignment.policy_id.clone()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationUnassign, Some(&assignment.path), now, extra);
        let open = self.open_rotation_of(&assignment).await?;
        if unfinished_at_target(&open).is_some() {
            // What may be live at the target is looked after first.
            let next = assignment.postponed(now.plus(ORPHAN_WAIT));
            let unit = Unit::new(UnitName::ScheduleWait).put(Record::Assignment(next));
            self.commit(unit).await?;
            return Ok(());
        }
        let unit = Unit::new(UnitName::AssignmentDelete).audited(row);
        let unit = self
            .rotations_ended(caller, unit, open, Reason::Detached, now)
            .await?;
        self.commit(unit.op(Op::Delete(Record::Assignment(assignment))))
            .await?;
        Ok(())
    }

    /// Steps in a row while each leads to another at once. The claim is given back by the first
    /// write; from then on the number in each write guards alone.
    pub(super) async fn rotation_steps(&self, mut rotation: Rotation) -> Result<(), StepError> {
        self.not_restored().await?;
        for _ in 0..STEPS_MAX {
            let now = self.now();
            let observed = self.observe(&rotation).await?;
            let step = decide(&rotation, &observed, now);
            if let Step::Wait(wake_at) = step {
                if rotation.wake_at != wake_at || rotation.claimed_until.is_some() {
                    let unit = Unit::new(UnitName::RotationWait)
                        .put(Record::Rotation(rotation.waiting(wake_at)));
                    self.commit(unit).await?;
                }
                return Ok(());
            }
            rotation = self.perform(&rotation, step, &observed).await?;
            // The row says when it goes on: a target in trouble is given the time.
            if rotation.wake_at.is_some_and(|wake| wake > self.now()) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn observe(&self, rotation: &Rotation) -> Result<Observed, StepError> {
        let head = SecretReads::secret_find(&*self.store, &rotation.tenant, &rotation.path)
            .await?
            .filter(|head| !head.is_deleted());
        let candidate = match rotation.to_version {
            Some(version) => {
                SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path)
                    .await?
                    .into_iter()
                    .find(|row| row.version == version)
                    .map(|row| row.state)
            }
            None => None,
        };
        Ok(Observed {
            current_version: head.map(|head| head.current_version),
            candidate,
            standing: self.standing_of(rotation).await?,
            waits_for_turn: self.waits_for_turn(rotation).await?,
        })
    }

    /// Where the consumers of a rotation at a target stand.
    pub(super) async fn standing_of(&self, rotation: &Rotation) -> Result<Standing, StepError> {
        let Some(at) = &rotation.at_target else {
            return Ok(Standing::default());
        };
        let (tenant, path) = (&rotation.tenant, &rotation.path);
        let ledger = ConsumerReads::consumer_list(&*self.store, tenant, path).await?;
        let now = self.now();
        let mut standing = standing(&ledger, rotation.wanted(at), &at.rules, now);
        // The manager's credential is used by this server: its verification was the first use.
        standing.used |= at.attached.is_manager && at.promoted_at.is_some();
        Ok(standing)
    }
}

fn warn_unit(
    assignment: &Assignment,
    policy: &RotationPolicy,
    threshold: &Span,
    now: scaivault_core::time::Timestamp,
) -> Unit {
    Unit::new(UnitName::ScheduleWarn).put(Record::Assignment(
        assignment.warned(threshold, policy, now),
    ))
}

/// Runs steps side by side; of their errors, one that says that the store does not serve comes
/// first.
async fn together(
    steps: impl Iterator<Item = impl Future<Output = Result<(), StepError>>>,
) -> Result<(), VaultError> {
    let mut running: FuturesUnordered<_> = steps.collect();
    let mut first_error = None;
    while let Some(outcome) = running.next().await {
        match (settle(outcome), &first_error) {
            (Ok(()), _) | (Err(_), Some(VaultError::Unavailable(_))) => {}
            (Err(error @ VaultError::Unavailable(_)), _) | (Err(error), None) => {
                first_error = Some(error);
            }
            (Err(_), Some(_)) => {}
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// A rotation at a target, held by this worker.
pub struct ClaimedRotation(Rotation);

impl ClaimedRotation {
    /// Where it is.
    pub fn target_id(&self) -> Option<&TargetId> {
        self.0.target_id()
    }
}

/// Why a step ended early.
pub(super) enum StepError {
    /// Someone else was first: their write is what counts.
    LostRace,
    /// Anything else.
    Vault(VaultError),
}

impl From<CommitError> for StepError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::LostRace,
            other => Self::Vault(other.into()),
        }
    }
}

impl<E: Into<VaultError> + NotCommit> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::Vault(error.into())
    }
}

/// Errors that are never a lost race.
pub(super) trait NotCommit {}
impl NotCommit for scaivault_core::ports::ReadError {}
impl NotCommit for scaivault_core::seal::SealError {}
impl NotCommit for VaultError {}

/// A lost race is no failure: whoever was first has done it.
pub(super) fn settle(outcome: Result<(), StepError>) -> Result<(), VaultError> {
    match outcome {
        Ok(()) | Err(StepError::LostRace) => Ok(()),
        Err(StepError::Vault(error)) => Err(error),
    }
}
