//! How many credentials are made at one target at a time. Each needs a session of the manager:
//! without a bound, whoever asks often takes all that the server has room for.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use scaivault_core::ids::TargetId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::VaultError;

/// At a time.
const WORKING: usize = 12;
/// Waiting for their turn; whoever comes later is sent away at once.
const WAITING: usize = 48;
/// Targets remembered before those that nobody works at are forgotten.
const TARGETS: usize = 256;

/// One target's places.
struct Places {
    /// Of those that work and those that wait.
    present: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

/// The places at all targets.
#[derive(Default)]
pub(crate) struct AccountSlots(Mutex<HashMap<TargetId, Places>>);

/// A place, given back when it is dropped.
pub(crate) struct Slot {
    _present: OwnedSemaphorePermit,
    _working: OwnedSemaphorePermit,
}

impl AccountSlots {
    /// A place at this target.
    ///
    /// # Errors
    /// [`VaultError::TargetBusy`] when too many wait already.
    pub(super) async fn take(&self, target: &TargetId) -> Result<Slot, VaultError> {
        let (present, working) = {
            let mut all = self.0.lock();
            if all.len() >= TARGETS {
                all.retain(|_, places| places.present.available_permits() < WORKING + WAITING);
            }
            let places = all.entry(target.clone()).or_insert_with(|| Places {
                present: Arc::new(Semaphore::new(WORKING + WAITING)),
                working: Arc::new(Semaphore::new(WORKING)),
            });
            (places.present.clone(), places.working.clone())
        };
        let present = present.try_acquire_owned();
        let present = present.map_err(|_| VaultError::TargetBusy)?;
        let working = working.acquire_owned().await;
        Ok(Slot {
            _present: present,
            _working: working.map_err(|_| VaultError::TargetBusy)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn so_many_work_so_many_wait_and_nobody_else() {
        let slots = AccountSlots::default();
        let id = |name: &str| TargetId::parse(name).unwrap();
        let (one, other) = (id("tgt_1"), id("tgt_2"));
        let mut working = Vec::new();
        for _ in 0..WORKING {
            working.push(slots.take(&one).now_or_never().unwrap().unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(slots.take(&one))).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none(), "it waits");
        }
        let late = slots.take(&one).now_or_never().unwrap();
        assert_eq!(late.err(), Some(VaultError::TargetBusy));
        assert!(slots.take(&other).now_or_never().unwrap().is_ok());
        working.pop();
        assert!(waiting.remove(0).await.is_ok());
    }
}
