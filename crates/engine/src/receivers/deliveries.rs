//! Looking at deliveries, and sending one again.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::delivery::{Delivery, DeliveryState, Receiver};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DeliveryId, WebhookId};
use scaivault_core::ports::{CommitError, DeliveryReads, EventReads, Record, Unit, UnitName};

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

impl Vault {
    /// Deliveries of a webhook, newest first.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn delivery_list(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        state: Option<DeliveryState>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        self.webhook_of(caller, webhook).await?;
        let tenant = caller.tenant();
        let id = webhook.as_str();
        Ok(DeliveryReads::delivery_list(&*self.store, tenant, id, state, after, limit).await?)
    }

    /// Puts a delivery on its way again, with all its attempts.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the webhook or the delivery, or when its event is gone.
    pub async fn delivery_redeliver(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        id: &DeliveryId,
    ) -> Result<Delivery, VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookDelivery)
            .await?;
        self.webhook_of(caller, webhook).await?;
        let tenant = caller.tenant();
        for _ in 0..RACES_MAX {
            let delivery = DeliveryReads::delivery_find(&*self.store, tenant, id)
                .await?
                .filter(|delivery| delivery.receiver == Receiver::Webhook(webhook.clone()))
                .ok_or(VaultError::NotFound(Missing::Delivery))?;
            EventReads::event_find(&*self.store, tenant, &delivery.event_id)
                .await?
                .ok_or(VaultError::NotFound(Missing::Delivery))?;
            let now = self.now();
            let again = delivery.sent_again(now);
            let extra = AuditExtra {
                webhook_id: Some(webhook.clone()),
                delivery_id: Some(id.clone()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::DeliveryDone)
                .put(Record::Delivery(again.clone()))
                .audited(caller.row(Action::WebhookDelivery, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(again),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the delivery changes too quickly: try again".into(),
        ))
    }
}
