//! Reads of secrets, access policies, tokens and rotations, by looking at every row.

use std::collections::BTreeMap;

use async_trait::async_trait;
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::identity::{Identity, Token, TokenHash};
use scaivault_core::ids::{
    BindingId, PolicyId, RotationId, RotationPolicyId, SecretPolicyId, TargetId, TenantId, TokenId,
};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, PolicyReads, ReadError, RotationFigures, RotationFilter, RotationPolicyReads,
    RotationReads, SecretFilter, SecretPolicyReads, SecretReads, TargetReads, TokenReads,
};
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy};
use scaivault_core::secret::{SealedVersion, SecretHead, Version};
use scaivault_core::target::Target;
use scaivault_core::time::Timestamp;

use super::MemoryStore;
use super::table::{Row, page, page_down};

type Read<T> = Result<T, ReadError>;

#[async_trait]
impl SecretReads for MemoryStore {
    async fn secret_find(&self, tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>> {
        Ok(self.0.lock().secrets.find(tenant, path.as_str()))
    }

    async fn secret_open(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<(SecretHead, Option<SealedVersion>)>> {
        let state = self.0.lock();
        let Some(head) = state.secrets.find(tenant, path.as_str()) else {
            return Ok(None);
        };
        let number = version.unwrap_or(head.current_version);
        let mut rows = state.versions.of(tenant);
        let found = rows
            .find(|row| row.path == *path && row.version == number)
            .map(|row| SealedVersion {
                version: row.clone(),
                sealed: state.values[&row.key()].clone(),
            });
        Ok(Some((head, found)))
    }

    async fn secret_list(
        &self,
        tenant: &TenantId,
        filter: &SecretFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretHead>> {
        let state = self.0.lock();
        let wanted = state.secrets.of(tenant).filter(|head| {
            head.path.as_str().starts_with(&filter.prefix)
                && filter
                    .tag
                    .as_ref()
                    .is_none_or(|tag| head.metadata.tags.contains(tag))
                && filter
                    .secret_type
                    .is_none_or(|kind| kind == head.secret_type)
                && filter
                    .expires_before
                    .is_none_or(|end| head.expires_at.is_some_and(|at| at <= end))
                && (filter.include_deleted || !head.is_deleted())
        });
        Ok(page(wanted, after, limit))
    }

    async fn version_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>> {
        let state = self.0.lock();
        Ok(state
            .versions
            .of(tenant)
            .rev()
            .filter(|row| row.path == *path)
            .cloned()
            .collect())
    }

    async fn secret_purgeable(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretHead>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let ended = |head: &&SecretHead| {
            head.recoverable_until.is_some_and(|end| end <= now)
                && !suspended.contains(&head.tenant)
        };
        let mut found: Vec<_> = state.secrets.0.values().filter(ended).cloned().collect();
        found.sort_by_key(|head| head.recoverable_until);
        found.truncate(limit);
        Ok(found)
    }

    async fn secret_notice_due(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretHead>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let due = |head: &&SecretHead| {
            head.notice_at().is_some_and(|at| at <= now) && !suspended.contains(&head.tenant)
        };
        let mut found: Vec<_> = state.secrets.0.values().filter(due).cloned().collect();
        found.sort_by_key(SecretHead::notice_at);
        found.truncate(limit);
        Ok(found)
    }

    async fn secret_counts(&self) -> Read<BTreeMap<TenantId, u64>> {
        let mut counts = BTreeMap::new();
        for head in self
            .0
            .lock()
            .secrets
            .0
            .values()
            .filter(|head| !head.is_deleted())
        {
            *counts.entry(head.tenant.clone()).or_default() += 1;
        }
        Ok(counts)
    }
}

#[async_trait]
impl PolicyReads for MemoryStore {
    async fn policy_find(&self, tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>> {
        Ok(self.0.lock().policies.find(tenant, id.as_str()))
    }

    async fn policy_list(
        &self,
        tenant: &TenantId,
        include_inactive: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AccessPolicy>> {
        let state = self.0.lock();
        let wanted = state
            .policies
            .of(tenant)
            .filter(|row| include_inactive || row.is_active);
        Ok(page(wanted, after, limit))
    }

    async fn binding_list(&self, tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>> {
        let state = self.0.lock();
        Ok(state
            .bindings
            .of(tenant)
            .filter(|row| row.policy_id == *policy)
            .cloned()
            .collect())
    }

    async fn binding_find(&self, tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>> {
        Ok(self.0.lock().bindings.find(tenant, id.as_str()))
    }

    async fn grants(
        &self,
        tenant: &TenantId,
        identities: &[Identity],
    ) -> Read<Vec<(AccessPolicy, Binding)>> {
        let state = self.0.lock();
        let bound = state
            .bindings
            .of(tenant)
            .filter(|row| identities.contains(&row.identity));
        let mut found: Vec<_> = bound
            .filter_map(|row| {
                Some((
                    state.policies.find(tenant, row.policy_id.as_str())?,
                    row.clone(),
                ))
            })
            .collect();
        found.sort_by_key(|(policy, binding)| (policy.id.clone(), binding.id.clone()));
        Ok(found)
    }
}

#[async_trait]
impl TokenReads for MemoryStore {
    async fn token_by_hash(&self, hash: &TokenHash) -> Read<Option<Token>> {
        Ok(self
            .0
            .lock()
            .tokens
            .0
            .values()
            .find(|row| row.hash == *hash)
            .cloned())
    }

    async fn token_find(&self, tenant: &TenantId, id: &TokenId) -> Read<Option<Token>> {
        Ok(self.0.lock().tokens.find(tenant, id.as_str()))
    }

    async fn token_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Token>> {
        Ok(page(self.0.lock().tokens.of(tenant), after, limit))
    }

    async fn token_children(
        &self,
        tenant: &TenantId,
        parent: &TokenId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Token>> {
        let state = self.0.lock();
        let rows = state.tokens.of(tenant);
        let children = rows.filter(|row| row.living_parent() == Some(parent));
        Ok(page(children, after, limit))
    }

    async fn token_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Token>> {
        let state = self.0.lock();
        let due = |row: &&Token| row.wake_at.is_some_and(|at| at <= now);
        let mut found: Vec<_> = state.tokens.0.values().filter(due).cloned().collect();
        found.sort_by_key(|row| row.wake_at);
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl RotationPolicyReads for MemoryStore {
    async fn rotation_policy_find(
        &self,
        tenant: &TenantId,
        id: &RotationPolicyId,
    ) -> Read<Option<RotationPolicy>> {
        Ok(self.0.lock().rotation_policies.find(tenant, id.as_str()))
    }

    async fn rotation_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<RotationPolicy>> {
        let state = self.0.lock();
        let wanted = state
            .rotation_policies
            .of(tenant)
            .filter(|row| row.is_active || !active_only);
        Ok(page(wanted, after, limit))
    }
}

#[async_trait]
impl SecretPolicyReads for MemoryStore {
    async fn secret_policy_find(
        &self,
        tenant: &TenantId,
        id: &SecretPolicyId,
    ) -> Read<Option<SecretPolicy>> {
        Ok(self.0.lock().secret_policies.find(tenant, id.as_str()))
    }

    async fn secret_policy_named(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Read<Option<SecretPolicy>> {
        let state = self.0.lock();
        let found = state
            .secret_policies
            .of(tenant)
            .find(|row| row.name == name);
        Ok(found.cloned())
    }

    async fn secret_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretPolicy>> {
        let state = self.0.lock();
        let rows = state.secret_policies.of(tenant);
        let rows = rows.filter(|row| row.is_active || !active_only);
        Ok(page(rows, after, limit))
    }

    async fn secret_policy_in_use(&self, tenant: &TenantId, id: &SecretPolicyId) -> Read<bool> {
        let state = self.0.lock();
        let mut rotates = state.rotation_policies.of(tenant);
        let mut secrets = state.secrets.of(tenant);
        Ok(rotates.any(|row| row.secret_policy_id.as_ref() == Some(id))
            || secrets.any(|row| row.secret_policy_id.as_ref() == Some(id)))
    }
}

#[async_trait]
impl TargetReads for MemoryStore {
    async fn target_find(&self, tenant: &TenantId, id: &TargetId) -> Read<Option<Target>> {
        Ok(self.0.lock().targets.find(tenant, id.as_str()))
    }

    async fn target_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Target>> {
        let state = self.0.lock();
        let found = state.targets.of(tenant).find(|row| row.name == name);
        Ok(found.cloned())
    }

    async fn target_managed_by(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        limit: usize,
    ) -> Read<Vec<Target>> {
        let state = self.0.lock();
        let rows = state.targets.of(tenant);
        let managed = rows.filter(|row| row.manager_path.as_ref() == Some(path));
        Ok(page(managed, None, limit))
    }

    async fn target_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Target>> {
        Ok(page(self.0.lock().targets.of(tenant), after, limit))
    }
}

#[async_trait]
impl AssignmentReads for MemoryStore {
    async fn assignment_find(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Read<Option<Assignment>> {
        Ok(self.0.lock().assignments.find(tenant, path.as_str()))
    }

    async fn assignment_list(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        Ok(page(
            state
                .assignments
                .of(tenant)
                .filter(|row| row.policy_id == *policy),
            after,
            limit,
        ))
    }

    async fn assignment_count(&self, tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64> {
        let state = self.0.lock();
        Ok(state
            .assignments
            .of(tenant)
            .filter(|row| row.policy_id == *policy)
            .count() as u64)
    }

    async fn assignment_due(
        &self,
        tenant: &TenantId,
        until: Timestamp,
        policy: Option<&RotationPolicyId>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        let due = state.assignments.of(tenant).filter(|row| {
            row.next_rotation_at < until && policy.is_none_or(|policy| row.policy_id == *policy)
        });
        let mut found: Vec<_> = due.cloned().collect();
        found.sort_by_key(|row| row.next_rotation_at);
        found.truncate(limit);
        Ok(found)
    }

    async fn assignment_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        let at = |row: &&Assignment| {
            row.attached
                .as_ref()
                .is_some_and(|at| at.target_id == *target)
        };
        Ok(page(state.assignments.of(tenant).filter(at), after, limit))
    }

    async fn assignment_in_group(
        &self,
        tenant: &TenantId,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        let member = |row: &&Assignment| row.turn.as_ref().is_some_and(|turn| turn.group == group);
        Ok(page(
            state.assignments.of(tenant).filter(member),
            after,
            limit,
        ))
    }
}

#[async_trait]
impl RotationReads for MemoryStore {
    async fn rotation_find(&self, tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>> {
        Ok(self.0.lock().rotations.find(tenant, id.as_str()))
    }

    async fn rotation_list(
        &self,
        tenant: &TenantId,
        filter: &RotationFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Rotation>> {
        let state = self.0.lock();
        let wanted = state.rotations.of(tenant).filter(|row| {
            filter.path.as_ref().is_none_or(|path| row.path == *path)
                && filter
                    .policy_id
                    .as_ref()
                    .is_none_or(|policy| row.policy_id == *policy)
                && filter
                    .target_id
                    .as_ref()
                    .is_none_or(|target| row.target_id() == Some(target))
                && filter
                    .group
                    .as_ref()
                    .is_none_or(|group| row.turn.as_ref().is_some_and(|turn| turn.group == *group))
                && (filter.phases.is_empty() || filter.phases.contains(&row.phase))
        });
        Ok(page_down(wanted, after, limit))
    }

    async fn rotation_figures(&self, now: Timestamp) -> Read<RotationFigures> {
        let state = self.0.lock();
        let mut figures = RotationFigures::default();
        for row in state.rotations.0.values() {
            if !row.phase.is_final() {
                *figures.by_phase.entry(row.phase.as_str()).or_default() += 1;
            }
            figures.overdue += u64::from(row.overdue_since().is_some_and(|at| at <= now));
            figures.delayed += u64::from(row.is_delayed());
        }
        let drifts = |row: &&Assignment| row.probe.drift.is_some();
        let found = state.assignments.0.values().filter(drifts).count();
        figures.drifting = u64::try_from(found).unwrap_or(u64::MAX);
        Ok(figures)
    }
}
