//! A secret and its versions as they are answered, without a value.

use scaivault_api::secret::{Secret, SecretMetadata, SecretRotationStatus, VersionItem};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::{Metadata, SecretHead, Version};
use scaivault_core::time::Timestamp;
use scaivault_engine::{SecretDetails, Written};

fn metadata_view(metadata: &Metadata) -> SecretMetadata {
    SecretMetadata {
        description: metadata.description.clone(),
        tags: metadata.tags.clone(),
        owner: metadata.owner.clone(),
        custom: metadata.custom.clone(),
    }
}

fn thresholds(head: &SecretHead) -> String {
    let spans = head.expiry.thresholds();
    let words: Vec<&str> = spans
        .iter()
        .map(scaivault_core::time::Span::as_str)
        .collect();
    words.join(",")
}

pub(super) fn head_view(head: &SecretHead, assignment: Option<&Assignment>) -> Secret {
    Secret {
        path: head.path.as_str().to_owned(),
        secret_type: head.secret_type.as_str().to_owned(),
        version: head.current_version,
        metadata: metadata_view(&head.metadata),
        created_at: head.created_at.to_rfc3339(),
        updated_at: head.updated_at.to_rfc3339(),
        expires_at: head.expires_at.map(Timestamp::to_rfc3339),
        notify_before: Some(thresholds(head)),
        last_accessed_at: None,
        rotation_policy_id: assignment.map(|a| a.policy_id.as_str().to_owned()),
        secret_policy_id: head
            .secret_policy_id
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        max_versions: head.max_versions,
        version_count: None,
        rotation: None,
        recoverable_until: head.recoverable_until.map(Timestamp::to_rfc3339),
        is_rotation: None,
        rotation_id: None,
    }
}

pub(super) fn written_view(written: &Written) -> Secret {
    Secret {
        rotation_policy_id: written
            .rotation_policy_id
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        is_rotation: Some(written.answered.is_some()),
        rotation_id: written.answered.as_ref().map(|id| id.as_str().to_owned()),
        ..head_view(&written.head, None)
    }
}

pub(super) fn details_view(details: &SecretDetails) -> Secret {
    let rotation = details
        .assignment
        .as_ref()
        .map(|assignment| SecretRotationStatus {
            rotation_policy_id: assignment.policy_id.as_str().to_owned(),
            last_rotated_at: assignment.last_rotated_at.map(Timestamp::to_rfc3339),
            next_rotation_at: assignment.next_rotation_at.to_rfc3339(),
            open_rotation_id: assignment
                .open_rotation
                .as_ref()
                .map(|id| id.as_str().to_owned()),
        });
    Secret {
        last_accessed_at: details.last_accessed_at.map(Timestamp::to_rfc3339),
        version_count: u64::try_from(details.version_count).ok(),
        rotation,
        ..head_view(&details.head, details.assignment.as_ref())
    }
}

pub(super) fn version_view(row: &Version, now: Timestamp) -> VersionItem {
    use scaivault_core::secret::{Readable, VersionState};
    let state = match (row.state, row.readable(now)) {
        (_, Readable::Yes) if row.is_deleted(now) => "deleted",
        (VersionState::Current, _) => "current",
        (_, Readable::Closed) => "closed",
        (VersionState::Previous, _) => "previous",
        (VersionState::Superseded, _) => "superseded",
        (VersionState::Closed, _) => "closed",
        (VersionState::Pending, _) => "pending",
        (VersionState::Withdrawn, _) => "withdrawn",
        (VersionState::Owed, _) => "owed",
    };
    VersionItem {
        version: row.version,
        is_current: row.state == VersionState::Current,
        state: state.to_owned(),
        created_at: row.created_at.to_rfc3339(),
        created_by: row.created_by.as_str().to_owned(),
        readable_until: row.readable_until.map(Timestamp::to_rfc3339),
        rotation_id: row.rotation_id.as_ref().map(|id| id.as_str().to_owned()),
    }
}
