//! Subscriptions that nobody reads: when they were read last, and their end.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ports::{CommitError, Op, ReceiverReads, Record, Unit, UnitName};
use scaivault_core::receiver::Subscription;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Whom the audit trail names.
const RETENTION: &str = "retention";
/// Subscriptions looked at in one read.
const PAGE: usize = 500;

impl Vault {
    /// Notes that a subscription was read, at most once in a while. Who loses a race here loses
    /// nothing: somebody else read or changed it.
    pub(super) async fn subscription_read_noted(
        &self,
        subscription: &Subscription,
    ) -> Result<(), VaultError> {
        let now = self.now();
        if !subscription.notes_read(now) {
            return Ok(());
        }
        let unit = Unit::new(UnitName::SubscriptionRead).put(Record::Subscription(Subscription {
            last_read_at: Some(now),
            revision: subscription.revision + 1,
            ..subscription.clone()
        }));
        match self.commit(unit).await {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends polling subscriptions that nobody read for as long as they say, or for `default`.
    /// Answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn subscriptions_expire(
        &self,
        default: Option<Duration>,
    ) -> Result<usize, VaultError> {
        let (mut ended, mut after) = (0, None);
        loop {
            let behind: Option<(String, String)> = after.take();
            let behind = behind
                .as_ref()
                .map(|(tenant, id)| (tenant.as_str(), id.as_str()));
            let page = ReceiverReads::subscription_page(&*self.store, behind, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(ended);
            };
            after = Some((last.tenant.as_str().to_owned(), last.id.as_str().to_owned()));
            for subscription in page {
                let now = self.now();
                // In a suspended tenant nobody can read; afterwards the time begins anew.
                let tenant = self.tenant_known(&subscription.tenant).await?;
                let Some(tenant) = tenant.filter(|tenant| !tenant.is_suspended()) else {
                    continue;
                };
                let since = self.opened_at.max(tenant.updated_at);
                let ends = subscription.ends_unread_at(default, since);
                if ends.is_some_and(|ends| ends <= now)
                    && self.subscription_end(subscription).await?
                {
                    ended += 1;
                }
            }
        }
    }

    /// When a subscription ends unless somebody reads it, as far as this node knows.
    pub fn subscription_ends_unread_at(
        &self,
        subscription: &Subscription,
        default: Option<Duration>,
    ) -> Option<Timestamp> {
        subscription.ends_unread_at(default, self.opened_at)
    }

    async fn subscription_end(&self, subscription: Subscription) -> Result<bool, VaultError> {
        let now = self.now();
        let caller = Caller::system(subscription.tenant.clone(), RETENTION, now);
        let extra = AuditExtra {
            subscription_id: Some(subscription.id.clone()),
            reason: Some("unread".to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::SubscriptionExpire)
            .op(Op::BufferTrim {
                receiver: subscription.id.as_str().to_owned(),
                keep: 0,
            })
            .op(Op::Delete(Record::Subscription(subscription)))
            .audited(caller.row(Action::SubscriptionDelete, None, now, extra));
        match self.commit(unit).await {
            Ok(_) => Ok(true),
            // It was read, changed or deleted just now.
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
