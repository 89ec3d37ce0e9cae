//! `scaivault audit …`

mod logs;
mod verify;

use clap::Subcommand;

use super::Session;

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check that no row was edited, removed, inserted or moved
    Verify(verify::Verify),
    /// List rows, newest first
    Logs(logs::Logs),
}

impl Audit {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Verify(command) => command.run(session).await,
            Self::Logs(command) => command.run(session).await,
        }
    }
}
