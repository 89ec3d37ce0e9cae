//! What keys of transit mounts do: pure computations on material that was just opened.
//!
//! Ciphertexts, derivations and signatures are those of HashiCorp Vault, byte for byte, so that what a
//! client kept from there opens here with the same key, and the other way round.
//!
//! | Key | Ciphertext or signature |
//! |---|---|
//! | AES-GCM, ChaCha20-Poly1305 | nonce (12 bytes), ciphertext, tag (16) |
//! | XChaCha20-Poly1305 | nonce (24), ciphertext, tag (16) |
//! | RSA | OAEP with SHA-256 twice, no label; signatures PSS or PKCS#1 v1.5 |
//! | ECDSA | DER, or the two numbers one behind the other |
//! | Ed25519 | RFC 8032, 64 bytes |
//!
//! A derived key is `HKDF-SHA256(key, no salt, info: context)`, of an Ed25519 key both halves; for convergent encryption its next 32
//! bytes are the key of an HMAC-SHA256 over the plaintext, whose beginning is the nonce.
//!
//! The material of a version, sealed as one value: the key of its HMAC (32 bytes, or all of it for keys
//! that do nothing else), then its own key: symmetric bytes, the Ed25519 seed, or PKCS #8.

mod asymmetric;
mod hashes;
mod material;
mod pem;
mod rsa;
mod symmetric;
mod xchacha;

pub use asymmetric::{Marshaling, RsaPadding, Salt, SignHow, public_of, sign, verify};
pub use hashes::{hash, hmac, hmac_is};
pub use material::{HMAC_KEY_MAX, HMAC_KEY_MIN, Made, Material, generate};
pub use symmetric::{Context, decrypt, encrypt};

#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod tests;
