//! `scaivault policy list`

use clap::Args;
use scaivault_api::policy::PolicyList;
use scaivault_client::PolicyQuery;

use crate::commands::Session;
use crate::table::Table;

#[derive(Args)]
pub(crate) struct List {
    /// Inactive ones too
    #[arg(long)]
    all: bool,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let query = PolicyQuery {
            include_inactive: self.all,
            ..PolicyQuery::default()
        };
        let call = session.client.policies().list(&query);
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[PolicyList]) -> String {
    let mut table = Table::new(&["ID", "NAME", "RULES", "BINDINGS", "SCOPE", "ACTIVE"]);
    for policy in pages.iter().flat_map(|page| &page.policies) {
        table.row([
            &policy.id,
            &policy.name,
            &policy.rule_count.to_string(),
            &policy.binding_count.to_string(),
            &policy.scope,
            if policy.is_active { "yes" } else { "no" },
        ]);
    }
    table.render()
}
