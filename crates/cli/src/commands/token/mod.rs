//! `scaivault token …`

mod create;
mod list;
mod revoke;

use clap::Subcommand;

use super::Session;

#[derive(Subcommand)]
pub(crate) enum Tokens {
    /// Create a token; it is shown once
    Create(create::Create),
    /// List tokens, without the tokens themselves
    List(list::List),
    /// End a token
    Revoke(revoke::Revoke),
}

impl Tokens {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Revoke(command) => command.run(session).await,
        }
    }
}
