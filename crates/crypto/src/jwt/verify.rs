//! One public key, and whether it made a signature.

use aws_lc_rs::signature::{
    self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use scaivault_core::issuer::Algorithm;

/// Bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// An exponent of more than 64 bits costs time and gives nothing.
const RSA_EXPONENT_BYTES_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (bare(n), bare(e));
        let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
        let fits = RSA_BITS.contains(&bits) && (1..=RSA_EXPONENT_BYTES_MAX).contains(&e.len());
        // Even, or one: not exponents of RSA.
        let is_exponent = e.last().is_some_and(|last| last % 2 == 1) && e != [1];
        (fits && is_exponent).then(|| Self::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    pub(super) fn elliptic(curve: &str, x: &[u8], y: &[u8]) -> Option<Self> {
        let (make, width): (fn(Vec<u8>) -> Self, _) = match curve {
            "P-256" => (Self::P256, 32),
            "P-384" => (Self::P384, 48),
            "P-521" => (Self::P521, 66),
            _ => return None,
        };
        if x.len() != width || y.len() != width {
            return None;
        }
        Some(make([&[4], x, y].concat()))
    }

    pub(super) fn ed25519(x: Vec<u8>) -> Option<Self> {
        (x.len() == 32).then_some(Self::Ed25519(x))
    }

    /// Whether a key of this kind makes signatures of that algorithm.
    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Es512};
        match self {
            Self::Rsa { .. } => rsa_parameters(algorithm).is_some(),
            Self::P256(_) => algorithm == Es256,
            Self::P384(_) => algorithm == Es384,
            Self::P521(_) => algorithm == Es512,
            Self::Ed25519(_) => algorithm == EdDsa,
        }
    }

    /// Whether it made this signature. Who asks has asked [`Self::serves`].
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let point = |by: &'static dyn VerificationAlgorithm, key: &[u8]| {
            let key = UnparsedPublicKey::new(by, key);
            key.verify(message, signature).is_ok()
        };
        match self {
            Self::Rsa { n, e } => rsa_parameters(algorithm).is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).is_ok()
            }),
            Self::P256(key) => point(&signature::ECDSA_P256_SHA256_FIXED, key),
            Self::P384(key) => point(&signature::ECDSA_P384_SHA384_FIXED, key),
            Self::P521(key) => point(&signature::ECDSA_P521_SHA512_FIXED, key),
            Self::Ed25519(key) => point(&signature::ED25519, key),
        }
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => return None,
    })
}

/// Without leading zeros.
fn bare(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
