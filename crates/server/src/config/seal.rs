//! `[seal]`: what protects the root key.

use std::path::PathBuf;

use super::layers::{ConfigError, Expected, Section};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct SealSection {
    /// Who keeps the root key.
    pub kms_provider: KmsProvider,
}

/// A keeper of the root key, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KmsProvider {
    /// A file holds the key.
    Local {
        /// The file.
        key_file: PathBuf,
    },
    /// The key is derived from a passphrase.
    Passphrase {
        /// The file that holds it.
        passphrase_file: PathBuf,
    },
}

impl SealSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let key_file = section.optional_path("key_file")?;
        let passphrase_file = section.optional_path("passphrase_file")?;
        let kms_provider = match section.text("kms_provider", kind)? {
            Kind::Local => KmsProvider::Local {
                key_file: key_file.ok_or_else(|| section.refuse("key_file", "expected a file"))?,
            },
            Kind::Passphrase => KmsProvider::Passphrase {
                passphrase_file: passphrase_file.ok_or_else(|| {
                    section.refuse(
                        "passphrase_file",
                        "needed with kms_provider = \"passphrase\"",
                    )
                })?,
            },
        };
        Ok(Self { kms_provider })
    }
}

enum Kind {
    Local,
    Passphrase,
}

fn kind(text: &str) -> Result<Kind, Expected> {
    match text {
        "local" => Ok(Kind::Local),
        "passphrase" => Ok(Kind::Passphrase),
        _ => Err("this version supports local and passphrase"),
    }
}
