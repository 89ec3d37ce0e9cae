//! The steps of a rotation at a target that change which version readers get, and those that end
//! it. Each is one compare-and-swap on the head, or one closing of a version.

use scaivault_core::ports::{Login, Record, SecretReads, Unit, UnitName};
use scaivault_core::rotation::{AtTarget, Phase, Reason, Rotation};
use scaivault_core::secret::{SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

use super::at_target::Session;
use super::worker::StepError;
use crate::caller::Caller;
use crate::events;
use crate::secrets::aging_ops;
use crate::tally::Tally;
use crate::vault::Vault;

impl Vault {
    /// Logs in with the candidate; when that worked, readers get it from the same commit on.
    pub(super) async fn target_verify(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        session: &Session,
    ) -> Result<Rotation, StepError> {
        let call = session.call(rotation, at);
        let candidate = rotation.to_version.unwrap_or(0);
        let login = self.log_in(session, &call, rotation, candidate).await?;
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
        if let Some((assignment, policy)) = self.attachment_of(rotation).await? {
            let promoted = assignment.promoted(policy.as_ref(), now);
            unit = unit.put(Record::Assignment(promoted));
        }
        let updated = match rotation.from_version {
            0 => events::created(&head, caller),
            old => events::updated(&head, old, caller, true),
        };
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
        if let Some((assignment, policy)) = self.attachment_of(rotation).await? {
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
}
