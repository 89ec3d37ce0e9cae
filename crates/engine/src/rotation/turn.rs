//! Turns of groups: whether a rotation has to wait for another of its group, and taking the turn.

use scaivault_core::ports::{Op, Record, RotationFilter, RotationReads, RunReads};
use scaivault_core::rotation::{GroupTurn, Phase, Rotation};

use super::worker::StepError;
use crate::vault::Vault;

/// Rotations of one group that wait at the same time and are looked at.
const WAITING_MAX: usize = 1_000;

impl Vault {
    /// Whether another rotation of its group has the turn, or goes first.
    pub(super) async fn waits_for_turn(&self, rotation: &Rotation) -> Result<bool, StepError> {
        Ok(self.goes_first(rotation).await?.is_some())
    }

    /// The rotation of its group that has the turn, or goes first.
    pub(super) async fn goes_first(
        &self,
        rotation: &Rotation,
    ) -> Result<Option<Rotation>, StepError> {
        let Some(turn) = &rotation.turn else {
            return Ok(None);
        };
        if rotation.phase != Phase::Generating {
            return Ok(None);
        }
        if let Err(holder) = self.turn_of(rotation, &turn.group).await? {
            return Ok(Some(holder));
        }
        let waiting = RotationFilter {
            group: Some(turn.group.clone()),
            phases: vec![Phase::Generating],
            ..RotationFilter::default()
        };
        let tenant = &rotation.tenant;
        let rows =
            RotationReads::rotation_list(&*self.store, tenant, &waiting, None, WAITING_MAX).await?;
        let before = rows.into_iter().filter(|row| row.goes_before(rotation));
        Ok(before.reduce(|one, other| match other.goes_before(&one) {
            true => other,
            false => one,
        }))
    }

    /// What takes the turn, for the commit that begins a rotation: of two that try at once one
    /// conflicts.
    pub(super) async fn turn_ops(&self, rotation: &Rotation) -> Result<Option<Op>, StepError> {
        let Some(turn) = &rotation.turn else {
            return Ok(None);
        };
        let Ok(row) = self.turn_of(rotation, &turn.group).await? else {
            return Err(StepError::LostRace);
        };
        Ok(Some(Op::Put(Record::GroupTurn(GroupTurn {
            tenant: rotation.tenant.clone(),
            group: turn.group.clone(),
            holder: rotation.id.clone(),
            revision: row.map_or(0, |row| row.revision) + 1,
        }))))
    }

    /// The group's row when its turn is free for this rotation, or the other that has it.
    pub(super) async fn turn_of(
        &self,
        rotation: &Rotation,
        group: &str,
    ) -> Result<Result<Option<GroupTurn>, Rotation>, StepError> {
        let tenant = &rotation.tenant;
        let row = RunReads::group_turn(&*self.store, tenant, group).await?;
        let other = row.as_ref().filter(|row| row.holder != rotation.id);
        let holder = match other {
            Some(row) => RotationReads::rotation_find(&*self.store, tenant, &row.holder).await?,
            None => None,
        };
        Ok(match holder.filter(Rotation::holds_turn) {
            Some(holder) => Err(holder),
            None => Ok(row),
        })
    }
}
