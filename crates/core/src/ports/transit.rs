//! Reading keys that others use.

use async_trait::async_trait;

use super::store::Read;
use crate::ids::TenantId;
use crate::time::Timestamp;
use crate::transit::TransitKey;

/// Keys of transit mounts.
#[async_trait]
pub trait TransitReads {
    /// One key.
    async fn transit_find(
        &self,
        tenant: &TenantId,
        mount: &str,
        name: &str,
    ) -> Read<Option<TransitKey>>;
    /// Keys of a mount by name, behind `after`.
    async fn transit_list(
        &self,
        tenant: &TenantId,
        mount: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<TransitKey>>;
    /// Keys that rotate by themselves by now, longest overdue first.
    async fn transit_due(&self, now: Timestamp, limit: usize) -> Read<Vec<TransitKey>>;
}
