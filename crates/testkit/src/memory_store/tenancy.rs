//! Partners and tenants, and whose work stands still.

use std::collections::BTreeSet;

use async_trait::async_trait;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::ports::{ReadError, TenancyReads, TenantFilter};
use scaivault_core::tenancy::{Partner, Status, Tenant, space_of};

use super::{MemoryStore, State};

type Read<T> = Result<T, ReadError>;

impl State {
    /// Tenants that are not served.
    pub(super) fn suspended(&self) -> BTreeSet<TenantId> {
        let rows = self.tenants.0.values().filter(|row| row.is_suspended());
        let partners = self.partners.0.values();
        let partners = partners.filter(|row| row.status == Status::Suspended);
        rows.map(|row| row.id.clone())
            .chain(partners.map(|row| space_of(&row.id)))
            .collect()
    }
}

fn page<'a, R: Clone + 'a>(
    rows: impl Iterator<Item = &'a R>,
    skip: usize,
    limit: usize,
) -> (Vec<R>, u64) {
    let all: Vec<&R> = rows.collect();
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let page = all.into_iter().skip(skip).take(limit).cloned().collect();
    (page, total)
}

#[async_trait]
impl TenancyReads for MemoryStore {
    async fn partner_find(&self, id: &PartnerId) -> Read<Option<Partner>> {
        let state = self.0.lock();
        Ok(state.partners.0.values().find(|row| row.id == *id).cloned())
    }

    async fn partner_list(
        &self,
        status: Option<Status>,
        skip: usize,
        limit: usize,
    ) -> Read<(Vec<Partner>, u64)> {
        let state = self.0.lock();
        let rows = state.partners.0.values();
        let wanted = rows.filter(|row| status.is_none_or(|status| row.status == status));
        Ok(page(wanted, skip, limit))
    }

    async fn tenant_find(&self, id: &TenantId) -> Read<Option<Tenant>> {
        let state = self.0.lock();
        Ok(state.tenants.0.values().find(|row| row.id == *id).cloned())
    }

    async fn tenant_list(
        &self,
        filter: &TenantFilter,
        skip: usize,
        limit: usize,
    ) -> Read<(Vec<Tenant>, u64)> {
        let state = self.0.lock();
        let wanted = state.tenants.0.values().filter(|row| {
            let partner = filter.partner.as_ref();
            partner.is_none_or(|partner| row.partner == *partner)
                && filter.status.is_none_or(|status| row.status() == status)
        });
        Ok(page(wanted, skip, limit))
    }
}
