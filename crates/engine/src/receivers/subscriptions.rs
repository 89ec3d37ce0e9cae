//! Subscriptions: feeds owned by whoever made them. Another identity's subscription is "not
//! found" unless the caller administers.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::Scope;
use scaivault_core::ids::SubscriptionId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    CommitError, DeliveryReads, DeliveryStats, Op, ReceiverReads, Record, Unit, UnitName,
};
use scaivault_core::receiver::{DeliveryMode, Filters, Subscription};
use scaivault_core::time::{Span, Timestamp};

use super::{SIGNING_SECRET, check_room};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Subscriptions of one identity, and of one tenant. Every event is held against all of them.
const OWN_MAX: usize = 50;
const TENANT_MAX: usize = 1_000;

/// How events are to reach the owner.
pub enum DeliveryDraft {
    /// Sent.
    Webhook {
        /// Where to.
        url: String,
        /// Signing secret; a change without one keeps the secret there is.
        secret: Option<Plaintext>,
    },
    /// Kept.
    Polling {
        /// How many.
        buffer_size: u32,
    },
}

/// A subscription to create.
#[expect(missing_docs, reason = "as in the stored subscription")]
pub struct SubscriptionDraft {
    pub name: String,
    pub paths: Vec<PathPattern>,
    pub events: Vec<EventType>,
    pub filters: Filters,
    pub delivery: DeliveryDraft,
    /// How long it lives unread; `None`: as the server says.
    pub ttl: Option<Span>,
}

/// A change. Absent parts stay.
#[derive(Default)]
#[expect(missing_docs, reason = "as in the stored subscription")]
pub struct SubscriptionChange {
    pub name: Option<String>,
    pub paths: Option<Vec<PathPattern>>,
    pub events: Option<Vec<EventType>>,
    pub filters: Option<Filters>,
    pub delivery: Option<DeliveryDraft>,
    pub ttl: Option<Span>,
}

impl Vault {
    /// Creates a subscription of the caller. It gets events from now on.
    ///
    /// # Errors
    /// [`VaultError::Validation`] for a URL we do not connect to or a missing secret.
    pub async fn subscription_create(
        &self,
        caller: &Caller,
        draft: SubscriptionDraft,
    ) -> Result<Subscription, VaultError> {
        self.require(
            caller,
            Scope::SubscriptionsWrite,
            Action::SubscriptionCreate,
        )
        .await?;
        let existing = self.receivers_of(caller.tenant()).await?;
        let own = existing.subscriptions.iter();
        let own = own.filter(|subscription| subscription.identity == *caller.identity());
        check_room("subscriptions", own.count(), OWN_MAX)?;
        check_room("subscriptions", existing.subscriptions.len(), TENANT_MAX)?;
        let now = self.now();
        let id = SubscriptionId::mint(now, &*self.entropy);
        let delivery = self.delivery_mode(caller, &id, draft.delivery, None)?;
        let subscription = Subscription {
            id,
            tenant: caller.tenant().clone(),
            identity: caller.identity().clone(),
            root_token: caller
                .principal
                .token_id
                .clone()
                .filter(|_| caller.principal.is_root),
            name: draft.name,
            paths: draft.paths,
            events: draft.events,
            filters: draft.filters,
            delivery,
            ttl: draft.ttl,
            last_read_at: None,
            created_at: now,
            revision: 1,
        };
        self.fan_out_past().await?;
        let action = Action::SubscriptionCreate;
        self.subscription_commit(caller, &subscription, action, now)
            .await?;
        Ok(subscription)
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Validation`].
    pub async fn subscription_change(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Subscription, VaultError> {
        self.require(
            caller,
            Scope::SubscriptionsWrite,
            Action::SubscriptionUpdate,
        )
        .await?;
        let mut subscription = self.subscription_owned(caller, id).await?;
        subscription.revision += 1;
        // Who changes it has not forgotten it.
        subscription.last_read_at = Some(self.now());
        if let Some(delivery) = change.delivery {
            let old = Some(&subscription.delivery);
            subscription.delivery = self.delivery_mode(caller, id, delivery, old)?;
        }
        subscription.name = change.name.unwrap_or(subscription.name);
        subscription.paths = change.paths.unwrap_or(subscription.paths);
        subscription.events = change.events.unwrap_or(subscription.events);
        subscription.ttl = change.ttl.or(subscription.ttl);
        subscription.filters = change.filters.unwrap_or(subscription.filters);
        let action = Action::SubscriptionUpdate;
        self.subscription_commit(caller, &subscription, action, self.now())
            .await?;
        Ok(subscription)
    }

    fn delivery_mode(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
        draft: DeliveryDraft,
        old: Option<&DeliveryMode>,
    ) -> Result<DeliveryMode, VaultError> {
        let (url, secret) = match draft {
            DeliveryDraft::Polling { buffer_size } => {
                return Ok(DeliveryMode::Polling { buffer_size });
            }
            DeliveryDraft::Webhook { url, secret } => (url, secret),
        };
        self.check_url_field(&url, "delivery.url")?;
        let signing_secret = match (secret, old) {
            (Some(secret), _) => self.receiver_secret_seal(
                caller.tenant(),
                "subscription",
                id.as_str(),
                SIGNING_SECRET,
                &secret,
            )?,
            (None, Some(DeliveryMode::Webhook { signing_secret, .. })) => signing_secret.clone(),
            (None, _) => {
                let field = ("delivery.secret".to_owned(), "is required".to_owned());
                return Err(VaultError::Validation(vec![field]));
            }
        };
        Ok(DeliveryMode::Webhook {
            url,
            signing_secret,
        })
    }

    async fn subscription_commit(
        &self,
        caller: &Caller,
        subscription: &Subscription,
        action: Action,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let extra = AuditExtra {
            subscription_id: Some(subscription.id.clone()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::SubscriptionWrite)
            .put(Record::Subscription(subscription.clone()))
            .audited(caller.row(action, None, now, extra));
        self.commit(unit).await.map(|_| ())
    }

    /// Deletes a subscription and what it still holds.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn subscription_delete(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<(), VaultError> {
        self.require(
            caller,
            Scope::SubscriptionsWrite,
            Action::SubscriptionDelete,
        )
        .await?;
        for _ in 0..RACES_MAX {
            let subscription = self.subscription_owned(caller, id).await?;
            let extra = AuditExtra {
                subscription_id: Some(id.clone()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::SubscriptionDelete)
                .op(Op::BufferTrim {
                    receiver: id.as_str().to_owned(),
                    keep: 0,
                })
                .op(Op::Delete(Record::Subscription(subscription)))
                .audited(caller.row(Action::SubscriptionDelete, None, self.now(), extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the subscription changes too quickly: try again".into(),
        ))
    }

    /// One subscription and its figures.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn subscription_details(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<(Subscription, DeliveryStats), VaultError> {
        self.require_list(caller, Scope::SubscriptionsRead).await?;
        let subscription = self.subscription_owned(caller, id).await?;
        let since = self.now().minus(std::time::Duration::from_secs(86_400));
        let stats =
            DeliveryReads::delivery_stats(&*self.store, caller.tenant(), id.as_str(), since)
                .await?;
        Ok((subscription, stats))
    }

    /// The caller's subscriptions; all of the tenant for an administrator.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `subscriptions:read`.
    pub async fn subscription_list(
        &self,
        caller: &Caller,
    ) -> Result<Vec<Subscription>, VaultError> {
        self.require_list(caller, Scope::SubscriptionsRead).await?;
        let mut all = ReceiverReads::subscription_list(&*self.store, caller.tenant()).await?;
        all.retain(|subscription| may_manage(caller, subscription));
        Ok(all)
    }

    async fn subscription_owned(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<Subscription, VaultError> {
        ReceiverReads::subscription_find(&*self.store, caller.tenant(), id)
            .await?
            .filter(|subscription| may_manage(caller, subscription))
            .ok_or(VaultError::NotFound(Missing::Subscription))
    }
}

fn may_manage(caller: &Caller, subscription: &Subscription) -> bool {
    subscription.identity == *caller.identity() || caller.principal.scopes.contains(Scope::Admin)
}
