//! HMAC-SHA256, and the one comparison of secret-dependent bytes in this crate. Promise: no tag is
//! ever compared with `==`.

use aws_lc_rs::constant_time;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 32;

/// A key for HMAC-SHA256, held as the two states it begins and ends with, which wipe themselves when
/// dropped. Three tags are made for every read: here a tag copies some hundred bytes, where AWS-LC
/// copies a context of a kilobyte three times.
pub(crate) struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Takes any number of key bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The tag over the parts, as if they were one piece. Where the border between parts matters,
    /// the caller marks it.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Whether the two are equal, in time that depends on their lengths only.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_case_2() {
        let tag = MacKey::new(b"Jefe").tag(&[b"what do ya want ", b"for nothing?"]);
        let expect = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(tag), expect);
    }

    #[test]
    fn same_is_equality() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b"", b"Abc"] {
            assert!(!same(b"abc", other));
        }
    }
}
