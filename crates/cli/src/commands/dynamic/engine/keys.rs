//! `scaivault dynamic engine rotate-root`, `public-key`, `revocation-list`

use std::path::{Path, PathBuf};

use clap::Args;

use crate::commands::{Session, rotation};
use crate::exit::CliError;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct RotateRoot {
    /// The engine's name or id
    engine: String,
    /// The rotation policy it is attached to the first time: an id or a name
    /// [default: engine-roots]
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
}

impl RotateRoot {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policy = match self.policy {
            Some(policy) => Some(rotation::policy_id(session, policy).await?),
            None => None,
        };
        let dynamic = session.client.dynamic();
        let call = dynamic.rotate_root(&self.engine, policy.as_deref());
        session.output.answer(call, rotation::details).await
    }
}

#[derive(Args)]
pub(crate) struct PublicKey {
    /// The engine's name or id
    engine: String,
}

impl PublicKey {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let key = session.client.dynamic().public_key(&self.engine).await?;
        if session.output.is_json() {
            let json = serde_json::json!({ "public_key": key.trim_end() });
            return session.output.line(&json.to_string());
        }
        session.output.line(&plain(key.trim_end()))
    }
}

#[derive(Args)]
pub(crate) struct RevocationList {
    /// The engine's name or id
    engine: String,
    /// The file for RevokedKeys; it is replaced as a whole
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl RevocationList {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let dynamic = session.client.dynamic();
        let list = dynamic.revocation_list(&self.engine).await?;
        write(&self.out, &list).map_err(|error| {
            CliError::Input(format!("cannot write {}: {error}", self.out.display()))
        })?;
        let text = format!("wrote {}", self.out.display());
        session.output.line(&plain(&text))
    }
}

/// Whoever reads it sees the old one or the new one, never a part: a server that cannot read it
/// lets nobody in.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("revoked");
        for bytes in [&b"one"[..], b"SSHKRL"] {
            write(&file, bytes).expect("written");
            assert_eq!(std::fs::read(&file).expect("there"), bytes);
        }
        let left = std::fs::read_dir(directory.path()).expect("a directory");
        assert_eq!(left.count(), 1);
        assert!(write(Path::new("/nowhere/at/all"), b"x").is_err());
    }
}
