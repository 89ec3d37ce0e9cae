//! What the ledger's rows say, as far as the writer remembers: enough to know, for most reads,
//! that nothing need be written. A bounded memory of two generations: when the young one is full
//! it becomes the old one, and the old one is forgotten, but for what is asked for again.
//!
//! A line is remembered by a keyed hash of 128 bits: 25 bytes for a line instead of 150, so that
//! those of a million secrets have room. Nobody without the key, which is drawn anew for each
//! writer, can make two lines that share a hash.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::Duration;

use rusqlite::Connection;
use scaivault_core::consumer::ConsumerRead;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sqlite::consumer;

/// Entries of one generation: what a table of 2^20 places takes before it grows.
const GENERATION: usize = 917_504;

/// Secrets that are forgotten together when one of them is erased.
const BUCKETS: usize = 4_096;

/// Last reads as stored, by consumer and version.
type Generation = HashMap<Line, i64, BuildHasherDefault<Already>>;

/// A consumer's line of one version: the hash of its key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line([u64; 2]);

impl std::hash::Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(crate) struct Ledger {
    young: Generation,
    old: Generation,
    generation_max: usize,
    /// How often secrets of a bucket were erased: part of every line's key, so that no line of one
    /// that was erased is found again.
    erasures: Box<[u32]>,
    hasher: SipHasher13,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::with_generation(GENERATION)
    }

    fn with_generation(generation_max: usize) -> Self {
        let random = RandomState::new();
        Self {
            young: Generation::default(),
            old: Generation::default(),
            generation_max,
            erasures: vec![0; BUCKETS].into(),
            hasher: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
        }
    }

    /// Commits one read: the first of its version at once, a later one when what is stored is
    /// older than the read's resolution.
    pub(crate) fn record(
        &mut self,
        conn: &Connection,
        read: &ConsumerRead,
    ) -> rusqlite::Result<()> {
        let line = self.line(read);
        let at = read.at.as_micros();
        let resolution = read.resolution();
        if self
            .recall(line)
            .is_some_and(|stored| is_fresh(stored, at, resolution))
        {
            return Ok(());
        }
        let stored = consumer::last_read(conn, read)?;
        if let Some(stored) = stored.filter(|stored| is_fresh(*stored, at, resolution)) {
            self.remember(line, stored);
            return Ok(());
        }
        consumer::put(conn, read)?;
        self.remember(line, at);
        Ok(())
    }

    /// A secret was erased, its ledger with it.
    pub(crate) fn forget(&mut self, tenant: &TenantId, path: &SecretPath) {
        let bucket = bucket(&self.of_secret(tenant, path));
        self.erasures[bucket] = self.erasures[bucket].wrapping_add(1);
    }

    fn of_secret(&self, tenant: &TenantId, path: &SecretPath) -> SipHasher13 {
        let mut hasher = self.hasher;
        // Neither has a zero byte in it.
        for part in [tenant.as_str(), path.as_str()] {
            hasher.write(part.as_bytes());
            hasher.write(&[0]);
        }
        hasher
    }

    fn line(&self, read: &ConsumerRead) -> Line {
        let mut hasher = self.of_secret(&read.tenant, &read.path);
        let erasures = self.erasures[bucket(&hasher)];
        hasher.write(&erasures.to_be_bytes());
        hasher.write(&read.version.to_be_bytes());
        hasher.write(read.consumer.as_str().as_bytes());
        let hash = hasher.finish128();
        Line([hash.h1, hash.h2])
    }

    fn recall(&mut self, line: Line) -> Option<i64> {
        if let Some(stored) = self.young.get(&line) {
            return Some(*stored);
        }
        let stored = self.old.remove(&line)?;
        self.remember(line, stored);
        Some(stored)
    }

    fn remember(&mut self, line: Line, stored: i64) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(line, stored);
    }
}

fn bucket(hasher: &SipHasher13) -> usize {
    usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
}

/// Whether a read at `at` need not be written. One from before what is stored need not, either:
/// times never go back.
fn is_fresh(stored: i64, at: i64, resolution: Duration) -> bool {
    let since = u64::try_from(at.saturating_sub(stored)).unwrap_or(0);
    Duration::from_micros(since) < resolution
}
