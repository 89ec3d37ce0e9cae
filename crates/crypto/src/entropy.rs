//! The system's randomness. Promise: the buffer is full of bytes fit for keys, or the process is
//! gone. There is no third outcome a caller could forget to handle.

use std::cell::RefCell;

use aws_lc_rs::rand;
use scaivault_core::ports::Entropy;

/// Bytes drawn at once for what is no secret.
const POOL_BYTES: usize = 640;

/// Random bytes of one thread that nobody was given yet: those from `used` on.
struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES })
    };
}

/// AWS-LC's generator, seeded by the operating system. Free to copy; all copies are the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        if rand::fill(buffer).is_err() {
            // A panic could be caught, and the caller would go on with a buffer of zeros.
            eprintln!("scaivault: the system's random source failed; stopping");
            std::process::abort();
        }
    }

    /// Ids are drawn for every request, and a draw costs much the same for ten bytes and for
    /// hundreds.
    fn fill_public(&self, buffer: &mut [u8]) {
        let pooled = POOL.try_with(|pool| {
            let pool = &mut *pool.borrow_mut();
            if buffer.len() > POOL_BYTES {
                return false;
            }
            if POOL_BYTES - pool.used < buffer.len() {
                self.fill(&mut pool.bytes);
                pool.used = 0;
            }
            let end = pool.used + buffer.len();
            buffer.copy_from_slice(&pool.bytes[pool.used..end]);
            pool.used = end;
            true
        });
        // A thread that is ending has no pool any more.
        if !pooled.unwrap_or(false) {
            self.fill(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_byte_of_any_length() {
        for length in [0, 1, 31, 32, 33, 4096] {
            let mut seen = vec![0u8; length];
            for _ in 0..64 {
                let mut buffer = vec![0u8; length];
                SystemEntropy.fill(&mut buffer);
                seen.iter_mut()
                    .zip(&buffer)
                    .for_each(|(seen, byte)| *seen |= byte);
            }
            assert!(seen.iter().all(|byte| *byte != 0), "{length}");
        }
    }

    #[test]
    fn no_byte_of_the_pool_is_given_twice() {
        let mut seen = std::collections::HashSet::new();
        for length in [10, 10, 31, 16, POOL_BYTES + 1, POOL_BYTES].repeat(200) {
            let mut buffer = vec![0u8; length];
            SystemEntropy.fill_public(&mut buffer);
            for eight in buffer.chunks_exact(8) {
                assert!(seen.insert(eight.to_vec()), "{length}");
            }
        }
    }

    #[test]
    fn draws_differ() {
        let (mut one, mut other) = ([0u8; 32], [0u8; 32]);
        SystemEntropy.fill(&mut one);
        SystemEntropy.fill(&mut other);
        assert_ne!(one, other);
    }
}
