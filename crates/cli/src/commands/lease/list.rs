//! `scaivault lease list`

use clap::Args;
use scaivault_api::dynamic::LeaseList;
use scaivault_client::LeaseQuery;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct List {
    /// Of this engine
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Of this role
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// In this state: creating, active, revoking, revoked; may be repeated or separated by commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Of this holder: sa:NAME, user:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<String>,
    /// Whose accounts could not be removed so far
    #[arg(long)]
    failing: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().leases(&LeaseQuery {
            engine: self.engine,
            role: self.role,
            status: self.status,
            identity_id: self.identity,
            failing: self.failing,
        });
        session.output.list(call, Some(self.limit), listed).await
    }
}

fn listed(pages: &[LeaseList]) -> String {
    super::table(pages.iter().flat_map(|page| &page.leases))
}
