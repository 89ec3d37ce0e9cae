//! `scaivault rotation abandon`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Abandon {
    /// The rotation's id (rtn_…)
    id: String,
}

impl Abandon {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.debts().abandon(&self.id);
        session.output.answer(call, super::details).await
    }
}
