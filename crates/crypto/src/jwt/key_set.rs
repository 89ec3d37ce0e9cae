//! An issuer's key set (RFC 7517). Keys that are not for signatures, of kinds that are not known, or
//! too weak, are passed over: issuers publish more than one reader needs. Shared secrets (`oct`) are
//! such a kind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scaivault_core::issuer::Algorithm;
use serde_json::{Map, Value};

use super::strict;
use super::verify::Material;

/// Keys of one set that are looked at.
const KEYS_MAX: usize = 128;

/// Public keys to verify by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm it may be used with, where the set says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum KeySetError {
    #[error("it is not a JSON object with a list 'keys'")]
    Form,
    #[error("it holds more than {KEYS_MAX} keys")]
    Many,
}

impl KeySet {
    /// Reads a key set. One without a key that could be used is an answer too: nobody is trusted.
    ///
    /// # Errors
    /// [`KeySetError`] when it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let document = strict::object(bytes).ok_or(KeySetError::Form)?;
        let listed = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(KeySetError::Form)?;
        if listed.len() > KEYS_MAX {
            return Err(KeySetError::Many);
        }
        let usable = listed.iter().filter_map(|key| Key::read(key.as_object()?));
        Ok(Self(usable.collect()))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys that may have signed: those of the id, or all where the token names none.
    pub(super) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Material> {
        self.0
            .iter()
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
            .filter(move |key| key.algorithm.is_none_or(|only| only == algorithm))
            .map(|key| &key.material)
            .filter(move |material| material.serves(algorithm))
    }
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verify = Value::from("verify");
            operations.as_array().filter(|all| all.contains(&verify))?;
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(word) => Some(Algorithm::parse(word.as_str()?)?),
        };
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?),
            ("EC", Some(curve)) => Material::elliptic(curve, &bytes("x")?, &bytes("y")?),
            ("OKP", Some("Ed25519")) => Material::ed25519(bytes("x")?),
            _ => None,
        }?;
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        Some(Self {
            id,
            algorithm,
            material,
        })
    }
}
