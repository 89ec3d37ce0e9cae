//! The key that signs: read from OpenSSH's and from PEM's forms, used through AWS-LC.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::target::{Trouble, TroubleKind};
use zeroize::Zeroizing;

use super::wire::{Reader, Writer, der, der_number, element, trimmed};
use crate::value;

/// The curves, by the names of SSH, with the bytes of a number.
const CURVES: [(&str, &EcdsaSigningAlgorithm, usize); 3] = [
    ("nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING, 32),
    ("nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING, 48),
    ("nistp521", &ECDSA_P521_SHA512_FIXED_SIGNING, 66),
];
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// How RSA keys sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RsaHash {
    Sha256,
    #[default]
    Sha512,
}

/// A key that signs.
pub(super) enum Ca {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair, &'static str),
    Rsa(Box<RsaKeyPair>),
}

impl Ca {
    /// Of the manager secret's value.
    pub(super) fn of(manager: Option<&Plaintext>) -> Result<Self, Trouble> {
        let manager = manager.ok_or(TroubleKind::ManagerMissing)?;
        let missing = |text: &str| Trouble::new(TroubleKind::ManagerMissing).remedy(text);
        let text = value::text(manager, "private_key").ok_or_else(|| {
            missing("write the manager secret as a JSON object with the text field `private_key`")
        })?;
        Self::read(&text).ok_or_else(|| {
            missing(
                "let `private_key` be an Ed25519, ECDSA or RSA key (2048 bits or more) without a \
                 passphrase, in OpenSSH's form or in PEM",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (label, bytes) = unarmored(text)?;
        match label {
            "OPENSSH PRIVATE KEY" => openssh(&bytes),
            "RSA PRIVATE KEY" => rsa(&bytes),
            "EC PRIVATE KEY" => ecdsa_der(&bytes),
            "PRIVATE KEY" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
                .ok()
                .map(Self::Ed25519)
                .or_else(|| {
                    RsaKeyPair::from_pkcs8(&bytes)
                        .ok()
                        .map(Box::new)
                        .map(Self::Rsa)
                })
                .or_else(|| ecdsa_der(&bytes)),
            _ => None,
        }
    }

    /// The public key, as it stands in certificates.
    pub(super) fn public(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Ed25519(pair) => {
                out.text("ssh-ed25519").text(pair.public_key());
            }
            Self::Ecdsa(pair, curve) => {
                let kind = format!("ecdsa-sha2-{curve}");
                out.text(kind).text(curve).text(pair.public_key());
            }
            Self::Rsa(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                out.text("ssh-rsa").number(exponent).number(modulus);
            }
        }
        out.0
    }

    /// The same as a line for `TrustedUserCAKeys`.
    pub(super) fn public_line(&self) -> String {
        let blob = self.public();
        let kind = Reader(&blob).word().unwrap_or_default();
        format!("{kind} {}", STANDARD.encode(&blob))
    }

    /// A signature, as it stands in certificates.
    pub(super) fn sign(&self, message: &[u8], hash: RsaHash) -> Result<Vec<u8>, Trouble> {
        let failed = |_| Trouble::new(TroubleKind::Protocol);
        let mut out = Writer::default();
        match self {
            Self::Ed25519(pair) => {
                out.text("ssh-ed25519").text(pair.sign(message));
            }
            Self::Ecdsa(pair, curve) => {
                let made = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                let (r, s) = made.as_ref().split_at(made.as_ref().len() / 2);
                let mut numbers = Writer::default();
                numbers.number(r).number(s);
                out.text(format!("ecdsa-sha2-{curve}")).text(numbers.0);
            }
            Self::Rsa(pair) => {
                let (kind, encoding) = match hash {
                    RsaHash::Sha256 => ("rsa-sha2-256", &signature::RSA_PKCS1_SHA256),
                    RsaHash::Sha512 => ("rsa-sha2-512", &signature::RSA_PKCS1_SHA512),
                };
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut made)
                    .map_err(failed)?;
                out.text(kind).text(made);
            }
        }
        Ok(out.0)
    }
}

/// What stands between the lines of `BEGIN` and `END`.
fn unarmored(text: &str) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let begun = text.trim().strip_prefix("-----BEGIN ")?;
    let (label, rest) = begun.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let mut plain = Zeroizing::new(String::with_capacity(body.len()));
    plain.extend(body.chars().filter(|c| !c.is_whitespace()));
    let bytes = STANDARD.decode(plain.as_bytes()).ok()?;
    Some((label, Zeroizing::new(bytes)))
}

/// OpenSSH's own form, without a passphrase.
fn openssh(bytes: &[u8]) -> Option<Ca> {
    let mut reader = Reader(bytes.strip_prefix(b"openssh-key-v1\0")?);
    let (cipher, kdf) = (reader.word()?, reader.word()?);
    if (cipher, kdf) != ("none", "none") {
        return None;
    }
    reader.text()?;
    if reader.u32()? != 1 {
        return None;
    }
    reader.text()?;
    let mut reader = Reader(reader.text()?);
    if reader.u32()? != reader.u32()? {
        return None;
    }
    match reader.word()? {
        "ssh-ed25519" => {
            let (public, private) = (reader.text()?, reader.text()?);
            let seed = private.get(..32)?;
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
            Some(Ca::Ed25519(pair))
        }
        "ssh-rsa" => {
            let mut number = || reader.text();
            let (n, e, d) = (number()?, number()?, number()?);
            let (iqmp, p, q) = (number()?, number()?, number()?);
            let (dp, dq) = (below(d, p), below(d, q));
            let numbers = [&[0][..], n, e, d, p, q, &dp, &dq, iqmp];
            let mut content = Zeroizing::new(Vec::with_capacity(bytes.len() * 2));
            for number in numbers {
                content.extend_from_slice(&der_number(number));
            }
            rsa(&der(SEQUENCE, &content))
        }
        kind => {
            let name = kind.strip_prefix("ecdsa-sha2-")?;
            let (name, algorithm, size) = CURVES.into_iter().find(|(curve, ..)| *curve == name)?;
            reader.text()?;
            let (public, private) = (reader.text()?, trimmed(reader.text()?));
            let mut scalar = Zeroizing::new(vec![0; size.checked_sub(private.len())?]);
            scalar.extend_from_slice(private);
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, public).ok()?;
            Some(Ca::Ecdsa(pair, name))
        }
    }
}

fn rsa(der: &[u8]) -> Option<Ca> {
    RsaKeyPair::from_der(der).ok().map(Box::new).map(Ca::Rsa)
}

fn ecdsa_der(der: &[u8]) -> Option<Ca> {
    CURVES.into_iter().find_map(|(name, algorithm, _)| {
        let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
        Some(Ca::Ecdsa(pair, name))
    })
}

/// Modulus and exponent of a public key in DER.
fn rsa_numbers(public: &[u8]) -> (&[u8], &[u8]) {
    let numbers = element(public, SEQUENCE).and_then(|(content, _)| {
        let (modulus, rest) = element(content, INTEGER)?;
        let (exponent, _) = element(rest, INTEGER)?;
        Some((modulus, exponent))
    });
    numbers.unwrap_or_default()
}

/// `number` modulo one less than an odd `prime`, bit by bit: what a form with more numbers in it
/// needs that OpenSSH's leaves out.
fn below(number: &[u8], prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let prime = trimmed(prime);
    let mut modulus = Zeroizing::new(prime.to_vec());
    if let Some(last) = modulus.last_mut() {
        // It is odd.
        *last &= 0xfe;
    }
    // One byte more than the modulus: what is doubled has room.
    let mut left = Zeroizing::new(vec![0u8; modulus.len() + 1]);
    for bit in number
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        let mut carry = bit;
        for byte in left.iter_mut().rev() {
            let high = *byte >> 7;
            *byte = *byte << 1 | carry;
            carry = high;
        }
        if is_at_least(&left, &modulus) {
            let mut borrow = 0u16;
            let padded = std::iter::once(&0).chain(modulus.iter());
            let pairs: Vec<u8> = padded.copied().collect();
            let pairs = Zeroizing::new(pairs);
            for (byte, less) in left.iter_mut().zip(pairs.iter()).rev() {
                let value = 256 + u16::from(*byte) - u16::from(*less) - borrow;
                *byte = u8::try_from(value & 0xff).unwrap_or(0);
                borrow = u16::from(value < 256);
            }
        }
    }
    left
}

/// Compares numbers of which the first has one byte more.
fn is_at_least(long: &[u8], short: &[u8]) -> bool {
    match long.split_first() {
        Some((0, rest)) => rest >= short,
        Some(_) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(Ca::read(text).is_none(), "{text}");
        }
        let value = Plaintext::new(b"{}".to_vec());
        let trouble = Ca::of(Some(&value)).err().unwrap();
        assert_eq!(trouble.kind, TroubleKind::ManagerMissing);
    }

    proptest! {
        #[test]
        fn remainders_are_those_of_arithmetic(number: u128, prime in 3u64..) {
            let prime = prime | 1;
            let rest = below(&number.to_be_bytes(), &prime.to_be_bytes());
            let expect = number % u128::from(prime - 1);
            let expect = expect.to_be_bytes();
            prop_assert_eq!(trimmed(&rest), trimmed(&expect));
        }
    }
}
