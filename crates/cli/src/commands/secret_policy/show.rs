//! `scaivault secret-policy show`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Show {
    /// The recipe's name or id
    policy: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secret_policies().get(&self.policy);
        session.output.answer(call, super::details).await
    }
}
