//! The sealed format. Promise: an envelope opens only under the key it names, at the place it was
//! sealed for, and with every bit as it was; otherwise nothing of the value comes out.
//!
//! ```text
//! [version = 1, 1 byte][length of key id, 1 byte][key id]
//! [commitment, 32][wrap nonce, 12][wrapped data key, 48][nonce, 12][ciphertext and tag, n + 16]
//! ```
//! That is n + 122 bytes and the key id (n + 152 for our own ids). Each seal draws a data key D.
//!
//! - `wrapped data key` is D under the tenant's key: AES-256-GCM, random nonce.
//! - `ciphertext` is the value under `HKDF-Expand(D, "scaivault value encryption v1\n" || binding)`.
//! - `commitment` is `HKDF-Expand(D, "scaivault value commitment v1\n" || binding)`.
//! - Associated data of both ciphertexts is the [`binding`]: format version, place and key id.
//!
//! GCM alone lets someone who knows two keys make one ciphertext that opens under both. The
//! commitment is a collision-resistant function of data key, place and key id, checked before
//! anything is decrypted under a derived key, so an envelope has one meaning.
//!
//! Wrap nonces are random, so one tenant key is good for 2^32 seals (NIST SP 800-38D, 8.3). A
//! tenant that writes 100 values a second reaches that after 16 months: give it a new key before.

use scaivault_core::ids::KeyId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::seal::{Place, SealError, Sealed};
use zeroize::Zeroizing;

use crate::aead::{AeadKey, NONCE_BYTES, NonceBytes, TAG_BYTES};
use crate::binding;
use crate::derive::{Deriver, KEY_BYTES, KeyBytes, Label};
use crate::mac::same;

const FORMAT: u8 = 1;
const COMMITMENT_BYTES: usize = 32;
const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// Everything but key id and value.
const FIXED_BYTES: usize =
    2 + COMMITMENT_BYTES + NONCE_BYTES + WRAPPED_BYTES + NONCE_BYTES + TAG_BYTES;

/// Seals under a fresh data key, wrapped by the tenant's `key` of that id.
///
/// # Errors
/// [`SealError::Provider`] for a value beyond what AES-GCM can take.
pub(crate) fn seal(
    key: &AeadKey,
    key_id: &KeyId,
    place: Place<'_>,
    value: &Plaintext,
    entropy: &dyn Entropy,
) -> Result<Sealed, SealError> {
    let key_id = key_id.as_str();
    // An id has at most 68 characters.
    let id_length = u8::try_from(key_id.len()).map_err(|_| SealError::Malformed)?;
    let binding = binding::of_value(FORMAT, place, key_id);
    let fresh = Fresh::draw(entropy);
    let keys = Deriver::new(&fresh.data_key);
    let commitment = keys.derive(Label::ValueCommitment, &binding);

    let mut out = Vec::with_capacity(FIXED_BYTES + key_id.len() + value.len());
    out.extend_from_slice(&[FORMAT, id_length]);
    out.extend_from_slice(key_id.as_bytes());
    out.extend_from_slice(commitment.as_slice());
    out.extend_from_slice(&fresh.wrap_nonce);
    key.seal(
        fresh.wrap_nonce,
        &binding,
        fresh.data_key.as_slice(),
        &mut out,
    )?;
    out.extend_from_slice(&fresh.nonce);
    value_key(&keys, &binding).seal(fresh.nonce, &binding, value.expose(), &mut out)?;
    Ok(Sealed(out))
}

/// An envelope taken apart. Nothing in it has been checked but its lengths.
pub(crate) struct Envelope<'a> {
    key_id: &'a str,
    commitment: &'a [u8; COMMITMENT_BYTES],
    wrap_nonce: NonceBytes,
    wrapped: &'a [u8; WRAPPED_BYTES],
    nonce: NonceBytes,
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart.
    ///
    /// # Errors
    /// [`SealError::Malformed`] for another version, or bytes too short to be one.
    pub(crate) fn parse(sealed: &'a Sealed) -> Result<Self, SealError> {
        Self::split(&sealed.0).ok_or(SealError::Malformed)
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let ([FORMAT, id_length], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (key_id, rest) = rest.split_at_checked(usize::from(*id_length))?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (wrap_nonce, rest) = rest.split_first_chunk()?;
        let (wrapped, rest) = rest.split_first_chunk()?;
        let (nonce, body) = rest.split_first_chunk()?;
        (body.len() >= TAG_BYTES).then_some(())?;
        Some(Self {
            key_id: std::str::from_utf8(key_id).ok()?,
            commitment,
            wrap_nonce: *wrap_nonce,
            wrapped,
            nonce: *nonce,
            body,
        })
    }

    /// Which key it says it is under.
    pub(crate) fn key_id(&self) -> &'a str {
        self.key_id
    }

    /// Opens with the key of that id.
    ///
    /// # Errors
    /// [`SealError::Refused`] when key, place or any byte is not as it was at sealing.
    pub(crate) fn open(&self, key: &AeadKey, place: Place<'_>) -> Result<Plaintext, SealError> {
        let binding = binding::of_value(FORMAT, place, self.key_id);
        let mut data_key = KeyBytes::default();
        key.open(
            self.wrap_nonce,
            &binding,
            self.wrapped,
            data_key.as_mut_slice(),
        )?;
        let keys = Deriver::new(&data_key);
        let commitment = keys.derive(Label::ValueCommitment, &binding);
        if !same(commitment.as_slice(), self.commitment) {
            return Err(SealError::Refused);
        }
        let mut value = Zeroizing::new(vec![0; self.body.len() - TAG_BYTES]);
        value_key(&keys, &binding).open(self.nonce, &binding, self.body, &mut value)?;
        Ok(Plaintext::new(std::mem::take(&mut *value)))
    }
}

fn value_key(keys: &Deriver, binding: &[u8]) -> AeadKey {
    AeadKey::new(&keys.derive(Label::ValueEncryption, binding))
}

/// What one seal draws, in one call to the source.
struct Fresh {
    data_key: KeyBytes,
    wrap_nonce: NonceBytes,
    nonce: NonceBytes,
}

impl Fresh {
    fn draw(entropy: &dyn Entropy) -> Self {
        let mut drawn = Zeroizing::new([0; KEY_BYTES + 2 * NONCE_BYTES]);
        entropy.fill(drawn.as_mut_slice());
        let mut fresh = Self {
            data_key: KeyBytes::default(),
            wrap_nonce: [0; NONCE_BYTES],
            nonce: [0; NONCE_BYTES],
        };
        let (data_key, nonces) = drawn.split_at(KEY_BYTES);
        let (wrap_nonce, nonce) = nonces.split_at(NONCE_BYTES);
        fresh.data_key.copy_from_slice(data_key);
        fresh.wrap_nonce.copy_from_slice(wrap_nonce);
        fresh.nonce.copy_from_slice(nonce);
        fresh
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
