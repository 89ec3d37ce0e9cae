//! What the ledger's rows say, as far as the writer remembers: enough to know, for most reads,
//! that nothing need be written. A bounded memory of two generations: when the young one is full
//! it becomes the old one, and the old one is forgotten, but for what is asked for again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::Connection;
use scaivault_core::consumer::{ConsumerRead, LEDGER_RESOLUTION};
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;

use crate::sqlite::consumer;

/// Entries of one generation; some 150 bytes each.
const GENERATION: usize = 65_536;

/// Last reads, by consumer and version.
type Generation = HashMap<Box<[u8]>, i64>;

pub(crate) struct Ledger {
    young: Generation,
    old: Generation,
    /// Secrets erased since the last look: their entries are dropped before the next one.
    erased: HashSet<Vec<u8>>,
    /// Room for the key in hand.
    key: Vec<u8>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            erased: HashSet::new(),
            key: Vec::with_capacity(256),
        }
    }

    /// Commits one read: the first of its version at once, a later one when what is stored is
    /// older than the resolution.
    pub(crate) fn record(
        &mut self,
        conn: &Connection,
        read: &ConsumerRead,
    ) -> rusqlite::Result<()> {
        self.drop_erased();
        write_key(&mut self.key, read);
        let at = read.at.as_micros();
        if self.recall().is_some_and(|stored| is_fresh(stored, at)) {
            return Ok(());
        }
        let stored = consumer::last_read(conn, read)?;
        if let Some(stored) = stored.filter(|stored| is_fresh(*stored, at)) {
            self.remember(stored);
            return Ok(());
        }
        consumer::put(conn, read)?;
        self.remember(at);
        Ok(())
    }

    /// A secret was erased, its ledger with it.
    pub(crate) fn forget(&mut self, tenant: &TenantId, path: &SecretPath) {
        let mut prefix = Vec::new();
        write_prefix(&mut prefix, tenant, path);
        self.erased.insert(prefix);
    }

    fn drop_erased(&mut self) {
        if self.erased.is_empty() {
            return;
        }
        let erased = std::mem::take(&mut self.erased);
        let keep = |key: &[u8]| !erased.contains(prefix_of(key));
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
    }

    fn recall(&mut self) -> Option<i64> {
        if let Some(stored) = self.young.get(self.key.as_slice()) {
            return Some(*stored);
        }
        let stored = self.old.remove(self.key.as_slice())?;
        self.remember(stored);
        Some(stored)
    }

    fn remember(&mut self, stored: i64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        match self.young.get_mut(self.key.as_slice()) {
            Some(known) => *known = stored,
            None => drop(self.young.insert(self.key.as_slice().into(), stored)),
        }
    }
}

/// Whether a read at `at` need not be written. One from before what is stored need not, either:
/// times never go back.
fn is_fresh(stored: i64, at: i64) -> bool {
    let since = u64::try_from(at.saturating_sub(stored)).unwrap_or(0);
    Duration::from_micros(since) < LEDGER_RESOLUTION
}

/// `tenant 0 path 0 version consumer`: neither of the first two has a zero byte in it.
fn write_key(key: &mut Vec<u8>, read: &ConsumerRead) {
    key.clear();
    write_prefix(key, &read.tenant, &read.path);
    key.extend_from_slice(&read.version.to_be_bytes());
    key.extend_from_slice(read.consumer.as_str().as_bytes());
}

fn write_prefix(key: &mut Vec<u8>, tenant: &TenantId, path: &SecretPath) {
    for part in [tenant.as_str(), path.as_str()] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
}

fn prefix_of(key: &[u8]) -> &[u8] {
    let end = memchr::memchr_iter(0, key)
        .nth(1)
        .map_or(key.len(), |at| at + 1);
    &key[..end]
}
