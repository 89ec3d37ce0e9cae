//! What a campaign does next with one secret: a pure function of what is stored.

use crate::campaign::{CampaignItem, ItemState, Mode};
use crate::ids::RotationId;
use crate::rotation::{Phase, Rotation};
use crate::secret::{Readable, Version, VersionState};
use crate::time::Timestamp;

/// What is known of the secret of an item.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The secret's current version; `None` when it is gone or deleted.
    pub current: Option<u64>,
    /// Its versions.
    pub versions: Vec<Version>,
    /// Its rotations that have not ended.
    pub under_way: Vec<Rotation>,
    /// Whether it is attached to a rotation policy.
    pub has_policy: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// Open a rotation.
    Open,
    /// A rotation that replaces what has to go is under way: follow that one.
    Join(RotationId),
    /// Another rotation of the secret has to end first; cut short where its end may be hurried.
    After(RotationId),
    /// A version that only readers by number still get is closed.
    Close(u64),
    /// Nothing is left to do.
    End(ItemState, Option<&'static str>),
}

/// Reason of items whose secret is deleted.
pub const DELETED: &str = "the secret is deleted: what it held may still be accepted where it was \
                           used; revoke it there, or undelete the secret and start again";
/// Reason of items without a rotation policy.
pub const NO_POLICY: &str = "no rotation policy: attach one (POST /v1/rotation/policies/{id}/secrets) \
                             and start again, or change the value by hand";
/// Reason of items that were replaced before.
pub const REPLACED: &str = "already replaced: none of these versions is accepted or readable as a \
                            rotation's previous one any more";

/// Whether a version is still in use: current, or previous and readable or being replaced.
fn is_live(version: &Version, known: &Known, now: Timestamp) -> bool {
    match version.state {
        VersionState::Current => true,
        VersionState::Previous => {
            version.readable(now) == Readable::Yes || replacing(version.version, known).is_some()
        }
        _ => false,
    }
}

fn replacing(version: u64, known: &Known) -> Option<&Rotation> {
    known
        .under_way
        .iter()
        .find(|rotation| rotation.from_version == version && !rotation.is_stepping_back())
}

/// The rotations whose old version has to go, to be cut short in containment.
pub fn to_contain<'a>(item: &'a CampaignItem, known: &'a Known) -> Vec<&'a Rotation> {
    if item.mode != Mode::Containment {
        return Vec::new();
    }
    let wanted = |rotation: &&Rotation| {
        item.versions.contains(&rotation.from_version)
            && !rotation.is_stepping_back()
            && !rotation.is_contained()
    };
    known.under_way.iter().filter(wanted).collect()
}

/// Decides for an item that has not begun, or whose rotation has ended well.
pub fn course(item: &CampaignItem, known: &Known, now: Timestamp) -> Course {
    let Some(current) = known.current else {
        return Course::End(ItemState::Failed, Some(DELETED));
    };
    let live: Vec<u64> = known
        .versions
        .iter()
        .filter(|row| item.versions.contains(&row.version) && is_live(row, known, now))
        .map(|row| row.version)
        .collect();
    if live.contains(&current) {
        if let Some(rotation) = replacing(current, known).filter(|r| r.is_before_promotion()) {
            return Course::Join(rotation.id.clone());
        }
        if !known.has_policy {
            return Course::End(ItemState::Failed, Some(NO_POLICY));
        }
        // One rotation of a target's credential at a time.
        let busy = known.under_way.iter().find(|r| r.at_target.is_some());
        return busy.map_or(Course::Open, |busy| Course::After(busy.id.clone()));
    }
    let followed = live.iter().find_map(|version| replacing(*version, known));
    match (followed, live.first(), item.mode) {
        (Some(rotation), _, _) => Course::Join(rotation.id.clone()),
        (None, Some(version), Mode::Containment) => Course::Close(*version),
        (None, _, _) if item.began_at.is_some() => Course::End(ItemState::Rotated, None),
        (None, _, _) => Course::End(ItemState::Skipped, Some(REPLACED)),
    }
}

/// Whether items after one that follows this rotation may begin: readers have the new value, it
/// has ended, or it waits for a person. One that waits for a value from outside holds up its own
/// group alone.
pub fn lets_on(rotation: &Rotation, same_group: bool) -> bool {
    let promoted = !rotation.is_before_promotion() || rotation.phase == Phase::Parked;
    promoted || (rotation.awaits_value() && !same_group)
}

#[cfg(test)]
#[path = "campaign_course_tests.rs"]
mod tests;
