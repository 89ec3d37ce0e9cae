//! Which versions age out when a secret gets one more.

use scaivault_core::ports::Op;
use scaivault_core::secret::{SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

/// Removals that bring `head` down to its `max_versions`, given the rows as they will be
/// (newest first). A pending, current, owed or still readable previous version never ages out.
pub(crate) fn aging_ops(head: &SecretHead, versions: &[Version], now: Timestamp) -> Vec<Op> {
    let keep = usize::try_from(head.max_versions).unwrap_or(usize::MAX);
    versions
        .iter()
        .skip(keep)
        .filter(|row| match row.state {
            VersionState::Pending | VersionState::Current | VersionState::Owed => false,
            VersionState::Previous => row.readable_until.is_some_and(|end| end <= now),
            VersionState::Superseded | VersionState::Closed | VersionState::Withdrawn => true,
        })
        .map(|row| Op::VersionDelete {
            tenant: row.tenant.clone(),
            path: row.path.clone(),
            version: row.version,
        })
        .collect()
}
