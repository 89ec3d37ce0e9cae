//! `scaivault rotation campaign …`

mod act;
mod list;
mod start;
mod watch;

use clap::Subcommand;
use scaivault_api::campaign::{Campaign, CampaignItem};

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Campaigns {
    /// Begin a campaign, or show its plan
    Start(start::Start),
    /// List campaigns, newest first
    List(list::List),
    /// Show where a campaign stands
    Show(act::Show),
    /// Follow a campaign to its end; not 0 when any secret was not rotated
    Watch(watch::Watch),
    /// Begin nothing more
    Pause(act::Pause),
    /// Go on
    Resume(act::Resume),
    /// End it here; rotations under way go on by themselves
    End(act::End),
}

impl Campaigns {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Start(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Watch(command) => command.run(session).await,
            Self::Pause(command) => command.run(session).await,
            Self::Resume(command) => command.run(session).await,
            Self::End(command) => command.run(session).await,
        }
    }
}

/// What it is about.
fn about(campaign: &Campaign) -> String {
    match &campaign.subject {
        Some(subject) => format!("{} {subject}", campaign.cause),
        None => campaign.cause.clone(),
    }
}

/// A campaign in full: failed secrets first, then in order.
fn details(campaign: &Campaign) -> String {
    let counts = &campaign.counts;
    let mut table = Table::fields();
    let state = match campaign.dry_run {
        true => "a plan: nothing was changed".to_owned(),
        false if campaign.state == "finished" => {
            format!("finished, took {} s", campaign.seconds)
        }
        false => format!("{} for {} s", campaign.state, campaign.seconds),
    };
    table.row(["id", or_dash(campaign.id.as_deref())]);
    table.row(["about", &about(campaign)]);
    table.row(["state", &state]);
    table.row(["requested by", &campaign.requested_by]);
    if campaign.token_revoked {
        table.row(["token", "revoked when it began"]);
    }
    for (name, value) in [("note", &campaign.note), ("ended by", &campaign.ended_by)] {
        if let Some(value) = value {
            table.row([name, value]);
        }
    }
    table.row([
        "secrets",
        &format!(
            "{} rotated, {} failed, {} skipped, {} rotating, {} waiting",
            counts.rotated, counts.failed, counts.skipped, counts.rotating, counts.waiting
        ),
    ]);
    if campaign.not_shown > 0 {
        let hidden = format!("{} of secrets you may not rotate", campaign.not_shown);
        table.row(["not shown", &hidden]);
    }
    let mut items: Vec<&CampaignItem> = campaign.items.iter().flatten().collect();
    items.sort_by_key(|item| item.state != "failed");
    let mut list = Table::new(&["SECRET", "STATE", "MODE", "ROTATION", "SECONDS", "WHY"]);
    for item in &items {
        let why = item.reason.as_deref().or(item.waiting_for.as_deref());
        let seconds = item.seconds.map(|seconds| seconds.to_string());
        list.row([
            &item.secret_path,
            item.phase.as_deref().unwrap_or(&item.state),
            &item.mode,
            or_dash(item.rotation_id.as_deref()),
            or_dash(seconds.as_deref()),
            or_dash(why),
        ]);
    }
    match items.is_empty() {
        true => table.render(),
        false => format!("{}\n{}", table.render(), list.render()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_secrets_come_first() {
        let item = |path: &str, state: &str| {
            serde_json::json!({
                "secret_path": path, "mode": "containment", "versions": [1], "state": state,
                "rotation_id": null, "phase": null, "waiting_for": null, "reason": "because",
                "started_at": null, "finished_at": null, "seconds": 3
            })
        };
        let campaign: Campaign = serde_json::from_value(serde_json::json!({
            "id": "cmp_1", "dry_run": false, "cause": "identity", "subject": "sa:x",
            "token_id": null, "token_revoked": true, "state": "finished", "note": null,
            "requested_by": "user:a", "ended_by": null, "started_at": "t", "finished_at": "t",
            "seconds": 9, "next_look_at": null, "not_shown": 1, "webhook_ids": [],
            "counts": {"total": 3, "waiting": 0, "rotating": 0, "rotated": 1, "failed": 2, "skipped": 0},
            "items": [item("app/a", "rotated"), item("app/b", "failed")]
        }))
        .expect("campaign");
        let text = details(&campaign);
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(place("app/b") < place("app/a"), "{text}");
        assert!(text.contains("1 rotated, 2 failed, 0 skipped"), "{text}");
        assert!(text.contains("not shown     1 of secrets"), "{text}");
    }
}
