//! `scaivault audit …`

mod export;
mod exports;
mod forward;
mod logs;
mod tail;
mod verify;

use clap::Subcommand;

use super::Session;

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check that no row was edited, removed, inserted or moved
    Verify(verify::Verify),
    /// List rows, newest first
    Logs(logs::Logs),
    /// Show the newest rows, and those that follow
    Tail(tail::Tail),
    Export(export::Export),
    /// Exports that the server writes: ask for one, see how far it is, wait for it
    #[command(subcommand)]
    Exports(exports::Exports),
    VerifyExport(export::VerifyExport),
    Forward(forward::Forward),
}

impl Audit {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Verify(command) => command.run(session).await,
            Self::Logs(command) => command.run(session).await,
            Self::Tail(command) => command.run(session).await,
            Self::Exports(command) => command.run(session).await,
            Self::Export(_) | Self::VerifyExport(_) | Self::Forward(_) => {
                anyhow::bail!("asks no server")
            }
        }
    }
}
