//! Keys as stored: wrapped by the root key. Promise: a wrapped key opens only under the root key
//! its record names, and only as the purpose, tenant and id it was made for.
//!
//! ```text
//! [version = 1, 1 byte][nonce, 12][key and tag, 48]
//! ```
//! AES-256-GCM under `HKDF-Expand(root, "scaivault root wrapping v1\n")`, random nonce, with the
//! key's [`binding`] as associated data. The record's `parent` is the root key's fingerprint and
//! part of the binding. State, creation time and revision are not bound: they change, or order
//! keys of one owner that are all good.

use aws_lc_rs::digest;
use scaivault_core::ids::{KeyId, TenantId};
use scaivault_core::ports::Entropy;
use scaivault_core::seal::{KeyPurpose, KeyRecord, KeyState, Sealed};
use scaivault_core::time::Timestamp;

use crate::aead::{AeadKey, NONCE_BYTES, TAG_BYTES};
use crate::binding;
use crate::derive::{KEY_BYTES, KeyBytes};
use crate::keyring::UnlockError;
use crate::root::RootKey;

const FORMAT: u8 = 1;

/// The part of the root key that wraps others, under the root key's public name.
pub(crate) struct Wrapper {
    fingerprint: String,
    key: AeadKey,
}

impl Wrapper {
    pub(crate) fn of(root: &RootKey) -> Self {
        Self {
            fingerprint: root.fingerprint(),
            key: root.wrapping_key(),
        }
    }

    /// The root key's public name.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A fresh random key, wrapped. Active, revision 1.
    ///
    /// # Errors
    /// [`UnlockError::Owner`] for a tenant key without tenant, or another key with one.
    pub(crate) fn create(
        &self,
        purpose: KeyPurpose,
        tenant: Option<&TenantId>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeyRecord, UnlockError> {
        self.create_as(KeyId::mint(now, entropy), purpose, tenant, now, entropy)
    }

    /// The same under the one id that the first key of a purpose (and tenant) has in every store: of
    /// two that are made at once, a store takes one.
    ///
    /// # Errors
    /// As [`Wrapper::create`].
    pub(crate) fn create_first(
        &self,
        purpose: KeyPurpose,
        tenant: Option<&TenantId>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeyRecord, UnlockError> {
        let of = tenant.map_or("", TenantId::as_str);
        let name = format!("the first {purpose:?} key of {of}");
        let named = Named(digest::digest(&digest::SHA256, name.as_bytes()));
        let id = KeyId::mint(Timestamp::from_micros(0), &named);
        self.create_as(id, purpose, tenant, now, entropy)
    }

    fn create_as(
        &self,
        id: KeyId,
        purpose: KeyPurpose,
        tenant: Option<&TenantId>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<KeyRecord, UnlockError> {
        let mut record = KeyRecord {
            id,
            purpose,
            tenant: tenant.cloned(),
            parent: self.fingerprint.clone(),
            wrapped: Sealed(Vec::new()),
            state: KeyState::Active,
            created_at: now,
            revision: 1,
        };
        check_owner(&record)?;
        let mut key = KeyBytes::default();
        entropy.fill(key.as_mut_slice());
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);

        let mut out = vec![FORMAT];
        out.extend_from_slice(&nonce);
        self.key
            .seal(nonce, &binding_of(&record), key.as_slice(), &mut out)
            .expect("AES-GCM takes 32 bytes");
        record.wrapped = Sealed(out);
        Ok(record)
    }

    /// The key in the clear.
    ///
    /// # Errors
    /// [`UnlockError`]: under another root key, of another format, altered, or moved.
    pub(crate) fn unwrap_key(&self, record: &KeyRecord) -> Result<KeyBytes, UnlockError> {
        if record.parent != self.fingerprint {
            return Err(UnlockError::WrongRoot {
                needed: record.parent.clone(),
                given: self.fingerprint.clone(),
            });
        }
        check_owner(record)?;
        let (nonce, wrapped) = split(&record.wrapped.0).ok_or_else(|| UnlockError::Malformed {
            id: record.id.clone(),
        })?;
        let mut key = KeyBytes::default();
        self.key
            .open(*nonce, &binding_of(record), wrapped, key.as_mut_slice())
            .map_err(|_| UnlockError::Damaged {
                id: record.id.clone(),
            })?;
        Ok(key)
    }
}

/// What an id is made of where it is to be the same each time.
struct Named(digest::Digest);

impl Entropy for Named {
    fn fill(&self, bytes: &mut [u8]) {
        for (byte, of) in bytes.iter_mut().zip(self.0.as_ref()) {
            *byte = *of;
        }
    }
}

fn check_owner(record: &KeyRecord) -> Result<(), UnlockError> {
    if (record.purpose == KeyPurpose::Tenant) == record.tenant.is_some() {
        Ok(())
    } else {
        Err(UnlockError::Owner {
            id: record.id.clone(),
        })
    }
}

fn binding_of(record: &KeyRecord) -> Vec<u8> {
    binding::of_key(
        FORMAT,
        record.purpose,
        record.tenant.as_ref(),
        &record.id,
        &record.parent,
    )
}

fn split(bytes: &[u8]) -> Option<(&[u8; NONCE_BYTES], &[u8])> {
    let (&[FORMAT], rest) = bytes.split_first_chunk()? else {
        return None;
    };
    let (nonce, wrapped) = rest.split_first_chunk()?;
    (wrapped.len() == KEY_BYTES + TAG_BYTES).then_some((nonce, wrapped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn wrapper(seed: u64) -> Wrapper {
        Wrapper::of(&RootKey::generate(&Seeded::new(seed)))
    }

    fn tenant(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    fn record() -> KeyRecord {
        wrapper(1)
            .create(
                KeyPurpose::Tenant,
                Some(&tenant("tnt_a")),
                NOW,
                &Seeded::new(2),
            )
            .unwrap()
    }

    fn damaged(record: &KeyRecord) -> UnlockError {
        UnlockError::Damaged {
            id: record.id.clone(),
        }
    }

    #[test]
    fn what_was_wrapped_comes_out() {
        let record = record();
        let drawn = Seeded::new(2);
        KeyId::mint(NOW, &drawn);
        let mut expect = [0; KEY_BYTES];
        drawn.fill(&mut expect);
        assert_eq!(*wrapper(1).unwrap_key(&record).unwrap(), expect);
        assert_eq!(record.wrapped.0.len(), 61);
        assert_eq!(record.parent, wrapper(1).fingerprint());
        assert_eq!((record.state, record.revision), (KeyState::Active, 1));
    }

    #[test]
    fn known_answer() {
        // Computed from the format above with Python's cryptography package.
        let wrapped = "015555555555555555555555553cba0cad633eabce80edfee512a71b82fca4b86cc0feb26e5bc915997c779167b23471fab0341f12c8891b23f79090de";
        let root = RootKey::from_bytes(KeyBytes::new([7; KEY_BYTES]));
        let stored = KeyRecord {
            id: KeyId::parse("key_1").unwrap(),
            parent: root.fingerprint(),
            wrapped: Sealed(hex::decode(wrapped).unwrap()),
            ..record()
        };
        let key = Wrapper::of(&root).unwrap_key(&stored).unwrap();
        assert_eq!(*key, [0x11; KEY_BYTES]);
    }

    #[test]
    fn another_root_key_is_named_not_tried() {
        let error = wrapper(3).unwrap_key(&record()).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(wrapper(1).fingerprint()) && text.contains(wrapper(3).fingerprint()));
        assert!(matches!(error, UnlockError::WrongRoot { .. }));
    }

    #[test]
    fn a_record_that_lies_about_its_parent_is_damaged() {
        let mut record = record();
        record.parent = wrapper(3).fingerprint().to_owned();
        let error = wrapper(3).unwrap_key(&record).err().unwrap();
        assert_eq!(error, damaged(&record));
    }

    #[test]
    fn purpose_tenant_and_id_are_bound() {
        let mut moved = record();
        moved.tenant = Some(tenant("tnt_b"));
        assert_eq!(wrapper(1).unwrap_key(&moved).err(), Some(damaged(&moved)));

        let mut moved = record();
        moved.id = KeyId::parse("key_other").unwrap();
        assert_eq!(wrapper(1).unwrap_key(&moved).err(), Some(damaged(&moved)));

        for purpose in [KeyPurpose::TokenHash, KeyPurpose::AuditChain] {
            let mut turned = record();
            turned.purpose = purpose;
            let owner = UnlockError::Owner {
                id: turned.id.clone(),
            };
            assert_eq!(wrapper(1).unwrap_key(&turned).err(), Some(owner));
            turned.tenant = None;
            assert_eq!(wrapper(1).unwrap_key(&turned).err(), Some(damaged(&turned)));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        let record = record();
        for bit in 0..record.wrapped.0.len() * 8 {
            let mut flipped = record.clone();
            flipped.wrapped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(wrapper(1).unwrap_key(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..record.wrapped.0.len() {
            let mut cut = record.clone();
            cut.wrapped.0.truncate(length);
            assert!(wrapper(1).unwrap_key(&cut).is_err(), "{length} bytes");
        }
        let mut longer = record;
        longer.wrapped.0.push(0);
        assert!(wrapper(1).unwrap_key(&longer).is_err());
    }

    #[test]
    fn owners_must_fit_the_purpose() {
        let owner = tenant("tnt_a");
        for (purpose, tenant) in [
            (KeyPurpose::Tenant, None),
            (KeyPurpose::TokenHash, Some(&owner)),
            (KeyPurpose::AuditChain, Some(&owner)),
        ] {
            let made = wrapper(1).create(purpose, tenant, NOW, &Seeded::new(2));
            assert!(matches!(made, Err(UnlockError::Owner { .. })));
        }
    }
}
