//! Encryption: symmetric keys with a nonce each time, and RSA.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::transit::{TransitHash, TransitKind, TransitRefusal};
use zeroize::Zeroizing;

use super::hashes::hmac;
use super::material::Material;
use super::{rsa, xchacha};

/// Bytes of the key that makes the nonces of convergent encryption.
const CONVERGENT_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// How a key is used.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The key is derived: by this.
    pub derived: bool,
    /// The same plaintext is the same ciphertext.
    pub convergent: bool,
    /// What the key is derived by.
    pub context: &'a [u8],
    /// What is authenticated beside the plaintext.
    pub associated: &'a [u8],
}

/// Encrypts under one version.
///
/// # Errors
/// [`TransitRefusal`]
pub fn encrypt(
    material: &Material,
    how: Context<'_>,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, TransitRefusal> {
    if material.kind().rsa_bits().is_some() {
        check_plain(material.kind(), how)?;
        return rsa::encrypt(material, plaintext);
    }
    let keys = keys(material, how)?;
    let mut nonce = vec![0; nonce_bytes(material.kind())];
    match how.convergent {
        true => {
            let made = hmac(TransitHash::Sha2_256, keys.convergent(), plaintext);
            let length = nonce.len();
            nonce.copy_from_slice(&made[..length]);
        }
        false => entropy.fill(&mut nonce),
    }
    let (key, short) = cipher(material.kind(), keys.own(), &nonce)?;
    // In one buffer, the nonce before it.
    let mut out = Vec::with_capacity(nonce.len() + plaintext.len() + TAG_BYTES);
    out.extend_from_slice(plaintext);
    key.seal_in_place_append_tag(short, Aad::from(how.associated), &mut out)
        .map_err(|_| TransitRefusal::Failed)?;
    nonce.append(&mut out);
    Ok(nonce)
}

/// Decrypts what [`encrypt`] made under the same version, in the same way.
///
/// # Errors
/// [`TransitRefusal::NotOpened`], whatever does not fit.
pub fn decrypt(
    material: &Material,
    how: Context<'_>,
    ciphertext: &[u8],
) -> Result<Plaintext, TransitRefusal> {
    if material.kind().rsa_bits().is_some() {
        check_plain(material.kind(), how)?;
        return rsa::decrypt(material, ciphertext);
    }
    let keys = keys(material, how)?;
    let (nonce, sealed) = ciphertext
        .split_at_checked(nonce_bytes(material.kind()))
        .ok_or(TransitRefusal::NotOpened)?;
    let (key, short) = cipher(material.kind(), keys.own(), nonce)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let opened = key
        .open_in_place(short, Aad::from(how.associated), &mut buffer)
        .map_err(|_| TransitRefusal::NotOpened)?;
    Ok(Plaintext::new(opened.to_vec()))
}

/// Bytes derived from a key by a context, as many as are asked for.
pub(super) fn derived(
    own: &[u8],
    context: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, TransitRefusal> {
    if context.is_empty() {
        return Err(TransitRefusal::NoContext);
    }
    let mut out = Zeroizing::new(vec![0; length]);
    let key = Salt::new(HKDF_SHA256, &[]).extract(own);
    let info = [context];
    let filled = key
        .expand(&info, Length(length))
        .and_then(|bytes| bytes.fill(&mut out));
    filled.map_err(|_| TransitRefusal::Failed)?;
    Ok(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn check_plain(kind: TransitKind, how: Context<'_>) -> Result<(), TransitRefusal> {
    if how.derived {
        return Err(TransitRefusal::NoDerivation(kind));
    }
    match how.associated.is_empty() {
        true => Ok(()),
        false => Err(TransitRefusal::NoAssociatedData(kind)),
    }
}

/// The key that encrypts, and behind it the one that makes nonces.
struct Keys {
    bytes: Zeroizing<Vec<u8>>,
    length: usize,
}

impl Keys {
    fn own(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn convergent(&self) -> &[u8] {
        &self.bytes[self.length..]
    }
}

fn keys(material: &Material, how: Context<'_>) -> Result<Keys, TransitRefusal> {
    let kind = material.kind();
    let length = kind.symmetric_bytes();
    let length = length.ok_or(TransitRefusal::NoEncryption(kind))?;
    let bytes = match (how.derived, how.convergent) {
        (true, true) => derived(material.own(), how.context, length + CONVERGENT_BYTES)?,
        (true, false) => derived(material.own(), how.context, length)?,
        (false, true) => return Err(TransitRefusal::NoConvergence),
        (false, false) => Zeroizing::new(material.own().to_vec()),
    };
    Ok(Keys { bytes, length })
}

fn nonce_bytes(kind: TransitKind) -> usize {
    match kind {
        TransitKind::XChaCha20 => xchacha::NONCE_BYTES,
        _ => NONCE_BYTES,
    }
}

fn cipher(
    kind: TransitKind,
    key: &[u8],
    nonce: &[u8],
) -> Result<(LessSafeKey, Nonce), TransitRefusal> {
    let failed = |_| TransitRefusal::Failed;
    if kind == TransitKind::XChaCha20 {
        let key = key.try_into().map_err(|_| TransitRefusal::Failed)?;
        let nonce = nonce.try_into().map_err(|_| TransitRefusal::Failed)?;
        let (key, short) = xchacha::subkey(key, nonce);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map_err(failed)?;
        return Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)));
    }
    let algorithm: &'static Algorithm = match kind {
        TransitKind::Aes128Gcm => &AES_128_GCM,
        TransitKind::Aes256Gcm => &AES_256_GCM,
        _ => &CHACHA20_POLY1305,
    };
    let key = UnboundKey::new(algorithm, key).map_err(failed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(failed)?;
    Ok((LessSafeKey::new(key), nonce))
}
