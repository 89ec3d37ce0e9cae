//! `scaivault dynamic engine …`

mod create;
mod end;
mod keys;
mod look;
mod update;

use clap::Subcommand;
use scaivault_api::dynamic::Engine;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Engines {
    /// Make an engine, after a look at its target
    Create(create::Create),
    /// List engines
    List(look::List),
    /// Show an engine
    Show(look::Show),
    /// Change an engine
    Update(update::Update),
    /// Log in at an engine's target and look
    Health(look::Health),
    /// Compare what is at an engine's target with its leases
    Sweep(look::Sweep),
    /// Rotate the credential that makes the others
    RotateRoot(keys::RotateRoot),
    /// Print the key that signs certificates (ssh), for TrustedUserCAKeys
    PublicKey(keys::PublicKey),
    /// Write the certificates that were revoked (ssh) to a file, for RevokedKeys
    RevocationList(keys::RevocationList),
    /// End all leases of an engine, or of one of its roles
    RevokeAll(end::RevokeAll),
    /// Forget an engine without leases
    Delete(end::Delete),
}

impl Engines {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::Health(command) => command.run(session).await,
            Self::Sweep(command) => command.run(session).await,
            Self::RotateRoot(command) => command.run(session).await,
            Self::PublicKey(command) => command.run(session).await,
            Self::RevocationList(command) => command.run(session).await,
            Self::RevokeAll(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
        }
    }
}

/// An engine in full; used by `show`, `create` and `update`.
fn details(engine: &Engine) -> String {
    let mut table = Table::fields();
    table.row(["id", &engine.id]);
    table.row(["name", &engine.name]);
    table.row(["description", or_dash(engine.description.as_deref())]);
    table.row(["type", &engine.kind]);
    table.row(["plugin", &engine.plugin]);
    table.row(["target", or_dash(engine.target_id.as_deref())]);
    table.row(["leases for", &engine.default_ttl]);
    table.row(["  at most", &engine.max_ttl]);
    table.row(["created", &engine.created_at]);
    table.row(["updated", &engine.updated_at]);
    table.row(["swept", or_dash(engine.swept_at.as_deref())]);
    table.render()
}
