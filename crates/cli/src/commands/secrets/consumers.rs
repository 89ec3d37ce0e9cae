//! `scaivault secrets consumers`

use clap::Args;
use scaivault_api::secret::ConsumerList;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Consumers {
    /// Path of the secret
    path: String,
}

impl Consumers {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().consumers(&self.path);
        session.output.answer(call, render).await
    }
}

fn render(list: &ConsumerList) -> String {
    let mut table = Table::new(&[
        "IDENTITY",
        "VERSION",
        "CURRENT",
        "FIRST READ",
        "LAST READ",
        "APPLIED",
        "FAILED",
        "DETAIL",
    ]);
    for item in &list.consumers {
        table.row([
            &item.identity_id,
            &item.version.to_string(),
            if item.is_current { "yes" } else { "no" },
            &item.first_read_at,
            &item.last_read_at,
            or_dash(item.applied_at.as_deref()),
            or_dash(item.failed_at.as_deref()),
            or_dash(item.detail.as_deref()),
        ]);
    }
    table.render()
}
