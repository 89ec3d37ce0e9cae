//! The key, and the codes it makes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::place::{Document, Place};
use crate::chain_mac::ChainMac;

/// What the key is asked of the chain's key for. No message of the chain begins like this.
const LABEL: &[u8] = b"scaivault row key 1\0";

/// Bytes of a code. Half of what the function makes: whoever guesses one has one try per read.
const CODE_BYTES: usize = 16;
/// Characters of a code.
pub const CODE_CHARS: usize = 2 * CODE_BYTES;

/// What is between the text and the code.
const BEFORE: &str = r#","~":""#;
/// What is behind the code.
const BEHIND: &str = r#""}"#;
/// Characters that a code adds to a document, its closing brace included.
const TAIL: usize = BEFORE.len() + CODE_CHARS + BEHIND.len();

/// Authenticates documents. Held as the states the function begins and ends with.
pub struct RowKey(Hmac<Sha256>);

impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowKey")
    }
}

impl RowKey {
    /// The key of the store whose audit chain this key authenticates.
    pub fn of(chain: &dyn ChainMac) -> Self {
        let key = chain.mac(LABEL);
        #[expect(clippy::expect_used, reason = "the function takes a key of any length")]
        Self(Hmac::new_from_slice(&key).expect("any length"))
    }

    /// A record as its document.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn encode<T: Document>(&self, record: &T) -> serde_json::Result<String> {
        let mut text = Vec::with_capacity(1_024);
        record.serialize(&mut serde_json::Serializer::new(&mut text))?;
        let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
        let place = record.place();
        self.sealed(&place, text)
            .ok_or_else(|| serde::ser::Error::custom("a record is no object"))
    }

    /// A document without a code, with it.
    pub fn sealed(&self, place: &Place<'_>, mut text: String) -> Option<String> {
        if text.len() <= 2 || text.pop() != Some('}') {
            return None;
        }
        let code = self.code(place, &text);
        text.reserve(TAIL);
        text.push_str(BEFORE);
        for byte in code {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text.push_str(BEHIND);
        Some(text)
    }

    /// Whether the document was written by a holder of the key for this row.
    pub fn fits(&self, place: &Place<'_>, text: &str) -> bool {
        let Some((body, stored)) = split(text) else {
            return false;
        };
        let expect = self.code(place, body);
        let mut differ = 0;
        for (pair, byte) in stored.as_bytes().chunks(2).zip(expect) {
            differ |= pair[0] ^ DIGITS[usize::from(byte >> 4)];
            differ |= pair[1] ^ DIGITS[usize::from(byte & 15)];
        }
        differ == 0
    }

    fn code(&self, place: &Place<'_>, body: &str) -> [u8; CODE_BYTES] {
        let mut mac = self.0.clone();
        // Lengths before what may have any: no two rows share a message.
        let parts = [place.table, &*place.space, &*place.key];
        let mut head = [0; 12];
        for (slot, part) in head.chunks_mut(4).zip(parts) {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            slot.copy_from_slice(&len.to_be_bytes());
        }
        mac.update(&head);
        parts.iter().for_each(|part| mac.update(part.as_bytes()));
        mac.update(body.as_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut code = [0; CODE_BYTES];
        code.copy_from_slice(&whole[..CODE_BYTES]);
        code
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The text a code is over, and the code, if the document has one.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let body = text.len().checked_sub(TAIL)?;
    if !text.is_char_boundary(body) {
        return None;
    }
    let (body, tail) = text.split_at(body);
    let code = tail.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
    (code.len() == CODE_CHARS).then_some((body, code))
}

/// Whether a document has a code, of whichever key.
pub fn has_code(text: &str) -> bool {
    split(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mac(u8);

    impl ChainMac for Mac {
        fn mac(&self, _: &[u8]) -> [u8; 32] {
            [self.0; 32]
        }
    }

    fn place(table: &'static str, space: &'static str, key: &'static str) -> Place<'static> {
        Place::new(table, space, key)
    }

    const PLAIN: &str = r#"{"a":"ü","b":[1]}"#;

    #[test]
    fn a_code_fits_its_row_and_no_other() {
        let key = RowKey::of(&Mac(1));
        let here = place("policy", "tnt_a", "pol_1");
        let text = key.sealed(&here, PLAIN.to_owned()).unwrap();
        assert!(key.fits(&here, &text));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["b"][0], 1);
        for other in [
            place("token", "tnt_a", "pol_1"),
            place("policy", "tnt_b", "pol_1"),
            place("policy", "tnt_a", "pol_2"),
            place("policy", "tnt_ap", "ol_1"),
            place("polic", "ytnt_a", "pol_1"),
        ] {
            assert!(!key.fits(&other, &text), "{other:?}");
        }
        assert!(!RowKey::of(&Mac(2)).fits(&here, &text));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let key = RowKey::of(&Mac(1));
        let here = place("policy", "tnt_a", "pol_1");
        let text = key.sealed(&here, PLAIN.to_owned()).unwrap();
        for at in 0..text.len() {
            for flip in [1, 2, 0x20] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= flip;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(!key.fits(&here, &changed), "{changed}");
                }
            }
        }
        for cut in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            assert!(!key.fits(&here, &text[..cut]));
            assert!(!key.fits(&here, &text[cut..]) || cut == 0);
        }
        assert!(!key.fits(&here, PLAIN));
    }

    #[test]
    fn what_is_no_object_gets_no_code() {
        let key = RowKey::of(&Mac(1));
        for text in ["", "{}", "[1]", "null"] {
            assert_eq!(key.sealed(&place("t", "a", "b"), text.to_owned()), None);
        }
        assert!(!has_code(PLAIN) && !has_code(""));
    }
}
