//! Keys that rotate by themselves.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, Record, TransitReads, Unit, UnitName};
use scaivault_core::transit::{TransitKey, TransitRefusal};

use super::TransitAt;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Keys rotated in one run.
const RUN_MAX: usize = 20;
/// The identity in the trail.
const WORKER: &str = "transit-rotation";

impl Vault {
    /// Rotates keys whose time has come. Answers how many; call again soon when it is not 0. Of two nodes
    /// that try at once one gives the version, and the other finds it given.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn transit_run_once(&self) -> Result<usize, VaultError> {
        let due = TransitReads::transit_due(&*self.store, self.now(), RUN_MAX).await?;
        let mut rotated = 0;
        for key in due {
            rotated += usize::from(self.transit_rotate_due(key).await?);
        }
        Ok(rotated)
    }

    async fn transit_rotate_due(&self, mut key: TransitKey) -> Result<bool, VaultError> {
        let now = self.now();
        let caller = Caller::system(key.tenant.clone(), WORKER, now);
        let (mount, name) = (key.mount.clone(), key.name.clone());
        let at = TransitAt {
            mount: &mount,
            name: &name,
            tail: Some("rotate"),
        };
        let path = at.path("keys")?;
        match self.transit_next_version(&mut key).await {
            Ok(()) => {}
            // It goes on with what it has, and is looked at again a period later.
            Err(VaultError::Transit(TransitRefusal::TooMany)) => {
                let period = Duration::from_secs(key.auto_rotate_s);
                key.wake_at = Some(now.plus(period));
                return self.transit_put_off(&caller, &path, key).await;
            }
            Err(error) => return Err(error),
        }
        match self
            .commit(self.transit_rotation(&caller, &path, &mut key))
            .await
        {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A key that cannot rotate: its row on the trail says so.
    async fn transit_put_off(
        &self,
        caller: &Caller,
        path: &SecretPath,
        mut key: TransitKey,
    ) -> Result<bool, VaultError> {
        key.revision += 1;
        let code = VaultError::Transit(TransitRefusal::TooMany).code();
        let (action, extra) = (Action::TransitKeyRotate, AuditExtra::default());
        let row = caller.failed_row(action, Some(path), self.now(), code, extra);
        let unit = Unit::new(UnitName::TransitWrite)
            .put(Record::Transit(key))
            .audited(row);
        match self.commit(unit).await {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
