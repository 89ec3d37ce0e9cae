//! `scaivault rotation policy …`

mod create;
mod list;
mod rules;
mod update;

use clap::Subcommand;

use crate::commands::Session;

#[derive(Subcommand)]
pub(crate) enum Policies {
    /// Create a rotation policy
    Create(Box<create::Create>),
    /// Change what is given of a rotation policy
    Update(Box<update::Update>),
    /// List rotation policies
    List(list::List),
}

impl Policies {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
        }
    }
}
