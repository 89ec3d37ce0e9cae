//! How far each collector of the audit trail is behind, whether anybody hands it over or not. Looked at
//! apart from that: a collector that takes its time, or a chain that is broken, must not keep it from
//! being told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use scaivault_core::time::Timestamp;
use scaivault_engine::Vault;

use crate::commands::course::Lag;
use crate::commands::mark::Mark;
use crate::commands::source::Source;
use crate::forwarding::Trail;
use crate::loops::Stop;
use crate::metrics::ForwardMetrics;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// The look at one destination.
pub(crate) struct ForwardLag {
    pub(crate) vault: Arc<Vault>,
    pub(crate) trail: Trail,
    pub(crate) name: String,
    pub(crate) lag_max: Duration,
    pub(crate) metrics: Arc<ForwardMetrics>,
}

impl ForwardLag {
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut source = None;
        let mut known_at = self.vault.now();
        while !*stop.borrow() {
            let lag = tokio::select! {
                lag = self.look(&mut source) => lag,
                _ = stop.changed() => return,
            };
            let now = self.vault.now();
            match lag {
                Ok(Some(lag)) => {
                    known_at = now;
                    self.metrics.set_lag(&self.name, lag, now, self.lag_max);
                }
                // Nobody began yet: whoever tries and cannot says why.
                Ok(None) => self.unknown(known_at),
                Err(error) => {
                    source = None;
                    tracing::debug!(destination = %self.name, why = %format!("{error:#}"), "how far behind a collector is cannot be said");
                    self.unknown(known_at);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    fn unknown(&self, since: Timestamp) {
        let now = self.vault.now();
        self.metrics
            .lag_unknown(&self.name, since, now, self.lag_max);
    }

    async fn look(&self, kept: &mut Option<Source>) -> Result<Option<Lag>> {
        let Some(forward) = self.vault.forward_find(&self.name).await? else {
            return Ok(None);
        };
        let source = match kept {
            Some(source) => source,
            None => kept.insert(self.trail.open().await?),
        };
        source.lag(&Mark::of_heads(&forward.heads)).await.map(Some)
    }
}
