//! Telling that a value ends: `secret.expiring` at each threshold, `secret.expired` at the end.
//!
//! What was told is in the secret's head, written in the commit of the event. Of any number of
//! nodes that find the same head due, one commits; the others lose the race and look again.

use scaivault_core::expiry::{Expiry, Notice};
use scaivault_core::ports::{CommitError, Record, SecretReads, Unit, UnitName};
use scaivault_core::secret::SecretHead;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::events;
use crate::vault::Vault;

/// Whom events name.
const WORKER: &str = "expiry-scheduler";
/// Secrets looked at in one slice.
const NOTICES_MAX: usize = 64;

impl Vault {
    /// Tells of the ends of secrets whose time has come, one step of each. Answers how many it
    /// looked at; call again soon when it is not 0.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn notices_run_once(&self) -> Result<usize, VaultError> {
        let due = SecretReads::secret_notice_due(&*self.store, self.now(), NOTICES_MAX).await?;
        let looked_at = due.len();
        for head in due {
            match self.tell_of_end(head).await {
                // Told by another node, or written meanwhile: the next look sees what is so.
                Ok(Ok(_) | Err(CommitError::Conflict(_))) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(looked_at)
    }

    async fn tell_of_end(&self, head: SecretHead) -> Result<Result<(), CommitError>, VaultError> {
        let now = self.now();
        let Some(end) = head.expires_at else {
            return Ok(Ok(()));
        };
        let mut unit = Unit::new(UnitName::SecretNotice);
        let expiry = match head.expiry.due(end, now) {
            Some((notice, told)) => {
                unit = self.notice_emitted(unit, &head, &notice, end, now);
                told
            }
            None if head.expiry.plan_for(end).is_none() => head.expiry.planned(end, now),
            // By this clock it is not due any more.
            None => return Ok(Ok(())),
        };
        let unit = self.told_to_tenants(&head.tenant, unit).await?;
        let unit = unit.put(Record::Secret(with_expiry(head, expiry)));
        Ok(self.commit(unit).await.map(drop))
    }

    fn notice_emitted(
        &self,
        unit: Unit,
        head: &SecretHead,
        notice: &Notice,
        end: Timestamp,
        now: Timestamp,
    ) -> Unit {
        let caller = Caller::system(head.tenant.clone(), WORKER, now);
        let draft = match &notice.threshold {
            Some(threshold) => events::expiring(head, end, threshold, now),
            None => events::expired(head, end),
        };
        unit.emit(self.event(&caller, draft, now))
    }
}

/// Neither its value nor what people say about it changed: `updated_at` stays.
fn with_expiry(head: SecretHead, expiry: Expiry) -> SecretHead {
    SecretHead {
        revision: head.revision + 1,
        expiry,
        ..head
    }
}
