//! `scaivault config …`

mod set;
mod show;

use clap::Subcommand;

use crate::args::Flags;

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Keep a setting; an empty value forgets it
    Set(set::Set),
    /// Show the settings that hold, and where each comes from
    Show(show::Show),
}

impl Config {
    pub(crate) fn run(self, flags: &Flags) -> anyhow::Result<()> {
        match self {
            Self::Set(command) => command.run(),
            Self::Show(command) => command.run(flags),
        }
    }
}
