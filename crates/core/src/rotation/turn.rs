//! Groups of secrets whose rotations run one at a time, in order.
//!
//! A rotation takes the turn of its group in the commit that plans its candidate, by a
//! compare-and-swap on the group's row. The row always names the last taker; it is free again when
//! that rotation no longer holds it ([`Rotation::holds_turn`]), so nothing has to be given back
//! and a crash leaves nothing held.

use serde::{Deserialize, Serialize};

use super::phase::Phase;
use super::record::Rotation;
use crate::ids::{RotationId, TenantId};

/// The longest name of a group.
pub const GROUP_NAME_MAX: usize = 64;

/// A secret's place in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The group's name, in the tenant.
    pub group: String,
    /// Lower ones go first; equal ones by path.
    pub order: u32,
}

/// Who took the turn of a group last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTurn {
    /// Owner.
    pub tenant: TenantId,
    /// The group's name.
    pub group: String,
    /// The last rotation that took it.
    pub holder: RotationId,
    /// The number this write makes.
    pub revision: u64,
}

impl Rotation {
    /// Whether the next of its group has to wait for it, once it has taken the turn.
    pub fn holds_turn(&self) -> bool {
        match &self.at_target {
            Some(_) => !self.phase.is_final(),
            None => self.is_before_promotion() && !self.phase.is_final(),
        }
    }

    /// Whether it is to go before `other` of the same group: neither has begun.
    pub fn goes_before(&self, other: &Self) -> bool {
        // One that is parked before it began holds up nobody: it waits for a person.
        let waits = self.phase == Phase::Generating;
        let place = |rotation: &Self| {
            let order = rotation.turn.as_ref().map_or(0, |turn| turn.order);
            (order, rotation.path.clone(), rotation.id.clone())
        };
        waits && place(self) < place(other)
    }
}
