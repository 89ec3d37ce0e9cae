//! `scaivault rotation abandon`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Abandon {
    /// The rotation's id (rtn_…)
    id: String,
    /// Also when consumers may still use the old credential: it is revoked without waiting for
    /// them
    #[arg(long)]
    force: bool,
}

impl Abandon {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.debts().abandon(&self.id, self.force);
        session.output.answer(call, super::details).await
    }
}
