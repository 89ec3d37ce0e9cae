//! What is refused while a rotation at a target is unfinished, and while a target is in use.

use scaivault_core::ids::{RotationId, RotationPolicyId, TenantId};
use scaivault_core::ports::AssignmentReads;
use scaivault_core::rotation::{Assignment, Attached, Rotation};

use crate::error::VaultError;
use crate::vault::Vault;

/// Attachments read at a time.
const PAGE: usize = 500;

/// The rotation at a target among these that has not ended.
pub(crate) fn unfinished_at_target(rotations: &[Rotation]) -> Option<RotationId> {
    let found = rotations
        .iter()
        .find(|rotation| rotation.at_target.is_some() && !rotation.phase.is_final());
    found.map(|rotation| rotation.id.clone())
}

impl Vault {
    /// Refuses while the rotation an attachment points at is unfinished at its target. Who then
    /// writes the attachment's row, or deletes it, loses against a rotation that opens meanwhile.
    pub(crate) async fn no_rotation_at_target(
        &self,
        assignment: Option<&Assignment>,
    ) -> Result<(), VaultError> {
        let Some(assignment) = assignment else {
            return Ok(());
        };
        let open = self.open_rotation_of(assignment).await?;
        match unfinished_at_target(&open) {
            Some(id) => Err(VaultError::RotationUnfinished(id)),
            None => Ok(()),
        }
    }

    /// The same for every attachment of a policy, before the first of them is touched.
    pub(super) async fn no_rotation_of_policy(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
    ) -> Result<(), VaultError> {
        for assignment in self.assignments_of(tenant, policy).await? {
            self.no_rotation_at_target(Some(&assignment)).await?;
        }
        Ok(())
    }

    /// Refuses a policy that no longer accepts a gap while one of its attachments has one.
    pub(super) async fn no_gap_under(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
    ) -> Result<(), VaultError> {
        let all = self.assignments_of(tenant, policy).await?;
        let with_gap = |row: &&Assignment| row.attached.as_ref().is_some_and(Attached::has_gap);
        match all.iter().find(with_gap) {
            Some(row) => {
                let why = format!(
                    "stays true while {} is attached with strategy none",
                    row.path
                );
                Err(gap_refused("rules.accept_gap", why))
            }
            None => Ok(()),
        }
    }

    async fn assignments_of(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
    ) -> Result<Vec<Assignment>, VaultError> {
        let mut all: Vec<Assignment> = Vec::new();
        loop {
            let after = all.last().map(|row| row.path.as_str().to_owned());
            let after = after.as_deref();
            let page =
                AssignmentReads::assignment_list(&*self.store, tenant, policy, after, PAGE).await?;
            let more = page.len() == PAGE;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }
}

/// An attachment without overlap, refused.
pub(super) fn gap_refused(field: &str, why: impl Into<String>) -> VaultError {
    VaultError::Validation(vec![(field.to_owned(), why.into())])
}
