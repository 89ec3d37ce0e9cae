//! `~/.scaivault/config.json`: for its owner alone, replaced as a whole.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exit::CliError;
use crate::output::note;
use crate::token::Token;

/// What is kept. Keys of other programs and later versions are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Token>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partner_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The file of this user.
///
/// # Errors
/// When there is no home directory.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.context("there is no home directory to keep the configuration in: set HOME")?;
    Ok(home.join(".scaivault").join("config.json"))
}

impl ConfigFile {
    /// What this user keeps; nothing when there is no home directory.
    pub(crate) fn load_own() -> anyhow::Result<Self> {
        path().map_or_else(|_| Ok(Self::default()), |path| Self::load(&path))
    }

    /// No file is an empty one.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        warn_if_shared(path);
        // The parser's own message may quote the token.
        serde_json::from_str(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let file = path.display();
            CliError::Input(format!(
                "{file} is not valid (line {line}, column {column})"
            ))
            .into()
        })
    }

    /// Replaces the file; a crash leaves the old or the new one.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let saving = || format!("cannot write {}", path.display());
        let directory = path.parent().with_context(saving)?;
        create_directory(directory).with_context(saving)?;
        let draft = directory.join(format!(".config.json.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self)?;
        let written = write_private(&draft, &text).and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            // The draft holds the token; that it cannot be removed changes nothing.
            let _ = fs::remove_file(&draft);
        }
        written.with_context(saving)
    }
}

fn create_directory(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn write_private(draft: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(draft) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(unix)]
fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        let file = path.display();
        note(&format!(
            "warning: other users can open {file}; run: chmod 600 {file}"
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_saved() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join(".scaivault").join("config.json");
        assert_eq!(
            ConfigFile::load(&path).expect("empty"),
            ConfigFile::default()
        );
        let mut config = ConfigFile {
            base_url: Some("https://h".to_owned()),
            token: Some(Token::new("skt_x")),
            ..ConfigFile::default()
        };
        config.other.insert("theirs".to_owned(), Value::from(1));
        config.save(&path).expect("saved");
        config.tenant_id = Some("tnt_1".to_owned());
        config.save(&path).expect("saved again");
        assert_eq!(ConfigFile::load(&path).expect("loaded"), config);
        let files = fs::read_dir(path.parent().expect("parent"))
            .expect("directory")
            .count();
        assert_eq!(files, 1, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join(".scaivault").join("config.json");
        let mode = |path: &Path| fs::metadata(path).expect("file").permissions().mode() & 0o777;
        ConfigFile::default().save(&path).expect("saved");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("parent")), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        ConfigFile::default().save(&path).expect("saved");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_damaged_file_is_placed_but_not_quoted() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("config.json");
        fs::write(
            &path,
            "{\"base_url\": \"x\",\n \"token\": {\"skt_hidden\": 1}}",
        )
        .expect("write");
        let error = ConfigFile::load(&path).expect_err("damaged");
        let text = format!("{error:?}");
        assert!(text.contains("line 2"), "{text}");
        assert!(!text.contains("skt_hidden"), "{text}");
    }
}
