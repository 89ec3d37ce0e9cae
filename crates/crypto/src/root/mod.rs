//! The root key: the one key that is not in the store. Promise: its bytes leave this type only
//! into the key file it came to be in, and are wiped when it is dropped.
//!
//! It is never used itself: keys of the keyring are wrapped by a key derived from it, and its
//! public name, the fingerprint, is derived under another label. Sources: [`key_file`] and
//! [`passphrase`]; [`RootKey::from_bytes`] is the way in for others, such as a key service.
//!
//! It can be used, and named:
//! ```
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! let root = RootKey::generate(&SystemEntropy);
//! assert!(root.fingerprint().starts_with("root_"));
//! ```
//! It cannot be copied:
//! ```compile_fail,E0599
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! let _ = RootKey::generate(&SystemEntropy).clone();
//! ```
//! nor printed, for people or for debugging:
//! ```compile_fail,E0277
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! let _ = format!("{}", RootKey::generate(&SystemEntropy));
//! ```
//! ```compile_fail,E0277
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! let _ = format!("{:?}", RootKey::generate(&SystemEntropy));
//! ```
//! nor compared in variable time:
//! ```compile_fail,E0369
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! let _ = RootKey::generate(&SystemEntropy) == RootKey::generate(&SystemEntropy);
//! ```
//! nor serialised:
//! ```compile_fail,E0277
//! use scaivault_crypto::{RootKey, SystemEntropy};
//! fn write<T: serde::Serialize>(_: &T) {}
//! write(&RootKey::generate(&SystemEntropy));
//! ```

pub mod key_file;
pub mod passphrase;

use scaivault_core::ports::Entropy;
use zeroize::Zeroizing;

use crate::aead::AeadKey;
use crate::derive::{KEY_BYTES, KeyBytes, Label, derive};

/// What every fingerprint begins with.
pub const FINGERPRINT_PREFIX: &str = "root_";

/// Bytes of the derived name that are shown: enough to tell keys apart, nothing depends on them
/// for security.
const FINGERPRINT_BYTES: usize = 8;

/// 32 bytes under which everything lies. No `Clone`, `Debug`, `PartialEq`, `Serialize`.
pub struct RootKey(Box<KeyBytes>);

impl RootKey {
    /// A fresh one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::filled(|key| entropy.fill(key))
    }

    /// From a source of its own. The bytes must be uniformly random: nothing here stretches them.
    pub fn from_bytes(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self::filled(|own| own.copy_from_slice(key.as_slice()))
    }

    /// One whose bytes are written where they stay. The key is held behind a pointer, because a value
    /// that is moved leaves its bytes where it was, and nobody wipes those.
    fn filled(write: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Box::new(KeyBytes::default());
        write(key.as_mut_slice());
        Self(key)
    }

    /// Its public name: `root_` and 16 hex digits. Stored with every key it wraps; says nothing
    /// of the key.
    pub fn fingerprint(&self) -> String {
        let name = derive(&self.0, Label::RootFingerprint, &[]);
        format!(
            "{FINGERPRINT_PREFIX}{}",
            hex::encode(&name[..FINGERPRINT_BYTES])
        )
    }

    /// The key that wraps the keyring's.
    pub(crate) fn wrapping_key(&self) -> AeadKey {
        AeadKey::new(&derive(&self.0, Label::RootWrapping, &[]))
    }

    /// The bytes, for the key file.
    fn bytes(&self) -> &KeyBytes {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    #[test]
    fn fingerprints_are_stable_and_tell_keys_apart() {
        let root = RootKey::from_bytes(Zeroizing::new([7; 32]));
        assert_eq!(root.fingerprint(), "root_3dfe3ba5bdbc50dc");
        let other = RootKey::generate(&Seeded::new(1));
        assert_ne!(root.fingerprint(), other.fingerprint());
        assert_eq!(other.fingerprint().len(), 21);
    }
}
