//! Engines, roles and leases, by looking at every row.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use scaivault_core::dynamic::{Engine, Lease, LeaseState, Role};
use scaivault_core::ids::{EngineId, LeaseId, TenantId, TokenId};
use scaivault_core::ports::{DynamicReads, LeaseFigures, LeaseFilter, LeaseToken, ReadError};
use scaivault_core::time::Timestamp;

use super::table::{page, page_down, role_key};
use super::{MemoryStore, State};

type Read<T> = Result<T, ReadError>;

impl State {
    /// Those that ended longest ago first.
    pub(super) fn prune_leases(&mut self, before: Timestamp, limit: usize) {
        let rows = self.leases.0.iter();
        let mut ended: Vec<_> = rows
            .filter_map(|(key, row)| Some((row.revoked_at?, key.clone())))
            .filter(|(at, _)| *at < before)
            .collect();
        ended.sort();
        for (_, key) in ended.into_iter().take(limit) {
            self.leases.0.remove(&key);
        }
    }
}

#[async_trait]
impl DynamicReads for MemoryStore {
    async fn engine_find(&self, tenant: &TenantId, id: &EngineId) -> Read<Option<Engine>> {
        Ok(self.0.lock().engines.find(tenant, id.as_str()))
    }

    async fn engine_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Engine>> {
        let state = self.0.lock();
        let found = state.engines.of(tenant).find(|row| row.name == name);
        Ok(found.cloned())
    }

    async fn engine_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Engine>> {
        Ok(page(self.0.lock().engines.of(tenant), after, limit))
    }

    async fn role_find(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        name: &str,
    ) -> Read<Option<Role>> {
        Ok(self.0.lock().roles.find(tenant, &role_key(engine, name)))
    }

    async fn role_list(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Role>> {
        let state = self.0.lock();
        let rows = state.roles.of(tenant);
        let rows = rows.filter(|row| row.engine_id == *engine);
        let behind = rows.filter(|row| after.is_none_or(|after| row.name.as_str() > after));
        Ok(behind.take(limit).cloned().collect())
    }

    async fn lease_find(&self, tenant: &TenantId, id: &LeaseId) -> Read<Option<Lease>> {
        Ok(self.0.lock().leases.find(tenant, id.as_str()))
    }

    async fn lease_list(
        &self,
        tenant: &TenantId,
        filter: &LeaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Lease>> {
        let wanted = |row: &&Lease| {
            filter
                .engine_id
                .as_ref()
                .is_none_or(|id| row.engine_id == *id)
                && filter.role.as_ref().is_none_or(|role| row.role == *role)
                && (filter.states.is_empty() || filter.states.contains(&row.state))
                && (!filter.failing || row.failing_since.is_some())
                && filter
                    .holder
                    .as_ref()
                    .is_none_or(|holder| row.holder == *holder)
        };
        let state = self.0.lock();
        Ok(page_down(
            state.leases.of(tenant).filter(wanted),
            after,
            limit,
        ))
    }

    async fn lease_of_accounts(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        accounts: &[String],
    ) -> Read<Vec<Lease>> {
        let state = self.0.lock();
        let rows = state.leases.of(tenant);
        let ours = rows.filter(|row| {
            row.may_exist() && row.engine_id == *engine && accounts.contains(&row.account)
        });
        Ok(ours.cloned().collect())
    }

    async fn lease_due(
        &self,
        now: Timestamp,
        busy: &[EngineId],
        of_each: usize,
        limit: usize,
    ) -> Read<Vec<Lease>> {
        let state = self.0.lock();
        let mut rows: Vec<&Lease> = state.leases.0.values().collect();
        rows.retain(|row| {
            row.wake_at.is_some_and(|at| at <= now) && !busy.contains(&row.engine_id)
        });
        rows.sort_by(|a, b| (a.wake_at, &a.tenant, &a.id).cmp(&(b.wake_at, &b.tenant, &b.id)));
        let mut counts: BTreeMap<&EngineId, usize> = BTreeMap::new();
        rows.retain(|row| {
            let count = counts.entry(&row.engine_id).or_default();
            *count += 1;
            *count <= of_each
        });
        Ok(rows.into_iter().take(limit).cloned().collect())
    }

    async fn lease_count(&self, tenant: &TenantId, engine: &EngineId) -> Read<u64> {
        let state = self.0.lock();
        let rows = state.leases.of(tenant);
        let unended = rows.filter(|row| row.may_exist() && row.engine_id == *engine);
        Ok(u64::try_from(unended.count()).unwrap_or(u64::MAX))
    }

    async fn lease_prunable(&self, before: Timestamp, most: usize) -> Read<usize> {
        let state = self.0.lock();
        let rows = state.leases.0.values();
        let ended = rows.filter(|row| row.revoked_at.is_some_and(|at| at < before));
        Ok(ended.take(most).count())
    }

    async fn lease_tokens(
        &self,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Read<Vec<LeaseToken>> {
        let state = self.0.lock();
        let rows = state.leases.0.values().filter(|row| row.may_exist());
        let held = rows.filter_map(|row| Some((row.tenant.clone(), row.token_id.clone()?)));
        let all: BTreeSet<_> = held.collect();
        let behind = all.into_iter().filter(|(tenant, token)| {
            after.is_none_or(|after| (tenant.as_str(), token.as_str()) > after)
        });
        let with_row = |(tenant, id): (TenantId, TokenId)| LeaseToken {
            token: state.tokens.find(&tenant, id.as_str()),
            tenant,
            id,
        };
        Ok(behind.take(limit).map(with_row).collect())
    }

    async fn lease_of_token(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Lease>> {
        let state = self.0.lock();
        let rows = state.leases.of(tenant);
        let held = rows.filter(|row| row.may_exist() && row.token_id.as_ref() == Some(token));
        Ok(page(held, after, limit))
    }

    async fn lease_figures(&self) -> Read<LeaseFigures> {
        let state = self.0.lock();
        let mut by_state: BTreeMap<&str, (LeaseState, u64)> = BTreeMap::new();
        let mut figures = LeaseFigures::default();
        for row in state.leases.0.values().filter(|row| row.may_exist()) {
            by_state
                .entry(row.state.as_str())
                .or_insert((row.state, 0))
                .1 += 1;
            if let Some(since) = row.failing_since {
                figures.failing += 1;
                figures.failing_since =
                    Some(figures.failing_since.map_or(since, |at| at.min(since)));
            }
        }
        figures.by_state = by_state.into_values().collect();
        Ok(figures)
    }
}
