//! The steps of a rotation at a target. Each effect has its mark committed before it is sent and
//! its outcome after; looks change nothing and are committed as what was seen. Nothing here
//! decides: the machine in core does, and says which row follows.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, Call, Candidate, Connector, Effect as Done, Login, NewField, Op, Record,
    RotationPolicyReads, SecretReads, TargetReads, Unit, UnitName,
};
use scaivault_core::rotation::{
    AtTarget, Effect, EffectOutcome, Jitter, Look, Phase, Reason, Rotation,
};
use scaivault_core::seal::Sealer;
use scaivault_core::secret::{SealedVersion, SecretHead, Version, VersionState};
use scaivault_core::target::{Target, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::candidate::replaced;
use super::worker::{HOLD, StepError};
use crate::caller::Caller;
use crate::events;
use crate::secrets::{aging_ops, data_place};
use crate::tally::Tally;
use crate::vault::Vault;

/// Everything a connector is told, owned.
struct Session {
    target: Target,
    connector: Arc<dyn Connector>,
    manager: Option<Plaintext>,
    promoted_for: Option<Duration>,
}

impl Session {
    fn call<'a>(&'a self, rotation: &'a Rotation, at: &'a AtTarget) -> Call<'a> {
        Call {
            settings: &self.target.settings,
            account: &at.attached.account,
            overlap: at.attached.overlap,
            manager: self.manager.as_ref(),
            tag: rotation.id.as_str(),
            epoch: rotation.epoch(),
            promoted_for: self.promoted_for,
        }
    }
}

impl Vault {
    fn jitter(&self) -> Jitter {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        Jitter(u64::from_le_bytes(bytes))
    }

    /// The target with its connector and its manager's value. The reason when there is no such
    /// target, trouble when its manager's value is not there.
    async fn session(
        &self,
        rotation: &Rotation,
        at: &AtTarget,
        now: Timestamp,
    ) -> Result<Result<Session, Reason>, StepError> {
        let id = &at.attached.target_id;
        let target = TargetReads::target_find(&*self.store, &rotation.tenant, id).await?;
        let Some(target) = target else {
            return Ok(Err(Reason::TargetGone));
        };
        let Some(connector) = self.connectors.get(&target.connector) else {
            return Ok(Err(Reason::TargetGone));
        };
        let manager = match &target.manager_path {
            Some(path) => self.current_value(rotation, path).await?,
            None => None,
        };
        let since = match rotation.phase {
            Phase::RollingBack => at.demoted_at,
            _ => at.promoted_at,
        };
        Ok(Ok(Session {
            target,
            connector,
            manager,
            promoted_for: since.map(|since| now.since(since)),
        }))
    }

    async fn current_value(
        &self,
        rotation: &Rotation,
        path: &scaivault_core::path::SecretPath,
    ) -> Result<Option<Plaintext>, StepError> {
        let opened = SecretReads::secret_open(&*self.store, &rotation.tenant, path, None).await?;
        let Some((head, Some(row))) = opened.filter(|(head, _)| !head.is_deleted()) else {
            return Ok(None);
        };
        let place = data_place(&head, row.version.version);
        Ok(Some(Sealer::open(self.sealer(), place, &row.sealed)?))
    }

    async fn value_of(
        &self,
        rotation: &Rotation,
        version: u64,
    ) -> Result<Option<Plaintext>, StepError> {
        let path = &rotation.path;
        let opened =
            SecretReads::secret_open(&*self.store, &rotation.tenant, path, Some(version)).await?;
        let Some((head, Some(row))) = opened else {
            return Ok(None);
        };
        let place = data_place(&head, version);
        Ok(Some(Sealer::open(self.sealer(), place, &row.sealed)?))
    }

    /// Commits the row that follows; parking is told.
    async fn follow(
        &self,
        name: UnitName,
        caller: &Caller,
        rotation: &Rotation,
        next: Rotation,
        more: impl FnOnce(Unit) -> Unit,
    ) -> Result<Rotation, StepError> {
        let now = self.now();
        let mut unit = more(self.step_unit(name, caller, &next, now));
        let parked = next.phase == Phase::Parked && rotation.phase != Phase::Parked;
        if parked && let Some(reason) = next.reason {
            unit = unit.emit(self.failed_event(caller, &next, reason, now));
        }
        self.commit(unit).await?;
        if parked {
            Tally::add(&self.tally.rotations_failed);
        }
        Ok(next)
    }

    /// Plans the candidate: made here, it is sealed and committed alone; minted there, the
    /// intent is.
    pub(super) async fn target_plan(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let session = match self.session(rotation, at, now).await? {
            Ok(session) => session,
            Err(reason) => return self.target_park(caller, rotation, reason, now).await,
        };
        let opened =
            SecretReads::secret_open(&*self.store, &rotation.tenant, &rotation.path, None).await?;
        let Some((head, current)) = opened else {
            return self
                .target_park(caller, rotation, Reason::SecretDeleted, now)
                .await;
        };
        let current = match current {
            Some(row) => {
                let place = data_place(&head, row.version.version);
                Some(Sealer::open(self.sealer(), place, &row.sealed)?)
            }
            None => None,
        };
        let call = session.call(rotation, at);
        let planned = session
            .connector
            .candidate(&call, current.as_ref(), &*self.entropy);
        let fields = match planned {
            Ok(Candidate::Made(fields)) => fields,
            Ok(Candidate::Minted) => {
                let next = rotation.planned(None, now);
                return self
                    .follow(UnitName::RotationPlan, caller, rotation, next, |unit| unit)
                    .await;
            }
            Err(trouble) => return self.target_trouble(caller, rotation, trouble, now).await,
        };
        let number = head.latest_version + 1;
        let Some(row) = self.sealed_row(
            caller,
            rotation,
            &head,
            number,
            current.as_ref(),
            &fields,
            now,
        )?
        else {
            let trouble = TroubleKind::Credential.into();
            return self.target_trouble(caller, rotation, trouble, now).await;
        };
        let next = rotation.planned(Some(number), now);
        self.follow(UnitName::RotationPlan, caller, rotation, next, |unit| {
            unit.put(Record::Secret(with_latest(head, number)))
                .op(Op::VersionInsert(row))
        })
        .await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place that seals, all of it needed"
    )]
    fn sealed_row(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        head: &SecretHead,
        number: u64,
        current: Option<&Plaintext>,
        fields: &[NewField],
        now: Timestamp,
    ) -> Result<Option<SealedVersion>, StepError> {
        let Some(value) = replaced(current, fields) else {
            return Ok(None);
        };
        let sealed = Sealer::seal(self.sealer(), data_place(head, number), &value)?;
        let version = Version {
            tenant: head.tenant.clone(),
            path: head.path.clone(),
            version: number,
            state: VersionState::Pending,
            readable_until: None,
            rotation_id: Some(rotation.id.clone()),
            created_at: now,
            created_by: caller.identity().clone(),
            revision: 1,
        };
        Ok(Some(SealedVersion { version, sealed }))
    }

    async fn target_trouble(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        trouble: Trouble,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let outcome = EffectOutcome::NotApplied(trouble);
        let next = rotation.sent(Effect::Apply, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, rotation, next, |unit| unit)
            .await
    }

    pub(super) async fn target_park(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.parked_at_target(reason, now);
        self.follow(UnitName::RotationPark, caller, rotation, next, |unit| unit)
            .await
    }

    /// Mark, effect, outcome.
    pub(super) async fn target_send(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        effect: Effect,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let session = match self.session(rotation, at, now).await? {
            Ok(session) => session,
            Err(reason) => return self.target_park(caller, rotation, reason, now).await,
        };
        // Everything that can fail here fails before the mark.
        let new = match rotation.to_version {
            Some(version) => self.value_of(rotation, version).await?,
            None => None,
        };
        let old = match rotation.from_version {
            0 => None,
            version => self.value_of(rotation, version).await?,
        };
        let marked = rotation.sending(effect, now.plus(HOLD));
        let marked = self
            .follow(UnitName::RotationSend, caller, rotation, marked, |unit| {
                unit
            })
            .await?;
        let call = session.call(&marked, at);
        let (dead, kept) = match rotation.phase {
            Phase::RollingBack => (new.as_ref(), old.as_ref()),
            _ => (old.as_ref(), new.as_ref()),
        };
        let connector = &session.connector;
        let done = match (effect, dead, kept) {
            (Effect::Apply, _, Some(new)) if at.attached.is_manager => {
                connector.apply_manager(&call, new).await
            }
            (Effect::Apply, old, new) => connector.apply(&call, new, old).await,
            (Effect::Clear, _, _) => connector.clear(&call).await,
            (Effect::Retire, Some(dead), kept) => connector.retire(&call, dead, kept).await,
            (Effect::Heal | Effect::Restore, _, Some(kept)) => {
                connector.apply(&call, Some(kept), None).await
            }
            (Effect::Retire | Effect::Heal | Effect::Restore, _, _) => {
                Done::NotApplied(TroubleKind::Credential.into())
            }
        };
        self.target_sent(caller, &marked, effect, done, old.as_ref())
            .await
    }

    async fn target_sent(
        &self,
        caller: &Caller,
        marked: &Rotation,
        effect: Effect,
        done: Done,
        current: Option<&Plaintext>,
    ) -> Result<Rotation, StepError> {
        let now = self.now();
        let outcome = match done {
            Done::Applied(fields) if effect == Effect::Apply && marked.to_version.is_none() => {
                return self
                    .target_minted(caller, marked, &fields, current, now)
                    .await;
            }
            Done::Applied(_) => EffectOutcome::Applied { minted: None },
            Done::NotApplied(trouble) => EffectOutcome::NotApplied(trouble),
            Done::Unknown(trouble) => EffectOutcome::Unknown(trouble),
        };
        let next = marked.sent(effect, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, marked, next, |unit| unit)
            .await
    }

    /// What the target minted is sealed and committed with the outcome. When that is lost, the
    /// mark stays, and what was minted is found by its tag and cleared.
    async fn target_minted(
        &self,
        caller: &Caller,
        marked: &Rotation,
        fields: &[NewField],
        current: Option<&Plaintext>,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let head = SecretReads::secret_find(&*self.store, &marked.tenant, &marked.path).await?;
        let Some(head) = head else {
            return Ok(marked.clone());
        };
        let number = head.latest_version + 1;
        let row = self.sealed_row(caller, marked, &head, number, current, fields, now)?;
        let Some(row) = row else {
            let trouble = Trouble::from(TroubleKind::Credential);
            let outcome = EffectOutcome::Unknown(trouble);
            let next = marked.sent(Effect::Apply, outcome, self.jitter(), now);
            return self
                .follow(UnitName::RotationSent, caller, marked, next, |unit| unit)
                .await;
        };
        let outcome = EffectOutcome::Applied {
            minted: Some(number),
        };
        let next = marked.sent(Effect::Apply, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, marked, next, |unit| {
            unit.put(Record::Secret(with_latest(head, number)))
                .op(Op::VersionInsert(row))
        })
        .await
    }

    /// Looks, and commits what was seen.
    pub(super) async fn target_look(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        look: Look,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let session = match self.session(rotation, at, now).await? {
            Ok(session) => session,
            Err(reason) => return self.target_park(caller, rotation, reason, now).await,
        };
        let call = session.call(rotation, at);
        let back = rotation.phase == Phase::RollingBack;
        let new = rotation.to_version.unwrap_or(0);
        let (dead, kept) = match back {
            true => (new, rotation.from_version),
            false => (rotation.from_version, new),
        };
        let jitter = self.jitter();
        let next = match look {
            Look::Candidate => {
                let login = self.log_in(&session, &call, rotation, new).await?;
                rotation.looked_for_candidate(&login, jitter, self.now())
            }
            Look::Residue => {
                let residue = session.connector.residue(&call).await;
                rotation.looked_for_residue(&residue, jitter, self.now())
            }
            Look::Sessions => {
                let Some(value) = self.value_of(rotation, dead).await? else {
                    return self
                        .target_trouble(caller, rotation, TroubleKind::Credential.into(), now)
                        .await;
                };
                let sessions = session.connector.sessions(&call, &value).await;
                rotation.looked_at_sessions(&sessions, jitter, self.now())
            }
            Look::Retired => {
                let dead = self.log_in(&session, &call, rotation, dead).await?;
                let kept = match kept {
                    0 => None,
                    kept => Some(self.log_in(&session, &call, rotation, kept).await?),
                };
                let now = self.now();
                match rotation.looked_at_retired(&dead, kept.as_ref(), jitter, now) {
                    Some(next) => next,
                    None if back => rotation.candidate_dead(now),
                    None => return self.target_complete(caller, rotation, now).await,
                }
            }
        };
        self.follow(UnitName::RotationLook, caller, rotation, next, |unit| unit)
            .await
    }

    async fn log_in(
        &self,
        session: &Session,
        call: &Call<'_>,
        rotation: &Rotation,
        version: u64,
    ) -> Result<Login, StepError> {
        Ok(match self.value_of(rotation, version).await? {
            Some(value) => session.connector.login(call, &value).await,
            None => Login::Unknown(TroubleKind::Credential.into()),
        })
    }

    /// Logs in with the candidate; when that worked, readers get it from the same commit on.
    pub(super) async fn target_verify(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let session = match self.session(rotation, at, now).await? {
            Ok(session) => session,
            Err(reason) => return self.target_park(caller, rotation, reason, now).await,
        };
        let call = session.call(rotation, at);
        let candidate = rotation.to_version.unwrap_or(0);
        let login = self.log_in(&session, &call, rotation, candidate).await?;
        if login != Login::Accepted {
            let next = rotation.not_verified(&login, self.jitter(), self.now());
            return self
                .follow(UnitName::RotationLook, caller, rotation, next, |unit| unit)
                .await;
        }
        let now = self.now();
        let next = rotation.promoted_at_target(now);
        let unit = self.step_unit(UnitName::RotationPromote, caller, &next, now);
        let states = [
            (candidate, VersionState::Current),
            (rotation.from_version, VersionState::Previous),
        ];
        let (head, mut unit) = self.switch(unit, rotation, candidate, states, now).await?;
        if let Some(assignment) = self.assignment_of(rotation).await? {
            let policy = RotationPolicyReads::rotation_policy_find(
                &*self.store,
                &rotation.tenant,
                &assignment.policy_id,
            )
            .await?;
            unit = unit.put(Record::Assignment(
                assignment.promoted(policy.as_ref(), now),
            ));
        }
        let updated = events::updated(&head, rotation.from_version, caller, true);
        let rotated = events::rotated(&head, &next, true);
        let unit = unit
            .emit(self.event(caller, updated, now))
            .emit(self.event(caller, rotated, now));
        self.commit(unit).await?;
        Tally::add(&self.tally.rotations_succeeded);
        Ok(next)
    }

    /// Readers get the old version again: one compare-and-swap on the head.
    pub(super) async fn target_demote(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.demoted(now);
        let unit = self.step_unit(UnitName::RotationDemote, caller, &next, now);
        let new = rotation.to_version.unwrap_or(0);
        let states = [
            (new, VersionState::Previous),
            (rotation.from_version, VersionState::Current),
        ];
        let (head, unit) = self
            .switch(unit, rotation, rotation.from_version, states, now)
            .await?;
        let updated = events::updated(&head, new, caller, true);
        self.commit(unit.emit(self.event(caller, updated, now)))
            .await?;
        Ok(next)
    }

    /// Which version readers get, and the states of the two that change.
    async fn switch(
        &self,
        mut unit: Unit,
        rotation: &Rotation,
        current: u64,
        states: [(u64, VersionState); 2],
        now: Timestamp,
    ) -> Result<(SecretHead, Unit), StepError> {
        let head = self.head_of(rotation).await?.ok_or(StepError::LostRace)?;
        let from = match rotation.phase {
            Phase::RollingBack => rotation.to_version.unwrap_or(0),
            _ => rotation.from_version,
        };
        if head.current_version != from {
            return Err(StepError::LostRace);
        }
        let head = SecretHead {
            current_version: current,
            updated_at: now,
            expires_at: None,
            revision: head.revision + 1,
            ..head
        };
        unit = unit.put(Record::Secret(head.clone()));
        let mut rows =
            SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path).await?;
        for row in &mut rows {
            let state = states.iter().find(|(version, _)| *version == row.version);
            if let Some((_, state)) = state {
                row.state = *state;
                row.readable_until = None;
                row.revision += 1;
                unit = unit.put(Record::Version(row.clone()));
            }
        }
        unit.ops.extend(aging_ops(&head, &rows, now));
        Ok((head, unit))
    }

    /// The old credential is proven dead: its version is closed, the schedule goes on.
    pub(super) async fn target_complete(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.completed(now);
        let head = self.head_of(rotation).await?;
        let unit = self.step_unit(UnitName::RotationClose, caller, &next, now);
        let event = events::completed(head.as_ref(), &next);
        let unit = unit.emit(self.event(caller, event, now));
        self.end_at_target(
            unit,
            rotation,
            rotation.from_version,
            VersionState::Closed,
            now,
        )
        .await?;
        Ok(next)
    }

    /// The candidate is proven dead, or was never told: its version is withdrawn.
    pub(super) async fn target_finish(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.rolled_back(now);
        let unit = self.step_unit(UnitName::RotationFinish, caller, &next, now);
        let reason = next.reason.unwrap_or(Reason::ByHand);
        let unit = unit.emit(self.failed_event(caller, &next, reason, now));
        let was_read = rotation
            .at_target
            .as_ref()
            .is_some_and(|at| at.promoted_at.is_some());
        let state = match was_read {
            true => VersionState::Closed,
            false => VersionState::Withdrawn,
        };
        let candidate = rotation.to_version.unwrap_or(0);
        self.end_at_target(unit, rotation, candidate, state, now)
            .await?;
        Tally::add(&self.tally.rotations_failed);
        Ok(next)
    }

    async fn end_at_target(
        &self,
        mut unit: Unit,
        rotation: &Rotation,
        version: u64,
        state: VersionState,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let rows =
            SecretReads::version_list(&*self.store, &rotation.tenant, &rotation.path).await?;
        if let Some(row) = rows.into_iter().find(|row| row.version == version) {
            unit = unit.put(Record::Version(Version {
                state,
                revision: row.revision + 1,
                ..row
            }));
        }
        let (tenant, path) = (&rotation.tenant, &rotation.path);
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let ours = assignment.filter(|found| found.open_rotation.as_ref() == Some(&rotation.id));
        if let Some(assignment) = ours {
            let policy_id = &assignment.policy_id;
            let policy =
                RotationPolicyReads::rotation_policy_find(&*self.store, tenant, policy_id).await?;
            // One that brought no new value is tried again an interval later.
            let released = match rotation.phase {
                Phase::RollingBack => assignment.rotated(policy.as_ref(), now),
                _ => assignment.released(now),
            };
            unit = unit.put(Record::Assignment(released));
        }
        self.commit(unit).await?;
        Ok(())
    }

    /// A step that changes nothing but the row.
    pub(super) async fn target_go(
        &self,
        name: UnitName,
        caller: &Caller,
        rotation: &Rotation,
        next: Rotation,
    ) -> Result<Rotation, StepError> {
        self.follow(name, caller, rotation, next, |unit| unit).await
    }
}

fn with_latest(head: SecretHead, number: u64) -> SecretHead {
    SecretHead {
        latest_version: number,
        revision: head.revision + 1,
        ..head
    }
}
