//! `scaivault secrets …`

mod ack;
mod batch;
mod consumers;
mod delete;
mod expiring;
mod list;
mod read;
mod rotate;
mod tree;
mod undelete;
mod versions;
mod write;

pub(crate) use read::values;

use clap::Subcommand;
use scaivault_api::secret::{Secret, SecretList};

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Print a value
    Read(read::Read),
    /// Print several values
    Batch(batch::Batch),
    /// Write a value; every write is a new version
    Write(write::Write),
    /// List secrets, without values
    List(list::List),
    /// Delete a secret; it can be brought back for a while
    Delete(delete::Delete),
    /// Bring a deleted secret back
    Undelete(undelete::Undelete),
    /// List the versions of a secret
    Versions(versions::Versions),
    /// Rotate a secret now
    Rotate(rotate::Rotate),
    /// List secrets that end soon
    Expiring(expiring::Expiring),
    /// List who holds which version
    Consumers(consumers::Consumers),
    /// Say that a version works here, or fails
    Ack(ack::Ack),
}

impl Secrets {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Read(command) => command.run(session).await,
            Self::Batch(command) => command.run(session).await,
            Self::Write(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Undelete(command) => command.run(session).await,
            Self::Versions(command) => command.run(session).await,
            Self::Rotate(command) => command.run(session).await,
            Self::Expiring(command) => command.run(session).await,
            Self::Consumers(command) => command.run(session).await,
            Self::Ack(command) => command.run(session).await,
        }
    }
}

/// Secrets as a table; used by `list` and `expiring`. Folders come first, with their slash.
fn table(pages: &[SecretList]) -> String {
    let mut table = Table::new(&["PATH", "TYPE", "VERSION", "UPDATED", "EXPIRES", "TAGS"]);
    for folder in pages.iter().flat_map(|page| &page.prefixes).flatten() {
        table.row([folder, "-", "-", "-", "-", "-"]);
    }
    for secret in pages.iter().flat_map(|page| &page.secrets) {
        let Secret {
            path,
            secret_type,
            version,
            updated_at,
            expires_at,
            metadata,
            ..
        } = secret;
        table.row([
            path,
            secret_type,
            &version.to_string(),
            updated_at,
            or_dash(expires_at.as_deref()),
            or_dash(Some(&metadata.tags.join(","))),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_secret() {
        let page: SecretList = serde_json::from_value(serde_json::json!({
            "secrets": [{
                "path": "a/b", "secret_type": "json", "version": 2,
                "metadata": {"tags": ["x", "\u{1b}[2J"]},
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z",
                "expires_at": null, "rotation_policy_id": null, "secret_policy_id": null,
                "max_versions": 10
            }],
            "prefixes": ["a/c/"],
            "cursor": null, "has_more": false
        }))
        .expect("page");
        assert_eq!(
            table(&[page]),
            "PATH  TYPE  VERSION  UPDATED               EXPIRES  TAGS\n\
             a/c/  -     -        -                     -        -\n\
             a/b   json  2        2026-01-02T00:00:00Z  -        x,\\u{1b}[2J\n"
        );
    }
}
