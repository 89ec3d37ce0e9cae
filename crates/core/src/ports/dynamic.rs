//! Reading engines, their roles and leases.

use async_trait::async_trait;

use super::store::Read;
use crate::dynamic::{Engine, Lease, LeaseState, Role};
use crate::identity::{Identity, Token};
use crate::ids::{EngineId, LeaseId, TenantId, TokenId};
use crate::time::Timestamp;

/// Which leases a list asks for. Empty fields do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseFilter {
    /// Of this engine.
    pub engine_id: Option<EngineId>,
    /// Of this role; only together with the engine.
    pub role: Option<String>,
    /// In one of these states.
    pub states: Vec<LeaseState>,
    /// Whose accounts could not be removed so far.
    pub failing: bool,
    /// Of this holder.
    pub holder: Option<Identity>,
}

impl LeaseFilter {
    /// Whether it asks for none that has ended.
    pub fn is_of_unended(&self) -> bool {
        !self.states.is_empty() && !self.states.contains(&LeaseState::Revoked)
    }
}

/// A token that holds leases.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseToken {
    /// Whose.
    pub tenant: TenantId,
    /// Its id.
    pub id: TokenId,
    /// Its row, while it has one.
    pub token: Option<Token>,
}

/// Figures of leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseFigures {
    /// That have not ended, by state.
    pub by_state: Vec<(LeaseState, u64)>,
    /// Whose accounts could not be removed so far.
    pub failing: u64,
    /// Since when the oldest of these.
    pub failing_since: Option<Timestamp>,
}

/// Engines, roles and leases.
#[async_trait]
pub trait DynamicReads {
    /// One engine.
    async fn engine_find(&self, tenant: &TenantId, id: &EngineId) -> Read<Option<Engine>>;
    /// The engine of this name.
    async fn engine_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Engine>>;
    /// Engines by id.
    async fn engine_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Engine>>;
    /// One role.
    async fn role_find(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        name: &str,
    ) -> Read<Option<Role>>;
    /// Roles of an engine by name.
    async fn role_list(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Role>>;
    /// One lease.
    async fn lease_find(&self, tenant: &TenantId, id: &LeaseId) -> Read<Option<Lease>>;
    /// Leases by id, newest first; `after` is the id to go on below.
    async fn lease_list(
        &self,
        tenant: &TenantId,
        filter: &LeaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Lease>>;
    /// Leases of these accounts that have not ended.
    async fn lease_of_accounts(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        accounts: &[String],
    ) -> Read<Vec<Lease>>;
    /// Leases to be looked at by now: of each engine at most `of_each`, longest overdue first; none
    /// of engines in `busy`. Those of suspended tenants, too: what was made for them ends.
    async fn lease_due(
        &self,
        now: Timestamp,
        busy: &[EngineId],
        of_each: usize,
        limit: usize,
    ) -> Read<Vec<Lease>>;
    /// How many leases of an engine have not ended.
    async fn lease_count(&self, tenant: &TenantId, engine: &EngineId) -> Read<u64>;
    /// How many ended before this time; counts no further than `most`.
    async fn lease_prunable(&self, before: Timestamp, most: usize) -> Read<usize>;
    /// Tokens that hold leases, with their rows, by tenant and id, behind `after`.
    async fn lease_tokens(
        &self,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Read<Vec<LeaseToken>>;
    /// Leases that one token holds and that have not ended, by id.
    async fn lease_of_token(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Lease>>;
    /// Figures over all tenants.
    async fn lease_figures(&self) -> Read<LeaseFigures>;
}
