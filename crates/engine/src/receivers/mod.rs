//! Webhooks and subscriptions: who gets events.

mod deliveries;
mod poll;
mod replay;
mod subscriptions;
mod unread;
mod webhooks;

use std::sync::Arc;

use scaivault_core::access::{Attempt, DenialReason, Permission, decide};
use scaivault_core::identity::{Principal, ScopeSet};
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{ReceiverReads, TokenReads};
use scaivault_core::receiver::Subscription;
use scaivault_core::seal::{Place, Sealed, Sealer};

pub use replay::{ReplayRange, Replayed};
pub use subscriptions::{DeliveryDraft, SubscriptionChange, SubscriptionDraft};
pub use webhooks::{WebhookChange, WebhookDraft, WebhookTestOutcome};

use crate::cache::TenantReceivers;
use crate::error::VaultError;
use crate::vault::{Vault, default_tenant};

/// The sealed fields of receivers.
pub(crate) const SIGNING_SECRET: &str = "signing_secret";
pub(crate) const PREVIOUS_SECRET: &str = "previous_secret";

impl Vault {
    /// Whether the owner of a subscription may know of this path now. An event tells that a path
    /// exists and changes, so any permission there will do; a rule whose condition does not hold
    /// (there is no client address here) still says that the owner knows the path.
    pub(crate) async fn owner_may_see(
        &self,
        subscription: &Subscription,
        path: &SecretPath,
    ) -> Result<bool, VaultError> {
        let (seat, _) = self.seat_in(&subscription.tenant).await?;
        let owner = Principal {
            tenant: subscription.tenant.clone(),
            seat,
            identity: subscription.identity.clone(),
            scopes: ScopeSet::all(),
            groups: Vec::new(),
            token_id: None,
            is_root: false,
            mfa_at: None,
            expires_at: None,
            foreign: None,
            limited_as: None,
        };
        if let Some(id) = &subscription.root_token {
            // Root tokens are the default tenant's, wherever they act.
            let token = TokenReads::token_find(&*self.store, &default_tenant(), id).await?;
            if token.is_some_and(|token| token.revoked_at.is_none()) {
                return Ok(true);
            }
        }
        let grants = self.grants_of(&owner).await?;
        let now = self.now();
        Ok(Permission::ALL.into_iter().any(|permission| {
            let attempt = Attempt {
                permission,
                path,
                source_ip: None,
                mfa_at: None,
                now,
            };
            match decide(&owner, &grants, &attempt) {
                Ok(_) => true,
                Err(denial) => matches!(denial.reason, DenialReason::Failed(_)),
            }
        }))
    }

    /// The receivers of a tenant.
    pub(crate) async fn receivers_of(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<TenantReceivers>, VaultError> {
        let settled = self.caches_settled();
        let ticket = match self.caches.receivers.get(tenant) {
            Ok(receivers) if settled => return Ok(receivers),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let receivers = self.receivers_stored(tenant).await?;
        if let Some(ticket) = ticket {
            self.caches
                .receivers
                .insert(ticket, tenant.clone(), receivers.clone(), 1);
        }
        Ok(receivers)
    }

    /// The receivers that an event which is durable already is for. Beside other nodes the store
    /// is asked: one that was registered there before the event must not miss it.
    pub(crate) async fn receivers_for_events(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<TenantReceivers>, VaultError> {
        match self.has_neighbours() {
            true => self.receivers_stored(tenant).await,
            false => self.receivers_of(tenant).await,
        }
    }

    async fn receivers_stored(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<TenantReceivers>, VaultError> {
        Ok(Arc::new(TenantReceivers {
            webhooks: ReceiverReads::webhook_list(&*self.store, tenant).await?,
            subscriptions: ReceiverReads::subscription_list(&*self.store, tenant).await?,
        }))
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

fn check_room(what: &str, existing: usize, most: usize) -> Result<(), VaultError> {
    if existing < most {
        return Ok(());
    }
    let why = format!("there are {existing} already, the most there may be: delete one first");
    Err(VaultError::Validation(vec![(what.to_owned(), why)]))
}
