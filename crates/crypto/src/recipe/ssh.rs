//! SSH key pairs in OpenSSH's formats: `-----BEGIN OPENSSH PRIVATE KEY-----` without a passphrase,
//! and the line of an `authorized_keys` file.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::recipe::{RsaBits, SshConfig, SshKeyType};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData, RsaKeypair, RsaPrivateKey};
use ssh_key::public::{Ed25519PublicKey, RsaPublicKey};
use ssh_key::{LineEnding, Mpint, PrivateKey};
use zeroize::Zeroizing;

use super::keys;

pub(super) fn pair(config: &SshConfig, entropy: &dyn Entropy) -> Option<[Plaintext; 2]> {
    let data = match config.key_type {
        SshKeyType::Ed25519 => KeypairData::Ed25519(ed25519(entropy)?),
        SshKeyType::Rsa => KeypairData::Rsa(rsa(config.bits.unwrap_or(RsaBits::B3072))?),
    };
    let key = PrivateKey::new(data, config.comment.as_str()).ok()?;
    let private = key.to_openssh(LineEnding::LF).ok()?;
    let mut public = key.public_key().to_openssh().ok()?;
    public.push('\n');
    Some([
        Plaintext::new(private.as_bytes().to_vec()),
        Plaintext::new(public.into_bytes()),
    ])
}

fn ed25519(entropy: &dyn Entropy) -> Option<Ed25519Keypair> {
    let mut seed = Zeroizing::new([0u8; Ed25519PrivateKey::BYTE_SIZE]);
    entropy.fill(seed.as_mut_slice());
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
    Some(Ed25519Keypair {
        public: Ed25519PublicKey::try_from(pair.public_key().as_ref()).ok()?,
        private: Ed25519PrivateKey::from_bytes(&seed),
    })
}

fn rsa(bits: RsaBits) -> Option<RsaKeypair> {
    let pair = keys::rsa_pair(bits)?;
    let pkcs8 = keys::rsa_pkcs8(&pair)?;
    let [n, e, d, p, q, iqmp] = rsa_numbers(&pkcs8)?;
    Some(RsaKeypair {
        public: RsaPublicKey { e, n },
        private: RsaPrivateKey { d, iqmp, p, q },
    })
}

/// Modulus, exponents, primes and coefficient of a PKCS#8 key: `SEQUENCE { version, algorithm,
/// OCTET STRING { SEQUENCE { version, n, e, d, p, q, dP, dQ, qInv } } }`.
fn rsa_numbers(pkcs8: &[u8]) -> Option<[Mpint; 6]> {
    const INTEGER: u8 = 0x02;
    const OCTETS: u8 = 0x04;
    const SEQUENCE: u8 = 0x30;
    let (outer, _) = element(pkcs8, SEQUENCE)?;
    let (_, rest) = element(outer, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (key, _) = element(rest, OCTETS)?;
    let (key, _) = element(key, SEQUENCE)?;
    let (_, mut rest) = element(key, INTEGER)?;
    let mut next = || {
        let (number, behind) = element(rest, INTEGER)?;
        rest = behind;
        Mpint::from_positive_bytes(number).ok()
    };
    let [n, e, d, p, q] = [next()?, next()?, next()?, next()?, next()?];
    let [_, _, iqmp] = [next()?, next()?, next()?];
    Some([n, e, d, p, q, iqmp])
}

/// The content of one DER element of this tag, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first & 0x80 != 0 {
        let (bytes, behind) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        length = bytes.iter().try_fold(0usize, |sum, byte| {
            Some(sum.checked_mul(256)? + usize::from(*byte))
        })?;
        rest = behind;
    }
    (*found == tag).then(|| rest.split_at_checked(length))?
}
