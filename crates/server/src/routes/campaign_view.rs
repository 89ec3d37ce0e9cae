//! Campaigns as they are answered.

use std::collections::HashMap;

use scaivault_api::campaign as wire;
use scaivault_core::campaign::{Campaign, CampaignItem, ItemState};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::time::Timestamp;
use scaivault_engine::CampaignView;

pub(super) fn outline(campaign: &Campaign, now: Timestamp) -> wire::Campaign {
    let until = campaign.finished_at.unwrap_or(now);
    wire::Campaign {
        id: Some(campaign.id.as_str().to_owned()),
        dry_run: false,
        cause: campaign.cause.as_str().to_owned(),
        subject: campaign.cause.subject().map(str::to_owned),
        token_id: campaign.token_id.as_ref().map(|id| id.as_str().to_owned()),
        token_revoked: campaign.token_revoked,
        state: campaign.state.as_str().to_owned(),
        note: campaign.note.clone(),
        requested_by: campaign.requested_by.as_str().to_owned(),
        ended_by: campaign
            .ended_by
            .as_ref()
            .map(|who| who.as_str().to_owned()),
        started_at: campaign.opened_at.to_rfc3339(),
        finished_at: campaign.finished_at.map(Timestamp::to_rfc3339),
        seconds: until.since(campaign.opened_at).as_secs(),
        next_look_at: campaign.wake_at.map(Timestamp::to_rfc3339),
        counts: wire::CampaignCounts {
            total: campaign.items.len(),
            waiting: campaign.count(ItemState::Waiting),
            rotating: campaign.count(ItemState::Rotating),
            rotated: campaign.count(ItemState::Rotated),
            failed: campaign.count(ItemState::Failed),
            skipped: campaign.count(ItemState::Skipped),
        },
        not_shown: 0,
        webhook_ids: campaign
            .webhook_ids
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect(),
        items: None,
    }
}

pub(super) fn view(seen: &CampaignView, dry_run: bool, now: Timestamp) -> wire::Campaign {
    let counts: HashMap<&str, usize> = seen
        .counts
        .iter()
        .map(|(state, count)| (state.as_str(), *count))
        .collect();
    let count = |state: ItemState| counts.get(state.as_str()).copied().unwrap_or(0);
    let campaign = &seen.campaign;
    let outline = outline(campaign, now);
    let rotation = |item: &CampaignItem| {
        let id = item.rotation_id.as_ref()?;
        seen.rotations.get(id)
    };
    let items = campaign.items.iter();
    wire::Campaign {
        id: outline.id.filter(|_| !dry_run),
        next_look_at: outline.next_look_at.filter(|_| !dry_run),
        token_revoked: outline.token_revoked && !dry_run,
        dry_run,
        counts: wire::CampaignCounts {
            total: campaign.items.len() + seen.hidden,
            waiting: count(ItemState::Waiting),
            rotating: count(ItemState::Rotating),
            rotated: count(ItemState::Rotated),
            failed: count(ItemState::Failed),
            skipped: count(ItemState::Skipped),
        },
        not_shown: seen.hidden,
        items: Some(
            items
                .map(|item| item_view(item, rotation(item), now))
                .collect(),
        ),
        ..outline
    }
}

fn item_view(
    item: &CampaignItem,
    rotation: Option<&Rotation>,
    now: Timestamp,
) -> wire::CampaignItem {
    let parked = rotation
        .filter(|rotation| rotation.phase == Phase::Parked)
        .and_then(|rotation| rotation.reason);
    let parked = parked.map(|reason| format!("{}: {}", reason.as_str(), reason.advice()));
    let waits = match item.state {
        ItemState::Waiting => item.reason.clone(),
        _ => rotation.map(waiting_for),
    };
    let until = item.ended_at.unwrap_or(now);
    wire::CampaignItem {
        secret_path: item.path.as_str().to_owned(),
        mode: item.mode.as_str().to_owned(),
        versions: item.versions.clone(),
        state: item.state.as_str().to_owned(),
        rotation_id: item.rotation_id.as_ref().map(|id| id.as_str().to_owned()),
        phase: rotation.map(|rotation| rotation.phase.as_str().to_owned()),
        waiting_for: waits,
        reason: match item.state {
            ItemState::Waiting => None,
            _ => parked.or_else(|| item.reason.clone()),
        },
        started_at: item.began_at.map(Timestamp::to_rfc3339),
        finished_at: item.ended_at.map(Timestamp::to_rfc3339),
        seconds: item.began_at.map(|began| until.since(began).as_secs()),
    }
}

/// In short; the rotation itself tells names.
fn waiting_for(rotation: &Rotation) -> String {
    match rotation.phase {
        Phase::Generating if rotation.awaits_value() => {
            format!("a new value: PUT /v1/secrets/{}", rotation.path)
        }
        Phase::Parked => "a person: see reason".to_owned(),
        Phase::Propagating => "consumers to read the new version".to_owned(),
        Phase::Draining => match rotation.grace_ends_at {
            Some(end) => format!("the grace period, until {}", end.to_rfc3339()),
            None => "the old credential to fall out of use".to_owned(),
        },
        _ => "its rotation".to_owned(),
    }
}
