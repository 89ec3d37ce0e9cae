//! Attaching secrets to rotation policies.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationPolicyId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, Record, RotationFilter, RotationPolicyReads, RotationReads,
    Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Phase, Reason, RotationPolicy};
use scaivault_core::time::Timestamp;

use super::attach::Attach;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

impl Vault {
    /// Attaches a secret to a policy; a secret under another policy moves. Attaching it where it
    /// is changes nothing.
    ///
    /// # Errors
    /// As [`Vault::assignment_attach`].
    pub async fn assignment_create(
        &self,
        caller: &Caller,
        policy_id: &RotationPolicyId,
        path: &SecretPath,
    ) -> Result<(Assignment, RotationPolicy), VaultError> {
        let made = self
            .assignment_attach(caller, policy_id, path, &Attach::default())
            .await?;
        Ok((made.assignment, made.policy))
    }

    /// Detaches a secret. A rotation that waits for its value ends.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when the secret is not attached to this policy;
    /// [`VaultError::RotationUnfinished`] while it is rotated at a target.
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
            let open = self.open_rotation_of(&assignment).await?;
            let unit = Unit::new(UnitName::AssignmentDelete);
            let unit = self
                .rotations_ended(caller, unit, open, Reason::Detached, now)
                .await?;
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

    /// Attachments due before `until`, and those whose rotation waits for its value already,
    /// soonest first, each with its policy. Secrets the caller may neither administer nor rotate
    /// are left out.
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
        self.require_rotation_view(caller).await?;
        let tenant = caller.tenant();
        let mut due =
            AssignmentReads::assignment_due(&*self.store, tenant, until, policy, limit).await?;
        let waiting = RotationFilter {
            policy_id: policy.cloned(),
            phases: vec![Phase::Generating, Phase::Verifying, Phase::Parked],
            ..RotationFilter::default()
        };
        for rotation in
            RotationReads::rotation_list(&*self.store, tenant, &waiting, None, limit).await?
        {
            let path = &rotation.path;
            let known = due.iter().any(|assignment| assignment.path == *path);
            let found = match known {
                true => None,
                false => AssignmentReads::assignment_find(&*self.store, tenant, path).await?,
            };
            due.extend(found.filter(|a| a.open_rotation.as_ref() == Some(&rotation.id)));
        }
        due.sort_by_key(|assignment| assignment.next_rotation_at);
        let admin = caller.principal.scopes.contains(Scope::Admin);
        let mut listed = Vec::with_capacity(due.len());
        for assignment in due {
            let now = self.now();
            let path = &assignment.path;
            if !admin
                && self
                    .decision(caller, Permission::Rotate, path, now)
                    .await?
                    .is_err()
            {
                continue;
            }
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
