//! Foreign tokens: JSON Web Tokens in the compact form, and whether an issuer's key signed them.
//! Promise: claims leave this module in two ways only, verified by [`Token::verify`], or as the
//! one text [`Token::unverified_issuer`] that serves to find the key set to verify by.
//!
//! Strict where the standards leave room, because two readers that differ are a hole:
//! - algorithms are those of core's [`Algorithm`], all with a public key; `none` and `HS*` have no
//!   name here, and each kind of key serves its own algorithms alone;
//! - keys come from the issuer's key set and from nowhere else: `jku`, `x5u`, `x5c` and `jwk` in a
//!   header are not looked at;
//! - a header with `crit` or `b64` asks for an extension, and there is none;
//! - an object that names a member twice is refused, at any depth; so is base64 that has another
//!   spelling.
//!
//! Parsing, dispatch and bounds are here, the primitives are AWS-LC's. Nothing here knows the time:
//! whether a token counts *now* is core's to say of the claims.

mod key_set;
mod strict;
mod verify;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scaivault_core::issuer::{Algorithm, Claims};
use serde_json::Value;

pub use key_set::{KeySet, KeySetError};

/// Longest token looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1_024;
/// Longest key id looked at.
const KEY_ID_BYTES_MAX: usize = 256;

/// A token that was read and not verified.
pub struct Token<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Claims,
}

/// Not a token of the form there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Malformed {
    #[error("it is longer than 16 KiB")]
    Long,
    #[error("it is not three parts of base64url")]
    Form,
    #[error("its header is not one of a signed token")]
    Header,
    #[error("its header asks for an extension ('crit' or 'b64')")]
    Extension,
    #[error("its algorithm is none that there is")]
    Algorithm,
    #[error("its claims are no JSON object, or name one twice")]
    Claims,
}

/// Why no key of the set verified it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The issuer's tokens are not signed so.
    #[error("its algorithm is not one allowed for the issuer")]
    Algorithm,
    /// No key of that id, or none that could have made it: a newer set may have it.
    #[error("no key of the issuer's key set could have signed it")]
    UnknownKey,
    /// The key is there and did not sign this.
    #[error("its signature does not hold")]
    Signature,
}

/// Whether a text has the look of such a token: what decides who reads it, never whether it counts.
pub fn looks_like_jwt(text: &str) -> bool {
    // The first character of a JSON object in base64.
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Malformed`] says which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Malformed::Long);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed::Form)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Form);
        let header = strict::object(&bytes(header)?).ok_or(Malformed::Header)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Malformed::Extension);
        }
        if !header.get("typ").is_none_or(is_access_type) {
            return Err(Malformed::Header);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KEY_ID_BYTES_MAX => Some(id.clone()),
            Some(_) => return Err(Malformed::Header),
        };
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::parse)
            .ok_or(Malformed::Algorithm)?;
        Ok(Self {
            signed,
            signature: bytes(signature)?,
            algorithm,
            key_id,
            claims: strict::object(&bytes(payload)?).ok_or(Malformed::Claims)?,
        })
    }

    /// Who it says signed it: to choose the keys by, and for nothing else.
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// The claims, when a key of the set signed them by one of the algorithms allowed.
    ///
    /// # Errors
    /// [`Unverified`] says what was missing.
    pub fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<&Claims, Unverified> {
        if !allowed.contains(&self.algorithm) {
            return Err(Unverified::Algorithm);
        }
        let mut candidates = keys
            .candidates(self.key_id.as_deref(), self.algorithm)
            .peekable();
        if candidates.peek().is_none() {
            return Err(Unverified::UnknownKey);
        }
        let message = self.signed.as_bytes();
        match candidates.any(|key| key.verifies(self.algorithm, message, &self.signature)) {
            true => Ok(&self.claims),
            // Without an id any key may be meant, also one that is not known yet.
            false if self.key_id.is_none() => Err(Unverified::UnknownKey),
            false => Err(Unverified::Signature),
        }
    }
}

/// Other types (`logout+jwt`, `secevent+jwt`, …) are signed by the same keys and mean other things.
fn is_access_type(typ: &Value) -> bool {
    typ.as_str().is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        let short = typ.strip_prefix("application/").unwrap_or(&typ);
        matches!(short, "jwt" | "at+jwt")
    })
}
