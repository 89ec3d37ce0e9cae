//! `scaivault secret-policy list`

use clap::Args;
use scaivault_api::secret_policy::SecretPolicyList;

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
        let call = session.client.secret_policies().list();
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[SecretPolicyList]) -> String {
    let mut table = Table::new(&["ID", "NAME", "TYPE", "KEYS", "ACTIVE", "DESCRIPTION"]);
    for policy in pages.iter().flat_map(|page| &page.secret_policies) {
        table.row([
            policy.id.as_str(),
            &policy.name,
            &policy.policy_type,
            &policy.keys.join(","),
            if policy.is_active { "yes" } else { "no" },
            or_dash(policy.description.as_deref()),
        ]);
    }
    table.render()
}
