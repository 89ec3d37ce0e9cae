//! The system's randomness. Promise: the buffer is full of bytes fit for keys, or the process is
//! gone. There is no third outcome a caller could forget to handle.

use aws_lc_rs::rand;
use scaivault_core::ports::Entropy;

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
    fn draws_differ() {
        let (mut one, mut other) = ([0u8; 32], [0u8; 32]);
        SystemEntropy.fill(&mut one);
        SystemEntropy.fill(&mut other);
        assert_ne!(one, other);
    }
}
