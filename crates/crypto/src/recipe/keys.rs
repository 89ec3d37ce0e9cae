//! Key pairs in PEM: the private one as PKCS#8, the public one as SubjectPublicKeyInfo.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::encoding::{
    AsBigEndian, AsDer, EcPublicKeyUncompressedBin, Pkcs8V1Der, PublicKeyX509Der,
};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::recipe::{Curve, RsaBits};
use zeroize::Zeroizing;

/// Scalars drawn before giving up; one in 2^32 is out of range.
const DRAWS_MAX: u32 = 64;

pub(super) fn rsa(bits: RsaBits) -> Option<[Plaintext; 2]> {
    let pair = rsa_pair(bits)?;
    let private = rsa_pkcs8(&pair)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
    Some([
        pem("PRIVATE KEY", &private),
        pem("PUBLIC KEY", public.as_ref()),
    ])
}

pub(super) fn rsa_pair(bits: RsaBits) -> Option<RsaKeyPair> {
    let size = match bits {
        RsaBits::B2048 => KeySize::Rsa2048,
        RsaBits::B3072 => KeySize::Rsa3072,
        RsaBits::B4096 => KeySize::Rsa4096,
    };
    RsaKeyPair::generate(size).ok()
}

pub(super) fn rsa_pkcs8(pair: &RsaKeyPair) -> Option<Zeroizing<Vec<u8>>> {
    let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    Some(Zeroizing::new(der.as_ref().to_vec()))
}

pub(super) fn ec(curve: Curve, entropy: &dyn Entropy) -> Option<[Plaintext; 2]> {
    let (agreement, signing, bytes) = match curve {
        Curve::P256 => (&ECDH_P256, &ECDSA_P256_SHA256_ASN1_SIGNING, 32),
        Curve::P384 => (&ECDH_P384, &ECDSA_P384_SHA384_ASN1_SIGNING, 48),
    };
    let mut scalar = Zeroizing::new(vec![0u8; bytes]);
    // A scalar that is no key (0, or beyond the curve's order) is drawn anew, never reduced: that
    // would make small ones likelier.
    let key = (0..DRAWS_MAX).find_map(|_| {
        entropy.fill(&mut scalar);
        PrivateKey::from_private_key(agreement, &scalar).ok()
    })?;
    let point = key.compute_public_key().ok()?;
    let point: EcPublicKeyUncompressedBin<'_> = point.as_be_bytes().ok()?;
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(signing, &scalar, point.as_ref()).ok()?;
    let private = pair.to_pkcs8v1().ok()?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
    Some([
        pem("PRIVATE KEY", private.as_ref()),
        pem("PUBLIC KEY", public.as_ref()),
    ])
}

/// RFC 7468: lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> Plaintext {
    const LINE: usize = 64;
    // Room from the start: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(vec![0u8; der.len().div_ceil(3) * 4]);
    let written = STANDARD
        .encode_slice(der, &mut text)
        .expect("there is room for the base64");
    let mut out = Vec::with_capacity(written + written / LINE + 2 * label.len() + 40);
    out.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    for line in text[..written].chunks(LINE) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    Plaintext::new(out)
}
