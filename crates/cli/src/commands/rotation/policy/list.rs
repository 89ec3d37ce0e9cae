//! `scaivault rotation policy list`

use clap::Args;
use scaivault_api::rotation::RotationPolicyList;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct List {
    /// Only active ones
    #[arg(long)]
    active: bool,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.rotation().policies(self.active);
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[RotationPolicyList]) -> String {
    let header = [
        "ID",
        "NAME",
        "INTERVAL",
        "GRACE",
        "WARN",
        "GENERATED",
        "SECRETS",
        "ACTIVE",
    ];
    let mut table = Table::new(&header);
    let yes_no = |yes| if yes { "yes" } else { "no" };
    for policy in pages.iter().flat_map(|page| &page.data) {
        table.row([
            &policy.id,
            &policy.name,
            &policy.interval,
            &policy.grace_period,
            or_dash(policy.warn_before.as_deref()),
            yes_no(policy.auto_generate),
            &policy.secrets_count.to_string(),
            yes_no(policy.is_active),
        ]);
    }
    table.render()
}
