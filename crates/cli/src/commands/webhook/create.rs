//! `scaivault webhook create`

use clap::Args;
use scaivault_api::receiver::{Filters, WebhookBody};

use super::details;
use crate::commands::Session;
use crate::input;

#[derive(Args)]
pub(crate) struct Create {
    /// For people
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where to (https://…)
    #[arg(long, value_name = "URL")]
    to: String,
    /// Signing secret, 16 characters or more; - asks for it, or takes it from standard input
    #[arg(long, value_name = "SECRET", default_value = "-")]
    secret: String,
    /// Event types; may be repeated or separated by commas
    #[arg(
        long = "event",
        value_name = "TYPE",
        value_delimiter = ',',
        required = true
    )]
    events: Vec<String>,
    /// scaivault: the event as signed JSON; slack: Slack's incoming webhooks
    #[arg(long, value_name = "FORMAT", value_parser = ["scaivault", "slack"])]
    format: Option<String>,
    /// Deliveries wait for the earlier ones of their path, or for all earlier ones
    #[arg(long, value_name = "WHAT", value_parser = ["none", "path", "all"])]
    ordered: Option<String>,
    /// Only events of paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path_prefix: Option<String>,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let secret = match self.secret.as_str() {
            "-" => input::stdin_value("secret")?,
            _ => self.secret,
        };
        let body = WebhookBody {
            name: self.name,
            url: self.to,
            secret,
            events: self.events,
            filters: self.path_prefix.map(|prefix| Filters {
                path_prefix: Some(prefix),
                ..Filters::default()
            }),
            format: self.format,
            ordered: self.ordered,
            enabled: None,
        };
        let call = session.client.webhooks().create(&body);
        session.output.answer(call, details).await
    }
}
