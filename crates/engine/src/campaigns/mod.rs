//! Campaigns: many secrets rotated in order, as one durable run with a report.
//!
//! `create` decides what is in it and commits the whole plan; `worker` carries it on from the
//! record; `acts` pause, resume and end it; `view` shows it.

mod acts;
mod contain;
mod create;
mod cut_off;
mod select;
mod view;
mod worker;

use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::campaign::{Campaign, CampaignState, ItemState};
use scaivault_core::event::EventType;
use scaivault_core::ports::Unit;
use scaivault_core::time::Timestamp;
use serde_json::{Value, json};

pub use acts::CampaignAct;
pub use create::{CampaignDraft, Selector};
pub use view::CampaignView;

use crate::caller::Caller;
use crate::events::EventDraft;
use crate::vault::Vault;

/// Items of one state that the summary names; more are counted.
const NAMED_MAX: usize = 100;

/// The audit row of something done to a campaign.
fn audit_row(caller: &Caller, action: Action, campaign: &Campaign, now: Timestamp) -> AuditRow {
    let extra = AuditExtra {
        campaign_id: Some(campaign.id.clone()),
        subject: campaign.cause.subject().map(str::to_owned),
        count: u64::try_from(campaign.items.len()).ok(),
        phase: Some(campaign.state.as_str().to_owned()),
        ..AuditExtra::default()
    };
    caller.row(action, None, now, extra)
}

impl Vault {
    /// With the summary, if the campaign has just finished.
    fn with_summary(
        &self,
        unit: Unit,
        caller: &Caller,
        campaign: &Campaign,
        now: Timestamp,
    ) -> Unit {
        if campaign.state != CampaignState::Finished {
            return unit;
        }
        let draft = EventDraft::new(EventType::CampaignCompleted, summary(campaign))
            .also_to(&campaign.webhook_ids);
        unit.emit(self.event(caller, draft, now))
    }
}

/// The documented `data` of `campaign.completed`.
fn summary(campaign: &Campaign) -> Value {
    let ended = campaign.finished_at.unwrap_or(campaign.moved_at);
    let named = |state: ItemState| -> Vec<Value> {
        let of_state = campaign.items.iter().filter(|item| item.state == state);
        of_state
            .take(NAMED_MAX)
            .map(|item| {
                let begun = item.began_at.zip(item.ended_at);
                json!({
                    "path": item.path,
                    "rotation_id": item.rotation_id,
                    "reason": item.reason,
                    "seconds": begun.map(|(from, to)| to.since(from).as_secs()),
                })
            })
            .collect()
    };
    json!({
        "campaign_id": campaign.id,
        "cause": campaign.cause.as_str(),
        "subject": campaign.cause.subject(),
        "note": campaign.note,
        "requested_by": campaign.requested_by,
        "ended_by": campaign.ended_by,
        "started_at": campaign.opened_at.to_rfc3339(),
        "finished_at": ended.to_rfc3339(),
        "seconds": ended.since(campaign.opened_at).as_secs(),
        "total": campaign.items.len(),
        "rotated": campaign.count(ItemState::Rotated),
        "failed": campaign.count(ItemState::Failed),
        "skipped": campaign.count(ItemState::Skipped),
        "failed_items": named(ItemState::Failed),
        "rotated_items": named(ItemState::Rotated),
        "skipped_items": named(ItemState::Skipped),
    })
}
