//! The secret part of a version: how it is made, read, and shown to who may have it.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::transit::{TransitKind, TransitRefusal};
use zeroize::Zeroizing;

use super::asymmetric::{ecdsa_pair, ed25519_pair, fixed_signing};
use super::pem::{pem, pkcs1_of};

/// Bytes of the key of an HMAC that every key has beside its own.
const HMAC_BYTES: usize = 32;
/// The shortest key of a kind that does HMAC alone.
pub const HMAC_KEY_MIN: usize = 32;
/// The longest one.
pub const HMAC_KEY_MAX: usize = 512;

/// The secret part of a version, in the clear. Wiped when dropped.
pub struct Material {
    kind: TransitKind,
    bytes: Plaintext,
}

/// A version as it was made.
pub struct Made {
    /// To be sealed.
    pub material: Plaintext,
    /// The half that everybody may know.
    pub public: Option<String>,
}

/// Makes the material of a version. Slow for RSA.
///
/// # Errors
/// When the library cannot.
pub fn generate(
    kind: TransitKind,
    hmac_bytes: usize,
    entropy: &dyn Entropy,
) -> Result<Made, TransitRefusal> {
    let failed = |_| TransitRefusal::Failed;
    let mut bytes = vec![
        0;
        match kind {
            TransitKind::Hmac => hmac_bytes,
            _ => HMAC_BYTES,
        }
    ];
    entropy.fill(&mut bytes);
    let own: Zeroizing<Vec<u8>> = match kind {
        TransitKind::Hmac => Zeroizing::default(),
        TransitKind::Ed25519 => drawn(32, entropy),
        TransitKind::Rsa2048 | TransitKind::Rsa3072 | TransitKind::Rsa4096 => {
            let size = match kind {
                TransitKind::Rsa2048 => KeySize::Rsa2048,
                TransitKind::Rsa3072 => KeySize::Rsa3072,
                _ => KeySize::Rsa4096,
            };
            let pair = RsaKeyPair::generate(size).map_err(failed)?;
            Zeroizing::new(pair.as_der().map_err(failed)?.as_ref().to_vec())
        }
        kind => match (kind.symmetric_bytes(), kind.curve()) {
            (Some(length), _) => drawn(length, entropy),
            (None, Some(curve)) => {
                let pair = EcdsaKeyPair::generate(fixed_signing(curve)).map_err(failed)?;
                Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
            }
            (None, None) => return Err(TransitRefusal::Failed),
        },
    };
    bytes.extend_from_slice(&own);
    let material = Material {
        kind,
        bytes: Plaintext::new(bytes),
    };
    let public = material.public()?;
    Ok(Made {
        material: material.bytes,
        public,
    })
}

fn drawn(length: usize, entropy: &dyn Entropy) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    entropy.fill(&mut bytes);
    bytes
}

impl Material {
    /// Of bytes that were just opened.
    ///
    /// # Errors
    /// When they cannot be the material of such a key.
    pub fn read(kind: TransitKind, bytes: Plaintext) -> Result<Self, TransitRefusal> {
        let own = bytes.len().checked_sub(HMAC_BYTES);
        let fits = match (kind, kind.symmetric_bytes()) {
            (TransitKind::Hmac, _) => (HMAC_KEY_MIN..=HMAC_KEY_MAX).contains(&bytes.len()),
            (TransitKind::Ed25519, _) => own == Some(32),
            (_, Some(length)) => own == Some(length),
            (_, None) => own.is_some_and(|own| own > 0),
        };
        match fits {
            true => Ok(Self { kind, bytes }),
            false => Err(TransitRefusal::Failed),
        }
    }

    /// Of bytes that somebody else gives: the key in them is one.
    ///
    /// # Errors
    /// When it is not.
    pub fn checked(kind: TransitKind, bytes: Plaintext) -> Result<Self, TransitRefusal> {
        let material = Self::read(kind, bytes)?;
        match material.public() {
            Ok(_) => Ok(material),
            Err(refusal) => Err(refusal),
        }
    }

    /// What the key is.
    pub fn kind(&self) -> TransitKind {
        self.kind
    }

    /// The key of its HMAC.
    pub fn hmac_key(&self) -> &[u8] {
        match self.kind {
            TransitKind::Hmac => self.bytes.expose(),
            _ => self.bytes.expose().get(..HMAC_BYTES).unwrap_or_default(),
        }
    }

    /// Its own key.
    pub(super) fn own(&self) -> &[u8] {
        match self.kind {
            TransitKind::Hmac => self.bytes.expose(),
            _ => self.bytes.expose().get(HMAC_BYTES..).unwrap_or_default(),
        }
    }

    /// All of it, for a backup.
    pub fn whole(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// What others verify or encrypt with: PEM, or the base64 of an Ed25519 key. `None` for keys that
    /// have but one half.
    ///
    /// # Errors
    /// When the material is none.
    pub fn public(&self) -> Result<Option<String>, TransitRefusal> {
        let failed = |_| TransitRefusal::Failed;
        if self.kind == TransitKind::Ed25519 {
            let pair = ed25519_pair(self.own())?;
            return Ok(Some(STANDARD.encode(pair.public_key().as_ref())));
        }
        if let Some(curve) = self.kind.curve() {
            let pair = ecdsa_pair(fixed_signing(curve), self.own())?;
            let der = pair.public_key().as_der().map_err(failed)?;
            return Ok(Some(pem("PUBLIC KEY", der.as_ref())));
        }
        if self.kind.rsa_bits().is_some() {
            let pair = RsaKeyPair::from_pkcs8(self.own()).map_err(|_| TransitRefusal::Failed)?;
            let der = pair.public_key().as_der().map_err(failed)?;
            return Ok(Some(pem("PUBLIC KEY", der.as_ref())));
        }
        Ok(None)
    }

    /// Its own key, as it is exported: base64, or PEM where the other API has that.
    ///
    /// # Errors
    /// When the material is none.
    pub fn exported(&self) -> Result<Zeroizing<String>, TransitRefusal> {
        let text = if self.kind == TransitKind::Ed25519 {
            let public = ed25519_pair(self.own())?;
            let both = [self.own(), public.public_key().as_ref()].concat();
            STANDARD.encode(Zeroizing::new(both).as_slice())
        } else if let Some(curve) = self.kind.curve() {
            let pair = ecdsa_pair(fixed_signing(curve), self.own())?;
            let key = pair.private_key();
            let der = key.as_der().map_err(|_| TransitRefusal::Failed)?;
            pem("EC PRIVATE KEY", der.as_ref())
        } else if self.kind.rsa_bits().is_some() {
            let inner = pkcs1_of(self.own()).ok_or(TransitRefusal::Failed)?;
            pem("RSA PRIVATE KEY", inner)
        } else {
            STANDARD.encode(self.own())
        };
        Ok(Zeroizing::new(text.trim_end().to_owned()))
    }
}
