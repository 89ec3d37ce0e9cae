//! The cryptography of ScaiVault: what makes a copy of the store useless without the root key.
//!
//! Keys form a chain. The [root key](root::RootKey) comes from a file or a passphrase and wraps
//! the keys of the [keyring](keyring::Keyring): one per tenant, one that hashes tokens, one that
//! authenticates the audit chain. A tenant's key wraps the data key of each sealed value, and every
//! seal draws a fresh one. The byte formats are in the headers of the modules that own them.
//!
//! Nothing here does I/O but the key file, reads a clock, or holds an async runtime. Primitives
//! come from AWS-LC; the code here only arranges them.
//!
//! # To add a kind of key
//! A variant of core's `KeyPurpose`, its word in `binding`, its place in the [`keyring`]'s ring.
//!
//! # To add a source of the root key
//! A file in [`root`] with a function that answers a `RootKey`; nothing else changes.
//!
//! # What the types refuse
//! A [`Plaintext`](scaivault_core::plaintext::Plaintext) can be lent and dropped:
//! ```
//! use scaivault_core::plaintext::Plaintext;
//! fn lend(value: &Plaintext) -> usize { value.len() }
//! assert_eq!(lend(&Plaintext::new(b"hunter2".to_vec())), 7);
//! assert!(!format!("{:?}", Plaintext::new(b"hunter2".to_vec())).contains("hunter2"));
//! ```
//! It cannot be copied:
//! ```compile_fail,E0599
//! use scaivault_core::plaintext::Plaintext;
//! let _ = Plaintext::new(b"hunter2".to_vec()).clone();
//! ```
//! nor printed:
//! ```compile_fail,E0277
//! use scaivault_core::plaintext::Plaintext;
//! let _ = format!("{}", Plaintext::new(b"hunter2".to_vec()));
//! ```
//! nor compared in variable time:
//! ```compile_fail,E0369
//! use scaivault_core::plaintext::Plaintext;
//! let _ = Plaintext::new(b"a".to_vec()) == Plaintext::new(b"a".to_vec());
//! ```
//! nor serialised:
//! ```compile_fail,E0277
//! use scaivault_core::plaintext::Plaintext;
//! fn write<T: serde::Serialize>(_: &T) {}
//! write(&Plaintext::new(b"hunter2".to_vec()));
//! ```

mod aead;
mod binding;
pub mod certificate;
mod derive;
pub mod detached;
pub mod entropy;
mod envelope;
pub mod generate;
pub mod jwt;
mod key_record;
pub mod keyring;
mod mac;
pub mod password;
pub mod recipe;
pub mod root;
pub mod signature;
pub mod token;
pub mod transit;

#[cfg(test)]
mod testing;

pub use entropy::SystemEntropy;
pub use keyring::{Keyring, UnlockError};
pub use root::RootKey;
