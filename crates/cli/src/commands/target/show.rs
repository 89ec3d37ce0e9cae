//! `scaivault target show`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Show {
    /// The target's name or id
    target: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.targets().get(&self.target);
        session.output.answer(call, super::details).await
    }
}
