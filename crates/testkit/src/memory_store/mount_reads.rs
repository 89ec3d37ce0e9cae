//! Mounts, and what tokens keep for themselves.

use async_trait::async_trait;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::mount::Mount;
use scaivault_core::ports::{MountReads, ReadError};

use super::MemoryStore;
use super::table::cubby_key;

type Read<T> = Result<T, ReadError>;

#[async_trait]
impl MountReads for MemoryStore {
    async fn mount_list(&self, tenant: &TenantId) -> Read<Vec<Mount>> {
        Ok(self.0.lock().mounts.of(tenant).cloned().collect())
    }

    async fn cubby_find(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        path: &str,
    ) -> Read<Option<CubbyItem>> {
        let key = cubby_key(token, path);
        Ok(self.0.lock().cubbies.find(tenant, &key))
    }

    async fn cubby_list(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        limit: usize,
    ) -> Read<Vec<CubbyItem>> {
        let state = self.0.lock();
        let rows = state.cubbies.of(tenant);
        let rows = rows.filter(|row| row.token_id == *token);
        Ok(rows.take(limit).cloned().collect())
    }
}
