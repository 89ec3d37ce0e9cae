//! Encrypting, decrypting, and keys for data.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::transit::{TransitKey, TransitRefusal, read_versioned, versioned};
use scaivault_crypto::transit::{Context, decrypt, encrypt};

use super::keys::{TransitDraft, wrong};
use super::{Opened, TransitAt, TransitOutcome, path_of};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// One thing to encrypt.
#[derive(Debug)]
pub struct TransitSeal {
    /// What.
    pub plaintext: Plaintext,
    /// For derived keys.
    pub context: Vec<u8>,
    /// What is authenticated beside it.
    pub associated: Vec<u8>,
    /// Under which version; 0: the newest.
    pub version: u32,
}

/// One thing to decrypt, or to encrypt anew.
#[derive(Debug)]
pub struct TransitOpen {
    /// With its prefix.
    pub ciphertext: String,
    /// For derived keys.
    pub context: Vec<u8>,
    /// What was authenticated beside it.
    pub associated: Vec<u8>,
    /// Under which version it is encrypted anew; 0: the newest.
    pub version: u32,
}

/// What was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitEncrypt {
    /// With its prefix.
    pub ciphertext: String,
    /// Under which version.
    pub version: u32,
}

/// A key for data, to be used elsewhere.
#[derive(Debug)]
pub struct TransitDataKey {
    /// The key, for who asked for it in the clear.
    pub plaintext: Option<Plaintext>,
    /// The key, encrypted.
    pub wrapped: TransitEncrypt,
}

fn how<'a>(key: &TransitKey, context: &'a [u8], associated: &'a [u8]) -> Context<'a> {
    Context {
        derived: key.derived,
        convergent: key.convergent,
        context,
        associated,
    }
}

fn written(version: u32, sealed: &[u8]) -> TransitEncrypt {
    TransitEncrypt {
        ciphertext: versioned(version, &STANDARD.encode(sealed)),
        version,
    }
}

fn parsed(text: &str) -> TransitOutcome<(u32, Vec<u8>)> {
    let (version, body) = read_versioned(text).map_err(|refusal| match refusal {
        TransitRefusal::NoPrefix => TransitRefusal::NoCiphertextPrefix,
        other => other,
    })?;
    let bytes = STANDARD.decode(body).map_err(|_| TransitRefusal::Base64)?;
    Ok((version, bytes))
}

impl Vault {
    /// Encrypts. A key that is not there is made of the draft, where the caller may.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/encrypt/{name}`, or on
    /// `transit/{mount}/upsert/{name}` where the key is not there.
    pub async fn transit_encrypt(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        draft: &TransitDraft,
        items: Vec<TransitOutcome<TransitSeal>>,
    ) -> Result<Vec<TransitOutcome<TransitEncrypt>>, VaultError> {
        let found = self.transit_find(caller, at.mount, at.name).await?;
        let (path, key) = match found {
            Some(key) => {
                let path = at.path("encrypt")?;
                self.transit_allowed(caller, &path, Permission::Write, Action::TransitUse)
                    .await?;
                (path, key)
            }
            None => {
                let (path, action) = (at.path("upsert")?, Action::TransitKeyCreate);
                self.transit_allowed(caller, &path, Permission::Write, action)
                    .await?;
                let made = match draft.kind.symmetric_bytes() {
                    Some(_) => {
                        self.transit_create_allowed(caller, at.mount, at.name, draft, &path)
                            .await
                    }
                    None => wrong(
                        "type",
                        "is a symmetric one where the key is made by encrypting",
                    ),
                };
                (
                    path.clone(),
                    self.on_trail(caller, action, &path, made).await?.0,
                )
            }
        };
        let made = self.transit_encrypted(&key, items).await;
        let made = self
            .on_trail(caller, Action::TransitUse, &path, made)
            .await?;
        self.transit_told(caller, &path, made).await
    }

    async fn transit_encrypted(
        &self,
        key: &Arc<TransitKey>,
        items: Vec<TransitOutcome<TransitSeal>>,
    ) -> Result<Vec<TransitOutcome<TransitEncrypt>>, VaultError> {
        let mut opened = Opened::new(self, key);
        let mut work = Vec::with_capacity(items.len());
        for item in items {
            let to_seal = item.and_then(|item| Ok((key.to_seal(item.version)?, item)));
            work.push(match to_seal {
                Ok((version, item)) => Ok((opened.of(version)?, version.number, item)),
                Err(refusal) => Err(refusal),
            });
        }
        let (is_slow, entropy, key) = (key.kind.is_slow(), self.entropy.clone(), key.clone());
        let make = move || {
            let each = work.into_iter().map(|item| {
                let (material, number, item) = item?;
                let how = how(&key, &item.context, &item.associated);
                let sealed = encrypt(&material, how, item.plaintext.expose(), &*entropy)?;
                Ok(written(number, &sealed))
            });
            each.collect()
        };
        self.transit_aside(is_slow, make).await
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/decrypt/{name}`.
    pub async fn transit_decrypt(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        items: Vec<TransitOutcome<TransitOpen>>,
    ) -> Result<Vec<TransitOutcome<Plaintext>>, VaultError> {
        let path = at.path("decrypt")?;
        let action = Action::TransitUse;
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let opened = async {
            let key = self.transit_used(caller, at).await?;
            let opened = self.transit_decrypted(&key, items).await?;
            let each = opened.into_iter();
            Ok(each.map(|one| one.map(|(plain, _)| plain)).collect())
        };
        let opened = opened.await;
        let opened = self.on_trail(caller, action, &path, opened).await?;
        self.transit_told(caller, &path, opened).await
    }

    async fn transit_decrypted(
        &self,
        key: &Arc<TransitKey>,
        items: Vec<TransitOutcome<TransitOpen>>,
    ) -> Result<Vec<TransitOutcome<(Plaintext, TransitOpen)>>, VaultError> {
        let mut opened = Opened::new(self, key);
        let mut work = Vec::with_capacity(items.len());
        for item in items {
            let to_open = item.and_then(|item| {
                let (number, bytes) = parsed(&item.ciphertext)?;
                Ok((key.to_open(number)?, bytes, item))
            });
            work.push(match to_open {
                Ok((version, bytes, item)) => Ok((opened.of(version)?, bytes, item)),
                Err(refusal) => Err(refusal),
            });
        }
        let (is_slow, key) = (key.kind.is_slow(), key.clone());
        let open = move || {
            let each = work.into_iter().map(|item| {
                let (material, bytes, item) = item?;
                let how = how(&key, &item.context, &item.associated);
                let plain = decrypt(&material, how, &bytes)?;
                Ok((plain, item))
            });
            each.collect()
        };
        self.transit_aside(is_slow, open).await
    }

    /// Decrypts and encrypts under the newest version, or the one that is named; nothing of it is told.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/rewrap/{name}`.
    pub async fn transit_rewrap(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        items: Vec<TransitOutcome<TransitOpen>>,
    ) -> Result<Vec<TransitOutcome<TransitEncrypt>>, VaultError> {
        let path = at.path("rewrap")?;
        let action = Action::TransitUse;
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let rewrapped = async {
            let key = self.transit_used(caller, at).await?;
            let opened = self.transit_decrypted(&key, items).await?;
            let seal = |(plaintext, item): (Plaintext, TransitOpen)| TransitSeal {
                plaintext,
                context: item.context,
                associated: item.associated,
                version: item.version,
            };
            let items = opened.into_iter().map(|item| item.map(seal)).collect();
            self.transit_encrypted(&key, items).await
        };
        let rewrapped = rewrapped.await;
        let rewrapped = self.on_trail(caller, action, &path, rewrapped).await?;
        self.transit_told(caller, &path, rewrapped).await
    }

    /// Makes a key for data and encrypts it; `plaintext` or `wrapped` says whether it is told in the
    /// clear.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/datakey/{form}/{name}`.
    pub async fn transit_data_key(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        in_the_clear: bool,
        bytes: usize,
        item: TransitOutcome<TransitSeal>,
    ) -> Result<TransitDataKey, VaultError> {
        let form = match in_the_clear {
            true => "plaintext",
            false => "wrapped",
        };
        let path = path_of(at.mount, &format!("datakey/{form}/{}", at.name))?;
        let action = Action::TransitUse;
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let mut made = vec![0; bytes];
        self.entropy.fill(&mut made);
        let made = Plaintext::new(made);
        let wrapped = async {
            let key = self.transit_used(caller, at).await?;
            let plaintext = Plaintext::new(made.expose().to_vec());
            let item = item.map(|item| TransitSeal { plaintext, ..item });
            self.transit_encrypted(&key, vec![item]).await
        };
        let wrapped = wrapped.await;
        let wrapped = self.on_trail(caller, action, &path, wrapped).await?;
        let wrapped = self.transit_told(caller, &path, wrapped).await?;
        let first = wrapped.into_iter().next();
        let wrapped = first.unwrap_or(Err(TransitRefusal::Failed))?;
        Ok(TransitDataKey {
            plaintext: in_the_clear.then_some(made),
            wrapped,
        })
    }

    /// Random bytes. `rest` is what stands behind the mount in the request's path.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/{rest}`.
    pub async fn transit_random(
        &self,
        caller: &Caller,
        mount: &str,
        rest: &str,
        bytes: usize,
    ) -> Result<Plaintext, VaultError> {
        let mut made = vec![0; bytes];
        self.entropy.fill(&mut made);
        self.transit_keyless(caller, mount, rest).await?;
        Ok(Plaintext::new(made))
    }

    /// Leave for what needs no key: a hash, random bytes; with its row on the trail.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/{rest}`.
    pub async fn transit_keyless(
        &self,
        caller: &Caller,
        mount: &str,
        rest: &str,
    ) -> Result<(), VaultError> {
        let path = path_of(mount, rest)?;
        self.transit_allowed(caller, &path, Permission::Write, Action::TransitUse)
            .await?;
        self.transit_told(caller, &path, vec![Ok(())]).await?;
        Ok(())
    }
}
