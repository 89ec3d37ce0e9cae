//! `scaivault policy delete`

use clap::Args;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Delete {
    /// The policy's id (pol_…)
    id: String,
    /// Drop its bindings, too
    #[arg(long)]
    force: bool,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.policies().delete(&self.id, self.force);
        session
            .output
            .answer(call, |_| format!("deleted {}\n", plain(&self.id)))
            .await
    }
}
