//! Randomness for tests: a stream fixed by its seed. It is not random at all; it only looks so.

use std::sync::atomic::{AtomicU64, Ordering};

use scaivault_core::ports::Entropy;

/// The odd number nearest to 2^64 divided by the golden ratio: steps by it visit every 64-bit
/// state before one comes again, so no two blocks of a run are equal.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The same bytes for the same seed and the same order of calls. Share it in an `Arc`; calls from
/// several threads never get the same bytes, but then their order is not fixed.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// A stream of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits: handy for a test's own choices.
    pub fn next_u64(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// A number from 0 to `end`, `end` left out. The slight bias is of no matter in a test.
    ///
    /// # Panics
    /// When `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        assert!(end > 0, "no number is below 0");
        self.next_u64() % end
    }
}

/// Spreads every bit of the state over the whole word (the finalizer known as SplitMix64).
fn mix(state: u64) -> u64 {
    let mut word = state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for block in buffer.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            block.copy_from_slice(&word[..block.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use scaivault_core::ids::SubscriptionId;
    use scaivault_core::time::Timestamp;

    use super::*;

    fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut buffer = vec![0; len];
        SeededEntropy::new(seed).fill(&mut buffer);
        buffer
    }

    #[test]
    fn a_seed_fixes_the_bytes() {
        assert_eq!(bytes(1, 37), bytes(1, 37));
        assert_ne!(bytes(1, 37), bytes(2, 37));
        assert!(bytes(3, 64).iter().any(|byte| *byte != 0));
    }

    #[test]
    fn no_id_comes_twice() {
        let entropy = SeededEntropy::new(0);
        let now = Timestamp::from_secs(1);
        let ids: HashSet<_> = (0..10_000)
            .map(|_| SubscriptionId::mint(now, &entropy))
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert!((0..1_000).all(|_| entropy.below(7) < 7));
    }
}
