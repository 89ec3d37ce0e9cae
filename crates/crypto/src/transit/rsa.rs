//! RSA: OAEP, PSS and PKCS #1 v1.5.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rsa::{
    KeyPair, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaParameters, RsaPssSaltLength,
    RsaSignatureEncoding, UnparsedPublicKey,
};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::transit::{TransitHash, TransitRefusal};
use zeroize::Zeroizing;

use super::asymmetric::{RsaPadding, Salt, SignHow};
use super::material::Material;

static PSS_MAX_SHA256: RsaSignatureEncoding =
    RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_MAX_SHA384: RsaSignatureEncoding =
    RSA_PSS_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_MAX_SHA512: RsaSignatureEncoding =
    RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);
static IS_PSS_MAX_SHA256: RsaParameters =
    RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static IS_PSS_MAX_SHA384: RsaParameters =
    RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
static IS_PSS_MAX_SHA512: RsaParameters =
    RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);

pub(super) fn encrypt(material: &Material, plaintext: &[u8]) -> Result<Vec<u8>, TransitRefusal> {
    let failed = |_| TransitRefusal::Failed;
    let key = private(material)?.public_key();
    let key = OaepPublicEncryptingKey::new(key).map_err(failed)?;
    let most = key.max_plaintext_size(&OAEP_SHA256_MGF1SHA256);
    if plaintext.len() > most {
        return Err(TransitRefusal::TooLong(most));
    }
    let mut out = vec![0; key.ciphertext_size()];
    let made = key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, None);
    let length = made.map_err(failed)?.len();
    out.truncate(length);
    Ok(out)
}

pub(super) fn decrypt(material: &Material, ciphertext: &[u8]) -> Result<Plaintext, TransitRefusal> {
    let key = OaepPrivateDecryptingKey::new(private(material)?);
    let key = key.map_err(|_| TransitRefusal::Failed)?;
    let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
    let opened = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut out, None)
        .map_err(|_| TransitRefusal::NotOpened)?;
    Ok(Plaintext::new(opened.to_vec()))
}

fn private(material: &Material) -> Result<PrivateDecryptingKey, TransitRefusal> {
    PrivateDecryptingKey::from_pkcs8(material.own()).map_err(|_| TransitRefusal::Failed)
}

fn pair(material: &Material) -> Result<KeyPair, TransitRefusal> {
    KeyPair::from_pkcs8(material.own()).map_err(|_| TransitRefusal::Failed)
}

pub(super) fn sign(
    material: &Material,
    how: &SignHow,
    digest: &[u8],
) -> Result<Vec<u8>, TransitRefusal> {
    let failed = |_| TransitRefusal::Failed;
    let pair = pair(material)?;
    let is_max = is_max(how, pair.public_modulus_len())?.unwrap_or(true);
    let encoding: &'static dyn RsaEncoding = match (how.hash, how.padding, is_max) {
        (TransitHash::Sha2_256, RsaPadding::Pkcs1, _) => &RSA_PKCS1_SHA256,
        (TransitHash::Sha2_384, RsaPadding::Pkcs1, _) => &RSA_PKCS1_SHA384,
        (TransitHash::Sha2_512, RsaPadding::Pkcs1, _) => &RSA_PKCS1_SHA512,
        (TransitHash::Sha2_256, RsaPadding::Pss, true) => &PSS_MAX_SHA256,
        (TransitHash::Sha2_384, RsaPadding::Pss, true) => &PSS_MAX_SHA384,
        (TransitHash::Sha2_512, RsaPadding::Pss, true) => &PSS_MAX_SHA512,
        (TransitHash::Sha2_256, RsaPadding::Pss, false) => &RSA_PSS_SHA256,
        (TransitHash::Sha2_384, RsaPadding::Pss, false) => &RSA_PSS_SHA384,
        (TransitHash::Sha2_512, RsaPadding::Pss, false) => &RSA_PSS_SHA512,
        _ => return Err(TransitRefusal::RsaHash),
    };
    let digest = imported(how.hash, digest)?;
    let mut out = vec![0; pair.public_modulus_len()];
    pair.sign_digest(encoding, &digest, &mut out)
        .map_err(failed)?;
    Ok(out)
}

pub(super) fn verify(
    material: &Material,
    how: &SignHow,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, TransitRefusal> {
    let pair = pair(material)?;
    let (pkcs1, by_hash, by_max): (_, _, &'static RsaParameters) = match how.hash {
        TransitHash::Sha2_256 => (
            &RSA_PKCS1_2048_8192_SHA256,
            &RSA_PSS_2048_8192_SHA256,
            &IS_PSS_MAX_SHA256,
        ),
        TransitHash::Sha2_384 => (
            &RSA_PKCS1_2048_8192_SHA384,
            &RSA_PSS_2048_8192_SHA384,
            &IS_PSS_MAX_SHA384,
        ),
        TransitHash::Sha2_512 => (
            &RSA_PKCS1_2048_8192_SHA512,
            &RSA_PSS_2048_8192_SHA512,
            &IS_PSS_MAX_SHA512,
        ),
        _ => return Err(TransitRefusal::RsaHash),
    };
    let digest = imported(how.hash, digest)?;
    let public = pair.public_key().as_ref();
    let is = |parameters: &'static RsaParameters| {
        let key = UnparsedPublicKey::new(parameters, public);
        key.verify_digest(&digest, signature).is_ok()
    };
    Ok(match how.padding {
        RsaPadding::Pkcs1 => is(pkcs1),
        RsaPadding::Pss => match is_max(how, pair.public_modulus_len())? {
            Some(true) => is(by_max),
            Some(false) => is(by_hash),
            None => is(by_max) || is(by_hash),
        },
    })
}

/// Whether the salt is as long as it can be, or else as the hash; `None` when either will do.
fn is_max(how: &SignHow, modulus: usize) -> Result<Option<bool>, TransitRefusal> {
    let hash = how.hash.bytes();
    let most = modulus.saturating_sub(hash + 2);
    match how.salt {
        Salt::Auto => Ok(None),
        Salt::Hash => Ok(Some(false)),
        Salt::Bytes(length) if length == hash => Ok(Some(false)),
        Salt::Bytes(length) if length == most => Ok(Some(true)),
        Salt::Bytes(_) => Err(TransitRefusal::Salt),
    }
}

fn imported(hash: TransitHash, digest: &[u8]) -> Result<Digest, TransitRefusal> {
    let algorithm = match hash {
        TransitHash::Sha2_256 => &digest::SHA256,
        TransitHash::Sha2_384 => &digest::SHA384,
        TransitHash::Sha2_512 => &digest::SHA512,
        _ => return Err(TransitRefusal::RsaHash),
    };
    Digest::import_less_safe(digest, algorithm).map_err(|_| TransitRefusal::Prehashed)
}
