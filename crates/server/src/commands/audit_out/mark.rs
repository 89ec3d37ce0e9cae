//! The mark: how far each chain was handed over, on disk.

use std::path::Path;

use anyhow::{Context, Result};
use scaivault_core::audit_export::ExportHead;
use scaivault_store::audit::{Hash, genesis};
use serde::{Deserialize, Serialize};

use super::manifest::{put, shown};
use super::write::{hex, unhex};

/// How far each chain was handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    chains: Vec<MarkedChain>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkedChain {
    chain: String,
    last_seq: u64,
    head: String,
}

impl Mark {
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{}: not a mark", shown(path))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| shown(path)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: not a file's name", shown(path)))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        put(directory, name, &serde_json::to_vec(self)?)
    }

    /// As a store keeps it.
    pub(crate) fn heads(&self) -> Vec<ExportHead> {
        let head = |marked: &MarkedChain| ExportHead {
            chain: marked.chain.clone(),
            last_seq: marked.last_seq,
            head: marked.head.clone(),
        };
        self.chains.iter().map(head).collect()
    }

    /// The same, read.
    pub(crate) fn of_heads(heads: &[ExportHead]) -> Self {
        let marked = |head: &ExportHead| MarkedChain {
            chain: head.chain.clone(),
            last_seq: head.last_seq,
            head: head.head.clone(),
        };
        Self {
            chains: heads.iter().map(marked).collect(),
        }
    }

    pub(super) fn of(&self, chain: &str) -> Result<(u64, Hash)> {
        match self.chains.iter().find(|marked| marked.chain == chain) {
            Some(marked) => Ok((marked.last_seq, unhex(&marked.head)?)),
            None => Ok((0, genesis(chain))),
        }
    }

    /// The chains of which rows were handed over.
    pub(super) fn chains(&self) -> impl Iterator<Item = &str> {
        let some = self.chains.iter().filter(|marked| marked.last_seq > 0);
        some.map(|marked| marked.chain.as_str())
    }

    pub(super) fn set(&mut self, chain: &str, last_seq: u64, head: &Hash) {
        self.chains.retain(|marked| marked.chain != chain);
        self.chains.push(MarkedChain {
            chain: chain.to_owned(),
            last_seq,
            head: hex(head),
        });
    }
}
