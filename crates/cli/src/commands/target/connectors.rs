//! `scaivault target connectors`

use clap::Args;
use scaivault_api::target::ConnectorList;

use crate::commands::Session;
use crate::table::Table;

#[derive(Args)]
pub(crate) struct Connectors {}

impl Connectors {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.targets().connectors();
        session.output.answer(call, render).await
    }
}

fn render(list: &ConnectorList) -> String {
    let mut table = Table::new(&["CONNECTOR", "OVERLAPS", "MANAGER", "ABOUT"]);
    for one in &list.connectors {
        let manager = match one.needs_manager {
            true => "needed",
            false => "none",
        };
        table.row([&one.name, &one.overlaps.join(","), manager, &one.about]);
    }
    table.render()
}
