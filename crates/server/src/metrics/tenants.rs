//! Numbers per tenant. The only label clients have a say in, so their number is bounded: past
//! [`TENANTS_MAX`], the rest count together.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaivault_core::secret::SecretType;

use super::labels::{TenantLabels, TenantTypeLabels};

/// Tenants with series of their own.
const TENANTS_MAX: usize = 2_000;

/// Under whose name the rest counts. No tenant id looks like it.
const THE_REST: &str = "other";

/// Numbers of one tenant. Keep it beside the tenant, or ask each time: both are cheap.
#[derive(Debug)]
pub(crate) struct TenantMetrics {
    reads: [Counter; SecretType::ALL.len()],
    writes: Counter,
    secrets: Gauge,
}

impl TenantMetrics {
    /// A value was handed out.
    pub(crate) fn secret_read(&self, secret_type: SecretType) {
        let index = SecretType::ALL
            .iter()
            .position(|known| *known == secret_type);
        if let Some(counter) = index.and_then(|index| self.reads.get(index)) {
            counter.inc();
        }
    }

    /// A version was stored.
    pub(crate) fn secret_written(&self) {
        self.writes.inc();
    }

    /// How many secrets there are.
    pub(crate) fn set_secrets(&self, count: u64) {
        self.secrets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

type ByTenant = HashMap<Box<str>, Arc<TenantMetrics>>;

#[derive(Debug, Default)]
pub(super) struct Tenants {
    known: ArcSwap<ByTenant>,
    adding: Mutex<()>,
    reads: Family<TenantTypeLabels, Counter>,
    writes: Family<TenantLabels, Counter>,
    secrets: Family<TenantLabels, Gauge>,
}

impl Tenants {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "secret_reads",
            "Secret values handed out",
            self.reads.clone(),
        );
        registry.register(
            "secret_writes",
            "Secret versions stored",
            self.writes.clone(),
        );
        // The documented name, although the suffix is usually a counter's.
        registry.register("secrets_total", "Secrets that exist", self.secrets.clone());
    }

    /// Without lock or allocation for a tenant seen before, and for all past the bound.
    pub(super) fn of(&self, tenant: &str) -> Arc<TenantMetrics> {
        if let Some(metrics) = find(&self.known.load(), tenant) {
            return metrics;
        }
        let _adding = self.adding.lock();
        let known = self.known.load_full();
        if let Some(metrics) = find(&known, tenant) {
            return metrics;
        }
        let name = if known.len() < TENANTS_MAX {
            tenant
        } else {
            THE_REST
        };
        let metrics = Arc::new(self.create(name));
        let mut more = ByTenant::clone(&known);
        more.insert(name.into(), Arc::clone(&metrics));
        self.known.store(Arc::new(more));
        metrics
    }

    fn create(&self, tenant: &str) -> TenantMetrics {
        let labels = TenantLabels {
            tenant: tenant.to_owned(),
        };
        let reads = SecretType::ALL.map(|secret_type| {
            let labels = TenantTypeLabels {
                tenant: tenant.to_owned(),
                secret_type: secret_type.as_str(),
            };
            self.reads.get_or_create_owned(&labels)
        });
        TenantMetrics {
            reads,
            writes: self.writes.get_or_create_owned(&labels),
            secrets: self.secrets.get_or_create_owned(&labels),
        }
    }
}

fn find(known: &ByTenant, tenant: &str) -> Option<Arc<TenantMetrics>> {
    let the_rest = || {
        if known.len() > TENANTS_MAX {
            known.get(THE_REST)
        } else {
            None
        }
    };
    known.get(tenant).or_else(the_rest).map(Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_have_their_own_numbers_and_past_the_bound_they_share() {
        let tenants = Tenants::default();
        let own: Vec<_> = (0..TENANTS_MAX)
            .map(|n| tenants.of(&format!("tnt_{n}")))
            .collect();
        assert!(Arc::ptr_eq(&own[7], &tenants.of("tnt_7")));
        assert!(!Arc::ptr_eq(&own[7], &own[8]));
        let (late, later) = (tenants.of("tnt_late"), tenants.of("tnt_later"));
        assert!(Arc::ptr_eq(&late, &later));
        assert!(own.iter().all(|metrics| !Arc::ptr_eq(metrics, &late)));
        assert_eq!(tenants.known.load().len(), TENANTS_MAX + 1);
    }
}
