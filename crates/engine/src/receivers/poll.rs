//! Fetching and acknowledging a polling subscription's events. Only its owner may.

use std::collections::HashSet;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::Event;
use scaivault_core::ids::{DeliveryId, EventId, SubscriptionId};
use scaivault_core::ports::{
    CommitError, DeliveryReads, EventReads, ReceiverReads, Record, Unit, UnitName,
};
use scaivault_core::receiver::{DeliveryMode, Subscription};

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

impl Vault {
    /// Unacknowledged events, oldest first, at most `limit`, after the event `since` if given;
    /// and whether more wait. Does not wait itself: [`crate::Signals::deliveries`] tells when to
    /// look again.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] unless the caller owns a polling subscription with this id.
    pub async fn subscription_poll(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
        since: Option<&EventId>,
        limit: usize,
    ) -> Result<(Vec<Event>, bool), VaultError> {
        let subscription = self.polled(caller, id).await?;
        let after = match since {
            Some(event) => EventReads::event_find(&*self.store, caller.tenant(), event)
                .await?
                .map_or(0, |stored| stored.position),
            None => 0,
        };
        let rows =
            DeliveryReads::delivery_unacked(&*self.store, caller.tenant(), id, after, limit + 1)
                .await?;
        let has_more = rows.len() > limit;
        let mut events = Vec::with_capacity(rows.len().min(limit));
        for (delivery, event) in rows.into_iter().take(limit) {
            // Rights may have been taken away since the event was kept: then it is dropped.
            let visible = match &event.path {
                Some(path) => self.owner_may_see(&subscription, path).await?,
                None => true,
            };
            if visible {
                events.push(event);
            } else {
                self.delivery_give_up(delivery).await?;
            }
        }
        if !events.is_empty() {
            let extra = AuditExtra {
                subscription_id: Some(id.clone()),
                count: u64::try_from(events.len()).ok(),
                ..AuditExtra::default()
            };
            let row = caller.row(Action::SubscriptionEvent, None, self.now(), extra);
            self.commit(Unit::audit_only(row)).await?;
        }
        Ok((events, has_more))
    }

    /// Acknowledges events: they do not come again. Answers how many of them were waiting.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] unless the caller owns a polling subscription with this id.
    pub async fn subscription_ack(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
        events: &[EventId],
    ) -> Result<usize, VaultError> {
        self.polled(caller, id).await?;
        let mut acknowledged = 0;
        let distinct: HashSet<&EventId> = events.iter().collect();
        for event in distinct {
            let delivery_id = DeliveryId::of(event, id.as_str());
            let waiting = DeliveryReads::delivery_find(&*self.store, caller.tenant(), &delivery_id)
                .await?
                .filter(|delivery| delivery.state == DeliveryState::Pending);
            let Some(delivery) = waiting else {
                continue;
            };
            let done = Delivery {
                state: DeliveryState::Success,
                revision: delivery.revision + 1,
                last_attempt_at: Some(self.now()),
                ..delivery
            };
            let unit = Unit::new(UnitName::SubscriptionAck).put(Record::Delivery(done));
            match self.commit(unit).await {
                Ok(_) => acknowledged += 1,
                Err(CommitError::Conflict(_)) => {} // acknowledged or dropped meanwhile
                Err(error) => return Err(error.into()),
            }
        }
        Ok(acknowledged)
    }

    async fn polled(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<Subscription, VaultError> {
        let found = ReceiverReads::subscription_find(&*self.store, caller.tenant(), id)
            .await?
            .filter(|subscription| subscription.identity == *caller.identity())
            .ok_or(VaultError::NotFound(Missing::Subscription))?;
        match found.delivery {
            DeliveryMode::Polling { .. } => Ok(found),
            DeliveryMode::Webhook { .. } => {
                let field = (
                    "id".to_owned(),
                    "this subscription delivers by webhook: there is nothing to poll".to_owned(),
                );
                Err(VaultError::Validation(vec![field]))
            }
        }
    }
}
