//! Engines that are broken on purpose, each by a wrapper at a port: what the store is told, or
//! what the target seems to answer. The simulation has to catch every one of them.

use scaivault_core::ports::{
    AssignmentReads, Call, Op, Record, RotationReads, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::{InFlight, Phase, Rotation};
use scaivault_testkit::MemoryStore;

use crate::gate::now;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Effects are sent without their mark being stored.
    SkipIntent,
    /// A change of unknown outcome is sent again without a look.
    RetryBlindly,
    /// The old credential is revoked at once after promotion.
    RevokeWithoutDrain,
    /// All changes carry the same number.
    ConstantEpoch,
    /// Whoever writes last wins, whatever was written in between.
    IgnoreConflicts,
    /// The candidate becomes current without having logged in.
    PromoteBeforeVerify,
    /// Stepping back gives the candidate up without retiring it.
    WithdrawWithoutLook,
    /// Unknown is taken for not applied.
    UnknownIsNotApplied,
    /// The rotation completes without proof that the old credential is refused.
    CompleteWithoutProof,
    /// What a lost mint left is not looked for.
    ForgetResidue,
    /// Stepping back does not wait for consumers.
    StepBackAtOnce,
    /// The kept credential is taken for accepted without a look.
    KeptUnseen,
    /// Nobody approves, and it is revoked all the same.
    ApproveByItself,
    /// Commits leave no audit row.
    NoAudit,
}

impl Broken {
    /// Every variant.
    pub const ALL: [Self; 14] = [
        Self::SkipIntent,
        Self::RetryBlindly,
        Self::RevokeWithoutDrain,
        Self::ConstantEpoch,
        Self::IgnoreConflicts,
        Self::PromoteBeforeVerify,
        Self::WithdrawWithoutLook,
        Self::UnknownIsNotApplied,
        Self::CompleteWithoutProof,
        Self::ForgetResidue,
        Self::StepBackAtOnce,
        Self::KeptUnseen,
        Self::ApproveByItself,
        Self::NoAudit,
    ];

    /// What the store is told instead; `None`: nothing.
    pub(crate) fn rewrite(self, mut unit: Unit, store: &MemoryStore) -> Option<Unit> {
        match self {
            Self::SkipIntent if unit.name == UnitName::RotationSend => return None,
            Self::IgnoreConflicts => overwrite(&mut unit, store),
            Self::NoAudit if unit.name == UnitName::RotationLook => unit.audit.clear(),
            _ => {}
        }
        let name = unit.name;
        for op in &mut unit.ops {
            if let Op::Put(Record::Rotation(rotation)) = op {
                self.alter(name, rotation, store);
            }
        }
        Some(unit)
    }

    fn alter(self, name: UnitName, rotation: &mut Rotation, store: &MemoryStore) {
        if self == Self::SkipIntent && name == UnitName::RotationSent {
            // The number its mark would have had is not there.
            let found = RotationReads::rotation_find(store, &rotation.tenant, &rotation.id);
            if let Ok(Some(stored)) = now(found)
                && stored.revision + 2 == rotation.revision
            {
                rotation.revision -= 1;
            }
        }
        let phase = rotation.phase;
        let Some(at) = &mut rotation.at_target else {
            return;
        };
        match (self, name) {
            (Self::RetryBlindly, UnitName::RotationSend | UnitName::RotationSent)
                if at.in_flight == InFlight::Sent =>
            {
                at.in_flight = InFlight::Nothing;
            }
            (Self::WithdrawWithoutLook, UnitName::RotationStepBack | UnitName::RotationAct)
                if phase == Phase::RollingBack && at.promoted_at.is_none() =>
            {
                at.maybe_live = false;
            }
            (Self::StepBackAtOnce, UnitName::RotationDemote)
            | (Self::RevokeWithoutDrain, UnitName::RotationPromote) => at.forced = true,
            (Self::ApproveByItself, UnitName::RotationOpen) => at.rules.approval = false,
            _ => {}
        }
    }

    /// What a login seems to come to.
    pub(crate) fn login(self, accepted: bool, dead: bool, call: &Call<'_>) -> bool {
        match self {
            Self::PromoteBeforeVerify if call.promoted_for.is_none() => true,
            Self::CompleteWithoutProof => accepted && !dead,
            Self::KeptUnseen => accepted || (!dead && call.promoted_for.is_some()),
            _ => accepted,
        }
    }
}

/// Gives every row the number that the store wants.
fn overwrite(unit: &mut Unit, store: &MemoryStore) {
    for op in &mut unit.ops {
        match op {
            Op::Put(Record::Rotation(row)) => {
                let found = RotationReads::rotation_find(store, &row.tenant, &row.id);
                if let Ok(Some(stored)) = now(found) {
                    row.revision = stored.revision + 1;
                }
            }
            Op::Put(Record::Assignment(row)) => {
                let found = AssignmentReads::assignment_find(store, &row.tenant, &row.path);
                if let Ok(Some(stored)) = now(found) {
                    row.revision = stored.revision + 1;
                }
            }
            Op::Put(Record::Secret(row)) => {
                let found = SecretReads::secret_find(store, &row.tenant, &row.path);
                if let Ok(Some(stored)) = now(found) {
                    row.revision = stored.revision + 1;
                }
            }
            Op::Put(Record::Version(row)) => {
                let rows = now(SecretReads::version_list(store, &row.tenant, &row.path));
                let rows = rows.unwrap_or_default();
                if let Some(stored) = rows.iter().find(|stored| stored.version == row.version) {
                    row.revision = stored.revision + 1;
                }
            }
            _ => {}
        }
    }
}
