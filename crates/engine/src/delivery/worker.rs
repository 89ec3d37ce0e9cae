//! The delivery worker: claims deliveries that are due (one per receiver), makes one attempt
//! each, records the outcome. The claim, the attempt and the record are three things with a
//! possible crash between them: a delivery is made at least once, never lost.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::delivery::{AttemptError, Attempted, Delivery, DeliveryState, Receiver};
use scaivault_core::event::{EventType, StoredEvent};
use scaivault_core::ports::{
    Claims, CommitError, EventReads, Parcel, ReceiverReads, Record, RecordKind, RotationReads,
    Unit, UnitName,
};
use scaivault_core::receiver::Subscription;
use scaivault_core::rotation::Rotation;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::tally::Tally;
use crate::vault::Vault;

/// How long a claim holds; an attempt is bounded well below it by the courier.
const HOLD: Duration = Duration::from_secs(120);

/// Whom the audit trail names.
const DISPATCHER: &str = "event-dispatcher";

/// A delivery this worker holds.
#[derive(Debug)]
pub struct ClaimedDelivery(Delivery);

impl ClaimedDelivery {
    /// The receiver's id: at most one delivery of a receiver is in flight.
    pub fn receiver(&self) -> &str {
        self.0.receiver.as_str()
    }
}

impl Vault {
    /// Claims deliveries that are due, none for receivers in `busy`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn deliveries_claim(
        &self,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<ClaimedDelivery>, VaultError> {
        let claimed = Claims::delivery_claim(&*self.store, self.now(), HOLD, busy, limit).await?;
        Ok(claimed.into_iter().map(ClaimedDelivery).collect())
    }

    /// Makes one attempt and records what it came to. Answers whether the receiver accepted.
    ///
    /// # Errors
    /// When the store cannot be read or written: the claim lapses and it is tried again.
    pub async fn delivery_attempt(&self, claimed: ClaimedDelivery) -> Result<bool, VaultError> {
        let delivery = claimed.0;
        if self.is_out_of_turn(&delivery).await? {
            self.delivery_hold(&delivery).await?;
            return Ok(true);
        }
        let stored =
            EventReads::event_find(&*self.store, &delivery.tenant, &delivery.event_id).await?;
        let parcel = match &stored {
            Some(stored) => self.parcel_of(&delivery, stored).await,
            None => Ok(None),
        };
        let attempted = match parcel {
            Ok(Some(parcel)) => self.courier.deliver(&parcel).await,
            // The receiver, its owner's right or the event is gone: there is nothing to try.
            Ok(None) => {
                self.delivery_give_up(delivery, stored.as_ref()).await?;
                return Ok(true);
            }
            // Its secret does not open: a failed attempt like any other, so that it is seen, ends,
            // and does not hold back what else there is for this receiver.
            Err(VaultError::Internal(why)) => {
                tracing::error!(delivery = %delivery.id, why, "a delivery cannot be made up");
                Attempted {
                    response_code: None,
                    error: Some(AttemptError::Receiver),
                    duration: Duration::ZERO,
                }
            }
            Err(error) => return Err(error),
        };
        self.record_attempt(&delivery, stored.as_ref(), attempted)
            .await?;
        Ok(attempted.error.is_none())
    }

    async fn parcel_of(
        &self,
        delivery: &Delivery,
        stored: &StoredEvent,
    ) -> Result<Option<Parcel>, VaultError> {
        let now = self.now();
        let partner = self.partner_of(&delivery.tenant).await?;
        match &delivery.receiver {
            Receiver::Webhook(id) => {
                let found = ReceiverReads::webhook_find(&*self.store, &delivery.tenant, id).await?;
                match found.filter(|webhook| webhook.enabled) {
                    Some(webhook) => self
                        .webhook_parcel(&webhook, &stored.event, &partner, stored.sequence, now)
                        .map(Some),
                    None => Ok(None),
                }
            }
            Receiver::Subscription(id) => {
                let found =
                    ReceiverReads::subscription_find(&*self.store, &delivery.tenant, id).await?;
                match found {
                    // Rights may have been taken away since the event was put on its way.
                    Some(subscription) if self.may_still_see(&subscription, stored).await? => self
                        .subscription_parcel(
                            &subscription,
                            &stored.event,
                            &partner,
                            stored.sequence,
                            now,
                        ),
                    Some(_) => Ok(None),
                    None => Ok(None),
                }
            }
        }
    }

    async fn may_still_see(
        &self,
        subscription: &Subscription,
        stored: &StoredEvent,
    ) -> Result<bool, VaultError> {
        match &stored.event.path {
            Some(path) => self.owner_may_see(subscription, path).await,
            None => Ok(true),
        }
    }

    /// Ends a delivery that nobody may or can get any more.
    pub(crate) async fn delivery_give_up(
        &self,
        delivery: Delivery,
        stored: Option<&StoredEvent>,
    ) -> Result<(), VaultError> {
        let gone = Delivery {
            state: DeliveryState::Failed,
            next_attempt_at: None,
            error: Some(AttemptError::Receiver),
            claimed_until: None,
            revision: delivery.revision + 1,
            ..delivery
        };
        self.delivery_record(&gone, stored, self.now()).await
    }

    async fn record_attempt(
        &self,
        delivery: &Delivery,
        stored: Option<&StoredEvent>,
        attempted: Attempted,
    ) -> Result<(), VaultError> {
        let now = self.now();
        Tally::add(match attempted.error {
            None => &self.tally.deliveries_succeeded,
            Some(_) => &self.tally.deliveries_failed,
        });
        self.delivery_record(&delivery.after(attempted, now), stored, now)
            .await
    }

    /// Commits the row after an attempt; when it was the last one for the announcement of a
    /// rotation, the rotation is told in the same commit.
    async fn delivery_record(
        &self,
        after: &Delivery,
        stored: Option<&StoredEvent>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let caller = Caller::system(after.tenant.clone(), DISPATCHER, now);
        for _ in 0..RACES_MAX {
            let mut unit = Unit::new(UnitName::DeliveryDone)
                .put(Record::Delivery(after.clone()))
                .audited(attempt_row(&caller, after, stored, now));
            let next = self.next_in_lane(after).await?;
            let lets_go = next.is_some();
            if let Some(next) = next {
                unit = unit.put(Record::Delivery(next.sent_again(now)));
            }
            if after.state == DeliveryState::Failed
                && let Some((rotation, event)) = self.rotation_untold(&caller, stored, now).await?
            {
                unit = unit.put(Record::Rotation(rotation)).emit(event);
            }
            match self.commit(unit).await {
                // The rotation went on meanwhile; the attempt was made all the same.
                Err(CommitError::Conflict(RecordKind::Rotation)) => {}
                // Somebody else let the next one of the lane go; if it was this one, the race is lost.
                Err(CommitError::Conflict(RecordKind::Delivery))
                    if self.is_still_ours(after).await? => {}
                Ok(_) if !lets_go => return self.lane_goes_on(after).await,
                outcome => return ignore_lost_race(outcome.map(|_| ())),
            }
        }
        Ok(())
    }

    /// When the lost event was the announcement of a rotation that still waits.
    async fn rotation_untold(
        &self,
        caller: &Caller,
        stored: Option<&StoredEvent>,
        now: Timestamp,
    ) -> Result<Option<(Rotation, scaivault_core::event::Event)>, VaultError> {
        let Some(event) = stored.map(|stored| &stored.event) else {
            return Ok(None);
        };
        let (EventType::RotationDue, Some(id)) = (event.event_type, &event.rotation_id) else {
            return Ok(None);
        };
        let rotation = RotationReads::rotation_find(&*self.store, &event.tenant, id).await?;
        Ok(rotation.and_then(|rotation| self.rotation_delivery_lost(caller, &rotation, now)))
    }
}

fn attempt_row(
    caller: &Caller,
    after: &Delivery,
    stored: Option<&StoredEvent>,
    now: Timestamp,
) -> scaivault_core::audit::AuditRow {
    let mut extra = AuditExtra {
        delivery_id: Some(after.id.clone()),
        response_code: after.response_code,
        count: Some(u64::from(after.attempts)),
        ..AuditExtra::default()
    };
    let action = match &after.receiver {
        Receiver::Webhook(id) => {
            extra.webhook_id = Some(id.clone());
            Action::WebhookDelivery
        }
        Receiver::Subscription(id) => {
            extra.subscription_id = Some(id.clone());
            Action::SubscriptionEvent
        }
    };
    let path = stored.and_then(|stored| stored.event.path.as_ref());
    let mut row = caller.row(action, path, now, extra);
    row.success = after.error.is_none();
    row.duration_ms = after.duration_ms.unwrap_or(0);
    row
}

fn ignore_lost_race(outcome: Result<(), CommitError>) -> Result<(), VaultError> {
    match outcome {
        Ok(()) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
