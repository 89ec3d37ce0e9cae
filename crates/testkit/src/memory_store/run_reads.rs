//! Turns of groups, campaigns and debts, by looking at every row.

use async_trait::async_trait;
use scaivault_core::campaign::Campaign;
use scaivault_core::debt::Debt;
use scaivault_core::ids::{CampaignId, DebtId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{ReadError, RunReads};
use scaivault_core::rotation::GroupTurn;
use scaivault_core::time::Timestamp;

use super::MemoryStore;
use super::table::{Table, page, page_down};

type Read<T> = Result<T, ReadError>;

#[async_trait]
impl RunReads for MemoryStore {
    async fn group_turn(&self, tenant: &TenantId, group: &str) -> Read<Option<GroupTurn>> {
        Ok(self.0.lock().turns.find(tenant, group))
    }

    async fn campaign_find(&self, tenant: &TenantId, id: &CampaignId) -> Read<Option<Campaign>> {
        Ok(self.0.lock().campaigns.find(tenant, id.as_str()))
    }

    async fn campaign_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Campaign>> {
        Ok(page_down(self.0.lock().campaigns.of(tenant), after, limit))
    }

    async fn campaign_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Campaign>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let wake_at = |row: &Campaign| row.wake_at.filter(|_| !suspended.contains(&row.tenant));
        Ok(due(&state.campaigns, wake_at, now, limit))
    }

    async fn debt_find(&self, tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>> {
        Ok(self.0.lock().debts.find(tenant, id.as_str()))
    }

    async fn debt_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>> {
        Ok(page(self.0.lock().debts.of(tenant), after, limit))
    }

    async fn debt_of_path(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>> {
        let state = self.0.lock();
        let rows = state.debts.of(tenant);
        let ours = rows.filter(|row| row.owed.path() == Some(path));
        Ok(page(ours, after, limit))
    }

    async fn debt_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>> {
        let state = self.0.lock();
        let rows = state.debts.of(tenant);
        let there = rows.filter(|row| row.target_id == *target);
        Ok(page(there, after, limit))
    }

    async fn debt_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Debt>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let wake_at = |row: &Debt| row.wake_at.filter(|_| !suspended.contains(&row.tenant));
        Ok(due(&state.debts, wake_at, now, limit))
    }
}

/// Rows to be looked at by now, longest overdue first.
pub(super) fn due<R: Clone>(
    table: &Table<R>,
    wake_at: impl Fn(&R) -> Option<Timestamp>,
    now: Timestamp,
    limit: usize,
) -> Vec<R> {
    let woken = |row: &&R| wake_at(row).is_some_and(|at| at <= now);
    let mut rows: Vec<R> = table.0.values().filter(woken).cloned().collect();
    rows.sort_by_key(|row| wake_at(row));
    rows.truncate(limit);
    rows
}
