//! `scaivault webhook format`, `test`, `delete`

use clap::Args;
use scaivault_api::receiver::{WebhookPatch, WebhookTest};

use super::details;
use crate::commands::Session;
use crate::table::{Table, or_dash, plain};

#[derive(Args)]
pub(crate) struct Format {
    /// The webhook's id (wh_…)
    id: String,
    /// scaivault or slack
    #[arg(value_parser = ["scaivault", "slack"])]
    format: String,
}

impl Format {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let patch = WebhookPatch {
            format: Some(self.format),
            ..WebhookPatch::default()
        };
        let call = session.client.webhooks().update(&self.id, &patch);
        session.output.answer(call, details).await
    }
}

#[derive(Args)]
pub(crate) struct Test {
    /// The webhook's id (wh_…)
    id: String,
}

impl Test {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.webhooks().test(&self.id);
        session.output.answer(call, tested).await
    }
}

fn tested(test: &WebhookTest) -> String {
    let code = test.response_code.map(|code| code.to_string());
    let mut table = Table::fields();
    table.row(["status", &test.status]);
    table.row(["answer", or_dash(code.as_deref())]);
    table.row(["took", &format!("{} ms", test.duration_ms)]);
    if let Some(error) = &test.error {
        table.row(["reason", error]);
    }
    table.render()
}

#[derive(Args)]
pub(crate) struct Delete {
    /// The webhook's id (wh_…)
    id: String,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.webhooks().delete(&self.id);
        session
            .output
            .answer(call, |_| format!("deleted {}\n", plain(&self.id)))
            .await
    }
}
