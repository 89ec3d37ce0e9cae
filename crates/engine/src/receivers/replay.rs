//! Sending what has ended again: a range of a webhook's deliveries, oldest first, a page at a time.
//!
//! A page is one commit, and what it put on its way is pending and so in no further page: the same
//! request again, after a crash or a lost answer, sends nothing twice that is still on its way.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::EventType;
use scaivault_core::identity::Scope;
use scaivault_core::ids::WebhookId;
use scaivault_core::ports::{CommitError, DeliveryReads, Record, Unit, UnitName};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// Deliveries of one commit.
const PAGE: usize = 500;
/// Deliveries one call looks at, at most.
const LOOKS_MAX: usize = 20_000;

/// Which deliveries are to be sent again. Empty fields do not narrow.
#[derive(Debug, Clone, Default)]
pub struct ReplayRange {
    /// Made from then on.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
    /// Of these types.
    pub events: Vec<EventType>,
    /// That ended so; `None`: either way.
    pub state: Option<DeliveryState>,
    /// Behind this delivery.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Only counted.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Deliveries of the range; with a dry run nothing else happened.
    pub matched: usize,
    /// The delivery to go on behind, when the call ended before the range did.
    pub next: Option<String>,
}

impl ReplayRange {
    /// Deliveries of tests have no event that could be sent again.
    fn wants(&self, delivery: &Delivery) -> bool {
        delivery.event_type != EventType::WebhookTest
            && (self.events.is_empty() || self.events.contains(&delivery.event_type))
    }
}

impl Vault {
    /// Puts deliveries on their way again, with all their attempts. Stops after `limit` of them,
    /// or after so many looks that one call is not long, and says where to go on.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the webhook.
    pub async fn webhook_replay(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        range: &ReplayRange,
    ) -> Result<Replayed, VaultError> {
        self.require(caller, Scope::Admin, Action::WebhookReplay)
            .await?;
        self.webhook_of(caller, webhook).await?;
        let mut done = Replayed {
            next: range.after.clone(),
            ..Replayed::default()
        };
        let mut looks = 0;
        while looks < LOOKS_MAX && done.matched < range.limit {
            let page = self.replay_page(caller, webhook, range, &done).await?;
            looks += page.looked_at;
            done.matched += page.matched;
            done.next = page.next;
            if done.next.is_none() {
                break;
            }
        }
        Ok(done)
    }

    async fn replay_page(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        range: &ReplayRange,
        done: &Replayed,
    ) -> Result<Page, VaultError> {
        let room = range.limit - done.matched;
        for _ in 0..RACES_MAX {
            let rows = DeliveryReads::delivery_ended(
                &*self.store,
                caller.tenant(),
                webhook.as_str(),
                range.state,
                (range.from, range.to),
                done.next.as_deref(),
                PAGE,
            )
            .await?;
            let mut page = Page::default();
            let mut wanted = Vec::new();
            for row in &rows {
                if wanted.len() == room {
                    break;
                }
                page.looked_at += 1;
                page.next = Some(row.id.as_str().to_owned());
                if range.wants(row) {
                    wanted.push(row);
                }
            }
            if rows.len() < PAGE && page.looked_at == rows.len() {
                page.next = None;
            }
            page.matched = wanted.len();
            if range.dry_run || wanted.is_empty() {
                return Ok(page);
            }
            match self
                .commit(self.replay_unit(caller, webhook, &wanted))
                .await
            {
                Ok(_) => return Ok(page),
                // One of them was sent again by somebody else: the page is looked at anew.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the deliveries change too quickly: try again".into(),
        ))
    }

    fn replay_unit(&self, caller: &Caller, webhook: &WebhookId, wanted: &[&Delivery]) -> Unit {
        let now = self.now();
        let extra = AuditExtra {
            webhook_id: Some(webhook.clone()),
            count: u64::try_from(wanted.len()).ok(),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::DeliveryReplay).audited(caller.row(
            Action::WebhookReplay,
            None,
            now,
            extra,
        ));
        wanted.iter().fold(unit, |unit, delivery| {
            unit.put(Record::Delivery(delivery.sent_again(now)))
        })
    }
}

/// One page.
#[derive(Default)]
struct Page {
    looked_at: usize,
    matched: usize,
    next: Option<String>,
}
