//! An export that was asked for over the API, verified by itself: its parts are rows that somebody
//! chose, so there is no chain to follow; the manifest says what was written, and its signature who
//! wrote it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::manifest::{is_plain, shown};
use super::write::hex;

/// The one form there is.
const FORMAT: &str = "scaivault audit selection 1";

/// What of a manifest is looked at.
#[derive(Deserialize)]
pub(super) struct Selection {
    format: String,
    pub(super) rows: u64,
    pub(super) files: Vec<Part>,
    pub(super) chains: Vec<Head>,
    row_format: String,
}

#[derive(Deserialize)]
pub(super) struct Part {
    name: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) chain: String,
    pub(super) last_seq: u64,
    pub(super) head: String,
}

impl Selection {
    /// `None` when the manifest is of the other kind.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(bytes).ok()?;
        (read.format == FORMAT).then_some(read)
    }

    /// Whether every part is what the manifest says, and nothing is counted that is not there.
    pub(super) fn verify(&self, directory: &Path) -> Result<()> {
        for part in &self.files {
            part.verify(directory, self.row_format == "csv")?;
        }
        if self.files.iter().map(|part| part.rows).sum::<u64>() != self.rows {
            bail!("the manifest's rows are not those of its files");
        }
        Ok(())
    }
}

impl Part {
    fn verify(&self, directory: &Path, has_names: bool) -> Result<()> {
        if !is_plain(&self.name) {
            bail!("the manifest names a file that is none of an export");
        }
        let path = directory.join(&self.name);
        let mut from = BufReader::new(File::open(&path).with_context(|| shown(&path))?);
        let (mut sum, mut bytes, mut line_ends) = (Sha256::new(), 0u64, 0u64);
        loop {
            let read = from.fill_buf().with_context(|| shown(&path))?;
            let length = read.len();
            if length == 0 {
                break;
            }
            sum.update(read);
            bytes += length as u64;
            line_ends += read.iter().filter(|byte| **byte == b'\n').count() as u64;
            from.consume(length);
        }
        // A row is one line of JSON; of CSV it has one at least, and there is a line of names.
        let fits = match has_names {
            true => line_ends > self.rows,
            false => line_ends == self.rows,
        };
        if bytes != self.bytes || hex(&sum.finalize()) != self.sha256 || !fits {
            bail!("{}: is not the file that was exported", self.name);
        }
        Ok(())
    }
}
