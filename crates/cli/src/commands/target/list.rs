//! `scaivault target list`

use clap::Args;
use scaivault_api::target::TargetList;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct List {
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.targets().list();
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[TargetList]) -> String {
    let mut table = Table::new(&["ID", "NAME", "CONNECTOR", "MANAGER", "DESCRIPTION"]);
    for target in pages.iter().flat_map(|page| &page.data) {
        table.row([
            &target.id,
            &target.name,
            &target.connector,
            or_dash(target.manager_path.as_deref()),
            or_dash(target.description.as_deref()),
        ]);
    }
    table.render()
}
