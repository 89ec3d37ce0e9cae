//! `scaivault rotation policy …`

mod create;
mod list;

use clap::Subcommand;

use crate::commands::Session;

#[derive(Subcommand)]
pub(crate) enum Policies {
    /// Create a rotation policy
    Create(create::Create),
    /// List rotation policies
    List(list::List),
}

impl Policies {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
        }
    }
}
