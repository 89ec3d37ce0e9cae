//! The keyring: the unwrapped keys of a running server. Promise: reading it never waits, not even
//! while a key is added, and there always is a key to hash tokens and one for the audit chain.
//!
//! A new store begins with [`Keyring::first_records`]. Later keys are made with
//! [`Keyring::create_key`], committed to the store, and only then [added](Keyring::add): a value
//! sealed under a key that was never stored is lost.
//!
//! Of several active keys of one owner the youngest seals; all of them open. So two servers that
//! both make a key for a new tenant do no harm. A younger token-hash key changes the hash of every
//! token, and a younger chain key the code of every audit head: add one only together with what
//! re-issues tokens or starts a new chain.
//!
//! Keys are held as AWS-LC's own contexts, which wipe themselves when dropped.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use scaivault_core::identity::TokenHash;
use scaivault_core::ids::{KeyId, TenantId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::seal::{KeyPurpose, KeyRecord, KeyState, Place, SealError, Sealed, Sealer};
use scaivault_core::time::Timestamp;

use crate::aead::AeadKey;
use crate::binding::purpose_word;
use crate::detached::SigningKey;
use crate::entropy::SystemEntropy;
use crate::envelope::{self, Envelope};
use crate::key_record::Wrapper;
use crate::mac::MacKey;
use crate::root::RootKey;

/// Why stored keys could not be unwrapped, or a key not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// The root key is not the one that wrapped them.
    #[error("the stored keys need root key {needed}, but the one given is {given}")]
    WrongRoot {
        /// Fingerprint of the one they were wrapped by.
        needed: String,
        /// Fingerprint of the one given.
        given: String,
    },
    /// The root key is right, the record is not.
    #[error("key {id} does not unwrap: its record was altered, or belongs to another key")]
    Damaged {
        /// Which.
        id: KeyId,
    },
    /// Not a wrapped key of a format this build knows.
    #[error("key {id} is not stored in a known format")]
    Malformed {
        /// Which.
        id: KeyId,
    },
    /// A tenant key without tenant, or another key with one.
    #[error("key {id} does not fit its purpose: a tenant key has a tenant, every other has none")]
    Owner {
        /// Which.
        id: KeyId,
    },
    /// No active key for something every server does.
    #[error("there is no active {} key", purpose_word(*.0))]
    Missing(KeyPurpose),
}

/// The unwrapped keys. Shared by reference; adding a key needs no exclusive access.
/// ```compile_fail,E0599
/// use scaivault_crypto::Keyring;
/// fn copy(keyring: Keyring) -> Keyring { keyring.clone() }
/// ```
pub struct Keyring {
    wrapper: Wrapper,
    ring: ArcSwap<Ring>,
    /// One addition at a time; readers do not take it.
    adding: Mutex<()>,
}

impl Keyring {
    /// The keys a new store begins with: one that hashes tokens, one for the audit chain. Their ids
    /// are the same in every store, so that of two beginnings at once a store takes one.
    pub fn first_records(root: &RootKey, now: Timestamp, entropy: &dyn Entropy) -> Vec<KeyRecord> {
        let wrapper = Wrapper::of(root);
        [KeyPurpose::TokenHash, KeyPurpose::AuditChain]
            .into_iter()
            .map(|purpose| {
                wrapper
                    .create_first(purpose, None, now, entropy)
                    .expect("these keys have no tenant")
            })
            .collect()
    }

    /// Unwraps every stored key.
    ///
    /// # Errors
    /// [`UnlockError`]. One record that does not unwrap refuses all: a server that runs without
    /// some of its keys would serve errors for what is safely stored.
    pub fn unlock(root: &RootKey, records: &[KeyRecord]) -> Result<Self, UnlockError> {
        let wrapper = Wrapper::of(root);
        let keys = records
            .iter()
            .filter(|record| record.purpose != KeyPurpose::RootDerivation)
            .map(|record| HeldKey::unwrap_from(&wrapper, record))
            .map(|held| held.map(|held| (held.id.as_str().to_owned(), Arc::new(held))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            wrapper,
            ring: ArcSwap::from_pointee(Ring::of(keys)?),
            adding: Mutex::new(()),
        })
    }

    /// The first key of a tenant, under an id of its own: as with [`Keyring::first_records`], a store
    /// takes one of two.
    ///
    /// # Errors
    /// [`UnlockError`]
    pub fn first_key_of(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeyRecord, UnlockError> {
        self.wrapper
            .create_first(KeyPurpose::Tenant, Some(tenant), now, entropy)
    }

    /// A fresh key, wrapped by the root key. Not in the ring yet: commit the record, then
    /// [add](Self::add) it.
    ///
    /// # Errors
    /// [`UnlockError::Owner`] for a tenant key without tenant, or another key with one.
    pub fn create_key(
        &self,
        purpose: KeyPurpose,
        tenant: Option<&TenantId>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeyRecord, UnlockError> {
        self.wrapper.create(purpose, tenant, now, entropy)
    }

    /// Takes a stored key in, or its new state if it is in already. May be repeated; a record
    /// older than the one held changes nothing.
    ///
    /// # Errors
    /// [`UnlockError`]; the ring is then as before.
    pub fn add(&self, record: &KeyRecord) -> Result<(), UnlockError> {
        let held = Arc::new(HeldKey::unwrap_from(&self.wrapper, record)?);
        let _one_at_a_time = self.adding.lock();
        let mut keys = self.ring.load().keys.clone();
        let newer = keys
            .get(record.id.as_str())
            .filter(|old| old.revision > held.revision);
        if newer.is_some() {
            return Ok(());
        }
        keys.insert(record.id.as_str().to_owned(), held);
        self.ring.store(Arc::new(Ring::of(keys)?));
        Ok(())
    }

    /// Whether values of this tenant can be sealed.
    pub fn has_active_key(&self, tenant: &TenantId) -> bool {
        self.ring.load().active.contains_key(tenant)
    }

    /// The public name of the root key.
    pub fn root_fingerprint(&self) -> &str {
        self.wrapper.fingerprint()
    }

    /// The keyed hash a token is stored and found under: HMAC-SHA256 over its bytes.
    pub fn token_hash(&self, token: &str) -> TokenHash {
        TokenHash(self.ring.load().token_hash.tag(&[token.as_bytes()]))
    }

    /// The key that exports of the audit chain are signed with: who can make codes of the chain can
    /// sign, and nobody else.
    ///
    /// # Errors
    /// None for a seed of this length.
    pub fn audit_signing_key(&self) -> Result<SigningKey, aws_lc_rs::error::KeyRejected> {
        SigningKey::of_seed(&self.chain_mac(b"scaivault audit export signing key 1\0"))
    }

    /// The code that authenticates a head of the audit chain: HMAC-SHA256 over the message.
    pub fn chain_mac(&self, message: &[u8]) -> [u8; 32] {
        self.ring.load().audit_chain.tag(&[message])
    }
}

impl Sealer for Keyring {
    fn seal(&self, place: Place<'_>, value: &Plaintext) -> Result<Sealed, SealError> {
        let ring = self.ring.load();
        let (id, key) = ring
            .active
            .get(place.tenant)
            .and_then(|held| held.seals().map(|key| (&held.id, key)))
            .ok_or_else(|| SealError::UnknownKey(format!("active key of {}", place.tenant)))?;
        envelope::seal(key, id, place, value, &SystemEntropy)
    }

    fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Plaintext, SealError> {
        let envelope = Envelope::parse(sealed)?;
        let ring = self.ring.load();
        let Some(held) = ring.keys.get(envelope.key_id()) else {
            // Only what can be a key id is repeated in an error.
            return Err(
                KeyId::parse(envelope.key_id()).map_or(SealError::Malformed, |id| {
                    SealError::UnknownKey(id.as_str().to_owned())
                }),
            );
        };
        let key = held.seals().ok_or(SealError::Refused)?;
        if held.tenant.as_ref() != Some(place.tenant) {
            return Err(SealError::Refused);
        }
        envelope.open(key, place)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.ring.load().keys.len();
        write!(f, "Keyring({keys} keys under {})", self.root_fingerprint())
    }
}

/// What readers see: one consistent state, replaced whole.
struct Ring {
    keys: HashMap<String, Arc<HeldKey>>,
    active: HashMap<TenantId, Arc<HeldKey>>,
    token_hash: Arc<MacKey>,
    audit_chain: Arc<MacKey>,
}

impl Ring {
    fn of(keys: HashMap<String, Arc<HeldKey>>) -> Result<Self, UnlockError> {
        let mut active = HashMap::<TenantId, Arc<HeldKey>>::new();
        for held in keys.values().filter(|held| held.state == KeyState::Active) {
            let Some(tenant) = &held.tenant else { continue };
            let youngest = active.entry(tenant.clone()).or_insert_with(|| held.clone());
            if held.age_rank() > youngest.age_rank() {
                *youngest = held.clone();
            }
        }
        Ok(Self {
            token_hash: youngest_mac(&keys, KeyPurpose::TokenHash)?,
            audit_chain: youngest_mac(&keys, KeyPurpose::AuditChain)?,
            keys,
            active,
        })
    }
}

fn youngest_mac(
    keys: &HashMap<String, Arc<HeldKey>>,
    purpose: KeyPurpose,
) -> Result<Arc<MacKey>, UnlockError> {
    keys.values()
        .filter(|held| held.purpose == purpose && held.state == KeyState::Active)
        .max_by_key(|held| held.age_rank())
        .and_then(|held| match &held.material {
            Material::Macs(key) => Some(key.clone()),
            Material::Seals(_) => None,
        })
        .ok_or(UnlockError::Missing(purpose))
}

/// One unwrapped key.
struct HeldKey {
    id: KeyId,
    purpose: KeyPurpose,
    tenant: Option<TenantId>,
    state: KeyState,
    created_at: Timestamp,
    revision: u64,
    material: Material,
}

enum Material {
    Seals(AeadKey),
    Macs(Arc<MacKey>),
}

impl HeldKey {
    fn unwrap_from(wrapper: &Wrapper, record: &KeyRecord) -> Result<Self, UnlockError> {
        let key = wrapper.unwrap_key(record)?;
        let material = match record.purpose {
            KeyPurpose::Tenant => Material::Seals(AeadKey::new(&key)),
            KeyPurpose::TokenHash | KeyPurpose::AuditChain | KeyPurpose::RootDerivation => {
                Material::Macs(Arc::new(MacKey::new(key.as_slice())))
            }
        };
        Ok(Self {
            id: record.id.clone(),
            purpose: record.purpose,
            tenant: record.tenant.clone(),
            state: record.state,
            created_at: record.created_at,
            revision: record.revision,
            material,
        })
    }

    fn seals(&self) -> Option<&AeadKey> {
        match &self.material {
            Material::Seals(key) => Some(key),
            Material::Macs(_) => None,
        }
    }

    /// Younger keys rank higher; the id decides between keys of one instant, so that every server
    /// picks the same.
    fn age_rank(&self) -> (Timestamp, &KeyId) {
        (self.created_at, &self.id)
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
