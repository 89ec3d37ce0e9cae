//! What is refused so that no target loses its manager, no value goes where nobody who may read
//! it said, and nothing that is owed at a target is forgotten.

use std::collections::BTreeSet;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{EngineId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, RotationFilter, RotationReads, RunReads, TargetReads,
};
use scaivault_core::rotation::{Assignment, Phase};
use scaivault_core::target::Target;
use scaivault_core::time::Timestamp;

use super::refuse_if_any;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Rows read at a time.
const PAGE: usize = 500;

impl Vault {
    /// Whether a secret is attached to it, a rotation at it has not ended, or a debt is still to
    /// be settled there. Whoever attaches or rehearses writes the target's row in the same commit,
    /// so that a deletion in between conflicts. A rotation that is given up leaves its debt in the
    /// commit that ends it: so debts are looked for last.
    /// An engine makes credentials there: `but` this one is to be forgotten with it.
    pub(crate) async fn target_in_use(
        &self,
        target: &Target,
        but: Option<&EngineId>,
    ) -> Result<bool, VaultError> {
        if self.engine_at(target, but).await? {
            return Ok(true);
        }
        let (tenant, id) = (&target.tenant, &target.id);
        let attached =
            AssignmentReads::assignment_at_target(&*self.store, tenant, id, None, 1).await?;
        let unended = RotationFilter {
            target_id: Some(id.clone()),
            phases: Phase::unfinished(),
            ..RotationFilter::default()
        };
        let open = RotationReads::rotation_list(&*self.store, tenant, &unended, None, 1).await?;
        if !attached.is_empty() || !open.is_empty() {
            return Ok(true);
        }
        Ok(!self.debts_of_target(tenant, id).await?.is_empty())
    }

    /// The caller may read every secret whose value is sent to the target: a change of where it is
    /// sends them all there. Attachments are read before debts: what leaves the one is in the
    /// other by then.
    pub(crate) async fn may_send_all(
        &self,
        caller: &Caller,
        target: &Target,
        action: Action,
    ) -> Result<(), VaultError> {
        let (tenant, id) = (&target.tenant, &target.id);
        let attached = self.attached_at(tenant, id).await?.into_iter();
        let mut paths: BTreeSet<SecretPath> = attached.map(|row| row.path).collect();
        let debts = self.debts_of_target(tenant, id).await?;
        paths.extend(debts.iter().filter_map(|debt| debt.owed.path().cloned()));
        for path in paths {
            self.authorize(caller, Scope::SecretsRead, Permission::Read, &path, action)
                .await?;
        }
        Ok(())
    }

    /// The manager secret stays while it is attached as the manager: another one would be tried
    /// with the new value of this one, and lose the target.
    pub(crate) async fn manager_is_free(&self, target: &Target) -> Result<(), VaultError> {
        let Some(path) = &target.manager_path else {
            return Ok(());
        };
        let row = AssignmentReads::assignment_find(&*self.store, &target.tenant, path).await?;
        let attached = row.and_then(|row| row.attached);
        match attached.filter(|at| at.is_manager && at.target_id == target.id) {
            Some(_) => {
                let why = format!("stays while {path} is attached as the manager: detach it first");
                refuse_if_any(vec![("manager_path".to_owned(), why)])
            }
            None => Ok(()),
        }
    }

    /// Refuses to take away a secret that is some target's manager's credential. Whoever names it
    /// in a target writes the secret's head in the same commit, so that a deletion in between
    /// conflicts.
    pub(crate) async fn manages_no_target(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<(), VaultError> {
        let found = TargetReads::target_managed_by(&*self.store, tenant, path, 1).await?;
        match found.into_iter().next() {
            Some(target) => Err(VaultError::ManagerInUse(target.name)),
            None => Ok(()),
        }
    }

    /// Refuses a rehearsal while another one is under way at the target.
    pub(crate) async fn no_rehearsal_at(
        &self,
        target: &Target,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let debts = self.debts_of_target(&target.tenant, &target.id).await?;
        match debts.iter().any(|debt| is_under_way(debt, now)) {
            true => Err(VaultError::Unavailable(
                "a rehearsal is under way at this target: try again when it has ended, within \
                 three minutes at the latest"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Every attachment to a target.
    async fn attached_at(
        &self,
        tenant: &TenantId,
        id: &TargetId,
    ) -> Result<Vec<Assignment>, VaultError> {
        let mut all: Vec<Assignment> = Vec::new();
        loop {
            let after = all.last().map(|row| row.path.as_str().to_owned());
            let after = after.as_deref();
            let page = AssignmentReads::assignment_at_target(&*self.store, tenant, id, after, PAGE)
                .await?;
            let more = page.len() == PAGE;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Every debt at a target.
    async fn debts_of_target(
        &self,
        tenant: &TenantId,
        id: &TargetId,
    ) -> Result<Vec<Debt>, VaultError> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = RunReads::debt_list(&*self.store, tenant, after.as_deref(), PAGE).await?;
            let more = page.len() == PAGE;
            after = page.last().map(|debt| debt.id.as_str().to_owned());
            found.extend(page.into_iter().filter(|debt| debt.target_id == *id));
            if !more {
                return Ok(found);
            }
        }
    }
}

/// Whether it is of a rehearsal that has not ended: nobody has tried to settle it, nor may yet.
fn is_under_way(debt: &Debt, now: Timestamp) -> bool {
    let is_own = matches!(&debt.owed, Owed::Account { tag, .. } if tag == debt.id.as_str());
    is_own && debt.attempts == 0 && debt.wake_at.is_some_and(|wake| wake > now)
}
