//! An export verified by itself: no store, no key but the public one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use scaivault_store::audit::{Hash, link};
use sha2::{Digest, Sha256};

use super::manifest::{self, Manifest, PUBLIC_KEY, SIGNATURE, is_signed, public_key, shown};
use super::selection::Selection;
use super::write::{hex, unhex};

/// The longest line accepted: rows have no long fields.
const LINE_MAX: usize = 1 << 20;

/// What a whole export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: usize,
    /// Its rows were chosen by whoever asked: there is no chain to follow through them.
    pub is_selection: bool,
    /// Rows that retention had removed before they could be exported, by chain.
    pub removed: BTreeMap<String, u64>,
    /// The head of each chain, with the place of its last row.
    pub heads: BTreeMap<String, (u64, String)>,
    /// SHA-256 of the key that signed the manifest, if one did.
    pub signed_by: Option<String>,
}

/// Verifies every file against the manifest, every line against the chain, and the manifest against
/// its signature: by `key` if it is given, else by the key beside it, which shows only that whoever
/// wrote the one wrote the other.
///
/// # Errors
/// The first thing that does not fit, by file.
pub fn verify_export(directory: &Path, key: Option<&Path>) -> Result<ExportReport> {
    let bytes = manifest::bytes_of(directory)?
        .with_context(|| format!("{}: has no {}", shown(directory), manifest::MANIFEST))?;
    let beside = directory.join(PUBLIC_KEY);
    let signed_by = match key {
        None if !beside.exists() && !directory.join(SIGNATURE).exists() => None,
        key => {
            let key = public_key(key.unwrap_or(&beside))?;
            if !is_signed(directory, &bytes, &key)? {
                bail!("the manifest is not the one that was signed with this key");
            }
            Some(hex(&Sha256::digest(&key)))
        }
    };
    if let Some(selection) = Selection::read(&bytes) {
        selection.verify(directory)?;
        return Ok(ExportReport {
            rows: selection.rows,
            files: selection.files.len(),
            removed: BTreeMap::new(),
            heads: selection
                .chains
                .into_iter()
                .map(|end| (end.chain, (end.last_seq, end.head)))
                .collect(),
            is_selection: true,
            signed_by,
        });
    }
    let (manifest, _) = Manifest::read(directory)?.context("the manifest is gone")?;
    let heads = verify_files(directory, &manifest)?;
    Ok(ExportReport {
        is_selection: false,
        rows: manifest.rows,
        files: manifest.files.len(),
        removed: manifest
            .anchors
            .iter()
            .map(|anchor| (anchor.chain.clone(), anchor.last_seq))
            .collect(),
        heads,
        signed_by,
    })
}

/// The heads of the chains, if the files are what the manifest says and every line is where the
/// chain has it.
pub(super) fn verify_files(
    directory: &Path,
    manifest: &Manifest,
) -> Result<BTreeMap<String, (u64, String)>> {
    let mut ends: BTreeMap<String, (u64, Hash)> = BTreeMap::new();
    let mut rows = 0;
    for file in &manifest.files {
        let (seq, hash) = match ends.get(&file.chain) {
            Some(end) => *end,
            None => manifest.beginning(&file.chain)?,
        };
        if Some(file.first_seq) != seq.checked_add(1) || unhex(&file.prev)? != hash {
            bail!("{}: does not follow row {seq} of its chain", file.name);
        }
        let hash = lines(directory, file, hash)?;
        rows += file.rows;
        ends.insert(file.chain.clone(), (file.last_seq, hash));
    }
    let heads: BTreeMap<_, _> = ends
        .into_iter()
        .map(|(chain, (seq, hash))| (chain, (seq, hex(&hash))))
        .collect();
    let listed: BTreeMap<_, _> = manifest
        .chains
        .iter()
        .map(|end| (end.chain.clone(), (end.last_seq, end.head.clone())))
        .collect();
    if heads != listed || rows != manifest.rows {
        bail!("the manifest's chains are not those of its files");
    }
    Ok(heads)
}

/// The hash after a file's last line, if the file is what the manifest says.
fn lines(directory: &Path, entry: &manifest::File, mut hash: Hash) -> Result<Hash> {
    let path = entry.path(directory)?;
    let mut from = BufReader::new(File::open(&path).with_context(|| shown(&path))?);
    let (mut sum, mut rows, mut bytes) = (Sha256::new(), 0u64, 0u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = std::io::Read::take(&mut from, LINE_MAX as u64);
        let read = bounded.read_until(b'\n', &mut line);
        if read.with_context(|| shown(&path))? == 0 {
            break;
        }
        let Some(text) = line.strip_suffix(b"\n") else {
            bail!("{}: line {} has no end", entry.name, rows + 1);
        };
        hash = link(&hash, text);
        sum.update(&line);
        rows += 1;
        bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
    }
    let between = entry.last_seq.checked_sub(entry.first_seq);
    let whole = rows == entry.rows
        && bytes == entry.bytes
        && between.and_then(|between| between.checked_add(1)) == Some(rows)
        && hex(&sum.finalize()) == entry.sha256;
    if !whole {
        bail!("{}: is not the file that was exported", entry.name);
    }
    if hex(&hash) != entry.head {
        bail!("{}: its rows are not those of the chain", entry.name);
    }
    Ok(hash)
}
