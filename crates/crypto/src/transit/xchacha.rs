//! XChaCha20-Poly1305's longer nonce: the first 16 bytes of it and the key make another key (HChaCha20,
//! draft-irtf-cfrg-xchacha), under which the last 8 are the nonce of ChaCha20-Poly1305.

use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of the longer nonce.
pub(super) const NONCE_BYTES: usize = 24;

/// The key and the nonce that are used in place of these.
pub(super) fn subkey(key: &[u8; 32], nonce: &[u8; NONCE_BYTES]) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
    let mut short = [0; 12];
    short[4..].copy_from_slice(&nonce[16..]);
    let mut first = [0; 16];
    first.copy_from_slice(&nonce[..16]);
    (hchacha20(key, &first), short)
}

fn hchacha20(key: &[u8; 32], nonce: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut state = [0u32; 16];
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in state[4..]
        .iter_mut()
        .zip(key.chunks(4).chain(nonce.chunks(4)))
    {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
    }
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, [column, column + 4, column + 8, column + 12]);
        }
        for diagonal in 0..4 {
            let at = |row: usize| row * 4 + (diagonal + row) % 4;
            quarter(&mut state, [at(0), at(1), at(2), at(3)]);
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    let words = state[..4].iter().chain(&state[12..]);
    for (bytes, word) in out.chunks_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    state.zeroize();
    out
}

fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (to, from, turned, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[to] = state[to].wrapping_add(state[from]);
        state[turned] = (state[turned] ^ state[to]).rotate_left(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_hchacha20() {
        // draft-irtf-cfrg-xchacha-03, 2.2.1.
        let key: Vec<u8> = (0..32).collect();
        let nonce = hex::decode("000000090000004a0000000031415927").unwrap();
        let made = hchacha20(&key.try_into().unwrap(), &nonce.try_into().unwrap());
        assert_eq!(
            hex::encode(made.as_slice()),
            "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
        );
    }
}
