//! The steps of a rotation, each one commit.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::event::Event;
use scaivault_core::ports::{
    AssignmentReads, NewField, Op, Record, RotationFilter, RotationPolicyReads, RotationReads,
    SecretPolicyReads, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::{
    Assignment, AtTarget, FailureKind, Observed, Phase, Reason, Rotation, RotationPolicy, Step,
};
use scaivault_core::seal::{Place, SealError, Sealer};
use scaivault_core::secret::{SealedVersion, SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

use super::alerts;
use super::candidate::{regenerate, replaced};
use super::guards::unfinished_at_target;
use super::worker::{StepError, WORKER};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::events;
use crate::secrets::{DATA_PLACE_KIND, aging_ops};
use crate::tally::Tally;
use crate::vault::Vault;

/// Attempts to make a value before a person is asked.
const GENERATE_ATTEMPTS_MAX: u32 = 8;
/// Wait before the second attempt; doubles from there.
const GENERATE_BACKOFF_S: u64 = 2;
/// Rotations of one secret that can drain at the same time and are ended with it.
const UNENDED_MAX: usize = 1_000;

/// Why a recipe made no value.
enum NoValue {
    /// It is gone or inactive.
    Unusable,
    /// It could not.
    Failed(VaultError),
}

impl Vault {
    /// Performs one step and answers the row that follows.
    pub(super) async fn perform(
        &self,
        rotation: &Rotation,
        step: Step,
        observed: &Observed,
    ) -> Result<Rotation, StepError> {
        let now = self.now();
        let caller = Caller::system(rotation.tenant.clone(), WORKER, now);
        if let Some(at) = &rotation.at_target {
            return self
                .perform_at_target(&caller, rotation, at, step, observed, now)
                .await;
        }
        match step {
            Step::Generate => self.generate(&caller, rotation, now).await,
            Step::Promote => self.promote(&caller, rotation, now).await,
            Step::Withdraw => {
                let current = observed.current_version.unwrap_or(rotation.from_version);
                let next = rotation.withdrawn(current, now);
                let unit = self.step_unit(UnitName::RotationWithdraw, &caller, &next, now);
                let unit = self.withdraw_candidate(unit, rotation).await?;
                self.commit(unit).await?;
                Ok(next)
            }
            Step::Overdue => {
                let next = rotation.parked(Reason::Overdue, now);
                let unit = self.step_unit(UnitName::RotationOverdue, &caller, &next, now);
                let unit = match self.head_of(rotation).await? {
                    Some(head) => {
                        unit.emit(self.event(&caller, events::overdue(&head, rotation), now))
                    }
                    None => unit,
                };
                self.commit(unit).await?;
                Tally::add(&self.tally.rotations_failed);
                Ok(next)
            }
            Step::Close => self.close(&caller, rotation, now).await,
            Step::Abandon(reason) => self.abandon(&caller, rotation, reason, now).await,
            Step::Park(reason) => self.park(&caller, rotation, reason, now).await,
            Step::Wait(until) => Ok(rotation.waiting(until)),
            Step::Send(_)
            | Step::Look(_)
            | Step::Verify
            | Step::Enter(_)
            | Step::Force
            | Step::Alert
            | Step::StepBack(_)
            | Step::Demote
            | Step::Finish
            | Step::Resume => {
                let reason = Reason::PhaseWithoutStep;
                self.park(&caller, rotation, reason, now).await
            }
        }
    }

    async fn perform_at_target(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        step: Step,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let (name, next) = match step {
            Step::Generate | Step::Send(_) | Step::Look(_) | Step::Verify => {
                let session = match self.session(rotation, at, now).await? {
                    Ok(session) => session,
                    Err(reason) => return self.target_park(caller, rotation, reason, now).await,
                };
                return match step {
                    Step::Send(effect) => {
                        self.target_send(caller, rotation, at, effect, &session)
                            .await
                    }
                    Step::Look(look) => {
                        self.target_look(caller, rotation, at, look, &session, now)
                            .await
                    }
                    Step::Verify => self.target_verify(caller, rotation, at, &session).await,
                    _ => self.target_plan(caller, rotation, at, &session, now).await,
                };
            }
            Step::Demote => return self.target_demote(caller, rotation, now).await,
            Step::Finish => return self.target_finish(caller, rotation, now).await,
            Step::Close => return self.target_complete(caller, rotation, now).await,
            Step::Abandon(reason) => return self.abandon(caller, rotation, reason, now).await,
            Step::Park(reason) => return self.target_park(caller, rotation, reason, now).await,
            Step::Enter(phase) => (UnitName::RotationEnter, rotation.entered(phase, now)),
            Step::Force => (UnitName::RotationEnter, rotation.forced(now)),
            Step::Alert => (UnitName::RotationEnter, rotation.alerted(now)),
            Step::StepBack(reason) => (
                UnitName::RotationStepBack,
                rotation.stepped_back(reason, now),
            ),
            Step::Resume => (UnitName::RotationEnter, rotation.resumed(false, now)),
            Step::Wait(until) => return Ok(rotation.waiting(until)),
            Step::Promote | Step::Withdraw | Step::Overdue => {
                let reason = Reason::PhaseWithoutStep;
                return self.target_park(caller, rotation, reason, now).await;
            }
        };
        let told = alerts::of_step(rotation, step, observed, now);
        let told = told.map(|draft| self.event(caller, draft, now));
        self.follow(name, caller, rotation, next, |unit| match told {
            Some(event) => unit.emit(event),
            None => unit,
        })
        .await
    }

    /// Makes the candidate and commits it alone, before anything else happens anywhere.
    async fn generate(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let opened =
            SecretReads::secret_open(&*self.store, &rotation.tenant, &rotation.path, None).await?;
        let Some((head, Some(current))) = opened else {
            return self
                .abandon(caller, rotation, Reason::SecretDeleted, now)
                .await;
        };
        let number = head.latest_version + 1;
        let made = match self.made_by_recipe(rotation, &head).await? {
            Ok(made) => made,
            Err(NoValue::Unusable) => {
                return self
                    .park(caller, rotation, Reason::RecipeUnusable, now)
                    .await;
            }
            Err(NoValue::Failed(error)) => {
                return self.generate_failed(caller, rotation, &error, now).await;
            }
        };
        let sealed = match self.seal_candidate(&head, &current, number, made.as_deref()) {
            Ok(Some(sealed)) => sealed,
            Ok(None) => {
                return self
                    .park(caller, rotation, Reason::NothingToGenerate, now)
                    .await;
            }
            Err(error) => return self.generate_failed(caller, rotation, &error, now).await,
        };
        let next = rotation.generated(number, head.current_version, now);
        let head = SecretHead {
            latest_version: number,
            revision: head.revision + 1,
            ..head
        };
        let version = Version {
            tenant: head.tenant.clone(),
            path: head.path.clone(),
            version: number,
            state: VersionState::Pending,
            readable_until: None,
            rotation_id: Some(rotation.id.clone()),
            created_at: now,
            created_by: caller.identity().clone(),
            deletes_at: None,
            revision: 1,
        };
        let mut unit = self
            .step_unit(UnitName::RotationGenerate, caller, &next, now)
            .put(Record::Secret(head))
            .op(Op::VersionInsert(SealedVersion { version, sealed }));
        unit.ops.extend(self.turn_ops(rotation).await?);
        self.commit(unit).await?;
        Ok(next)
    }

    async fn park(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.parked(reason, now);
        let unit = self
            .step_unit(UnitName::RotationPark, caller, &next, now)
            .emit(self.failed_event(caller, &next, reason, now));
        self.commit(unit).await?;
        Tally::add(&self.tally.rotations_failed);
        Ok(next)
    }

    /// `None`: the value has nothing that could be made anew.
    fn seal_candidate(
        &self,
        head: &SecretHead,
        current: &SealedVersion,
        number: u64,
        made: Option<&[NewField]>,
    ) -> Result<Option<scaivault_core::seal::Sealed>, SealError> {
        let place = |version| Place {
            tenant: &head.tenant,
            kind: DATA_PLACE_KIND,
            path: head.path.as_str(),
            version,
            field: "data",
        };
        let old = Sealer::open(
            self.sealer(),
            place(current.version.version),
            &current.sealed,
        )?;
        let fresh = match made {
            Some(made) => replaced(Some(&old), made),
            None => regenerate(&old, &*self.entropy),
        };
        match fresh {
            Some(fresh) => Sealer::seal(self.sealer(), place(number), &fresh).map(Some),
            None => Ok(None),
        }
    }

    /// The keys that the recipe of the rotation policy makes, or else that of the secret; `None`
    /// where neither has one.
    async fn made_by_recipe(
        &self,
        rotation: &Rotation,
        head: &SecretHead,
    ) -> Result<Result<Option<Vec<NewField>>, NoValue>, StepError> {
        let policy = self.attachment_of(rotation).await?;
        let policy = policy.and_then(|(_, policy)| policy);
        let of_policy = policy.and_then(|policy| policy.secret_policy_id);
        let Some(id) = of_policy.or_else(|| head.secret_policy_id.clone()) else {
            return Ok(Ok(None));
        };
        let found =
            SecretPolicyReads::secret_policy_find(&*self.store, &rotation.tenant, &id).await?;
        let Some(recipe) = found.filter(|recipe| recipe.is_active) else {
            return Ok(Err(NoValue::Unusable));
        };
        let made = self.recipe_made(&recipe.fields).await;
        Ok(made.map(Some).map_err(NoValue::Failed))
    }

    async fn generate_failed(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        error: &(dyn std::fmt::Display + Sync),
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        tracing::error!(rotation = %rotation.id, path = %rotation.path, %error, "no new value");
        if rotation.attempts + 1 >= GENERATE_ATTEMPTS_MAX {
            return self
                .park(caller, rotation, Reason::GenerateFailed, now)
                .await;
        }
        let wait = Duration::from_secs(GENERATE_BACKOFF_S << rotation.attempts.min(8));
        let next = rotation.failed(FailureKind::GenerateFailed, Some(now.plus(wait)), now);
        let unit = self.step_unit(UnitName::RotationFail, caller, &next, now);
        self.commit(unit).await?;
        // The wait is in the row; the loop of steps ends here.
        Err(StepError::LostRace)
    }

    /// Makes the candidate current: one compare-and-swap on the head.
    async fn promote(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let (Some(head), Some(candidate)) = (self.head_of(rotation).await?, rotation.to_version)
        else {
            return self
                .abandon(caller, rotation, Reason::SecretDeleted, now)
                .await;
        };
        let next = rotation.promoted(candidate, head.current_version, now);
        let old_version = head.current_version;
        let head = SecretHead {
            current_version: candidate,
            updated_at: now,
            expires_at: None,
            revision: head.revision + 1,
            ..head
        };
        let mut unit = self
            .step_unit(UnitName::RotationPromote, caller, &next, now)
            .put(Record::Secret(head.clone()));
        let mut rows =
            SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path).await?;
        for row in &mut rows {
            if row.version == candidate {
                row.state = VersionState::Current;
            } else if row.version == old_version {
                row.state = VersionState::Previous;
                row.readable_until = next.grace_ends_at;
            } else {
                continue;
            }
            row.revision += 1;
            unit = unit.put(Record::Version(row.clone()));
        }
        unit.ops.extend(aging_ops(&head, &rows, now));
        if let Some((assignment, policy)) = self.attachment_of(rotation).await? {
            let rotated = assignment.rotated(policy.as_ref(), now);
            unit = unit.put(Record::Assignment(rotated));
        }
        let updated = events::updated(&head, old_version, caller, true);
        let rotated = events::rotated(&head, &next, true);
        let unit = unit
            .emit(self.event(caller, updated, now))
            .emit(self.event(caller, rotated, now));
        self.commit(unit).await?;
        Tally::add(&self.tally.rotations_succeeded);
        Ok(next)
    }

    /// Closes the replaced version: from the clock's side it is unreadable already; the row says
    /// so now, and the rotation is complete.
    async fn close(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.completed(now);
        let mut unit = self.step_unit(UnitName::RotationClose, caller, &next, now);
        let replaced = SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path)
            .await?
            .into_iter()
            .find(|row| {
                row.version == rotation.from_version
                    && row.state == VersionState::Previous
                    && row.readable_until.is_none_or(|end| end <= now)
            });
        if let Some(row) = replaced {
            let revision = row.revision + 1;
            let closed = Version {
                state: VersionState::Closed,
                revision,
                ..row
            };
            unit = unit.put(Record::Version(closed));
        }
        let head = self.head_of(rotation).await?;
        let event = events::completed(head.as_ref(), &next);
        self.commit(unit.emit(self.event(caller, event, now)))
            .await?;
        Ok(next)
    }

    async fn abandon(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let (next, unit) = self.abandon_unit(caller, rotation, reason, now).await?;
        self.commit(unit).await?;
        if next.phase == Phase::RolledBack {
            Tally::add(&self.tally.rotations_failed);
        }
        Ok(next)
    }

    /// Ends rotations in the commit that takes away what they stand on: their secret, or its
    /// attachment. Each end has its audit row, in the name of whoever caused it; a candidate is
    /// withdrawn, so that none is forgotten.
    ///
    /// # Errors
    /// [`VaultError::RotationUnfinished`] for one at a target: what it may have left there would
    /// be looked after by nobody.
    pub(crate) async fn rotations_ended(
        &self,
        caller: &Caller,
        mut unit: Unit,
        rotations: Vec<Rotation>,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Unit, VaultError> {
        if let Some(id) = unfinished_at_target(&rotations) {
            return Err(VaultError::RotationUnfinished(id));
        }
        for rotation in rotations {
            if rotation.phase.is_final() {
                continue;
            }
            let (next, left) = self.ended_half_way(&rotation, reason, now).await?;
            let step = self.step_unit(unit.name, caller, &next, now);
            unit.ops.extend(left.ops);
            unit.ops.extend(step.ops);
            unit.audit.extend(step.audit);
        }
        Ok(unit)
    }

    /// The rotation an attachment points at, if there is one.
    pub(crate) async fn open_rotation_of(
        &self,
        assignment: &Assignment,
    ) -> Result<Vec<Rotation>, VaultError> {
        let found = match &assignment.open_rotation {
            Some(id) => RotationReads::rotation_find(&*self.store, &assignment.tenant, id).await?,
            None => None,
        };
        Ok(found.into_iter().collect())
    }

    /// Every rotation of a secret that has not ended.
    pub(crate) async fn rotations_unended(
        &self,
        head: &SecretHead,
    ) -> Result<Vec<Rotation>, VaultError> {
        let filter = RotationFilter {
            path: Some(head.path.clone()),
            phases: Phase::unfinished(),
            ..RotationFilter::default()
        };
        let most = UNENDED_MAX;
        Ok(RotationReads::rotation_list(&*self.store, &head.tenant, &filter, None, most).await?)
    }

    pub(super) async fn withdraw_candidate(
        &self,
        unit: Unit,
        rotation: &Rotation,
    ) -> Result<Unit, VaultError> {
        let Some(candidate) = rotation.to_version else {
            return Ok(unit);
        };
        let row = SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path)
            .await?
            .into_iter()
            .find(|row| row.version == candidate && row.state == VersionState::Pending);
        Ok(match row {
            Some(row) => {
                let revision = row.revision + 1;
                unit.put(Record::Version(Version {
                    state: VersionState::Withdrawn,
                    revision,
                    ..row
                }))
            }
            None => unit,
        })
    }

    pub(super) async fn head_of(
        &self,
        rotation: &Rotation,
    ) -> Result<Option<SecretHead>, StepError> {
        Ok(
            SecretReads::secret_find(&*self.store, &rotation.tenant, &rotation.path)
                .await?
                .filter(|head| !head.is_deleted()),
        )
    }

    /// The attachment, if it points at this rotation, and its policy, if it is still there.
    pub(super) async fn attachment_of(
        &self,
        rotation: &Rotation,
    ) -> Result<Option<(Assignment, Option<RotationPolicy>)>, StepError> {
        let (tenant, path) = (&rotation.tenant, &rotation.path);
        let found = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let ours = found.filter(|found| found.open_rotation.as_ref() == Some(&rotation.id));
        let Some(assignment) = ours else {
            return Ok(None);
        };
        let id = &assignment.policy_id;
        let policy = RotationPolicyReads::rotation_policy_find(&*self.store, tenant, id).await?;
        Ok(Some((assignment, policy)))
    }

    pub(super) fn step_unit(
        &self,
        name: UnitName,
        caller: &Caller,
        next: &Rotation,
        now: Timestamp,
    ) -> Unit {
        let extra = AuditExtra {
            version: next.to_version,
            old_version: Some(next.from_version),
            phase: Some(next.phase.as_str().to_owned()),
            error: next.reason.map(|reason| reason.as_str().to_owned()),
            rotation_id: Some(next.id.clone()),
            rotation_policy_id: Some(next.policy_id.clone()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationStep, Some(&next.path), now, extra);
        Unit::new(name)
            .put(Record::Rotation(next.clone()))
            .audited(row)
    }

    pub(super) fn failed_event(
        &self,
        caller: &Caller,
        next: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Event {
        self.event(
            caller,
            events::failed(next, reason.as_str(), reason.advice()),
            now,
        )
    }

    /// A `rotation.due` could not be delivered in any attempt: the rotation keeps waiting, and
    /// `rotation.failed` tells. The caller puts the result into the commit that ends the
    /// delivery.
    pub(crate) fn rotation_delivery_lost(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Option<(Rotation, Event)> {
        if !rotation.awaits_value() {
            return None;
        }
        let next = rotation.failed(FailureKind::DeliveryFailed, None, now);
        let detail = "the receiver of rotation.due did not accept it in any attempt; the \
                      rotation still waits for its new value";
        let event = events::failed(&next, FailureKind::DeliveryFailed.as_str(), detail);
        Some((next, self.event(caller, event, now)))
    }
}

impl From<StepError> for VaultError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::LostRace => Self::Unavailable("changed by someone else".into()),
            StepError::Vault(error) => error,
        }
    }
}
