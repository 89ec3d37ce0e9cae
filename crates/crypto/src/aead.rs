//! AES-256-GCM under an explicit nonce. Promise: a key in the clear is given once, and lives on
//! only as AWS-LC's key schedule, which wipes itself when dropped.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use scaivault_core::seal::SealError;
use zeroize::Zeroize;

use crate::derive::KeyBytes;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = NONCE_LEN;

/// Bytes a ciphertext is longer than its plaintext.
pub(crate) const TAG_BYTES: usize = 16;

/// A nonce as stored.
pub(crate) type NonceBytes = [u8; NONCE_BYTES];

/// A key that encrypts and decrypts.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(crate) fn new(key: &KeyBytes) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice())
            .expect("AES-256 takes every key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Appends ciphertext and tag to `out`. The caller never repeats a nonce under one key.
    ///
    /// # Errors
    /// [`SealError::Provider`] for a value beyond the 64 GiB of GCM; `out` is as before.
    pub(crate) fn seal(
        &self,
        nonce: NonceBytes,
        binding: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let start = out.len();
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let (body, tag) = out[start..].split_at_mut(plaintext.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed =
            self.0
                .seal_out_of_place_scatter(nonce, Aad::from(binding), plaintext, body, &[], tag);
        if sealed.is_err() {
            out.truncate(start);
            return Err(SealError::Provider("encryption failed"));
        }
        Ok(())
    }

    /// Decrypts `sealed` (ciphertext and tag) into `out`, which is as long as the plaintext.
    ///
    /// # Errors
    /// [`SealError::Refused`] unless every bit of key, nonce, binding and ciphertext is as it was;
    /// `out` is then all zeros.
    pub(crate) fn open(
        &self,
        nonce: NonceBytes,
        binding: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), SealError> {
        let (body, tag) = sealed
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(SealError::Refused)?;
        if body.len() != out.len() {
            return Err(SealError::Refused);
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .open_separate_gather(nonce, Aad::from(binding), body, tag, out)
            .map_err(|_| {
                out.zeroize();
                SealError::Refused
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: NonceBytes = [3; NONCE_BYTES];

    fn key(byte: u8) -> AeadKey {
        AeadKey::new(&KeyBytes::new([byte; 32]))
    }

    fn sealed() -> Vec<u8> {
        let mut out = b"head".to_vec();
        key(1).seal(NONCE, b"bound", b"value", &mut out).unwrap();
        out.split_off(4)
    }

    #[test]
    fn opens_only_as_sealed() {
        let mut out = [9; 5];
        key(1).open(NONCE, b"bound", &sealed(), &mut out).unwrap();
        assert_eq!(&out, b"value");

        let refused = Err(SealError::Refused);
        assert_eq!(key(2).open(NONCE, b"bound", &sealed(), &mut out), refused);
        assert_eq!(out, [0; 5], "a refusal leaves zeros");
        assert_eq!(key(1).open([4; 12], b"bound", &sealed(), &mut out), refused);
        assert_eq!(key(1).open(NONCE, b"other", &sealed(), &mut out), refused);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let sealed = sealed();
        for (length, room) in [(0, 0), (15, 0), (21, 4), (21, 6), (20, 4)] {
            let mut out = vec![0; room];
            let opened = key(1).open(NONCE, b"bound", &sealed[..length], &mut out);
            assert_eq!(opened, Err(SealError::Refused), "{length} into {room}");
        }
    }
}
