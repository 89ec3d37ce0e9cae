//! Generated values. Promise: every text of the length is equally likely.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use zeroize::Zeroizing;

/// The characters of generated values: letters and digits, which no shell, URL, connection string
/// or configuration format treats specially.
pub const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Characters of a value when nobody says otherwise: 190 bits.
pub const LENGTH_DEFAULT: usize = 32;

/// What signing secrets begin with.
pub const SIGNING_SECRET_PREFIX: &str = "whsec_";

/// A random value of `length` characters from [`ALPHABET`].
pub fn random_value(entropy: &dyn Entropy, length: usize) -> Plaintext {
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    draw(entropy, ALPHABET, length, &mut out);
    Plaintext::new(std::mem::take(&mut *out))
}

/// Puts `length` characters of the alphabet (2 to 256 of them) behind what is there, all equally
/// likely. Bytes from the highest multiple of their number on are thrown away: keeping them would
/// make the first characters likelier.
pub(crate) fn draw(entropy: &dyn Entropy, alphabet: &[u8], length: usize, out: &mut Vec<u8>) {
    let fair = 256 / alphabet.len() * alphabet.len();
    let end = out.len() + length;
    let mut drawn = Zeroizing::new([0; 64]);
    while out.len() < end {
        entropy.fill(drawn.as_mut_slice());
        let missing = end - out.len();
        let bytes = drawn.iter().map(|byte| usize::from(*byte));
        let kept = bytes.filter(|byte| *byte < fair).take(missing);
        out.extend(kept.map(|byte| alphabet[byte % alphabet.len()]));
    }
}

/// A secret to sign webhooks with: `whsec_` and the base64 of 32 random bytes, the form Standard
/// Webhooks libraries take.
pub fn signing_secret(entropy: &dyn Entropy) -> Plaintext {
    const BASE64_CHARS: usize = 44;
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill(key.as_mut_slice());
    let prefix = SIGNING_SECRET_PREFIX.as_bytes();
    let mut out = vec![0; prefix.len() + BASE64_CHARS];
    out[..prefix.len()].copy_from_slice(prefix);
    STANDARD
        .encode_slice(key.as_slice(), &mut out[prefix.len()..])
        .expect("there is room for 44 characters");
    Plaintext::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cycle, Seeded};

    #[test]
    fn lengths_and_characters() {
        let entropy = Seeded::new(1);
        for length in [0, 1, 31, LENGTH_DEFAULT, 64, 65, 1000] {
            let value = random_value(&entropy, length);
            assert_eq!(value.len(), length);
            assert!(value.expose().iter().all(u8::is_ascii_alphanumeric));
        }
        let other = random_value(&entropy, 32);
        assert_ne!(random_value(&entropy, 32).expose(), other.expose());
    }

    #[test]
    fn every_character_has_the_same_number_of_bytes() {
        // All 256 bytes in turn: 248 are kept, each character exactly four times.
        let value = random_value(&Cycle::new(0..=255), 248);
        for character in ALPHABET {
            let count = value
                .expose()
                .iter()
                .filter(|byte| *byte == character)
                .count();
            assert_eq!(count, 4, "{}", char::from(*character));
        }
    }

    #[test]
    fn bytes_beyond_the_border_are_thrown_away() {
        let value = random_value(&Cycle::new([255, 248, 247, 250, 0]), 4);
        assert_eq!(value.expose(), b"9A9A");
    }

    #[test]
    fn characters_are_uniform() {
        const DRAWS: usize = 620_000;
        let value = random_value(&Seeded::new(42), DRAWS);
        let mut counts = [0u32; 256];
        value
            .expose()
            .iter()
            .for_each(|byte| counts[usize::from(*byte)] += 1);
        let expect = DRAWS as f64 / 62.0;
        let chi_square: f64 = ALPHABET
            .iter()
            .map(|character| f64::from(counts[usize::from(*character)]) - expect)
            .map(|off| off * off / expect)
            .sum();
        // 61 degrees of freedom: about one run in ten thousand is beyond 110, or below 27. A
        // plain `byte % 62` gives about 4100 here.
        assert!((27.0..110.0).contains(&chi_square), "{chi_square}");
    }

    #[test]
    fn signing_secrets_have_the_standard_form() {
        let secret = signing_secret(&Seeded::new(1));
        let text = std::str::from_utf8(secret.expose()).unwrap();
        let key = STANDARD
            .decode(text.strip_prefix("whsec_").unwrap())
            .unwrap();
        assert_eq!(key.len(), 32);
        assert_ne!(signing_secret(&Seeded::new(2)).expose(), secret.expose());
    }
}
