//! HKDF-SHA256 (expand step) over keys that are already uniform. Promise: outputs under different
//! labels are unrelated, and the label list is here, so that no two uses share one.

use zeroize::Zeroizing;

use crate::mac::MacKey;

/// Bytes of every symmetric key of the chain.
pub(crate) const KEY_BYTES: usize = 32;

/// A key in the clear, wiped when dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// What a derived key is for. No label is the beginning of another (each ends in a line feed), so
/// label and context together are unambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// From a data key: encrypts the value.
    ValueEncryption,
    /// From a data key: commits to the key and the place.
    ValueCommitment,
    /// From the root key: wraps the keys of the keyring.
    RootWrapping,
    /// From the root key: its public name.
    RootFingerprint,
}

impl Label {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::ValueEncryption => b"scaivault value encryption v1\n",
            Self::ValueCommitment => b"scaivault value commitment v1\n",
            Self::RootWrapping => b"scaivault root wrapping v1\n",
            Self::RootFingerprint => b"scaivault root fingerprint v1\n",
        }
    }
}

/// A key that others are derived from, set up once for all of them.
pub(crate) struct Deriver(MacKey);

impl Deriver {
    /// From a key that is uniform.
    pub(crate) fn new(key: &KeyBytes) -> Self {
        Self(MacKey::new(key.as_slice()))
    }

    /// 32 bytes for one purpose: `HKDF-Expand(key, label || context, 32)`, which is one block and
    /// so the tag of RFC 5869's `T(1)`.
    pub(crate) fn derive(&self, label: Label, context: &[u8]) -> KeyBytes {
        KeyBytes::new(self.0.tag(&[label.bytes(), context, &[1]]))
    }
}

/// The same, for a key that one is derived from.
pub(crate) fn derive(key: &KeyBytes, label: Label, context: &[u8]) -> KeyBytes {
    Deriver::new(key).derive(label, context)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf;

    use super::*;

    const LABELS: [Label; 4] = [
        Label::ValueEncryption,
        Label::ValueCommitment,
        Label::RootWrapping,
        Label::RootFingerprint,
    ];

    #[test]
    fn one_block_of_rfc_5869() {
        let key = KeyBytes::new([7; KEY_BYTES]);
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key.as_slice());
        for label in LABELS {
            let info = [label.bytes(), b"context"];
            let mut expect = [0; KEY_BYTES];
            let okm = prk.expand(&info, hkdf::HKDF_SHA256).unwrap();
            okm.fill(&mut expect).unwrap();
            assert_eq!(*derive(&key, label, b"context"), expect);
        }
    }

    #[test]
    fn no_label_begins_another() {
        for one in LABELS {
            for other in LABELS {
                assert_eq!(one.bytes().starts_with(other.bytes()), one == other);
            }
        }
    }
}
