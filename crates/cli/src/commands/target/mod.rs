//! `scaivault target …`

mod rehearse;
mod sweep;

use clap::Subcommand;

use super::Session;

#[derive(Subcommand)]
pub(crate) enum Targets {
    /// Try a whole rotation at a target with a throw-away account
    Rehearse(rehearse::Rehearse),
    /// Look for what lies at a target and belongs to nothing
    Sweep(sweep::Sweep),
}

impl Targets {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Rehearse(command) => command.run(session).await,
            Self::Sweep(command) => command.run(session).await,
        }
    }
}
