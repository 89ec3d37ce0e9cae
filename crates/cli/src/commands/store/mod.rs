//! `scaivault store …`

#[cfg(feature = "server")]
mod backup;
#[cfg(feature = "server")]
mod copy;
#[cfg(feature = "server")]
mod progress;
mod reconcile;
#[cfg(feature = "server")]
mod restore;
#[cfg(feature = "server")]
mod sign_rows;

use clap::Subcommand;

use super::Session;

#[derive(Subcommand)]
pub(crate) enum Stores {
    /// Move a vault to another store, whichever engine each of them is
    #[cfg(feature = "server")]
    Copy(copy::Copy),
    /// Copy the embedded store into one file; its server may run
    #[cfg(feature = "server")]
    Backup(backup::Backup),
    /// Make the embedded store of a backup; its server begins nothing at a target until `resume`
    #[cfg(feature = "server")]
    Restore(restore::Restore),
    /// Say that a store was restored by other means, such as PostgreSQL's own tools
    #[cfg(feature = "server")]
    MarkRestored(restore::MarkRestored),
    /// Once, after the upgrade from a release without codes over rows: say that the rows are right
    #[cfg(feature = "server")]
    SignRows(sign_rows::SignRows),
    /// After a restore: what the targets accept, compared with what is stored
    Reconcile(reconcile::Reconcile),
    /// After a restore: let rotations go on
    Resume(reconcile::Resume),
}

impl Stores {
    /// Whether it works on a store itself, without a server.
    #[cfg(feature = "server")]
    pub(crate) fn is_offline(&self) -> bool {
        !matches!(self, Self::Reconcile(_) | Self::Resume(_))
    }

    /// Works on a store itself.
    #[cfg(feature = "server")]
    pub(crate) fn run_offline(self, as_json: bool) -> anyhow::Result<()> {
        match self {
            Self::Copy(command) => command.run(as_json),
            Self::Backup(command) => command.run(as_json),
            Self::Restore(command) => command.run(as_json),
            Self::MarkRestored(command) => command.run(as_json),
            Self::SignRows(command) => command.run(as_json),
            Self::Reconcile(_) | Self::Resume(_) => unreachable!("these ask a server"),
        }
    }

    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Reconcile(command) => command.run(session).await,
            Self::Resume(command) => command.run(session).await,
            #[cfg(feature = "server")]
            _ => unreachable!("these ask no server"),
        }
    }
}
