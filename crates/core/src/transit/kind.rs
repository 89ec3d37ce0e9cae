//! What a key is, and what can be done with such keys.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($name:ident = $text:literal;)*) => {
        /// What a key is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the words beside them say it")]
        pub enum TransitKind { $(#[serde(rename = $text)] $name,)* }

        impl TransitKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    Aes128Gcm = "aes128-gcm96";
    Aes256Gcm = "aes256-gcm96";
    ChaCha20 = "chacha20-poly1305";
    XChaCha20 = "xchacha20-poly1305";
    Ed25519 = "ed25519";
    EcdsaP256 = "ecdsa-p256";
    EcdsaP384 = "ecdsa-p384";
    EcdsaP521 = "ecdsa-p521";
    Rsa2048 = "rsa-2048";
    Rsa3072 = "rsa-3072";
    Rsa4096 = "rsa-4096";
    Hmac = "hmac";
}

/// A curve of ECDSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl TransitKind {
    /// Bytes of a symmetric key that encrypts.
    pub fn symmetric_bytes(self) -> Option<usize> {
        match self {
            Self::Aes128Gcm => Some(16),
            Self::Aes256Gcm | Self::ChaCha20 | Self::XChaCha20 => Some(32),
            _ => None,
        }
    }

    /// Its curve, where it signs by ECDSA.
    pub fn curve(self) -> Option<Curve> {
        match self {
            Self::EcdsaP256 => Some(Curve::P256),
            Self::EcdsaP384 => Some(Curve::P384),
            Self::EcdsaP521 => Some(Curve::P521),
            _ => None,
        }
    }

    /// Bits of an RSA modulus.
    pub fn rsa_bits(self) -> Option<u32> {
        match self {
            Self::Rsa2048 => Some(2_048),
            Self::Rsa3072 => Some(3_072),
            Self::Rsa4096 => Some(4_096),
            _ => None,
        }
    }

    /// Whether it encrypts and decrypts.
    pub fn encrypts(self) -> bool {
        self.symmetric_bytes().is_some() || self.rsa_bits().is_some()
    }

    /// Whether it signs.
    pub fn signs(self) -> bool {
        self == Self::Ed25519 || self.curve().is_some() || self.rsa_bits().is_some()
    }

    /// Whether keys for contexts are made from it.
    pub fn derives(self) -> bool {
        self == Self::Ed25519 || self.symmetric_bytes().is_some()
    }

    /// Whether its work is slow enough to be done aside.
    pub fn is_slow(self) -> bool {
        self.rsa_bits().is_some()
    }
}

macro_rules! hashes {
    ($($name:ident = $text:literal, $bytes:literal;)*) => {
        /// A hash function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the words beside them say it")]
        pub enum TransitHash { $($name,)* }

        impl TransitHash {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }

            /// Bytes of its output.
            pub fn bytes(self) -> usize {
                match self { $(Self::$name => $bytes,)* }
            }
        }
    };
}

hashes! {
    Sha1 = "sha1", 20;
    Sha2_224 = "sha2-224", 28;
    Sha2_256 = "sha2-256", 32;
    Sha2_384 = "sha2-384", 48;
    Sha2_512 = "sha2-512", 64;
    Sha3_256 = "sha3-256", 32;
    Sha3_384 = "sha3-384", 48;
    Sha3_512 = "sha3-512", 64;
}
