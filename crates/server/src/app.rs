//! What every request needs: the vault, the limits, the figures.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use parking_lot::Mutex;
use scaivault_core::access::Cidr;
use scaivault_engine::{TallyReading, Vault};
use scaivault_store::SqliteStore;

use tokio::sync::watch;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::rate_limit::RateLimiter;

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
}

/// The longest a client may wait in one poll.
const POLL_MAX: Duration = Duration::from_secs(60);

impl HttpSettings {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            base_url: config.server.base_url.clone(),
            max_body_bytes: config.server.max_body_bytes,
            request_timeout: config.server.request_timeout,
            trusted_proxies: config.server.trusted_proxies.clone(),
            metrics_need_token: config.metrics.require_token,
            metrics_enabled: config.metrics.enabled,
            poll_max: POLL_MAX,
        }
    }
}

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) vault: Arc<Vault>,
    /// For its figures.
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) limiter: RateLimiter,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: HttpSettings,
    /// The OpenAPI document.
    pub(crate) document: Bytes,
    /// Turns true when the server is to stop: whoever waits answers at once.
    pub(crate) stopping: watch::Sender<bool>,
    /// What the counters were told last.
    pub(crate) told: Mutex<(TallyReading, u64)>,
}

impl App {
    /// Brings figures that others keep into the metrics.
    pub(crate) async fn refresh_gauges(&self) {
        let (tally, stats) = (self.vault.tally().read(), self.store.stats());
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
            metrics.audit_rows.inc_by(stats.audit_rows - rows);
            *told = (tally, stats.audit_rows);
        }
        let queued = i64::try_from(stats.queue_len).unwrap_or(i64::MAX);
        self.metrics.store_queue_depth.set(queued);
        if let Ok(counts) = self.vault.store().secret_counts().await {
            for (tenant, count) in counts {
                self.metrics.tenant(tenant.as_str()).set_secrets(count);
            }
        }
    }
}

/// As routes hold it.
pub(crate) type Shared = Arc<App>;
