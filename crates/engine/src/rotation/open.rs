//! Beginning a rotation: by the schedule, or at once by request.

use std::collections::BTreeSet;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Identity, Scope};
use scaivault_core::ids::{RotationId, RotationPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, MarkReads, ReadError, Record, RecordKind, RotationFilter,
    RotationPolicyReads, RotationReads, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy, Strategy, Trigger};
use scaivault_core::secret::SecretHead;
use scaivault_core::time::Timestamp;

use super::worker::{HOLD, settle};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::events;
use crate::vault::Vault;

/// Earlier rotations whose epochs are looked at: their ids sort by a clock that may have jumped.
const FENCE_LOOK: usize = 16;

/// Secrets that one request for a policy rotates at most.
const POLICY_ROTATE_MAX: usize = 500;

/// How a rotation is opened.
pub(crate) struct Opening {
    pub(crate) trigger: Trigger,
    pub(crate) requested_by: Identity,
    /// The replaced version is not waited for.
    pub(crate) contained: bool,
    /// Readers it does not wait for, besides those that the policy ignores.
    pub(crate) ignore: Option<Identity>,
}

impl Vault {
    /// Rotates one secret now. While a rotation waits for its value (or is parked), asking again
    /// announces it again instead of opening a second one.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret, or it has no rotation policy.
    pub async fn secret_rotate(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<Rotation, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsRotate,
            Permission::Rotate,
            path,
            Action::Rotate,
        )
        .await?;
        let outcome = self.rotate_now(caller, path, None).await;
        self.on_trail(caller, Action::Rotate, path, outcome).await
    }

    /// Rotates secrets of a policy now: the given ones, or all that are attached.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the policy, or a given secret that is not attached to it;
    /// nothing is rotated then.
    pub async fn rotation_policy_rotate(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        paths: Option<Vec<SecretPath>>,
    ) -> Result<Vec<Rotation>, VaultError> {
        self.require(caller, Scope::SecretsRotate, Action::Rotate)
            .await?;
        self.rotation_policy_of(caller, policy_id).await?;
        let tenant = caller.tenant();
        let paths: BTreeSet<SecretPath> = match paths {
            Some(paths) => paths.into_iter().collect(),
            None => {
                let most = POLICY_ROTATE_MAX + 1;
                AssignmentReads::assignment_list(&*self.store, tenant, policy_id, None, most)
                    .await?
                    .into_iter()
                    .map(|assignment| assignment.path)
                    .collect()
            }
        };
        if paths.len() > POLICY_ROTATE_MAX {
            let why = format!("one request rotates at most {POLICY_ROTATE_MAX}: name them in turn");
            let field = ("secret_paths".to_owned(), why);
            return Err(VaultError::Validation(vec![field]));
        }
        // Rights before anything about the secrets is told.
        for path in &paths {
            self.authorize(
                caller,
                Scope::SecretsRotate,
                Permission::Rotate,
                path,
                Action::Rotate,
            )
            .await?;
        }
        for path in &paths {
            AssignmentReads::assignment_find(&*self.store, tenant, path)
                .await?
                .filter(|assignment| assignment.policy_id == *policy_id)
                .ok_or(VaultError::NotFound(Missing::Assignment))?;
        }
        let mut rotations = Vec::with_capacity(paths.len());
        for path in &paths {
            rotations.push(self.rotate_now(caller, path, Some(policy_id)).await?);
        }
        Ok(rotations)
    }

    pub(crate) async fn rotate_now(
        &self,
        caller: &Caller,
        path: &SecretPath,
        policy_id: Option<&RotationPolicyId>,
    ) -> Result<Rotation, VaultError> {
        self.not_restored().await?;
        let tenant = caller.tenant();
        for _ in 0..RACES_MAX {
            let head = SecretReads::secret_find(&*self.store, tenant, path)
                .await?
                .filter(|head| !head.is_deleted())
                .ok_or(VaultError::NotFound(Missing::Secret))?;
            let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path)
                .await?
                .filter(|assignment| policy_id.is_none_or(|id| *id == assignment.policy_id))
                .ok_or(VaultError::NotFound(Missing::RotationPolicy))?;
            let policy = RotationPolicyReads::rotation_policy_find(
                &*self.store,
                tenant,
                &assignment.policy_id,
            )
            .await?
            .ok_or(VaultError::NotFound(Missing::RotationPolicy))?;
            if assignment.attached.is_some() && self.debt_in_hand(tenant, path).await? {
                return Err(VaultError::Unavailable(
                    "a debt of this secret is being settled: try again in a moment".into(),
                ));
            }
            let open = match &assignment.open_rotation {
                Some(id) => RotationReads::rotation_find(&*self.store, tenant, id).await?,
                None => None,
            };
            let opened = match open {
                // One rotation of a target's credential at a time; asking again changes nothing.
                Some(open) if open.at_target.is_some() && !open.phase.is_final() => {
                    return Ok(open);
                }
                Some(waiting) if waiting.is_before_promotion() => {
                    self.announce_again(caller, &head, &assignment, &policy, waiting)
                        .await
                }
                Some(_) | None => {
                    self.open_rotation(caller, &head, &assignment, &policy, Trigger::Manual)
                        .await
                }
            };
            match opened {
                Ok(rotation) => return self.carry_on(rotation).await,
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }

    /// What can be done at once is done within the request; whatever is left (or fails) is the
    /// scheduler's.
    pub(crate) async fn carry_on(&self, rotation: Rotation) -> Result<Rotation, VaultError> {
        if rotation.strategy == Strategy::GeneratedValue
            && let Err(error) = settle(self.rotation_steps(rotation.clone()).await)
        {
            tracing::warn!(rotation = %rotation.id, %error, "left to the scheduler");
        }
        let now = RotationReads::rotation_find(&*self.store, &rotation.tenant, &rotation.id);
        Ok(now.await?.unwrap_or(rotation))
    }

    /// Opens a rotation in one commit: the row, the attachment pointing at it, the announcement
    /// and the audit row.
    pub(super) async fn open_rotation(
        &self,
        caller: &Caller,
        head: &SecretHead,
        assignment: &Assignment,
        policy: &RotationPolicy,
        trigger: Trigger,
    ) -> Result<Rotation, CommitError> {
        let how = Opening {
            trigger,
            requested_by: caller.identity().clone(),
            contained: false,
            ignore: None,
        };
        let (unit, rotation) = self
            .opening(caller, head, assignment, policy, how, self.now())
            .await?;
        self.commit(unit).await?;
        Ok(rotation)
    }

    /// What opens a rotation, for a commit of the caller's.
    pub(crate) async fn opening(
        &self,
        caller: &Caller,
        head: &SecretHead,
        assignment: &Assignment,
        policy: &RotationPolicy,
        how: Opening,
        now: Timestamp,
    ) -> Result<(Unit, Rotation), CommitError> {
        let (rotation, unit) = self
            .rotation_opening(caller, head, assignment, policy, how, now)
            .await?;
        let opened = assignment.opened(rotation.id.clone());
        Ok((unit.put(Record::Assignment(opened)), rotation))
    }

    /// The rotation and the commit that opens it, but for the attachment pointing at it.
    pub(super) async fn rotation_opening(
        &self,
        caller: &Caller,
        head: &SecretHead,
        assignment: &Assignment,
        policy: &RotationPolicy,
        how: Opening,
        now: Timestamp,
    ) -> Result<(Rotation, Unit), CommitError> {
        let rotation = Rotation::open(
            RotationId::mint(now, &*self.entropy),
            head.path.clone(),
            policy,
            how.trigger,
            how.requested_by,
            head.current_version,
            now,
        );
        let rotation = match &assignment.attached {
            Some(attached) => {
                let held = self.debt_in_hand(&head.tenant, &head.path).await;
                if held.map_err(|error| CommitError::Unavailable(error.to_string()))? {
                    return Err(CommitError::Conflict(RecordKind::Debt));
                }
                let fence = self.next_fence(head, now).await?;
                let mut rules = policy.rules.clone();
                rules.ignore.extend(how.ignore);
                rotation.at_target(attached.clone(), rules, how.contained, fence)
            }
            None => rotation,
        };
        let rotation = Rotation {
            turn: assignment.turn.clone(),
            contained: how.contained,
            ..claimed(rotation, now)
        };
        let unit = Unit::new(UnitName::RotationOpen).put(Record::Rotation(rotation.clone()));
        let due_at = match how.trigger {
            Trigger::Schedule => assignment.next_rotation_at,
            Trigger::Manual => now,
        };
        let unit = self.announced(caller, unit, head, &rotation, due_at, now);
        Ok((rotation, unit))
    }

    /// Above every epoch that an earlier rotation of the secret can have left at the target. The
    /// clock alone would not do: it may have been set back.
    async fn next_fence(&self, head: &SecretHead, now: Timestamp) -> Result<u64, CommitError> {
        let above = self.fence_above(&head.tenant, &head.path).await;
        let above = above.map_err(|error| CommitError::Unavailable(error.to_string()))?;
        let clock = u64::try_from(now.as_micros()).unwrap_or(0);
        let marks = MarkReads::marks(&*self.store).await;
        let marks = marks.map_err(|error| CommitError::Unavailable(error.to_string()))?;
        Ok(clock.max(above).max(marks.fence()))
    }

    /// The first number above those, and not above any of a rotation that comes.
    pub(super) async fn fence_above(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<u64, ReadError> {
        let filter = RotationFilter {
            path: Some(path.clone()),
            ..RotationFilter::default()
        };
        let rows = RotationReads::rotation_list(&*self.store, tenant, &filter, None, FENCE_LOOK);
        let rows = rows.await?;
        let above = rows.iter().map(|row| row.epoch().saturating_add(1)).max();
        Ok(above.unwrap_or(0))
    }

    async fn announce_again(
        &self,
        caller: &Caller,
        head: &SecretHead,
        assignment: &Assignment,
        policy: &RotationPolicy,
        waiting: Rotation,
    ) -> Result<Rotation, CommitError> {
        let now = self.now();
        let (unit, rotation) =
            self.announcing_again(caller, head, assignment, policy, &waiting, now);
        self.commit(unit).await?;
        Ok(rotation)
    }

    /// What announces a rotation again, for a commit of the caller's.
    pub(crate) fn announcing_again(
        &self,
        caller: &Caller,
        head: &SecretHead,
        assignment: &Assignment,
        policy: &RotationPolicy,
        waiting: &Rotation,
        now: Timestamp,
    ) -> (Unit, Rotation) {
        let rotation = claimed(waiting.announced_again(policy, now), now);
        let unit = Unit::new(UnitName::RotationAnnounce).put(Record::Rotation(rotation.clone()));
        let due_at = assignment.next_rotation_at.min(now);
        let unit = self.announced(caller, unit, head, &rotation, due_at, now);
        (unit, rotation)
    }

    fn announced(
        &self,
        caller: &Caller,
        unit: Unit,
        head: &SecretHead,
        rotation: &Rotation,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Unit {
        let extra = AuditExtra {
            version: Some(head.current_version),
            rotation_id: Some(rotation.id.clone()),
            rotation_policy_id: Some(rotation.policy_id.clone()),
            phase: Some(rotation.phase.as_str().to_owned()),
            ..AuditExtra::default()
        };
        let unit = unit.audited(caller.row(Action::Rotate, Some(&head.path), now, extra));
        match rotation.strategy {
            Strategy::EventDriven => {
                unit.emit(self.event(caller, events::due_now(head, rotation, due_at), now))
            }
            Strategy::GeneratedValue | Strategy::Target => unit,
        }
    }
}

/// A value that the server makes is made by whoever opened the rotation: the row is born held, so
/// that no other worker begins on it meanwhile.
fn claimed(rotation: Rotation, now: Timestamp) -> Rotation {
    let claimed_until = match rotation.strategy {
        Strategy::GeneratedValue => Some(now.plus(HOLD)),
        // What a target has to be told is the scheduler's: a request does not wait for it.
        Strategy::EventDriven | Strategy::Target => None,
    };
    Rotation {
        claimed_until,
        ..rotation
    }
}
