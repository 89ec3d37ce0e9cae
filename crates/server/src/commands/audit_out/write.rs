//! The directory and the files of rows.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scaivault_store::audit::{Hash, TakenSegment};
use sha2::{Digest, Sha256};

use super::manifest::{self, Manifest, shown};

/// The manifest of the export in this directory, or an empty one for a new or empty directory.
///
/// With it the lock on the directory: two at once would write into each other's files.
pub(super) fn begin(directory: &Path) -> Result<(Manifest, File)> {
    let mut made = std::fs::DirBuilder::new();
    made.recursive(true).mode(0o700);
    made.create(directory).with_context(|| shown(directory))?;
    let lock = File::open(directory).with_context(|| shown(directory))?;
    lock.try_lock()
        .with_context(|| format!("{}: another export writes there", shown(directory)))?;
    if let Some((manifest, _)) = Manifest::read(directory)? {
        return Ok((manifest, lock));
    }
    let entries = std::fs::read_dir(directory).with_context(|| shown(directory))?;
    for entry in entries {
        let name = entry.with_context(|| shown(directory))?.file_name();
        // Of a first run that was cut short before it had a manifest.
        let ours = name.to_str().is_some_and(|name| {
            name.ends_with(".jsonl")
                || name.ends_with(".part")
                || name == manifest::PUBLIC_KEY
                || name == manifest::SIGNATURE
        });
        if !ours {
            bail!(
                "{}: holds files that are no export: give an empty directory",
                shown(directory)
            );
        }
    }
    Ok((Manifest::new(), lock))
}

/// A file of rows that is being written.
pub(super) struct RowsFile {
    directory: PathBuf,
    into: BufWriter<File>,
    sum: Sha256,
    /// All but what is known at the end.
    entry: manifest::File,
}

impl RowsFile {
    /// For the rows behind the one at `seq`, whose hash is `prev`.
    pub(super) fn begin(directory: &Path, chain: &str, seq: u64, prev: &Hash) -> Result<Self> {
        // It is part of a file's name, and comes from the database.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if chain.is_empty() || !chain.bytes().all(is_name) {
            bail!("the store calls a chain what no chain is called: it was changed");
        }
        let name = format!("{chain}-{:012}.jsonl", seq + 1);
        let into = manifest::create(&manifest::part(directory, &name))?;
        Ok(Self {
            directory: directory.to_owned(),
            into: BufWriter::new(into),
            sum: Sha256::new(),
            entry: manifest::File {
                name,
                chain: chain.to_owned(),
                first_seq: seq + 1,
                last_seq: seq,
                rows: 0,
                bytes: 0,
                first_at: i64::MAX,
                last_at: i64::MIN,
                sha256: String::new(),
                prev: hex(prev),
                head: String::new(),
                mac: String::new(),
            },
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.entry.rows
    }

    pub(super) fn push(&mut self, segment: &TakenSegment) -> Result<()> {
        self.into
            .write_all(&segment.body)
            .with_context(|| self.entry.name.clone())?;
        self.sum.update(&segment.body);
        let entry = &mut self.entry;
        entry.rows += segment.rows;
        entry.bytes += u64::try_from(segment.body.len()).unwrap_or(u64::MAX);
        entry.last_seq = segment.last_seq();
        entry.first_at = entry.first_at.min(segment.first_at);
        entry.last_at = entry.last_at.max(segment.last_at);
        entry.mac = hex(&segment.mac);
        Ok(())
    }

    /// On disk, under its name.
    pub(super) fn finish(self, head: &Hash) -> Result<manifest::File> {
        let Self {
            directory,
            into,
            sum,
            mut entry,
        } = self;
        let file = into.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| file.sync_all())
            .with_context(|| entry.name.clone())?;
        manifest::rename(&directory, &entry.name)?;
        entry.sha256 = hex(&sum.finalize());
        entry.head = hex(head);
        Ok(entry)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash from its 64 digits.
pub(super) fn unhex(text: &str) -> Result<Hash> {
    let digits = text.as_bytes();
    let byte = |at: usize| {
        let pair = std::str::from_utf8(digits.get(at * 2..at * 2 + 2)?).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let hash = bytes
        .filter(|_| digits.len() == 64)
        .and_then(|bytes| bytes.try_into().ok());
    hash.context("the manifest has a hash that is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_export_at_a_time_writes_into_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        let (_, lock) = begin(&out).unwrap();
        let refused = begin(&out).unwrap_err().to_string();
        assert!(refused.contains("another export writes there"), "{refused}");
        drop(lock);
        assert!(begin(&out).is_ok());
    }

    #[test]
    fn a_chains_name_is_no_way_out_of_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        std::fs::create_dir(&out).unwrap();
        for name in ["../abc", "/tmp/x", "a/b", "abc.d", "a\0b", "ä", ""] {
            let refused = RowsFile::begin(&out, name, 0, &[0; 32]).err();
            let refused = refused.unwrap_or_else(|| panic!("{name} is taken"));
            assert!(refused.to_string().contains("what no chain is called"));
        }
        assert!(RowsFile::begin(&out, "brf2zn", 0, &[0; 32]).is_ok());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    }
}
