//! What every request needs: the vault, the limits, the figures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use parking_lot::Mutex;
use scaivault_core::access::Cidr;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{ExportSink, LeaseFigures, RotationFigures, StoreHealth};
use scaivault_engine::{DebtFigures, TallyReading, Vault};

use tokio::sync::{Semaphore, watch};

use crate::config::{AuditSection, Config, SubscriptionsSection};
use crate::metrics::Metrics;
use crate::rate_limit::RateLimiter;
use crate::recent::Recent;
use crate::storage::Storage;
use crate::streams::Streams;

/// Settings of the HTTP surface.
pub(crate) struct HttpSettings {
    /// Where clients reach us, if it is known.
    pub(crate) base_url: Option<String>,
    pub(crate) max_body_bytes: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// `/v1/metrics` asks for a token with the scope `admin`.
    pub(crate) metrics_need_token: bool,
    pub(crate) metrics_enabled: bool,
    /// How long a client may wait in one poll.
    pub(crate) poll_max: Duration,
    /// Targets looked at once.
    pub(crate) targets_max: usize,
    /// Bounds of streams of events.
    pub(crate) streams: SubscriptionsSection,
    /// How long rows of the trail are kept.
    pub(crate) audit: AuditSection,
    /// Where exports that are asked for go.
    pub(crate) export_sink: Option<Arc<dyn ExportSink>>,
}

/// How old a probe of the store may be that is told as news.
pub(crate) const PROBE_AGE_MAX: Duration = Duration::from_secs(1);
/// The same for the numbers of secrets.
pub(crate) const COUNTS_AGE_MAX: Duration = Duration::from_secs(10);

/// The longest a client may wait in one poll.
const POLL_MAX: Duration = Duration::from_secs(60);

impl HttpSettings {
    /// # Errors
    /// When the bucket of exports cannot be used as configured.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            base_url: config.server.base_url.clone(),
            max_body_bytes: config.server.max_body_bytes,
            request_timeout: config.server.request_timeout,
            trusted_proxies: config.server.trusted_proxies.clone(),
            metrics_need_token: config.metrics.require_token,
            metrics_enabled: config.metrics.enabled,
            poll_max: POLL_MAX,
            targets_max: config.targets.max_concurrent,
            streams: config.subscriptions.clone(),
            audit: config.audit.clone(),
            export_sink: crate::exports::sink(&config.audit)?,
        })
    }
}

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) vault: Arc<Vault>,
    /// For its figures.
    pub(crate) storage: Storage,
    pub(crate) limiter: RateLimiter,
    /// Who has streams of events open.
    pub(crate) streams: Streams,
    /// Room for looks at targets.
    pub(crate) target_slots: Semaphore,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: HttpSettings,
    /// The OpenAPI document.
    pub(crate) document: Bytes,
    /// Turns true when the server is to stop: whoever waits answers at once.
    pub(crate) stopping: watch::Sender<bool>,
    /// Whether the store serves, as last seen. Anybody may ask, and each look is a durable write.
    pub(crate) probe: Recent<Probed>,
    /// Secrets by tenant, as last counted: a scan.
    pub(crate) secret_counts: Recent<Option<BTreeMap<TenantId, u64>>>,
    /// Debts at targets, as last counted.
    pub(crate) debts: Recent<Option<DebtFigures>>,
    /// Open rotations, as last counted.
    pub(crate) rotation_figures: Recent<Option<RotationFigures>>,
    /// Leases, as last counted.
    pub(crate) lease_figures: Recent<Option<LeaseFigures>>,
    /// What the counters were told last.
    pub(crate) told: Mutex<(TallyReading, u64)>,
}

impl App {
    /// Brings figures that others keep into the metrics.
    pub(crate) async fn refresh_gauges(&self) {
        let (tally, stats) = (self.vault.tally().read(), self.storage.stats());
        {
            let mut told = self.told.lock();
            let (before, rows) = *told;
            let metrics = &self.metrics;
            metrics.rotations_ended(
                tally.rotations_succeeded - before.rotations_succeeded,
                tally.rotations_failed - before.rotations_failed,
            );
            metrics.deliveries_ended(
                tally.deliveries_succeeded - before.deliveries_succeeded,
                tally.deliveries_failed - before.deliveries_failed,
            );
            metrics.trail.told(&tally, &before);
            metrics.leases.done(&before, &tally);
            metrics.leases.set_troubled(self.vault.engines_in_trouble());
            metrics.audit_rows.inc_by(stats.audit_rows - rows);
            *told = (tally, stats.audit_rows);
        }
        let queued = i64::try_from(stats.queue_len).unwrap_or(i64::MAX);
        self.metrics.store_queue_depth.set(queued);
        let refused = i64::try_from(stats.rows_refused).unwrap_or(i64::MAX);
        self.metrics.store_rows_refused.set(refused);
        let vault = self.vault.clone();
        let figures = async move { vault.store().rotation_figures(vault.now()).await.ok() };
        let figures = self.rotation_figures.get(Option::is_some, figures).await;
        if let Some(figures) = figures.flatten() {
            self.metrics.open_rotations.set(&figures);
        }
        let vault = self.vault.clone();
        let count = async move { vault.store().secret_counts().await.ok() };
        let counts = self.secret_counts.get(Option::is_some, count).await;
        let vault = self.vault.clone();
        let figures = async move { vault.debt_figures().await.ok() };
        let figures = self.debts.get(Option::is_some, figures).await;
        if let Some(figures) = figures.flatten() {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.metrics.debts.set(number(figures.count));
            let oldest = figures.oldest.as_secs();
            self.metrics.debt_oldest.set(number(oldest));
        }
        let vault = self.vault.clone();
        let figures = async move { vault.store().lease_figures().await.ok() };
        let figures = self.lease_figures.get(Option::is_some, figures).await;
        if let Some(figures) = figures.flatten() {
            self.metrics.leases.set(&figures, self.vault.now());
        }
        for (tenant, count) in counts.flatten().into_iter().flatten() {
            self.metrics.tenant(tenant.as_str()).set_secrets(count);
        }
    }

    /// What keeps the store from serving, at most [`PROBE_AGE_MAX`] ago. A transaction that
    /// failed since outdates good news.
    pub(crate) async fn store_trouble(&self) -> Option<String> {
        let (vault, storage) = (self.vault.clone(), self.storage.clone());
        let look = async move {
            let failed_before = storage.stats().commits_failed;
            Probed {
                health: vault.store().health().await,
                failed_before,
            }
        };
        let failed = self.storage.stats().commits_failed;
        let holds =
            |probed: &Probed| probed.health.trouble.is_some() || probed.failed_before == failed;
        let Some(probed) = self.probe.get(holds, look).await else {
            return Some("the store could not be looked at".to_owned());
        };
        let bytes = i64::try_from(probed.health.bytes).unwrap_or(i64::MAX);
        self.metrics.store_bytes.set(bytes);
        probed.health.trouble
    }
}

/// A look at the store.
#[derive(Clone)]
pub(crate) struct Probed {
    health: StoreHealth,
    /// Transactions that had failed when it began.
    failed_before: u64,
}

/// As routes hold it.
pub(crate) type Shared = Arc<App>;
