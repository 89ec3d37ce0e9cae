//! `scaivault webhook replay`: call after call until the range is through.

use clap::Args;
use scaivault_api::receiver::{Replay as Answer, ReplayBody};
use serde_json::json;

use crate::commands::Session;
use crate::output::note;
use crate::since::{moment, now};

#[derive(Args)]
pub(crate) struct Replay {
    /// The webhook's id (wh_…)
    id: String,
    /// dead: every attempt failed; success: accepted; all: both
    #[arg(long, value_name = "WHAT", value_parser = ["dead", "success", "all"], default_value = "dead")]
    status: String,
    /// Deliveries made from then on: how long ago (24h), a day or a moment
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Deliveries made before
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Event types; may be repeated or separated by commas
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
}

impl Replay {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let now = now();
        let time = |text: Option<&String>| text.map(|text| moment(text, now)).transpose();
        let mut body = ReplayBody {
            from: time(self.from.as_ref())?,
            // Fixed at the start: what is sent again and ends meanwhile is not sent once more.
            to: Some(time(self.to.as_ref())?.unwrap_or_else(|| now.to_string())),
            events: Some(self.events).filter(|events| !events.is_empty()),
            status: Some(self.status),
            dry_run: Some(self.dry_run),
            ..ReplayBody::default()
        };
        let (mut matched, mut replayed) = (0, 0);
        loop {
            let call = session.client.webhooks().replay(&self.id, &body);
            let answer: Answer = call.json().await?.parse()?;
            matched += answer.matched;
            replayed += answer.replayed;
            body.cursor = answer.cursor;
            if body.cursor.is_none() {
                break;
            }
            note(&format!("{matched} so far"));
        }
        if session.output.is_json() {
            let done = json!({ "matched": matched, "replayed": replayed, "dry_run": self.dry_run });
            return session.output.line(&done.to_string());
        }
        let text = match self.dry_run {
            true => format!("{matched} deliveries would be sent again\n"),
            false => format!("{replayed} deliveries are on their way again\n"),
        };
        session.output.text(&text)
    }
}
