//! `scaivault rotation list`

use clap::Args;
use scaivault_api::rotation::RotationList;
use scaivault_client::RotationQuery;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct List {
    /// Only of this secret
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Only in this phase
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Only of this rotation policy: id or name
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policy_id = match self.policy {
            Some(policy) => Some(super::named::policy_id(session, policy).await?),
            None => None,
        };
        let query = RotationQuery {
            path: self.path,
            phase: self.phase,
            policy_id,
            ..RotationQuery::default()
        };
        let call = session.client.rotation().list(&query);
        session.output.list(call, Some(self.limit), render).await
    }
}

fn render(pages: &[RotationList]) -> String {
    let mut table = Table::new(&["ID", "SECRET", "STATUS", "PHASE", "STARTED", "WAITING FOR"]);
    for rotation in pages.iter().flat_map(|page| &page.data) {
        table.row([
            &rotation.id,
            &rotation.secret_path,
            &rotation.status,
            &rotation.phase,
            &rotation.started_at,
            or_dash(rotation.waiting_for.as_deref()),
        ]);
    }
    table.render()
}
