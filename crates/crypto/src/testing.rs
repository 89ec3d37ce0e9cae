//! Randomness that repeats, for tests: SHA-256 over a seed and a counter.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use scaivault_core::ports::Entropy;

pub(crate) struct Seeded {
    seed: u64,
    counter: AtomicU64,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: AtomicU64::new(0),
        }
    }
}

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let counter = self.counter.fetch_add(1, Ordering::Relaxed);
            let block = [self.seed.to_be_bytes(), counter.to_be_bytes()].concat();
            let stream = digest::digest(&digest::SHA256, &block);
            chunk.copy_from_slice(&stream.as_ref()[..chunk.len()]);
        }
    }
}

/// Gives the listed bytes over and over.
pub(crate) struct Cycle {
    bytes: Vec<u8>,
    at: AtomicU64,
}

impl Cycle {
    pub(crate) fn new(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self {
            bytes: bytes.into_iter().collect(),
            at: AtomicU64::new(0),
        }
    }
}

impl Entropy for Cycle {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let at = usize::try_from(self.at.fetch_add(1, Ordering::Relaxed)).unwrap();
            *byte = self.bytes[at % self.bytes.len()];
        }
    }
}
