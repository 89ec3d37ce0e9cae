//! Order: a delivery whose receiver wants order waits for the earlier ones of its lane. The oldest
//! pending one of a lane is the only one that is tried; whoever ends it lets the next one go, in the
//! same commit, so that no timer decides when a lane goes on.
//!
//! Holding one back and ending the one before it can cross: each looked before the other wrote. So
//! both look once more after their commit, and whichever comes second lets it go.

use scaivault_core::delivery::{Delivery, DeliveryState, Receiver};
use scaivault_core::ports::{CommitError, DeliveryReads, ReceiverReads, Record, Unit, UnitName};
use scaivault_core::receiver::DeliveryOrder;

use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// Whether an earlier delivery of its lane is still pending. A receiver that wants no order any
    /// more has no lanes.
    pub(super) async fn is_out_of_turn(&self, delivery: &Delivery) -> Result<bool, VaultError> {
        let (Some(lane), Receiver::Webhook(id)) = (&delivery.lane, &delivery.receiver) else {
            return Ok(false);
        };
        let tenant = &delivery.tenant;
        let webhook = ReceiverReads::webhook_find(&*self.store, tenant, id).await?;
        if webhook.is_none_or(|webhook| webhook.ordered == DeliveryOrder::None) {
            return Ok(false);
        }
        let receiver = id.as_str();
        let first = DeliveryReads::delivery_behind(&*self.store, tenant, receiver, lane, 0).await?;
        Ok(first.is_some_and(|first| first.event_position < delivery.event_position))
    }

    /// Puts it back behind the others: no attempt, no row on the trail.
    pub(super) async fn delivery_hold(&self, delivery: &Delivery) -> Result<(), VaultError> {
        let held = delivery.held_back(self.now());
        if self.delivery_put(held.clone()).await? && !self.is_out_of_turn(&held).await? {
            self.delivery_put(held.sent_again(self.now())).await?;
        }
        Ok(())
    }

    /// To be called after the commit that ended a delivery and let none go: the next one may have
    /// been held back meanwhile.
    pub(super) async fn lane_goes_on(&self, after: &Delivery) -> Result<(), VaultError> {
        if let Some(next) = self.next_in_lane(after).await? {
            self.delivery_put(next.sent_again(self.now())).await?;
        }
        Ok(())
    }

    /// Whether it was written; not when it was changed meanwhile.
    async fn delivery_put(&self, delivery: Delivery) -> Result<bool, VaultError> {
        let unit = Unit::new(UnitName::DeliveryHold).put(Record::Delivery(delivery));
        match self.commit(unit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The delivery that was held back for this one, once it has ended.
    pub(super) async fn next_in_lane(
        &self,
        after: &Delivery,
    ) -> Result<Option<Delivery>, VaultError> {
        let (Some(lane), true) = (&after.lane, after.state != DeliveryState::Pending) else {
            return Ok(None);
        };
        // This one is still the first as the store knows it: what is behind it is asked for.
        let receiver = after.receiver.as_str();
        let next = DeliveryReads::delivery_behind(
            &*self.store,
            &after.tenant,
            receiver,
            lane,
            after.event_position,
        )
        .await?;
        Ok(next.filter(|next| next.held))
    }

    /// Whether the row before this write is still the stored one.
    pub(super) async fn is_still_ours(&self, after: &Delivery) -> Result<bool, VaultError> {
        let stored = DeliveryReads::delivery_find(&*self.store, &after.tenant, &after.id).await?;
        Ok(stored.is_some_and(|stored| stored.revision + 1 == after.revision))
    }
}
