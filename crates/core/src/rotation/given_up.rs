//! What a rotation that is ended half-way leaves at its target.

use super::phase::Phase;
use super::reason::Reason;
use super::record::Rotation;
use crate::debt::Owed;
use crate::target::Overlap;
use crate::time::Timestamp;

/// What is owed at the target after a rotation was given up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GivenUp {
    /// Each is to be removed.
    pub owed: Vec<Owed>,
    /// Versions that the target may still accept; each is one of `owed`.
    pub versions: Vec<u64>,
}

/// Whether a person may end a rotation half-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody is cut off who is not cut off anyway.
    Free,
    /// What is given up may still be in use, and it is revoked without waiting for anybody.
    ByForce,
    /// Not at all: it is over, or nobody would know with what to speak to the target.
    Never,
}

impl Rotation {
    /// Whether it may be ended half-way now.
    pub fn ending(&self) -> Ending {
        if self.phase.is_final() {
            return Ending::Never;
        }
        let Some(at) = &self.at_target else {
            return Ending::Free;
        };
        let steps_back = self.is_stepping_back();
        let promoted = at.promoted_at.is_some();
        // The target may take either value of its manager, and only this rotation finds out.
        if at.attached.is_manager && at.maybe_live && (!promoted || steps_back) {
            return Ending::Never;
        }
        let phase = match self.phase {
            Phase::Parked => at.resume_phase,
            phase => Some(phase),
        };
        let revokes = phase == Some(Phase::Revoking) || at.retiring || at.retired || at.forced;
        let replaces = self.from_version != 0 || steps_back;
        match promoted && replaces && !revokes {
            true => Ending::ByForce,
            false => Ending::Free,
        }
    }

    /// What is left when this rotation ends now and readers keep `current`. Nothing, where the
    /// target was not told anything yet.
    pub fn given_up(&self, current: u64) -> GivenUp {
        let mut given = GivenUp::default();
        let Some(at) = &self.at_target else {
            return given;
        };
        if self.phase.is_final() {
            return given;
        }
        let mut add = |version: u64, may_arrive: bool| {
            given.versions.push(version);
            given.owed.push(Owed::Credential {
                path: self.path.clone(),
                version,
                rotation_id: self.id.clone(),
                attached: at.attached.clone(),
                may_arrive,
            });
        };
        let replaced = at.promoted_at.is_some() && self.from_version != 0 && !at.retired;
        if replaced && self.from_version != current {
            add(self.from_version, false);
        }
        // A change that was told may still be on its way: refused today proves nothing.
        if let Some(new) = self.to_version.filter(|new| *new != current)
            && at.maybe_live
        {
            add(new, true);
        }
        if at.attached.overlap == Overlap::NKeys && self.owes_last_look() {
            let kept = self.to_version == Some(current);
            let until = match at.minted_epoch {
                Some(minted) if kept => minted.saturating_sub(1),
                _ => self.epoch(),
            };
            given.owed.push(Owed::Residue {
                path: self.path.clone(),
                rotation_id: self.id.clone(),
                attached: at.attached.clone(),
                until,
            });
        }
        given
    }

    /// The row of a rotation at a target that is ended half-way: completed when readers keep its
    /// new version, rolled back when they do not.
    #[must_use]
    pub fn ended_at_target(&self, reason: Reason, current: u64, now: Timestamp) -> Self {
        let phase = match self.to_version == Some(current) {
            true => Phase::Completed,
            false => Phase::RolledBack,
        };
        let mut next = self.enter(phase, now);
        next.reason = Some(reason);
        next.finished_at = Some(now);
        next
    }
}

#[cfg(test)]
#[path = "given_up_tests.rs"]
mod tests;
