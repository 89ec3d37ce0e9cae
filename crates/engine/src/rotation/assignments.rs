//! Attaching secrets to rotation policies.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationPolicyId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, Record, RotationPolicyReads, RotationReads, SecretReads,
    Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Reason, RotationPolicy};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

impl Vault {
    /// Attaches a secret to a policy; a secret under another policy moves. Attaching it where it
    /// is changes nothing.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the policy or the secret.
    pub async fn assignment_create(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        path: &SecretPath,
    ) -> Result<(Assignment, RotationPolicy), VaultError> {
        self.require(caller, Scope::Admin, Action::RotationAssign)
            .await?;
        for _ in 0..RACES_MAX {
            let policy = self.rotation_policy_of(caller, policy_id).await?;
            SecretReads::secret_find(&*self.store, caller.tenant(), path)
                .await?
                .filter(|head| !head.is_deleted())
                .ok_or(VaultError::NotFound(Missing::Secret))?;
            let old = AssignmentReads::assignment_find(&*self.store, caller.tenant(), path).await?;
            let now = self.now();
            let mut assignment = Assignment::new(
                caller.tenant().clone(),
                path.clone(),
                &policy,
                caller.identity().clone(),
                now,
            );
            if let Some(old) = old {
                if old.policy_id == policy.id {
                    return Ok((old, policy));
                }
                assignment.revision = old.revision + 1;
                assignment.open_rotation = old.open_rotation;
            }
            let unit = Unit::new(UnitName::AssignmentWrite)
                .put(Record::Assignment(assignment.clone()))
                .audited(caller.row(
                    Action::RotationAssign,
                    Some(path),
                    now,
                    AuditExtra {
                        rotation_policy_id: Some(policy.id.clone()),
                        ..AuditExtra::default()
                    },
                ));
            match self.commit(unit).await {
                Ok(_) => return Ok((assignment, policy)),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }

    /// Detaches a secret. A rotation that waits for its value ends.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when the secret is not attached to this policy.
    pub async fn assignment_delete(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        path: &SecretPath,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::RotationUnassign)
            .await?;
        for _ in 0..RACES_MAX {
            let assignment = AssignmentReads::assignment_find(&*self.store, caller.tenant(), path)
                .await?
                .filter(|assignment| assignment.policy_id == *policy_id)
                .ok_or(VaultError::NotFound(Missing::Assignment))?;
            let now = self.now();
            let mut unit = Unit::new(UnitName::AssignmentDelete);
            if let Some(open) = &assignment.open_rotation
                && let Some(rotation) =
                    RotationReads::rotation_find(&*self.store, caller.tenant(), open).await?
                && !rotation.phase.is_final()
            {
                unit = unit.put(Record::Rotation(rotation.abandoned(Reason::Detached, now)));
            }
            let extra = AuditExtra {
                rotation_policy_id: Some(policy_id.clone()),
                ..AuditExtra::default()
            };
            let unit = unit
                .op(Op::Delete(Record::Assignment(assignment)))
                .audited(caller.row(Action::RotationUnassign, Some(path), now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }

    /// Attachments due before `until`, soonest first, each with its policy.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `secrets:rotate` nor `admin`.
    pub async fn assignments_due(
        &self,
        caller: &Caller,
        until: Timestamp,
        policy: Option<&RotationPolicyId>,
        limit: usize,
    ) -> Result<Vec<(Assignment, Option<RotationPolicy>)>, VaultError> {
        if !caller.principal.scopes.contains(Scope::Admin) {
            self.require(caller, Scope::SecretsRotate, Action::List)
                .await?;
        }
        let tenant = caller.tenant();
        let due =
            AssignmentReads::assignment_due(&*self.store, tenant, until, policy, limit).await?;
        let mut listed = Vec::with_capacity(due.len());
        for assignment in due {
            let policy = RotationPolicyReads::rotation_policy_find(
                &*self.store,
                tenant,
                &assignment.policy_id,
            )
            .await?;
            listed.push((assignment, policy));
        }
        Ok(listed)
    }
}
