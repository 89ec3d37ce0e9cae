//! Webhooks and subscriptions: who gets events.

mod deliveries;
mod poll;
mod subscriptions;
mod webhooks;

use std::sync::Arc;

use scaivault_core::ids::TenantId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::ReceiverReads;
use scaivault_core::seal::{Place, Sealed, Sealer};

pub use subscriptions::{DeliveryDraft, SubscriptionChange, SubscriptionDraft};
pub use webhooks::{WebhookChange, WebhookDraft, WebhookTestOutcome};

use crate::cache::TenantReceivers;
use crate::error::VaultError;
use crate::vault::Vault;

/// The sealed fields of receivers.
pub(crate) const SIGNING_SECRET: &str = "signing_secret";
pub(crate) const PREVIOUS_SECRET: &str = "previous_secret";

impl Vault {
    /// The receivers of a tenant.
    pub(crate) async fn receivers_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<TenantReceivers>, VaultError> {
        let ticket = match self.caches.receivers.get(tenant) {
            Ok(receivers) if self.caches_settled() => return Ok(receivers),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let receivers = Arc::new(TenantReceivers {
            webhooks: ReceiverReads::webhook_list(&*self.store, tenant).await?,
            subscriptions: ReceiverReads::subscription_list(&*self.store, tenant).await?,
        });
        if let Some(ticket) = ticket {
            self.caches
                .receivers
                .insert(ticket, tenant.clone(), receivers.clone(), 1);
        }
        Ok(receivers)
    }

    pub(crate) fn receiver_secret_seal(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        id: &str,
        field: &'static str,
        secret: &Plaintext,
    ) -> Result<Sealed, VaultError> {
        let place = Place {
            tenant,
            kind,
            path: id,
            version: 0,
            field,
        };
        Ok(Sealer::seal(self.sealer(), place, secret)?)
    }

    pub(crate) fn receiver_secret_open(
        &self,
        tenant: &TenantId,
        kind: &'static str,
        id: &str,
        field: &'static str,
        sealed: &Sealed,
    ) -> Result<Plaintext, VaultError> {
        let place = Place {
            tenant,
            kind,
            path: id,
            version: 0,
            field,
        };
        Ok(Sealer::open(self.sealer(), place, sealed)?)
    }
}
