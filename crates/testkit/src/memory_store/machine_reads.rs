//! Roles that machines log in by, and their secret ids.

use async_trait::async_trait;
use scaivault_core::identity::TokenHash;
use scaivault_core::ids::{SecretIdAccessor, TenantId};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::ports::{MachineReads, ReadError};
use scaivault_core::time::Timestamp;

use super::MemoryStore;
use super::table::page;

type Read<T> = Result<T, ReadError>;

#[async_trait]
impl MachineReads for MemoryStore {
    async fn machine_role_named(&self, tenant: &TenantId, name: &str) -> Read<Option<MachineRole>> {
        Ok(self.0.lock().machine_roles.find(tenant, name))
    }

    async fn machine_role_by_role_id(&self, role_id: &str) -> Read<Option<MachineRole>> {
        let state = self.0.lock();
        let mut rows = state.machine_roles.0.values();
        Ok(rows.find(|row| row.role_id == role_id).cloned())
    }

    async fn machine_role_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<MachineRole>> {
        Ok(page(self.0.lock().machine_roles.of(tenant), after, limit))
    }

    async fn secret_id_by_hash(&self, hash: &TokenHash) -> Read<Option<SecretId>> {
        let state = self.0.lock();
        let mut rows = state.secret_ids.0.values();
        Ok(rows.find(|row| row.hash == *hash).cloned())
    }

    async fn secret_id_find(
        &self,
        tenant: &TenantId,
        id: &SecretIdAccessor,
    ) -> Read<Option<SecretId>> {
        Ok(self.0.lock().secret_ids.find(tenant, id.as_str()))
    }

    async fn secret_id_list(
        &self,
        tenant: &TenantId,
        role: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretId>> {
        let state = self.0.lock();
        let rows = state.secret_ids.of(tenant).filter(|row| row.role == role);
        Ok(page(rows, after, limit))
    }

    async fn secret_id_ended(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretId>> {
        let state = self.0.lock();
        let ended = |row: &&SecretId| row.expires_at.is_some_and(|end| end <= now);
        let mut found: Vec<_> = state.secret_ids.0.values().filter(ended).cloned().collect();
        found.sort_by_key(|row| row.expires_at);
        found.truncate(limit);
        Ok(found)
    }
}
