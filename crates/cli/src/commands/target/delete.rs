//! `scaivault target delete`

use clap::Args;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Delete {
    /// The target's name or id
    target: String,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.targets().delete(&self.target);
        session
            .output
            .answer(call, |_| format!("deleted {}\n", plain(&self.target)))
            .await
    }
}
