//! `scaivault webhook list`

use clap::Args;
use scaivault_api::receiver::WebhookList;

use crate::commands::Session;
use crate::table::Table;

#[derive(Args)]
pub(crate) struct List {}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.webhooks().list();
        session.output.answer(call, render).await
    }
}

fn render(list: &WebhookList) -> String {
    let mut table = Table::new(&["ID", "NAME", "FORMAT", "STATUS", "EVENTS", "URL"]);
    for webhook in &list.webhooks {
        table.row([
            &webhook.id,
            &webhook.name,
            &webhook.format,
            &webhook.status,
            &webhook.events.join(","),
            &webhook.url,
        ]);
    }
    table.render()
}
