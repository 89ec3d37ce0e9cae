//! Detached signatures: Ed25519 over the bytes of a file, which anybody verifies who has the public
//! key, also with `openssl pkeyutl -verify -rawin`.

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Before a public key's 32 bytes, where it is written as DER (RFC 8410).
const DER_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// The key of a seed: the same seed is the same key.
    ///
    /// # Errors
    /// None for a seed of this length.
    pub fn of_seed(seed: &[u8; 32]) -> Result<Self, KeyRejected> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self)
    }

    /// What others verify with, as DER.
    pub fn public_der(&self) -> Vec<u8> {
        [&DER_PREFIX, self.0.public_key().as_ref()].concat()
    }

    /// The same in PEM.
    pub fn public_pem(&self) -> String {
        let body = STANDARD.encode(self.public_der());
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    /// 64 bytes over the message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// SHA-256 over the bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether this signature was made over the message by the holder of this public key (DER).
pub fn verify(public_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = public_der.strip_prefix(&DER_PREFIX[..]) else {
        return false;
    };
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, test 2.
    #[test]
    fn signs_as_the_standard_says() {
        let hex = |text: &str| -> Vec<u8> {
            let pairs = (0..text.len()).step_by(2);
            pairs
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect()
        };
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::of_seed(&seed.try_into().unwrap()).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public_der()[12..], hex(public));
        let signature = key.sign(&[0x72]);
        let expect = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                      085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(signature, hex(expect));
        assert!(verify(&key.public_der(), &[0x72], &signature));
        assert!(!verify(&key.public_der(), &[0x73], &signature));
        assert!(!verify(&key.public_der()[1..], &[0x72], &signature));
        assert!(!verify(&key.public_der(), &[0x72], &signature[1..]));
    }
}
