//! Rotations that end half-way: by request, or because their secret or attachment goes. What the
//! target may still accept becomes a debt in the same commit.

use scaivault_core::debt::Debt;
use scaivault_core::ids::DebtId;
use scaivault_core::ports::{Record, SecretReads, Unit, UnitName};
use scaivault_core::rotation::{Observed, Phase, Reason, Rotation};
use scaivault_core::secret::{Version, VersionState};
use scaivault_core::time::Timestamp;

use super::alerts;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// The row of a rotation that ends now, and the unit that ends it.
    pub(super) async fn abandon_unit(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<(Rotation, Unit), VaultError> {
        let (next, ops) = self.ended_half_way(rotation, reason, now).await?;
        let mut unit = self.step_unit(UnitName::RotationAbandon, caller, &next, now);
        unit.ops.extend(ops.ops);
        let rolled_back = next.phase == Phase::RolledBack;
        if rolled_back || reason == Reason::Abandoned {
            unit = unit.emit(self.failed_event(caller, &next, reason, now));
        }
        let found = self.attachment_of(rotation).await;
        if let Some((assignment, policy)) = found.map_err(VaultError::from)? {
            // The next interval counts from here: whatever ended this one has been told.
            let next = match rotation.at_target.is_some() && !rolled_back {
                true => assignment.released(now),
                false => assignment.rotated(policy.as_ref(), now),
            };
            unit = unit.put(Record::Assignment(next));
        }
        Ok((next, unit))
    }

    /// The same, where what is given up may still be in use: whoever it cuts off is told of.
    pub(super) async fn forced_abandon_unit(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(Rotation, Unit), VaultError> {
        let seen = Observed {
            standing: self.standing_of(rotation).await?,
            ..Observed::default()
        };
        let mut forced = rotation.clone();
        if let Some(at) = &mut forced.at_target {
            at.forced = true;
        }
        let reason = Reason::Abandoned;
        let (next, mut unit) = self.abandon_unit(caller, &forced, reason, now).await?;
        for row in &mut unit.audit {
            row.extra_data.reason = Some("forced".to_owned());
        }
        if let Some(told) = alerts::abandoned(rotation, &seen) {
            unit = unit.emit(self.event(caller, told, now));
        }
        Ok((next, unit))
    }

    /// The row of a rotation that ends now, with its versions and the debts it leaves.
    pub(super) async fn ended_half_way(
        &self,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<(Rotation, Unit), VaultError> {
        let mut unit = Unit::new(UnitName::RotationAbandon);
        let Some(at) = &rotation.at_target else {
            if rotation.is_before_promotion() {
                unit = self.withdraw_candidate(unit, rotation).await?;
            }
            return Ok((rotation.abandoned(reason, now), unit));
        };
        let (tenant, path) = (&rotation.tenant, &rotation.path);
        let head = SecretReads::secret_find(&*self.store, tenant, path).await?;
        let current = head.map_or(rotation.from_version, |head| head.current_version);
        let given = rotation.given_up(current);
        if !given.owed.is_empty() {
            // Of what a restored store knows, something else may be in use by now.
            self.not_restored().await?;
        }
        for row in SecretReads::version_list(&*self.store, tenant, path).await? {
            let is_dead = at.retired && row.version == rotation.from_version;
            let state = match row.state {
                _ if given.versions.contains(&row.version) => VersionState::Owed,
                VersionState::Pending if rotation.to_version == Some(row.version) => {
                    VersionState::Withdrawn
                }
                VersionState::Previous if is_dead => VersionState::Closed,
                _ => continue,
            };
            unit = unit.put(Record::Version(Version {
                state,
                revision: row.revision + 1,
                ..row
            }));
        }
        for owed in given.owed {
            let id = DebtId::mint(now, &*self.entropy);
            let target = (
                at.attached.target_id.clone(),
                at.attached.target_name.clone(),
            );
            let debt = Debt::new(id, tenant.clone(), target, owed, now, now);
            unit = unit.put(Record::Debt(debt));
        }
        Ok((rotation.ended_at_target(reason, current, now), unit))
    }
}
