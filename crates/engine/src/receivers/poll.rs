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
use crate::error::{Missing, RACES_MAX, VaultError};
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
        self.subscription_read_noted(&subscription).await?;
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
                self.delivery_give_up(delivery, None).await?;
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
        let distinct: HashSet<&EventId> = events.iter().collect();
        for _ in 0..RACES_MAX {
            let now = self.now();
            let mut unit = Unit::new(UnitName::SubscriptionAck);
            for event in &distinct {
                let delivery_id = DeliveryId::of(event, id.as_str());
                let found =
                    DeliveryReads::delivery_find(&*self.store, caller.tenant(), &delivery_id)
                        .await?;
                if let Some(delivery) = found.filter(|d| d.state == DeliveryState::Pending) {
                    unit = unit.put(Record::Delivery(Delivery {
                        state: DeliveryState::Success,
                        revision: delivery.revision + 1,
                        last_attempt_at: Some(now),
                        ..delivery
                    }));
                }
            }
            let acknowledged = unit.ops.len();
            if acknowledged == 0 {
                return Ok(0);
            }
            let extra = AuditExtra {
                subscription_id: Some(id.clone()),
                count: u64::try_from(acknowledged).ok(),
                metadata_only: Some(true),
                ..AuditExtra::default()
            };
            let row = caller.row(Action::SubscriptionEvent, None, now, extra);
            match self.commit(unit.audited(row)).await {
                Ok(_) => return Ok(acknowledged),
                Err(CommitError::Conflict(_)) => {} // acknowledged or dropped meanwhile
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the subscription changes too quickly: try again".into(),
        ))
    }

    /// Whether the caller may poll this subscription.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] unless the caller owns a polling subscription with this id.
    pub async fn subscription_polled(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<(), VaultError> {
        self.polled(caller, id).await.map(|_| ())
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
