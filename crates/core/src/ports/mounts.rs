//! Reading mounts, and what tokens keep for themselves.

use async_trait::async_trait;

use super::store::Read;
use crate::cubbyhole::CubbyItem;
use crate::ids::{TenantId, TokenId};
use crate::mount::Mount;

/// Mounts and cubbyholes.
#[async_trait]
pub trait MountReads {
    /// Every mount of a tenant, those that were taken away too, by path.
    async fn mount_list(&self, tenant: &TenantId) -> Read<Vec<Mount>>;
    /// One value of a token.
    async fn cubby_find(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        path: &str,
    ) -> Read<Option<CubbyItem>>;
    /// Values of a token, by path.
    async fn cubby_list(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        limit: usize,
    ) -> Read<Vec<CubbyItem>>;
}
