//! Attaching a secret to a rotation policy and, where it has one, to its target.
//!
//! Whatever is asked of the target is asked before the commit. The commit writes the head and the
//! target with their next numbers, so that it is refused when either changed since it was looked
//! at.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationPolicyId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, CommitError, Record, SecretReads, Unit, UnitName};
use scaivault_core::rotation::{
    Assignment, Attached, GROUP_NAME_MAX, Reason, RotationPolicy, Trigger, Turn,
};
use scaivault_core::secret::{MAX_VERSIONS_DEFAULT, Metadata, SecretHead, SecretType};
use scaivault_core::target::{Overlap, Target};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use super::guards::gap_refused;
use super::open::Opening;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Times an attachment starts over when it loses a race: each may log in at the target.
const RACES_MAX: u32 = 4;

/// How a secret is attached.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// The target; absent: the one it has, if it has one.
    pub to: Option<AttachTo>,
    /// Its place in a group; absent: the one it has.
    pub turn: Option<Turn>,
}

/// What it is attached to.
#[derive(Debug, Clone, Default)]
pub struct AttachTo {
    /// The target's id or name.
    pub target: String,
    /// The overlap; absent: the safest that the target supports for this account.
    pub strategy: Option<Overlap>,
    /// Which account or accounts, in the connector's fields.
    pub account: Option<Map<String, Value>>,
    /// The secret is the target's manager's own credential.
    pub manager: bool,
    /// The first value is made by a rotation that begins at once.
    pub create: bool,
    /// The current value is not tried at the target first.
    pub unverified: bool,
}

/// What an attachment came to.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The row.
    pub assignment: Assignment,
    /// Its policy.
    pub policy: RotationPolicy,
    /// What works but should be known: rights the manager lacks, each with its statement.
    pub warnings: Vec<String>,
}

/// A target that was looked at, and the attachment that fits it.
pub(super) struct Planned {
    pub(super) target: Target,
    pub(super) attached: Attached,
    pub(super) warnings: Vec<String>,
}

impl Vault {
    /// Attaches a secret to a policy and to a target. A secret under another policy moves; what
    /// is not given stays as it is. The current value is tried at the target first, and nothing is
    /// attached when it does not get in.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the policy or the secret; [`VaultError::Validation`];
    /// [`VaultError::Denied`] when the caller may not read what is sent to the target;
    /// [`VaultError::NotAdopted`] when the target does not accept the current value;
    /// [`VaultError::RotationUnfinished`] while the secret is rotated at a target.
    pub async fn assignment_attach(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        path: &SecretPath,
        attach: &Attach,
    ) -> Result<Attachment, VaultError> {
        self.require(caller, Scope::Admin, Action::RotationAssign)
            .await?;
        let action = Action::RotationAssign;
        if attach.to.is_some() {
            // Whoever says where a value is sent may read it himself.
            let (scope, permission) = (Scope::SecretsRead, Permission::Read);
            self.authorize(caller, scope, permission, path, action)
                .await?;
        }
        if attach.to.as_ref().is_some_and(|to| to.create) {
            let (scope, permission) = (Scope::SecretsWrite, Permission::Write);
            self.authorize(caller, scope, permission, path, action)
                .await?;
        }
        let outcome = self.attach(caller, policy_id, path, attach).await;
        self.on_trail(caller, Action::RotationAssign, path, outcome)
            .await
    }

    async fn attach(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        path: &SecretPath,
        attach: &Attach,
    ) -> Result<Attachment, VaultError> {
        attach.turn.as_ref().map(check_turn).transpose()?;
        if attach.to.is_some() {
            self.not_restored().await?;
        }
        let tenant = caller.tenant();
        for _ in 0..RACES_MAX {
            let policy = self.rotation_policy_of(caller, policy_id).await?;
            let old = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
            let head = SecretReads::secret_find(&*self.store, tenant, path).await?;
            let create = attach.to.as_ref().is_some_and(|to| to.create);
            let head = usable(head, create)?;
            let planned = match &attach.to {
                Some(to) => {
                    // Before anything is asked of the target.
                    self.no_rotation_at_target(old.as_ref()).await?;
                    let planned = self.plan_attached(caller, &policy, path, head.as_ref(), to);
                    Some(planned.await?)
                }
                None => None,
            };
            let now = self.now();
            let next = attached(caller, path, &policy, old.as_ref(), attach, &planned, now);
            if let Some(old) = old.as_ref().filter(|old| !create && same(old, &next)) {
                return Ok(done(old.clone(), policy, planned));
            }
            self.no_rotation_at_target(old.as_ref()).await?;
            if let Some(attached) = &next.attached
                && attached.has_gap()
                && !policy.rules.accept_gap
            {
                return Err(gap_refused("strategy", NEEDS_GAP));
            }
            let (mut unit, next) = self
                .attach_unit(caller, head, next, &policy, &planned, create, now)
                .await?;
            if let (Some(old), Some(_)) = (&old, &planned) {
                let open = self.open_rotation_of(old).await?;
                unit = self
                    .rotations_ended(caller, unit, open, Reason::Detached, now)
                    .await?;
            }
            match self.commit(unit).await {
                Ok(_) => return Ok(done(next, policy, planned)),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret or its target changes too quickly: try again".into(),
        ))
    }

    #[expect(clippy::too_many_arguments, reason = "all that one commit is made of")]
    async fn attach_unit(
        &self,
        caller: &Caller,
        head: Option<SecretHead>,
        mut next: Assignment,
        policy: &RotationPolicy,
        planned: &Option<Planned>,
        create: bool,
        now: Timestamp,
    ) -> Result<(Unit, Assignment), VaultError> {
        let mut unit = Unit::new(UnitName::AssignmentWrite);
        let touched = match (head, planned) {
            (Some(head), Some(_)) => Some(SecretHead {
                revision: head.revision + 1,
                ..head
            }),
            (None, _) => Some(first_head(caller, &next.path, now)),
            (Some(_), None) => None,
        };
        if let Some(planned) = planned {
            unit = unit.put(Record::Target(Target {
                revision: planned.target.revision + 1,
                ..planned.target.clone()
            }));
        }
        if let Some(head) = touched {
            unit = unit.put(Record::Secret(head.clone()));
            if create {
                let how = Opening {
                    trigger: Trigger::Manual,
                    requested_by: caller.identity().clone(),
                    contained: false,
                    ignore: None,
                };
                let opening = self.rotation_opening(caller, &head, &next, policy, how, now);
                let (rotation, opening) = opening.await?;
                next.open_rotation = Some(rotation.id);
                next.wake_at = None;
                unit.ops.extend(opening.ops);
                unit.audit.extend(opening.audit);
            }
        }
        let extra = AuditExtra {
            rotation_policy_id: Some(policy.id.clone()),
            rotation_id: next.open_rotation.clone().filter(|_| create),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationAssign, Some(&next.path), now, extra);
        let unit = unit.put(Record::Assignment(next.clone())).audited(row);
        Ok((unit, next))
    }
}

/// Why an attachment without overlap is refused.
pub(super) const NEEDS_GAP: &str = "none cuts consumers off for a while: set rules.accept_gap in \
                                    the policy, or use a strategy with overlap";

/// The head to attach; `None` where the secret is to be created.
fn usable(head: Option<SecretHead>, create: bool) -> Result<Option<SecretHead>, VaultError> {
    let refused = |why: &str| {
        let field = ("create".to_owned(), why.to_owned());
        Err(VaultError::Validation(vec![field]))
    };
    match head {
        Some(head) if head.is_deleted() && create => {
            Err(VaultError::SecretExists(head.recoverable_until))
        }
        Some(head) if head.is_deleted() => Err(VaultError::NotFound(Missing::Secret)),
        Some(head) if create && head.current_version > 0 => refused(
            "is for a secret without a value, and this one has one: attach it without create",
        ),
        Some(head) if !create && head.current_version == 0 => {
            refused("is needed: the secret has no value yet")
        }
        None if !create => Err(VaultError::NotFound(Missing::Secret)),
        found => Ok(found),
    }
}

/// The row as it is to be.
fn attached(
    caller: &Caller,
    path: &SecretPath,
    policy: &RotationPolicy,
    old: Option<&Assignment>,
    attach: &Attach,
    planned: &Option<Planned>,
    now: Timestamp,
) -> Assignment {
    let by = caller.identity().clone();
    // What waits for a value from outside waits no longer: the target is told from now on.
    let old = old.cloned().map(|old| Assignment {
        open_rotation: old.open_rotation.filter(|_| planned.is_none()),
        ..old
    });
    let next = match &old {
        Some(old) if old.policy_id == policy.id => old.rescheduled(policy, now),
        Some(old) => old.moved(policy, by, now),
        None => Assignment::new(caller.tenant().clone(), path.clone(), policy, by, now),
    };
    let kept = next.attached.clone();
    let kept_turn = next.turn.clone();
    Assignment {
        attached: planned
            .as_ref()
            .map(|planned| planned.attached.clone())
            .or(kept),
        turn: attach.turn.clone().or(kept_turn),
        ..next
    }
}

fn same(old: &Assignment, next: &Assignment) -> bool {
    old.policy_id == next.policy_id && old.attached == next.attached && old.turn == next.turn
}

fn done(assignment: Assignment, policy: RotationPolicy, planned: Option<Planned>) -> Attachment {
    Attachment {
        assignment,
        policy,
        warnings: planned.map_or_else(Vec::new, |planned| planned.warnings),
    }
}

fn first_head(caller: &Caller, path: &SecretPath, now: Timestamp) -> SecretHead {
    SecretHead {
        tenant: caller.tenant().clone(),
        path: path.clone(),
        secret_type: SecretType::default(),
        metadata: Metadata::default(),
        current_version: 0,
        latest_version: 0,
        max_versions: MAX_VERSIONS_DEFAULT,
        created_at: now,
        updated_at: now,
        expires_at: None,
        secret_policy_id: None,
        recoverable_until: None,
        expiry: scaivault_core::expiry::Expiry::default(),
        versioning: scaivault_core::secret::Versioning::default(),
        revision: 1,
    }
}

fn check_turn(turn: &Turn) -> Result<(), VaultError> {
    let (name, chars) = (&turn.group, turn.group.chars().count());
    let plain = name.trim() == name && !name.chars().any(char::is_control);
    if plain && (1..=GROUP_NAME_MAX).contains(&chars) {
        return Ok(());
    }
    let why = format!("has 1 to {GROUP_NAME_MAX} characters, no space at either end");
    Err(VaultError::Validation(vec![("group.name".to_owned(), why)]))
}
