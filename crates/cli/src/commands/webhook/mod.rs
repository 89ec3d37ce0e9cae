//! `scaivault webhook …`

mod act;
mod create;
mod list;
mod replay;

use clap::Subcommand;
use scaivault_api::receiver::Webhook;

use super::Session;
use crate::table::Table;

#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// Create a webhook
    Create(create::Create),
    /// List webhooks
    List(list::List),
    /// Send signed JSON (scaivault) or Slack messages (slack) from now on
    Format(act::Format),
    /// Send a test event and show what came back
    Test(act::Test),
    /// Send dead letters, or a range of what was accepted, again
    Replay(replay::Replay),
    /// Delete a webhook; what is on its way to it is given up
    Delete(act::Delete),
}

impl Webhooks {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Format(command) => command.run(session).await,
            Self::Test(command) => command.run(session).await,
            Self::Replay(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
        }
    }
}

fn details(webhook: &Webhook) -> String {
    let mut table = Table::fields();
    table.row(["id", &webhook.id]);
    table.row(["name", &webhook.name]);
    table.row(["url", &webhook.url]);
    table.row(["events", &webhook.events.join(",")]);
    table.row(["format", &webhook.format]);
    table.row(["ordered", &webhook.ordered]);
    table.row(["status", &webhook.status]);
    table.render()
}
