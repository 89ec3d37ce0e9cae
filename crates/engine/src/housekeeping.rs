//! What is kept only for a time.

use std::time::Duration;

use scaivault_core::ports::{Op, Unit, UnitName};

use crate::error::VaultError;
use crate::vault::Vault;

/// How long events and their finished deliveries are kept.
const EVENTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Secrets purged in one run.
const PURGE_MAX: usize = 100;

impl Vault {
    /// Purges soft-deleted secrets past their retention, exchanged tokens long ended and old events. Answers how many secrets
    /// were purged; call again soon when it is not 0.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn housekeeping_run_once(&self) -> Result<usize, VaultError> {
        let purged = self.secrets_purge(PURGE_MAX).await?;
        self.exchanged_tokens_prune().await?;
        self.secret_ids_prune().await?;
        let before = self.now().minus(EVENTS_KEPT);
        let unit = Unit::new(UnitName::Housekeeping).op(Op::EventsPrune { before });
        self.commit(unit).await?;
        Ok(purged)
    }
}
