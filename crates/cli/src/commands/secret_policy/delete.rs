//! `scaivault secret-policy delete`

use clap::Args;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Delete {
    /// The recipe's name or id
    policy: String,
    /// Also when rotation policies or secrets refer to it; their rotations then stop
    #[arg(long)]
    force: bool,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policies = session.client.secret_policies();
        let call = policies.delete(&self.policy, self.force);
        session
            .output
            .answer(call, |_| format!("deleted {}\n", plain(&self.policy)))
            .await
    }
}
