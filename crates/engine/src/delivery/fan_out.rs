//! From the outbox to one delivery per receiver. The mark moves in the same commit as the
//! deliveries are put, so a crash repeats nothing and skips nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use scaivault_core::delivery::{Delivery, DeliveryState, Receiver};
use scaivault_core::event::StoredEvent;
use scaivault_core::ids::{DeliveryId, TenantId};
use scaivault_core::ports::{CommitError, EventReads, Op, Record, Unit, UnitName};
use scaivault_core::receiver::DeliveryMode;
use scaivault_core::time::Timestamp;

use crate::cache::TenantReceivers;
use crate::error::VaultError;
use crate::vault::Vault;

/// Events fanned out in one commit.
const SLICE: usize = 200;

/// Slices fanned out before a receiver is made, at most.
const SLICES_BEFORE_RECEIVER: usize = 1_000;

impl Vault {
    /// Fans out what has happened so far. Called before a receiver is made: what happened before
    /// is not for it, and the order of the outbox says what that is, not the clock.
    pub(crate) async fn fan_out_past(&self) -> Result<(), VaultError> {
        for _ in 0..SLICES_BEFORE_RECEIVER {
            if self.fan_out_run_once().await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Fans out one slice of the outbox. Answers how many events it took; 0 means none waits.
    ///
    /// # Errors
    /// When the store cannot be read or written; nothing is lost or repeated by trying again.
    pub async fn fan_out_run_once(&self) -> Result<usize, VaultError> {
        let (mark, events) = EventReads::fan_out_pending(&*self.store, SLICE).await?;
        let Some(last) = events.last().map(|stored| stored.position) else {
            return Ok(0);
        };
        let now = self.now();
        let mut unit = Unit::new(UnitName::FanOut).op(Op::FanOutAdvance {
            from: mark,
            to: last,
        });
        let mut trims: Vec<(String, u32)> = Vec::new();
        let mut known: BTreeMap<&TenantId, Arc<TenantReceivers>> = BTreeMap::new();
        for stored in &events {
            let tenant = &stored.event.tenant;
            let receivers = match known.get(tenant) {
                Some(receivers) => receivers.clone(),
                None => self.receivers_for_events(tenant).await?,
            };
            known.insert(tenant, receivers.clone());
            for webhook in receivers.webhooks.iter().filter(|w| w.wants(&stored.event)) {
                let receiver = Receiver::Webhook(webhook.id.clone());
                let put = Delivery {
                    lane: webhook.ordered.lane(&stored.event),
                    ..delivery(stored, receiver, Some(now), now)
                };
                unit = unit.put(Record::Delivery(put));
            }
            for subscription in receivers
                .subscriptions
                .iter()
                .filter(|s| s.wants(&stored.event))
            {
                if let Some(path) = &stored.event.path
                    && !self.owner_may_see(subscription, path).await?
                {
                    continue;
                }
                let receiver = Receiver::Subscription(subscription.id.clone());
                let next_attempt_at = match &subscription.delivery {
                    DeliveryMode::Webhook { .. } => Some(now),
                    DeliveryMode::Polling { buffer_size } => {
                        let trim = (subscription.id.as_str().to_owned(), *buffer_size);
                        if !trims.contains(&trim) {
                            trims.push(trim);
                        }
                        None
                    }
                };
                unit = unit.put(Record::Delivery(delivery(
                    stored,
                    receiver,
                    next_attempt_at,
                    now,
                )));
            }
        }
        unit.ops.extend(
            trims
                .into_iter()
                .map(|(receiver, keep)| Op::BufferTrim { receiver, keep }),
        );
        match self.commit(unit).await {
            Ok(_) => Ok(events.len()),
            Err(CommitError::Conflict(_)) => Ok(events.len()), // another worker was first
            Err(error) => Err(error.into()),
        }
    }
}

fn delivery(
    stored: &StoredEvent,
    receiver: Receiver,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> Delivery {
    Delivery {
        id: DeliveryId::of(&stored.event.id, receiver.as_str()),
        tenant: stored.event.tenant.clone(),
        receiver,
        event_id: stored.event.id.clone(),
        event_position: stored.position,
        event_type: stored.event.event_type,
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at,
        created_at: now,
        last_attempt_at: None,
        response_code: None,
        error: None,
        duration_ms: None,
        lane: None,
        held: false,
        claimed_until: None,
        revision: 1,
    }
}
