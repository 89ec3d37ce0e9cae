//! Local tokens. Promise: a token is 256 bits of chance in a form that people, scanners and typing
//! errors are told apart by.
//!
//! ```text
//! skt_ <43 characters> <6 characters>
//! ```
//! Secret ids of machines have the same form behind `sks_`.
//!
//! All characters after the prefix are letters and digits. The 43 are random (256.03 bits). The 6
//! are a checksum: the first 4 bytes of SHA-256 over everything before them, as a big-endian
//! number in base 62 (`0-9A-Za-z`, highest digit first). Scanners match
//! `skt_[A-Za-z0-9]{49}` and, with the checksum, have no false alarms.
//!
//! Neither form nor checksum decides who comes in; the keyed hash in the store does. A development
//! server may be given `root` as its token. The checksum only serves to say *mistyped* early.

use std::fmt;

use aws_lc_rs::digest;
use scaivault_core::ports::Entropy;
use zeroize::Zeroizing;

use crate::generate::random_value;

/// What every token begins with.
pub const PREFIX: &str = "skt_";
/// What every secret id begins with.
pub const SECRET_ID_PREFIX: &str = "sks_";

const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const TOKEN_CHARS: usize = PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token in the clear: wiped when dropped, not copied, printed, compared or serialised.
/// ```
/// use scaivault_crypto::{SystemEntropy, token};
/// assert!(token::mint(&SystemEntropy).expose().starts_with("skt_"));
/// ```
/// ```compile_fail,E0599
/// use scaivault_crypto::{SystemEntropy, token};
/// let _ = token::mint(&SystemEntropy).clone();
/// ```
/// ```compile_fail,E0277
/// use scaivault_crypto::{SystemEntropy, token};
/// let _ = format!("{}", token::mint(&SystemEntropy));
/// ```
/// ```compile_fail,E0369
/// use scaivault_crypto::{SystemEntropy, token};
/// let _ = token::mint(&SystemEntropy) == token::mint(&SystemEntropy);
/// ```
/// ```compile_fail,E0277
/// use scaivault_crypto::{SystemEntropy, token};
/// fn write<T: serde::Serialize>(_: &T) {}
/// write(&token::mint(&SystemEntropy));
/// ```
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// The token. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

/// A new token.
pub fn mint(entropy: &dyn Entropy) -> TokenText {
    minted(PREFIX, entropy)
}

/// A new secret id.
pub fn mint_secret_id(entropy: &dyn Entropy) -> TokenText {
    minted(SECRET_ID_PREFIX, entropy)
}

fn minted(prefix: &str, entropy: &dyn Entropy) -> TokenText {
    let random = random_value(entropy, RANDOM_CHARS);
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS));
    text.push_str(prefix);
    text.extend(random.expose().iter().copied().map(char::from));
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.map(char::from));
    TokenText(text)
}

/// Whether the text has a token's or secret id's prefix, length and alphabet: what to redact in
/// foreign text.
pub fn looks_like_token(text: &str) -> bool {
    let behind = |prefix| text.strip_prefix(prefix);
    text.len() == TOKEN_CHARS
        && behind(PREFIX)
            .or_else(|| behind(SECRET_ID_PREFIX))
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether it looks like a token and its checksum fits. To tell a typing error from a token that
/// is unknown or revoked; never a reason to accept, nor to refuse a token that the store knows.
pub fn is_well_formed(text: &str) -> bool {
    looks_like_token(text)
        && text
            .as_bytes()
            .split_last_chunk::<CHECKSUM_CHARS>()
            .is_some_and(|(head, tail)| checksum(head) == *tail)
}

fn checksum(head: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let digest = digest::digest(&digest::SHA256, head);
    let mut number = digest.as_ref()[..4]
        .iter()
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let mut digits = [0; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::testing::Seeded;

    #[test]
    fn tokens_have_the_form_and_differ() {
        let entropy = Seeded::new(1);
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            let token = mint(&entropy);
            assert_eq!(token.expose().len(), 53);
            assert!(looks_like_token(token.expose()) && is_well_formed(token.expose()));
            assert!(seen.insert(token.expose().to_owned()));
        }
        let secret_id = mint_secret_id(&entropy);
        assert!(secret_id.expose().starts_with("sks_") && is_well_formed(secret_id.expose()));
        let (one, other) = (mint(&SystemEntropy), mint(&SystemEntropy));
        assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn known_checksum() {
        let head = format!("skt_{}", "a".repeat(43));
        assert_eq!(checksum(head.as_bytes()), *b"2mMgyV");
        assert!(is_well_formed(&format!("{head}2mMgyV")));
    }

    #[test]
    fn any_mistyped_character_shows() {
        let token = mint(&Seeded::new(1));
        for at in 0..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(bytes).unwrap();
            assert!(!is_well_formed(&mistyped), "{mistyped}");
            assert_eq!(looks_like_token(&mistyped), at >= PREFIX.len());
        }
    }

    #[test]
    fn other_texts_do_not_look_like_tokens() {
        let token = mint(&Seeded::new(1));
        let text = token.expose();
        let others = [
            String::new(),
            "root".to_owned(),
            "skt_".to_owned(),
            text[..52].to_owned(),
            format!("{text}a"),
            text.replacen("skt_", "SKT_", 1),
            format!("{}é", &text[..51]),
            format!("{}-", &text[..52]),
        ];
        for other in others {
            assert!(
                !looks_like_token(&other) && !is_well_formed(&other),
                "{other}"
            );
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", mint(&Seeded::new(1))), "TokenText(…)");
    }
}
