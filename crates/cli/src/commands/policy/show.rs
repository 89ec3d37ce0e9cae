//! `scaivault policy show`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Show {
    /// The policy's id (pol_…)
    id: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.policies().get(&self.id);
        session.output.answer(call, super::details).await
    }
}
