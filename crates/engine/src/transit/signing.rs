//! Signatures and HMACs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::transit::{TransitHash, TransitRefusal, read_versioned, versioned};
use scaivault_crypto::transit::{Marshaling, SignHow, hmac, hmac_is, public_of, sign, verify};

use super::{Opened, TransitAt, TransitOutcome};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// One thing to sign.
#[derive(Debug, Clone, Default)]
pub struct TransitInput {
    /// What.
    pub input: Vec<u8>,
    /// For derived keys.
    pub context: Vec<u8>,
}

/// One thing to verify.
#[derive(Debug, Clone)]
pub struct TransitCheck {
    /// What was signed.
    pub signed: TransitInput,
    /// The signature or HMAC, with its prefix.
    pub given: String,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitSigned {
    /// With its prefix.
    pub signature: String,
    /// By which version.
    pub version: u32,
    /// What verifies it, where that follows from the context.
    pub public: Option<String>,
}

fn decoded(how: &SignHow, text: &str) -> TransitOutcome<(u32, Vec<u8>)> {
    let (version, body) = read_versioned(text)?;
    let bytes = match how.marshaling {
        Marshaling::Asn1 => STANDARD.decode(body),
        Marshaling::Jws => URL_SAFE_NO_PAD.decode(body),
    };
    Ok((version, bytes.map_err(|_| TransitRefusal::Base64)?))
}

impl Vault {
    /// Signs by the newest version, or the one that is named.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/sign/{name}[/{hash}]`.
    pub async fn transit_sign(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        how: SignHow,
        version: u32,
        items: Vec<TransitOutcome<TransitInput>>,
    ) -> Result<Vec<TransitOutcome<TransitSigned>>, VaultError> {
        let (path, action) = (at.path("sign")?, Action::TransitUse);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let signed = async {
            let key = self.transit_used(caller, at).await?;
            if !key.kind.signs() {
                return Err(TransitRefusal::NoSigning(key.kind).into());
            }
            let version = key.to_seal(version)?;
            let material = Opened::new(self, &key).of(version)?;
            let (number, derived) = (version.number, key.derived);
            let make = move || {
                let each = items.into_iter().map(|item| {
                    let item = item?;
                    let context = derived.then_some(item.context.as_slice());
                    let made = sign(&material, context, &how, &item.input)?;
                    let body = match how.marshaling {
                        Marshaling::Asn1 => STANDARD.encode(made),
                        Marshaling::Jws => URL_SAFE_NO_PAD.encode(made),
                    };
                    let public = context.map(|context| public_of(&material, context));
                    Ok(TransitSigned {
                        signature: versioned(number, &body),
                        version: number,
                        public: public.transpose()?,
                    })
                });
                each.collect()
            };
            self.transit_aside(key.kind.is_slow(), make).await
        };
        let signed = signed.await;
        let signed = self.on_trail(caller, action, &path, signed).await?;
        self.transit_told(caller, &path, signed).await
    }

    /// Whether signatures were made by this key.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/verify/{name}[/{hash}]`.
    pub async fn transit_verify(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        how: SignHow,
        items: Vec<TransitOutcome<TransitCheck>>,
    ) -> Result<Vec<TransitOutcome<bool>>, VaultError> {
        let (path, action) = (at.path("verify")?, Action::TransitUse);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let judged = async {
            let key = self.transit_used(caller, at).await?;
            if !key.kind.signs() {
                return Err(TransitRefusal::NoSigning(key.kind).into());
            }
            let mut opened = Opened::new(self, &key);
            let mut work = Vec::with_capacity(items.len());
            for item in items {
                let found = item.and_then(|item| {
                    let (number, bytes) = decoded(&how, &item.given)?;
                    Ok((key.to_open(number)?, bytes, item))
                });
                work.push(match found {
                    Ok((version, bytes, item)) => Ok((opened.of(version)?, bytes, item)),
                    Err(refusal) => Err(refusal),
                });
            }
            let derived = key.derived;
            let judge = move || {
                let each = work.into_iter().map(|item| {
                    let (material, bytes, item) = item?;
                    let context = derived.then_some(item.signed.context.as_slice());
                    verify(&material, context, &how, &item.signed.input, &bytes)
                });
                each.collect()
            };
            self.transit_aside(key.kind.is_slow(), judge).await
        };
        let judged = judged.await;
        let judged = self.on_trail(caller, action, &path, judged).await?;
        self.transit_told(caller, &path, judged).await
    }

    /// HMACs by the newest version, or the one that is named.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/hmac/{name}[/{hash}]`.
    pub async fn transit_hmac(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        hash: TransitHash,
        version: u32,
        items: Vec<TransitOutcome<Vec<u8>>>,
    ) -> Result<Vec<TransitOutcome<String>>, VaultError> {
        let (path, action) = (at.path("hmac")?, Action::TransitUse);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let made = async {
            let key = self.transit_used(caller, at).await?;
            let version = key.to_seal(version)?;
            let material = self.transit_material(&key, version)?;
            let made = |input: Vec<u8>| {
                let made = hmac(hash, material.hmac_key(), &input);
                versioned(version.number, &STANDARD.encode(made))
            };
            let each = items.into_iter().map(|item| item.map(made));
            Ok(each.collect())
        };
        let made = made.await;
        let made = self.on_trail(caller, action, &path, made).await?;
        self.transit_told(caller, &path, made).await
    }

    /// Whether HMACs were made by this key.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/verify/{name}[/{hash}]`.
    pub async fn transit_hmac_verify(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        hash: TransitHash,
        items: Vec<TransitOutcome<TransitCheck>>,
    ) -> Result<Vec<TransitOutcome<bool>>, VaultError> {
        let (path, action) = (at.path("verify")?, Action::TransitUse);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let judged = async {
            let key = self.transit_used(caller, at).await?;
            let mut opened = Opened::new(self, &key);
            let mut outcomes = Vec::with_capacity(items.len());
            for item in items {
                let found = item.and_then(|item| {
                    let (number, body) = read_versioned(&item.given)?;
                    let bytes = STANDARD.decode(body).map_err(|_| TransitRefusal::Base64)?;
                    Ok((key.to_open(number)?, bytes, item.signed.input))
                });
                outcomes.push(match found {
                    Ok((version, given, input)) => {
                        let material = opened.of(version)?;
                        Ok(hmac_is(hash, material.hmac_key(), &input, &given))
                    }
                    Err(refusal) => Err(refusal),
                });
            }
            Ok(outcomes)
        };
        let judged = judged.await;
        let judged = self.on_trail(caller, action, &path, judged).await?;
        self.transit_told(caller, &path, judged).await
    }
}
