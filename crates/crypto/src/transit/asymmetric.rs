//! Signatures.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED,
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_ASN1,
    ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair,
    KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::transit::{Curve, TransitHash, TransitKind, TransitRefusal};

use zeroize::Zeroizing;

use super::hashes::hash;
use super::material::Material;
use super::rsa;
use super::symmetric::derived;

/// How the numbers of an ECDSA signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marshaling {
    /// DER.
    Asn1,
    /// One behind the other, as in JSON web signatures.
    Jws,
}

/// How an RSA signature is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RsaPadding {
    Pss,
    Pkcs1,
}

/// How long the salt of PSS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salt {
    /// As long as it can be; verified with that or the hash's length.
    Auto,
    /// As the hash.
    Hash,
    /// So long.
    Bytes(usize),
}

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignHow {
    /// Over which hash. Ed25519 has its own.
    pub hash: TransitHash,
    /// The input is that hash already.
    pub prehashed: bool,
    /// For ECDSA.
    pub marshaling: Marshaling,
    /// For RSA.
    pub padding: RsaPadding,
    /// For RSA with PSS.
    pub salt: Salt,
}

/// Signs with one version; a derived key by its context.
///
/// # Errors
/// [`TransitRefusal`]
pub fn sign(
    material: &Material,
    context: Option<&[u8]>,
    how: &SignHow,
    input: &[u8],
) -> Result<Vec<u8>, TransitRefusal> {
    let kind = material.kind();
    if kind == TransitKind::Ed25519 {
        let pair = of_context(material, context)?;
        return Ok(pair.sign(input).as_ref().to_vec());
    }
    if !kind.signs() {
        return Err(TransitRefusal::NoSigning(kind));
    }
    let digest = digested(how, input)?;
    let Some(curve) = kind.curve() else {
        return rsa::sign(material, how, &digest);
    };
    let pair = ecdsa_pair(signing(curve, how.marshaling), material.own())?;
    let made = pair.sign_digest(&natural(curve, &digest)?);
    Ok(made.map_err(|_| TransitRefusal::Failed)?.as_ref().to_vec())
}

/// Whether [`sign`] with the same version made this of the same input.
///
/// # Errors
/// [`TransitRefusal`], where that cannot be asked.
pub fn verify(
    material: &Material,
    context: Option<&[u8]>,
    how: &SignHow,
    input: &[u8],
    signature: &[u8],
) -> Result<bool, TransitRefusal> {
    let kind = material.kind();
    if kind == TransitKind::Ed25519 {
        let pair = of_context(material, context)?;
        let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
        return Ok(key.verify(input, signature).is_ok());
    }
    if !kind.signs() {
        return Err(TransitRefusal::NoSigning(kind));
    }
    let digest = digested(how, input)?;
    let Some(curve) = kind.curve() else {
        return rsa::verify(material, how, &digest, signature);
    };
    let pair = ecdsa_pair(fixed_signing(curve), material.own())?;
    let key = UnparsedPublicKey::new(verifying(curve, how.marshaling), pair.public_key().as_ref());
    let digest = natural(curve, &digest)?;
    Ok(key.verify_digest(&digest, signature).is_ok())
}

/// The public half of an Ed25519 key that is derived by a context.
///
/// # Errors
/// [`TransitRefusal`]
pub fn public_of(material: &Material, context: &[u8]) -> Result<String, TransitRefusal> {
    let pair = of_context(material, Some(context))?;
    Ok(STANDARD.encode(pair.public_key().as_ref()))
}

fn of_context(
    material: &Material,
    context: Option<&[u8]>,
) -> Result<Ed25519KeyPair, TransitRefusal> {
    match context {
        None => ed25519_pair(material.own()),
        // Derived from both halves, one behind the other: so the other API keeps such a key.
        Some(context) => {
            let public = ed25519_pair(material.own())?;
            let both = [material.own(), public.public_key().as_ref()].concat();
            ed25519_pair(&derived(&Zeroizing::new(both), context, 32)?)
        }
    }
}

pub(super) fn ed25519_pair(seed: &[u8]) -> Result<Ed25519KeyPair, TransitRefusal> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| TransitRefusal::Failed)
}

pub(super) fn ecdsa_pair(
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
) -> Result<EcdsaKeyPair, TransitRefusal> {
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).map_err(|_| TransitRefusal::Failed)
}

fn digested(how: &SignHow, input: &[u8]) -> Result<Vec<u8>, TransitRefusal> {
    match how.prehashed {
        false => Ok(hash(how.hash, input)),
        true if input.len() == how.hash.bytes() => Ok(input.to_vec()),
        true => Err(TransitRefusal::Prehashed),
    }
}

/// The hash as the curve's own algorithm takes it. ECDSA signs a number: the first bits of the hash, as
/// many as the curve has. So a longer hash is cut, and a shorter one stands behind zeros.
fn natural(curve: Curve, hash: &[u8]) -> Result<Digest, TransitRefusal> {
    let algorithm = match curve {
        Curve::P256 => &digest::SHA256,
        Curve::P384 => &digest::SHA384,
        Curve::P521 => &digest::SHA512,
    };
    let mut number = vec![0; algorithm.output_len()];
    let taken = &hash[..hash.len().min(number.len())];
    let zeros = number.len() - taken.len();
    number[zeros..].copy_from_slice(taken);
    Digest::import_less_safe(&number, algorithm).map_err(|_| TransitRefusal::Failed)
}

pub(super) fn fixed_signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    signing(curve, Marshaling::Jws)
}

fn signing(curve: Curve, marshaling: Marshaling) -> &'static EcdsaSigningAlgorithm {
    match (curve, marshaling) {
        (Curve::P256, Marshaling::Asn1) => &ECDSA_P256_SHA256_ASN1_SIGNING,
        (Curve::P256, Marshaling::Jws) => &ECDSA_P256_SHA256_FIXED_SIGNING,
        (Curve::P384, Marshaling::Asn1) => &ECDSA_P384_SHA384_ASN1_SIGNING,
        (Curve::P384, Marshaling::Jws) => &ECDSA_P384_SHA384_FIXED_SIGNING,
        (Curve::P521, Marshaling::Asn1) => &ECDSA_P521_SHA512_ASN1_SIGNING,
        (Curve::P521, Marshaling::Jws) => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn verifying(curve: Curve, marshaling: Marshaling) -> &'static EcdsaVerificationAlgorithm {
    match (curve, marshaling) {
        (Curve::P256, Marshaling::Asn1) => &ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Marshaling::Jws) => &ECDSA_P256_SHA256_FIXED,
        (Curve::P384, Marshaling::Asn1) => &ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Marshaling::Jws) => &ECDSA_P384_SHA384_FIXED,
        (Curve::P521, Marshaling::Asn1) => &ECDSA_P521_SHA512_ASN1,
        (Curve::P521, Marshaling::Jws) => &ECDSA_P521_SHA512_FIXED,
    }
}
