//! Webhooks.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::delivery::{Delivery, DeliveryState, Receiver};
use scaivault_core::event::{Event, EventType};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DeliveryId, EventId, WebhookId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    CommitError, DeliveryReads, DeliveryStats, Op, ReceiverReads, Record, Unit, UnitName,
};
use scaivault_core::receiver::{DeliveryOrder, Filters, Format, Webhook};
use scaivault_core::time::Span;

use super::{PREVIOUS_SECRET, SIGNING_SECRET, check_room};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Webhooks of one tenant. Every event is held against all of them.
const WEBHOOKS_MAX: usize = 500;

/// A webhook to create.
#[expect(missing_docs, reason = "as in the stored webhook")]
pub struct WebhookDraft {
    pub name: String,
    pub url: String,
    pub secret: Plaintext,
    pub events: Vec<EventType>,
    pub filters: Filters,
    pub format: Format,
    pub ordered: DeliveryOrder,
    pub enabled: bool,
}

/// A change. Absent parts stay.
#[derive(Default)]
#[expect(missing_docs, reason = "as in the stored webhook")]
pub struct WebhookChange {
    pub name: Option<String>,
    pub url: Option<String>,
    /// The new secret, and how long the one before is remembered.
    pub secret: Option<(Plaintext, Span)>,
    pub events: Option<Vec<EventType>>,
    pub filters: Option<Filters>,
    pub format: Option<Format>,
    pub ordered: Option<DeliveryOrder>,
    pub enabled: Option<bool>,
}

/// What a synchronous test delivery came to.
#[derive(Debug, Clone)]
pub struct WebhookTestOutcome {
    /// The delivery.
    pub delivery: Delivery,
}

impl Vault {
    /// Creates a webhook. It gets events from now on.
    ///
    /// # Errors
    /// [`VaultError::Validation`] for a URL we do not connect to.
    pub async fn webhook_create(
        &self,
        caller: &Caller,
        draft: WebhookDraft,
    ) -> Result<Webhook, VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookCreate)
            .await?;
        self.check_url_field(&draft.url, "url")?;
        let existing = self.receivers_of(caller.tenant()).await?.webhooks.len();
        check_room("webhooks", existing, WEBHOOKS_MAX)?;
        let now = self.now();
        let id = WebhookId::mint(now, &*self.entropy);
        let signing_secret = self.receiver_secret_seal(
            caller.tenant(),
            "webhook",
            id.as_str(),
            SIGNING_SECRET,
            &draft.secret,
        )?;
        let webhook = Webhook {
            id,
            tenant: caller.tenant().clone(),
            name: draft.name,
            url: draft.url,
            signing_secret,
            previous_secret: None,
            events: draft.events,
            filters: draft.filters,
            format: draft.format,
            ordered: draft.ordered,
            enabled: draft.enabled,
            created_at: now,
            created_by: caller.identity().clone(),
            revision: 1,
        };
        self.fan_out_past().await?;
        self.webhook_commit(caller, &webhook, Action::WebhookCreate)
            .await?;
        Ok(webhook)
    }

    /// Changes a webhook. A new secret signs at once; the old one is remembered.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Validation`].
    pub async fn webhook_change(
        &self,
        caller: &Caller,
        id: &WebhookId,
        change: WebhookChange,
    ) -> Result<Webhook, VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookUpdate)
            .await?;
        if let Some(url) = &change.url {
            self.check_url_field(url, "url")?;
        }
        for _ in 0..RACES_MAX {
            let mut webhook = self.webhook_of(caller, id).await?;
            webhook.revision += 1;
            if let Some((secret, ttl)) = &change.secret {
                self.replace_secret(&mut webhook, secret, ttl)?;
            }
            webhook.name = change.name.clone().unwrap_or(webhook.name);
            webhook.url = change.url.clone().unwrap_or(webhook.url);
            webhook.events = change.events.clone().unwrap_or(webhook.events);
            webhook.filters = change.filters.clone().unwrap_or(webhook.filters);
            webhook.format = change.format.unwrap_or(webhook.format);
            webhook.ordered = change.ordered.unwrap_or(webhook.ordered);
            webhook.enabled = change.enabled.unwrap_or(webhook.enabled);
            match self
                .webhook_commit(caller, &webhook, Action::WebhookUpdate)
                .await
            {
                Ok(()) => return Ok(webhook),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the webhook changes too quickly: try again".into(),
        ))
    }

    fn replace_secret(
        &self,
        webhook: &mut Webhook,
        secret: &Plaintext,
        ttl: &Span,
    ) -> Result<(), VaultError> {
        let (tenant, id) = (webhook.tenant.clone(), webhook.id.clone());
        let old = self.receiver_secret_open(
            &tenant,
            "webhook",
            id.as_str(),
            SIGNING_SECRET,
            &webhook.signing_secret,
        )?;
        let seal = |field, secret: &Plaintext| {
            self.receiver_secret_seal(&tenant, "webhook", id.as_str(), field, secret)
        };
        webhook.previous_secret = Some((
            seal(PREVIOUS_SECRET, &old)?,
            self.now().plus(ttl.duration()),
        ));
        webhook.signing_secret = seal(SIGNING_SECRET, secret)?;
        Ok(())
    }

    async fn webhook_commit(
        &self,
        caller: &Caller,
        webhook: &Webhook,
        action: Action,
    ) -> Result<(), CommitError> {
        let extra = AuditExtra {
            webhook_id: Some(webhook.id.clone()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::WebhookWrite)
            .put(Record::Webhook(webhook.clone()))
            .audited(caller.row(action, None, self.now(), extra));
        self.commit(unit).await.map(|_| ())
    }

    /// Deletes a webhook. What is still on its way to it is given up.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn webhook_delete(&self, caller: &Caller, id: &WebhookId) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookDelete)
            .await?;
        for _ in 0..RACES_MAX {
            let webhook = self.webhook_of(caller, id).await?;
            let extra = AuditExtra {
                webhook_id: Some(id.clone()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::WebhookDelete)
                .op(Op::Delete(Record::Webhook(webhook)))
                .audited(caller.row(Action::WebhookDelete, None, self.now(), extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the webhook changes too quickly: try again".into(),
        ))
    }

    /// Every webhook, each with its newest delivery.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn webhook_list(
        &self,
        caller: &Caller,
    ) -> Result<Vec<(Webhook, Option<Delivery>)>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let mut listed = Vec::new();
        for webhook in ReceiverReads::webhook_list(&*self.store, caller.tenant()).await? {
            let last = self.newest_delivery(caller, &webhook.id).await?;
            listed.push((webhook, last));
        }
        Ok(listed)
    }

    /// One webhook with its figures of the last 24 hours.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn webhook_details(
        &self,
        caller: &Caller,
        id: &WebhookId,
    ) -> Result<(Webhook, DeliveryStats, Option<Delivery>), VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let webhook = self.webhook_of(caller, id).await?;
        let since = self.now().minus(std::time::Duration::from_secs(86_400));
        let stats =
            DeliveryReads::delivery_stats(&*self.store, caller.tenant(), id.as_str(), since)
                .await?;
        let last = self.newest_delivery(caller, id).await?;
        Ok((webhook, stats, last))
    }

    /// Sends a test event and waits for the answer. One attempt; it is not retried.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]. A receiver that does not accept is an outcome, not an error.
    pub async fn webhook_test(
        &self,
        caller: &Caller,
        id: &WebhookId,
    ) -> Result<WebhookTestOutcome, VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookDelivery)
            .await?;
        let webhook = self.webhook_of(caller, id).await?;
        let now = self.now();
        let event = Event {
            id: EventId::mint(now, &*self.entropy),
            event_type: EventType::WebhookTest,
            at: now,
            tenant: caller.tenant().clone(),
            identity: caller.identity().clone(),
            path: None,
            data: serde_json::json!({ "webhook_id": webhook.id, "name": webhook.name }),
            request_id: caller.request_id.clone(),
            subject: None,
            rotation_id: None,
            also_to: Vec::new(),
        };
        let parcel =
            self.webhook_parcel(&webhook, &event, &caller.principal.seat.partner, 0, now)?;
        let attempted = self.courier.deliver(&parcel).await;
        let failed = attempted.error.is_some();
        let done = self.now();
        let delivery = Delivery {
            id: DeliveryId::of(&event.id, webhook.id.as_str()),
            tenant: caller.tenant().clone(),
            receiver: Receiver::Webhook(webhook.id.clone()),
            event_id: event.id,
            event_position: 0,
            event_type: EventType::WebhookTest,
            state: if failed {
                DeliveryState::Failed
            } else {
                DeliveryState::Success
            },
            attempts: 1,
            next_attempt_at: None,
            created_at: now,
            last_attempt_at: Some(done),
            response_code: attempted.response_code,
            error: attempted.error,
            duration_ms: u64::try_from(attempted.duration.as_millis()).ok(),
            lane: None,
            held: false,
            claimed_until: None,
            revision: 1,
        };
        let extra = AuditExtra {
            webhook_id: Some(webhook.id),
            delivery_id: Some(delivery.id.clone()),
            response_code: delivery.response_code,
            ..AuditExtra::default()
        };
        let mut row = caller.row(Action::WebhookDelivery, None, done, extra);
        row.success = !failed;
        let unit = Unit::new(UnitName::DeliveryDone)
            .put(Record::Delivery(delivery.clone()))
            .audited(row);
        self.commit(unit).await?;
        Ok(WebhookTestOutcome { delivery })
    }

    pub(super) async fn webhook_of(
        &self,
        caller: &Caller,
        id: &WebhookId,
    ) -> Result<Webhook, VaultError> {
        ReceiverReads::webhook_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Webhook))
    }

    async fn newest_delivery(
        &self,
        caller: &Caller,
        id: &WebhookId,
    ) -> Result<Option<Delivery>, VaultError> {
        let tenant = caller.tenant();
        let mut newest =
            DeliveryReads::delivery_list(&*self.store, tenant, id.as_str(), None, None, 1).await?;
        Ok(newest.pop())
    }

    pub(super) fn check_url_field(&self, url: &str, field: &str) -> Result<(), VaultError> {
        self.courier
            .check_url(url)
            .map_err(|why| VaultError::Validation(vec![(field.to_owned(), why.to_owned())]))
    }
}
