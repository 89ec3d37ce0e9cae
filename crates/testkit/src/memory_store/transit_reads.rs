//! Keys that others use.

use async_trait::async_trait;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{ReadError, TransitReads};
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitKey;

use super::MemoryStore;
use super::run_reads::due;
use super::table::transit_key;

type Read<T> = Result<T, ReadError>;

#[async_trait]
impl TransitReads for MemoryStore {
    async fn transit_find(
        &self,
        tenant: &TenantId,
        mount: &str,
        name: &str,
    ) -> Read<Option<TransitKey>> {
        let key = transit_key(mount, name);
        Ok(self.0.lock().transit.find(tenant, &key))
    }

    async fn transit_list(
        &self,
        tenant: &TenantId,
        mount: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<TransitKey>> {
        let state = self.0.lock();
        let after = after.unwrap_or_default();
        let rows = state.transit.of(tenant);
        let rows = rows.filter(|row| row.mount == mount && row.name.as_str() > after);
        Ok(rows.take(limit).cloned().collect())
    }

    async fn transit_due(&self, now: Timestamp, limit: usize) -> Read<Vec<TransitKey>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let wake_at = |row: &TransitKey| row.wake_at.filter(|_| !suspended.contains(&row.tenant));
        Ok(due(&state.transit, wake_at, now, limit))
    }
}
