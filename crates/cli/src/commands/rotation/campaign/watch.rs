//! `scaivault rotation campaign watch`, and `start --wait`.

use std::time::{Duration, Instant};

use clap::Args;
use scaivault_api::campaign::Campaign;
use scaivault_client::ClientError;

use super::details;
use crate::commands::Session;
use crate::exit::CliError;
use crate::output::note;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Watch {
    /// The campaign's id (cmp_…)
    id: String,
    #[command(flatten)]
    patience: Patience,
}

/// How long to wait.
#[derive(Args)]
pub(crate) struct Patience {
    /// Stop waiting after this many seconds (exit code 7); the campaign goes on
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Patience {
    /// `None`: as long as it takes.
    pub(super) fn read(&self) -> anyhow::Result<Option<Duration>> {
        match self.timeout {
            Some(0) => Err(CliError::Input("--timeout is at least 1 second".to_owned()).into()),
            other => Ok(other.map(Duration::from_secs)),
        }
    }
}

impl Watch {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let patience = self.patience.read()?;
        follow(session, &self.id, patience).await
    }
}

/// Says what moves on standard error, prints the report at the end, and fails when any secret was
/// not rotated or the rest waits for a person.
pub(super) async fn follow(
    session: &mut Session,
    id: &str,
    patience: Option<Duration>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut said = String::new();
    loop {
        let json = match session.client.campaigns().get(id).json().await {
            Ok(json) => json,
            // A restart of the server does not end the campaign, nor this.
            Err(error) if is_passing(&error) && !is_over(began, patience) => {
                note(&format!("{error}: asking again"));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let campaign = json.parse()?;
        let line = progress(&campaign);
        if line != said {
            note(&line);
            said = line;
        }
        let verdict = match verdict(&campaign) {
            None if is_over(began, patience) => Some(Err(CliError::CampaignWaits(format!(
                "{id} goes on: follow it with `scaivault rotation campaign watch {id}`"
            )))),
            other => other,
        };
        if let Some(verdict) = verdict {
            session.output.show(&json, details)?;
            return Ok(verdict?);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_over(began: Instant, patience: Option<Duration>) -> bool {
    patience.is_some_and(|patience| began.elapsed() >= patience)
}

fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Transport(_) => true,
        other => matches!(other.status(), Some(429 | 503)),
    }
}

fn progress(campaign: &Campaign) -> String {
    let counts = &campaign.counts;
    let done = counts.rotated + counts.failed + counts.skipped;
    let items = campaign.items.iter().flatten();
    let now: Vec<String> = items
        .filter(|item| item.state == "rotating")
        .take(3)
        .map(|item| {
            let phase = item.phase.as_deref().unwrap_or("rotating");
            format!("{} {phase}", crate::table::plain(&item.secret_path))
        })
        .collect();
    let now = match now.is_empty() {
        true => String::new(),
        false => format!(": {}", now.join(", ")),
    };
    format!("{} {done} of {}{now}", campaign.state, counts.total)
}

/// How it ended; `None` while it can move on by itself.
fn verdict(campaign: &Campaign) -> Option<Result<(), CliError>> {
    let counts = &campaign.counts;
    if campaign.state == "finished" {
        return Some(match counts.failed {
            0 => Ok(()),
            failed => Err(CliError::CampaignFailed {
                failed,
                total: counts.total,
            }),
        });
    }
    let parked = campaign.items.iter().flatten();
    let parked = parked
        .filter(|item| item.phase.as_deref() == Some("parked"))
        .count();
    let stuck = parked > 0 && counts.rotating == parked && counts.waiting == 0;
    if stuck || campaign.state == "paused" {
        let id = campaign.id.as_deref().unwrap_or("the campaign");
        let why = match stuck {
            true => format!("{parked} rotations of {id} wait for a person: see their reasons"),
            false => format!("{id} is paused"),
        };
        return Some(Err(CliError::CampaignWaits(why)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(state: &str, failed: usize, phases: &[&str]) -> Campaign {
        let items: Vec<_> = phases
            .iter()
            .map(|phase| {
                serde_json::json!({
                    "secret_path": "a/b", "mode": "continuity", "versions": [1],
                    "state": "rotating", "rotation_id": "rtn_1", "phase": phase,
                    "waiting_for": null, "reason": null, "started_at": null,
                    "finished_at": null, "seconds": null
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "id": "cmp_1", "dry_run": false, "cause": "paths", "subject": null, "token_id": null,
            "token_revoked": false, "state": state, "note": null, "requested_by": "user:a",
            "ended_by": null, "started_at": "t", "finished_at": null, "seconds": 1,
            "next_look_at": null, "not_shown": 0, "webhook_ids": [], "items": items,
            "counts": {"total": phases.len() + failed, "waiting": 0, "rotating": phases.len(),
                       "rotated": 0, "failed": failed, "skipped": 0}
        }))
        .expect("campaign")
    }

    #[test]
    fn it_ends_well_badly_or_with_a_person() {
        assert!(matches!(
            verdict(&campaign("finished", 0, &[])),
            Some(Ok(()))
        ));
        let failed = verdict(&campaign("finished", 2, &[]));
        assert!(matches!(
            failed,
            Some(Err(CliError::CampaignFailed { failed: 2, .. }))
        ));
        assert!(verdict(&campaign("running", 1, &["parked", "draining"])).is_none());
        let parked = verdict(&campaign("running", 0, &["parked", "parked"]));
        assert!(matches!(parked, Some(Err(CliError::CampaignWaits(_)))));
        let paused = verdict(&campaign("paused", 0, &["draining"]));
        assert!(matches!(paused, Some(Err(CliError::CampaignWaits(_)))));
    }

    #[test]
    fn progress_in_a_line() {
        let line = progress(&campaign("running", 1, &["draining"]));
        assert_eq!(line, "running 1 of 2: a/b draining");
    }
}
