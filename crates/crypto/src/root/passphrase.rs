//! The root key from a passphrase, by Argon2id. Promise: guessing costs at least what it cost when
//! the passphrase was chosen, whatever happened to the stored parameters since.
//!
//! `root = Argon2id(version 0x13, passphrase, salt, m, t, p, 32 bytes)`, with no secret and no
//! associated data. The passphrase is taken as its UTF-8 bytes, exactly as typed. Defaults are the
//! second recommended option of RFC 9106 (64 MiB, 3 passes, 4 lanes), above OWASP's minimum of
//! 19 MiB and 2 passes, and small enough for a container of a few hundred MiB: the price is paid
//! once per start. They are also the lowest accepted.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::RootKey;
use crate::derive::KeyBytes;

/// The shortest passphrase taken at creation, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

const ALGORITHM: &str = "argon2id";
const SALT_BYTES: usize = 16;
const MEMORY_KIB_MIN: u32 = 64 * 1024;
/// Above this a record would rather stop a server than start it.
const MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
const PASSES_MIN: u32 = 3;
const PASSES_MAX: u32 = 64;
const LANES: u32 = 4;
const LANES_MAX: u32 = 64;

/// What, besides the passphrase, the root key is made of. Public: store it where the server finds
/// it before the store is unlocked. Losing it loses the root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseParams {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// Hex, 16 bytes.
    salt: String,
}

/// Why a passphrase made no root key. Never shows the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Too easily guessed.
    #[error("a passphrase has at least {PASSPHRASE_CHARS_MIN} characters")]
    TooShort,
    /// Not text.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
    /// Stored parameters that this crate never makes: weaker than allowed, absurd, or unknown.
    #[error(
        "passphrase parameter {0} is outside what is accepted; the stored parameters were altered"
    )]
    Parameter(&'static str),
    /// Not enough memory, for one.
    #[error("the passphrase could not be stretched: {0}")]
    Stretch(String),
}

/// A root key from a new passphrase, and the parameters to store.
///
/// # Errors
/// [`PassphraseError`]
pub fn create(
    passphrase: &Plaintext,
    entropy: &dyn Entropy,
) -> Result<(RootKey, PassphraseParams), PassphraseError> {
    let text = std::str::from_utf8(passphrase.expose()).map_err(|_| PassphraseError::NotText)?;
    if text.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(PassphraseError::TooShort);
    }
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    let params = PassphraseParams {
        algorithm: ALGORITHM.to_owned(),
        memory_kib: MEMORY_KIB_MIN,
        passes: PASSES_MIN,
        lanes: LANES,
        salt: hex::encode(salt),
    };
    let root = load(passphrase, &params)?;
    Ok((root, params))
}

/// The root key of a passphrase chosen before. A wrong passphrase gives another root key, which
/// the keyring refuses by its fingerprint. Takes a part of a second and the memory it says.
///
/// # Errors
/// [`PassphraseError::Parameter`] for parameters below the bounds; [`PassphraseError::Stretch`].
pub fn load(passphrase: &Plaintext, params: &PassphraseParams) -> Result<RootKey, PassphraseError> {
    stretch(passphrase, &params.checked()?)
}

/// Parameters in the form Argon2 takes them.
struct Cost {
    params: Params,
    salt: [u8; SALT_BYTES],
}

impl PassphraseParams {
    fn checked(&self) -> Result<Cost, PassphraseError> {
        let bound = |name, holds: bool| holds.then_some(()).ok_or(PassphraseError::Parameter(name));
        bound("algorithm", self.algorithm == ALGORITHM)?;
        bound(
            "memory_kib",
            (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&self.memory_kib),
        )?;
        bound("passes", (PASSES_MIN..=PASSES_MAX).contains(&self.passes))?;
        bound("lanes", (1..=LANES_MAX).contains(&self.lanes))?;
        self.unchecked()
    }

    /// Without our bounds; only tests go here directly.
    fn unchecked(&self) -> Result<Cost, PassphraseError> {
        let mut salt = [0; SALT_BYTES];
        hex::decode_to_slice(&self.salt, &mut salt)
            .map_err(|_| PassphraseError::Parameter("salt"))?;
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None)
            .map_err(|error| PassphraseError::Stretch(error.to_string()))?;
        Ok(Cost { params, salt })
    }
}

fn stretch(passphrase: &Plaintext, cost: &Cost) -> Result<RootKey, PassphraseError> {
    let mut key = Box::new(KeyBytes::default());
    // Ours, so that it is wiped: the last blocks give the key away.
    let mut memory = Zeroizing::new(Memory(Vec::new()));
    let blocks = cost.params.block_count();
    memory
        .0
        .try_reserve_exact(blocks)
        .map_err(|_| PassphraseError::Stretch("not enough memory".to_owned()))?;
    memory.0.resize(blocks, Block::default());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params.clone())
        .hash_password_into_with_memory(
            passphrase.expose(),
            &cost.salt,
            key.as_mut_slice(),
            &mut memory.0,
        )
        .map_err(|error| PassphraseError::Stretch(error.to_string()))?;
    Ok(RootKey(key))
}

struct Memory(Vec<Block>);

impl Zeroize for Memory {
    fn zeroize(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    fn text(text: &str) -> Plaintext {
        Plaintext::new(text.as_bytes().to_vec())
    }

    fn cheap() -> PassphraseParams {
        PassphraseParams {
            algorithm: ALGORITHM.to_owned(),
            memory_kib: 64,
            passes: 3,
            lanes: 4,
            salt: "000102030405060708090a0b0c0d0e0f".to_owned(),
        }
    }

    fn cheap_key(passphrase: &str, params: &PassphraseParams) -> String {
        let root = stretch(&text(passphrase), &params.unchecked().unwrap()).unwrap();
        hex::encode(root.bytes().as_slice())
    }

    #[test]
    fn known_answer() {
        let key = cheap_key("correct horse battery staple", &cheap());
        assert_eq!(
            key,
            "fff8371f0247952ba584679977a86d3b7606eac6ee454ab3bbd8d1a550593c9a"
        );
    }

    #[test]
    fn every_part_counts() {
        let key = cheap_key("correct horse battery staple", &cheap());
        assert_ne!(cheap_key("Correct horse battery staple", &cheap()), key);
        let others = [
            PassphraseParams {
                memory_kib: 72,
                ..cheap()
            },
            PassphraseParams {
                passes: 4,
                ..cheap()
            },
            PassphraseParams {
                lanes: 3,
                ..cheap()
            },
            PassphraseParams {
                salt: "ff".repeat(16),
                ..cheap()
            },
        ];
        for other in others {
            assert_ne!(cheap_key("correct horse battery staple", &other), key);
        }
    }

    #[test]
    fn created_parameters_give_the_key_back() {
        let passphrase = text("twelve chars");
        let (root, params) = create(&passphrase, &Seeded::new(1)).unwrap();
        let json = serde_json::to_string(&params).unwrap();
        let stored: PassphraseParams = serde_json::from_str(&json).unwrap();
        let again = load(&passphrase, &stored).unwrap();
        assert_eq!(again.fingerprint(), root.fingerprint());
        assert_eq!(
            (params.memory_kib, params.passes, params.lanes),
            (65536, 3, 4)
        );
    }

    #[test]
    fn short_or_unreadable_passphrases_are_refused() {
        for short in ["", "eleven char", "ééééééééééé"] {
            let refused = create(&text(short), &Seeded::new(1)).err();
            assert_eq!(refused, Some(PassphraseError::TooShort), "{short}");
        }
        let bytes = Plaintext::new(vec![0xff; 32]);
        let refused = create(&bytes, &Seeded::new(1)).err();
        assert_eq!(refused, Some(PassphraseError::NotText));
    }

    #[test]
    fn altered_parameters_are_refused() {
        let good = PassphraseParams {
            memory_kib: MEMORY_KIB_MIN,
            ..cheap()
        };
        assert!(good.checked().is_ok());
        let cases = [
            (
                "algorithm",
                PassphraseParams {
                    algorithm: "argon2i".into(),
                    ..good.clone()
                },
            ),
            (
                "memory_kib",
                PassphraseParams {
                    memory_kib: MEMORY_KIB_MIN - 1,
                    ..good.clone()
                },
            ),
            (
                "memory_kib",
                PassphraseParams {
                    memory_kib: u32::MAX,
                    ..good.clone()
                },
            ),
            (
                "passes",
                PassphraseParams {
                    passes: 2,
                    ..good.clone()
                },
            ),
            (
                "passes",
                PassphraseParams {
                    passes: u32::MAX,
                    ..good.clone()
                },
            ),
            (
                "lanes",
                PassphraseParams {
                    lanes: 0,
                    ..good.clone()
                },
            ),
            (
                "lanes",
                PassphraseParams {
                    lanes: 65,
                    ..good.clone()
                },
            ),
            (
                "salt",
                PassphraseParams {
                    salt: "00".repeat(15),
                    ..good.clone()
                },
            ),
            (
                "salt",
                PassphraseParams {
                    salt: "zz".repeat(16),
                    ..good
                },
            ),
        ];
        for (name, params) in cases {
            let refused = load(&text("twelve chars"), &params).err();
            assert_eq!(
                refused,
                Some(PassphraseError::Parameter(name)),
                "{params:?}"
            );
        }
        let unknown =
            r#"{"algorithm":"argon2id","memory_kib":65536,"passes":3,"lanes":4,"salt":"00","x":1}"#;
        assert!(serde_json::from_str::<PassphraseParams>(unknown).is_err());
    }
}
