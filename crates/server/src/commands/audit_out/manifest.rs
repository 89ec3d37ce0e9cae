//! What an export is made of: the files, the chains' ends, and the signature over both.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::time::Timestamp;
use scaivault_crypto::detached::{SigningKey, verify};
use scaivault_store::audit::{Hash, genesis};
use serde::{Deserialize, Serialize};

use super::write::{hex, unhex};

/// What the files are called that are no rows.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SIGNATURE: &str = "manifest.sig";
pub(super) const PUBLIC_KEY: &str = "signing-key.pem";

/// The one form there is.
const FORMAT: &str = "scaivault audit export 1";
/// A manifest is read whole: 10 million files.
const BYTES_MAX: u64 = 4 << 30;

/// One file: rows of one chain, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) chain: String,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Times of the earliest and the latest row, in microseconds since 1970.
    pub(super) first_at: i64,
    pub(super) last_at: i64,
    pub(super) sha256: String,
    /// Hash of the chain before the first row, and after the last.
    pub(super) prev: String,
    pub(super) head: String,
    /// The store's own code over the last head, as in its segment.
    pub(super) mac: String,
}

impl File {
    /// Where it is; a name that leads elsewhere is none of ours.
    pub(super) fn path(&self, directory: &Path) -> Result<PathBuf> {
        if !is_plain(&self.name) {
            bail!("the manifest names a file that is none of an export");
        }
        Ok(directory.join(&self.name))
    }
}

/// Whether it is a file's name, and no way elsewhere.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.')
}

/// The end of one chain, as far as it was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chain {
    pub(super) chain: String,
    pub(super) last_seq: u64,
    pub(super) head: String,
}

/// What retention left of the rows before the first one exported, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    pub(super) chain: String,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) head: String,
    pub(super) mac: String,
    /// In microseconds since 1970.
    pub(super) removed_at: i64,
    pub(super) code: String,
}

impl Anchor {
    /// As it was in the store.
    pub(super) fn stored(&self) -> Result<AuditAnchor> {
        Ok(AuditAnchor {
            chain: self.chain.clone(),
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            head: unhex(&self.head)?,
            mac: unhex(&self.mac)?,
            removed_at: Timestamp::from_micros(self.removed_at),
            code: unhex(&self.code)?,
        })
    }
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    pub(super) exported_at: String,
    pub(super) rows: u64,
    pub(super) chains: Vec<Chain>,
    /// Where chains began whose first rows retention had removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) anchors: Vec<Anchor>,
    pub(super) files: Vec<File>,
}

impl Manifest {
    pub(super) fn new() -> Self {
        Self {
            format: FORMAT.to_owned(),
            exported_at: String::new(),
            rows: 0,
            chains: Vec::new(),
            anchors: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The manifest in a directory, and its bytes; `None` where there is none.
    pub(super) fn read(directory: &Path) -> Result<Option<(Self, Vec<u8>)>> {
        let path = directory.join(MANIFEST);
        let Some(bytes) = bytes_of(directory)? else {
            return Ok(None);
        };
        let read = Self::parse(&bytes).with_context(|| shown(&path))?;
        Ok(Some((read, bytes)))
    }

    /// A manifest out of its bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let read: Self = serde_json::from_slice(bytes).context("not a manifest of an export")?;
        if read.format != FORMAT {
            bail!("made by another release");
        }
        Ok(read)
    }

    /// Writes it, signed when there is a key: the signature first, so that a manifest whose
    /// signature does not fit is one whose write was cut short, and is written again.
    pub(super) fn write(&self, directory: &Path, key: Option<&SigningKey>) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        match key {
            Some(key) => {
                put(directory, PUBLIC_KEY, key.public_pem().as_bytes())?;
                put(directory, SIGNATURE, &key.sign(&bytes))?;
            }
            None => {
                for name in [SIGNATURE, PUBLIC_KEY] {
                    gone(&directory.join(name))?;
                }
            }
        }
        put(directory, MANIFEST, &bytes)
    }

    /// Whether everything of an earlier export is in this one, as it was there.
    pub(super) fn continues(&self, earlier: &Self) -> bool {
        let files: HashMap<_, _> = self.files.iter().map(|file| (&file.name, file)).collect();
        let same = |file: &File| files.get(&file.name) == Some(&file);
        let begins = |anchor: &Anchor| self.anchors.contains(anchor);
        earlier.files.iter().all(same) && earlier.anchors.iter().all(begins)
    }

    /// How far a chain was exported.
    pub(super) fn end_of(&self, chain: &str) -> Option<&Chain> {
        self.chains.iter().find(|end| end.chain == chain)
    }

    /// The first row of a chain that is exported is the one behind its anchor.
    pub(super) fn begin_behind(&mut self, anchor: &AuditAnchor) {
        self.anchors.retain(|known| known.chain != anchor.chain);
        self.anchors.push(Anchor {
            chain: anchor.chain.clone(),
            first_seq: anchor.first_seq,
            last_seq: anchor.last_seq,
            head: hex(&anchor.head),
            mac: hex(&anchor.mac),
            removed_at: anchor.removed_at.as_micros(),
            code: hex(&anchor.code),
        });
    }

    /// The last row before the first one of a chain, and the hash after it.
    pub(super) fn beginning(&self, chain: &str) -> Result<(u64, Hash)> {
        match self.anchors.iter().find(|anchor| anchor.chain == chain) {
            Some(anchor) => Ok((anchor.last_seq, unhex(&anchor.head)?)),
            None => Ok((0, genesis(chain))),
        }
    }

    /// Takes in a file that is on disk, behind all of its chain.
    pub(super) fn add(&mut self, file: File) {
        let end = Chain {
            chain: file.chain.clone(),
            last_seq: file.last_seq,
            head: file.head.clone(),
        };
        self.chains.retain(|known| known.chain != end.chain);
        self.chains.push(end);
        self.chains.sort_by(|a, b| a.chain.cmp(&b.chain));
        self.rows += file.rows;
        self.files.push(file);
    }
}

/// The bytes of a directory's manifest; `None` where there is none.
pub(super) fn bytes_of(directory: &Path) -> Result<Option<Vec<u8>>> {
    let path = directory.join(MANIFEST);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| shown(&path)),
        Ok(found) if found.len() > BYTES_MAX => bail!("{}: too large", shown(&path)),
        Ok(_) => std::fs::read(&path).map(Some).with_context(|| shown(&path)),
    }
}

/// Whether a manifest's bytes are signed, in its directory, by `key` (DER).
pub(super) fn is_signed(directory: &Path, bytes: &[u8], key: &[u8]) -> Result<bool> {
    let path = directory.join(SIGNATURE);
    let signature = std::fs::read(&path).with_context(|| shown(&path))?;
    Ok(verify(key, bytes, &signature))
}

/// A public key from its file.
pub(super) fn public_key(path: &Path) -> Result<Vec<u8>> {
    let text = std::fs::read_to_string(path).with_context(|| shown(path))?;
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = STANDARD.decode(body).ok();
    der.with_context(|| format!("{}: not a public key in PEM", shown(path)))
}

/// Replaces a file whole: another name first, on disk, then the name.
pub(super) fn put(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let part = part(directory, name);
    let mut file = create(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.with_context(|| shown(&part))?;
    rename(directory, name)
}

/// Where a file is written before it is whole.
pub(super) fn part(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.part"))
}

/// An empty file that only its owner reads.
pub(super) fn create(path: &Path) -> Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| shown(path))
}

/// Gives a whole file its name, durably.
pub(super) fn rename(directory: &Path, name: &str) -> Result<()> {
    let to = directory.join(name);
    std::fs::rename(part(directory, name), &to)
        .and_then(|()| std::fs::File::open(directory)?.sync_all())
        .with_context(|| shown(&to))
}

fn gone(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| shown(path))
        }
        _ => Ok(()),
    }
}

/// For error texts.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
