//! Work that would hold others up is done beside them.

use scaivault_core::transit::TransitKind;
use scaivault_crypto::transit::{Made, generate};

use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// Computes: what is slow on a thread of its own, a few at a time.
    pub(super) async fn transit_aside<T: Send + 'static>(
        &self,
        is_slow: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, VaultError> {
        if !is_slow {
            return Ok(work());
        }
        let slot = self.transit_slots.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            // Held until it is done, also when nobody waits for it any more.
            let _slot = slot;
            work()
        });
        done.await
            .map_err(|error| VaultError::Internal(error.to_string()))
    }

    /// Makes the material of a version.
    pub(super) async fn transit_generated(
        &self,
        kind: TransitKind,
        key_bytes: usize,
    ) -> Result<Made, VaultError> {
        let entropy = self.entropy.clone();
        let made = self.transit_aside(kind.is_slow(), move || generate(kind, key_bytes, &*entropy));
        Ok(made.await??)
    }
}
