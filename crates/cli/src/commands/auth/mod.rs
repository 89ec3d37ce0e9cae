//! `scaivault auth …`

mod login;
mod logout;
mod whoami;

use clap::Subcommand;

use crate::args::Flags;

#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Keep a token in ~/.scaivault/config.json
    Login(login::Login),
    /// Show who the token speaks for
    Whoami(whoami::Whoami),
    /// Forget the kept token
    Logout(logout::Logout),
}

impl Auth {
    pub(crate) async fn run(self, flags: &Flags) -> anyhow::Result<()> {
        match self {
            Self::Login(command) => command.run(flags).await,
            Self::Whoami(command) => command.run(flags).await,
            Self::Logout(command) => command.run(),
        }
    }
}
