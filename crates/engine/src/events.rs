//! How events are made: the documented `data` of each type, in one place each.

use scaivault_core::debt::Debt;
use scaivault_core::dynamic::{Cause, Engine, Lease};
use scaivault_core::event::{Event, EventType, Subject};
use scaivault_core::expiry::days_remaining;
use scaivault_core::ids::{EventId, RotationId, WebhookId};
use scaivault_core::path::SecretPath;
use scaivault_core::rotation::{Assignment, Reason, Rotation, RotationPolicy};
use scaivault_core::secret::{SecretHead, SecretType};
use scaivault_core::time::{Span, Timestamp};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::vault::Vault;

/// An event before it has an id.
pub(crate) struct EventDraft {
    kind: EventType,
    data: Value,
    path: Option<SecretPath>,
    subject: Option<Subject>,
    rotation_id: Option<RotationId>,
    also_to: Vec<WebhookId>,
}

impl EventDraft {
    pub(crate) fn new(kind: EventType, data: Value) -> Self {
        Self {
            kind,
            data,
            path: None,
            subject: None,
            rotation_id: None,
            also_to: Vec::new(),
        }
    }

    /// About a path.
    pub(crate) fn on(mut self, path: &SecretPath) -> Self {
        self.path = Some(path.clone());
        self
    }

    /// About a secret: its path, and the tags and type receivers filter by.
    pub(crate) fn about(self, head: &SecretHead) -> Self {
        self.about_read(&head.path, head.secret_type, head.metadata.tags.clone())
    }

    /// The same, of a secret of which no more is at hand.
    pub(crate) fn about_read(
        mut self,
        path: &SecretPath,
        secret_type: SecretType,
        tags: Vec<String>,
    ) -> Self {
        self.subject = Some(Subject {
            secret_type: secret_type.as_str().to_owned(),
            tags,
        });
        self.on(path)
    }

    /// Of a rotation: its policy's webhooks get it too.
    pub(crate) fn of(mut self, rotation: &Rotation) -> Self {
        self.rotation_id = Some(rotation.id.clone());
        self.also_to = rotation.webhook_ids.clone();
        self
    }

    pub(crate) fn also_to(mut self, webhooks: &[WebhookId]) -> Self {
        self.also_to = webhooks.to_vec();
        self
    }
}

impl Vault {
    /// The event of a draft.
    pub(crate) fn event(&self, caller: &Caller, draft: EventDraft, now: Timestamp) -> Event {
        let mut draft = draft;
        // The same path may be a secret of the tenant's own.
        let seat = &caller.principal.seat;
        if seat.asking.is_some() && draft.path.is_some() {
            draft.data["partner_id"] = seat.partner.as_str().into();
        }
        Event {
            id: EventId::mint(now, &*self.entropy),
            event_type: draft.kind,
            at: now,
            tenant: caller.principal.acts_in().clone(),
            identity: caller.identity().clone(),
            path: draft.path,
            data: draft.data,
            request_id: caller.request_id.clone(),
            subject: draft.subject,
            rotation_id: draft.rotation_id,
            also_to: draft.also_to,
        }
    }
}

pub(crate) fn created(head: &SecretHead, caller: &Caller) -> EventDraft {
    EventDraft::new(
        EventType::SecretCreated,
        json!({
            "version": head.current_version,
            "secret_type": head.secret_type.as_str(),
            "created_by": caller.identity().as_str(),
            "tags": head.metadata.tags,
            "expires_at": head.expires_at.map(Timestamp::to_rfc3339),
        }),
    )
    .about(head)
}

pub(crate) fn updated(
    head: &SecretHead,
    old_version: u64,
    caller: &Caller,
    is_rotation: bool,
) -> EventDraft {
    EventDraft::new(
        EventType::SecretUpdated,
        json!({
            "old_version": old_version,
            "new_version": head.current_version,
            "updated_by": caller.identity().as_str(),
            "is_rotation": is_rotation,
        }),
    )
    .about(head)
}

pub(crate) fn deleted(
    head: &SecretHead,
    version_count: usize,
    recoverable_until: Option<Timestamp>,
    caller: &Caller,
) -> EventDraft {
    let mut data = json!({
        "version_count": version_count,
        "deleted_by": caller.identity().as_str(),
        "permanent": recoverable_until.is_none(),
    });
    if let Some(until) = recoverable_until {
        data["recoverable_until"] = until.to_rfc3339().into();
    }
    EventDraft::new(EventType::SecretDeleted, data).about(head)
}

/// `threshold` before `end` is reached.
pub(crate) fn expiring(
    head: &SecretHead,
    end: Timestamp,
    threshold: &Span,
    now: Timestamp,
) -> EventDraft {
    EventDraft::new(
        EventType::SecretExpiring,
        json!({
            "expires_at": end.to_rfc3339(),
            "days_remaining": days_remaining(end, now),
            "threshold": threshold.as_str(),
            "version": head.current_version,
        }),
    )
    .about(head)
}

/// `end` has passed.
pub(crate) fn expired(head: &SecretHead, end: Timestamp) -> EventDraft {
    EventDraft::new(
        EventType::SecretExpired,
        json!({
            "expires_at": end.to_rfc3339(),
            "version": head.current_version,
            "secret_type": head.secret_type.as_str(),
        }),
    )
    .about(head)
}

/// `rotation` is the row after its promotion.
pub(crate) fn rotated(head: &SecretHead, rotation: &Rotation, auto_generated: bool) -> EventDraft {
    EventDraft::new(
        EventType::SecretRotated,
        json!({
            "old_version": rotation.from_version,
            "new_version": head.current_version,
            "rotation_id": rotation.id,
            "rotation_policy_id": rotation.policy_id,
            "rotation_policy_name": rotation.policy_name,
            "grace_period_ends": rotation.grace_ends_at.map(Timestamp::to_rfc3339),
            "auto_generated": auto_generated,
        }),
    )
    .about(head)
    .of(rotation)
}

pub(crate) fn due_warning(
    head: &SecretHead,
    assignment: &Assignment,
    policy: &RotationPolicy,
    threshold: &Span,
) -> EventDraft {
    EventDraft::new(
        EventType::RotationDue,
        json!({
            "due_now": false,
            "next_rotation_at": assignment.next_rotation_at.to_rfc3339(),
            "threshold": threshold.as_str(),
            "rotation_policy_id": policy.id,
            "rotation_policy_name": policy.name,
            "current_version": head.current_version,
        }),
    )
    .about(head)
    .also_to(&policy.webhook_ids)
}

pub(crate) fn due_now(
    head: &SecretHead,
    rotation: &Rotation,
    next_rotation_at: Timestamp,
) -> EventDraft {
    EventDraft::new(
        EventType::RotationDue,
        json!({
            "due_now": true,
            "next_rotation_at": next_rotation_at.to_rfc3339(),
            "rotation_id": rotation.id,
            "rotation_policy_id": rotation.policy_id,
            "rotation_policy_name": rotation.policy_name,
            "current_version": head.current_version,
        }),
    )
    .about(head)
    .of(rotation)
}

pub(crate) fn overdue(head: &SecretHead, rotation: &Rotation) -> EventDraft {
    EventDraft::new(
        EventType::RotationOverdue,
        json!({
            "rotation_id": rotation.id,
            "rotation_policy_id": rotation.policy_id,
            "rotation_policy_name": rotation.policy_name,
            "current_version": head.current_version,
            "due_at": rotation.opened_at.to_rfc3339(),
            "overdue_since": rotation.overdue_at.to_rfc3339(),
        }),
    )
    .about(head)
    .of(rotation)
}

/// `rotation` is the completed row.
pub(crate) fn completed(head: Option<&SecretHead>, rotation: &Rotation) -> EventDraft {
    let draft = EventDraft::new(
        EventType::RotationCompleted,
        json!({
            "rotation_id": rotation.id,
            "rotation_policy_id": rotation.policy_id,
            "rotation_policy_name": rotation.policy_name,
            "old_version": rotation.from_version,
            "new_version": rotation.to_version,
            "started_at": rotation.opened_at.to_rfc3339(),
        }),
    )
    .of(rotation);
    match head {
        Some(head) => draft.about(head),
        None => draft.on(&rotation.path),
    }
}

/// `debt` has reached the age that is told of.
pub(crate) fn debt(debt: &Debt) -> EventDraft {
    let draft = EventDraft::new(
        EventType::RotationDebt,
        json!({
            "debt_id": debt.id,
            "kind": debt.owed.as_str(),
            "target_id": debt.target_id,
            "target_name": debt.target_name,
            "rotation_id": debt.owed.rotation_id(),
            "since": debt.since.to_rfc3339(),
            "attempts": debt.attempts,
            "error": debt.trouble.as_ref().map(|trouble| trouble.kind.as_str()),
            "message": debt.trouble.as_ref().map(|trouble| trouble.kind.advice()),
        }),
    );
    match debt.owed.path() {
        Some(path) => draft.on(path),
        None => draft,
    }
}

pub(crate) fn lease_owed(engine: Option<&Engine>, lease: &Lease) -> EventDraft {
    EventDraft::new(
        EventType::LeaseRevocationFailed,
        json!({
            "lease_id": lease.id,
            "engine_id": lease.engine_id,
            "engine_name": engine.map(|engine| &engine.name),
            "role": lease.role,
            "account": lease.account,
            "cause": lease.cause.map(Cause::as_str),
            "since": lease.failing_since.map(Timestamp::to_rfc3339),
            "attempts": lease.attempts,
            "error": lease.trouble.as_ref().map(|trouble| trouble.kind.as_str()),
            "message": lease.trouble.as_ref().map(|trouble| trouble.kind.advice()),
        }),
    )
}

pub(crate) fn failed(rotation: &Rotation, error: &str, detail: &str) -> EventDraft {
    let mut data = json!({
        "rotation_id": rotation.id,
        "rotation_policy_id": rotation.policy_id,
        "rotation_policy_name": rotation.policy_name,
        "current_version": rotation.from_version,
        "error": error,
        "message": detail,
    });
    if let Some(at) = &rotation.at_target {
        data["phase"] = rotation.phase.as_str().into();
        data["target"] = at.attached.target_name.as_str().into();
    }
    // What the target itself said stays out: its kind, and the cures, are words of ours.
    if let Some(trouble) = &rotation.trouble
        && rotation.reason == Some(Reason::TargetTrouble)
    {
        data["trouble"] = trouble.kind.as_str().into();
        data["trouble_advice"] = trouble.kind.advice().into();
        data["remedy"] = json!(trouble.remedy);
    }
    EventDraft::new(EventType::RotationFailed, data)
        .on(&rotation.path)
        .of(rotation)
}
