//! Values made by a recipe. Promise: every text of a random field is equally likely among those
//! its configuration allows; keys come from AWS-LC; nothing that was made is left in memory that
//! is not wiped.
//!
//! All randomness is drawn through [`Entropy`], but for RSA keys: AWS-LC draws their primes itself.

mod keys;
mod ssh;
mod text;

#[cfg(test)]
mod peers;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Entropy, NewField};
use scaivault_core::recipe::{Generator, RecipeField};
use scaivault_core::time::Timestamp;
use zeroize::Zeroizing;

/// A value could not be made. No configuration that was checked leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the generator {0} could not make a value")]
pub struct MakeError(pub &'static str);

/// Makes the keys of a recipe, in its order.
///
/// Some generators take seconds ([`Generator::is_slow`]): not for a thread others wait for.
///
/// # Errors
/// [`MakeError`].
pub fn make(
    fields: &[RecipeField],
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<Vec<NewField>, MakeError> {
    let mut made = Vec::new();
    for field in fields {
        let values =
            values(&field.generator, entropy, now).ok_or(MakeError(field.generator.as_str()))?;
        let keys = field.keys();
        debug_assert_eq!(keys.len(), values.len());
        made.extend(
            keys.into_iter()
                .zip(values)
                .map(|(key, value)| NewField::new(key, value)),
        );
    }
    Ok(made)
}

/// What one generator makes: as many values as its field has keys.
fn values(generator: &Generator, entropy: &dyn Entropy, now: Timestamp) -> Option<Vec<Plaintext>> {
    Some(match generator {
        Generator::Random(config) => vec![text::random(config, entropy)?],
        Generator::Hex(config) => vec![text::hex(config.length, entropy)],
        Generator::Uuid(config) => vec![text::uuid(config.version, entropy, now)],
        Generator::Template(config) => vec![text::template(&config.template, entropy, now)?],
        Generator::RsaKeypair(config) => keys::rsa(config.bits)?.into(),
        Generator::EcKeypair(config) => keys::ec(config.curve, entropy)?.into(),
        Generator::SshKeypair(config) => ssh::pair(config, entropy)?.into(),
        Generator::BcryptHash(config) => bcrypt_hash(config.length, config.rounds, entropy)?.into(),
        Generator::Static(config) => vec![Plaintext::new(config.value.clone().into_bytes())],
    })
}

/// A random password and its hash, in the form `$2b$`.
fn bcrypt_hash(length: u32, rounds: u32, entropy: &dyn Entropy) -> Option<[Plaintext; 2]> {
    let length = usize::try_from(length).ok()?;
    let password = crate::generate::random_value(entropy, length);
    let mut salt = Zeroizing::new([0u8; 16]);
    entropy.fill(salt.as_mut_slice());
    let parts = bcrypt::hash_with_salt(password.expose(), rounds, *salt).ok()?;
    let hash = parts.format_for_version(bcrypt::Version::TwoB);
    Some([password, Plaintext::new(hash.into_bytes())])
}

#[cfg(test)]
mod tests;
