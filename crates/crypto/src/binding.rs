//! What ciphertexts are bound to, as bytes: the associated data of the envelope and of wrapped
//! keys. Promise: different facts give different bytes, since every text comes behind its length
//! and every number has a fixed width.
//!
//! A value's binding (numbers are big-endian, `text` is an 8-byte length and the UTF-8 bytes):
//! ```text
//! [format version, 1 byte][tenant, text][kind, text][path, text][version, 8 bytes]
//! [field, text][key id, text]
//! ```
//! A wrapped key's binding:
//! ```text
//! [format version, 1 byte][purpose, text][tenant, text; empty if none][key id, text][parent, text]
//! ```

use scaivault_core::ids::{KeyId, TenantId};
use scaivault_core::seal::{KeyPurpose, Place};

/// The binding of a value sealed at `place` under the key named `key_id`.
pub(crate) fn of_value(format: u8, place: Place<'_>, key_id: &str) -> Vec<u8> {
    let texts = [
        place.tenant.as_str(),
        place.kind,
        place.path,
        place.field,
        key_id,
    ];
    let mut out = Vec::with_capacity(9 + texts.iter().map(|text| 8 + text.len()).sum::<usize>());
    out.push(format);
    text(&mut out, place.tenant.as_str());
    text(&mut out, place.kind);
    text(&mut out, place.path);
    out.extend_from_slice(&place.version.to_be_bytes());
    text(&mut out, place.field);
    text(&mut out, key_id);
    out
}

/// The binding of a key wrapped by `parent`. A tenant id is never empty, so no tenant stands
/// apart.
pub(crate) fn of_key(
    format: u8,
    purpose: KeyPurpose,
    tenant: Option<&TenantId>,
    id: &KeyId,
    parent: &str,
) -> Vec<u8> {
    let mut out = vec![format];
    text(&mut out, purpose_word(purpose));
    text(&mut out, tenant.map_or("", TenantId::as_str));
    text(&mut out, id.as_str());
    text(&mut out, parent);
    out
}

/// The word that stands for a purpose for as long as data under such a key exists.
pub(crate) fn purpose_word(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Tenant => "tenant",
        KeyPurpose::TokenHash => "token_hash",
        KeyPurpose::AuditChain => "audit_chain",
        KeyPurpose::RootDerivation => "root_derivation",
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    #[test]
    fn value_binding_byte_for_byte() {
        let place = Place {
            tenant: &tenant("tnt_a"),
            kind: "secret",
            path: "a/b",
            version: 258,
            field: "data",
        };
        let expect = [
            &b"\x01"[..],
            b"\0\0\0\0\0\0\0\x05tnt_a",
            b"\0\0\0\0\0\0\0\x06secret",
            b"\0\0\0\0\0\0\0\x03a/b",
            b"\0\0\0\0\0\0\x01\x02",
            b"\0\0\0\0\0\0\0\x04data",
            b"\0\0\0\0\0\0\0\x05key_1",
        ]
        .concat();
        let bytes = of_value(1, place, "key_1");
        assert_eq!(bytes, expect);
        assert_eq!(bytes.capacity(), expect.len(), "one allocation");
    }

    #[test]
    fn borders_between_texts_count() {
        let owner = tenant("tnt_a");
        let place = |kind, path, field| Place {
            tenant: &owner,
            kind,
            path,
            version: 1,
            field,
        };
        let one = of_value(1, place("secret", "ab", "c"), "key_1");
        assert_ne!(one, of_value(1, place("secreta", "b", "c"), "key_1"));
        assert_ne!(one, of_value(1, place("secret", "a", "bc"), "key_1"));
        assert_ne!(one, of_value(2, place("secret", "ab", "c"), "key_1"));
    }

    #[test]
    fn key_binding_byte_for_byte() {
        let id = KeyId::parse("key_1").unwrap();
        let bytes = of_key(1, KeyPurpose::TokenHash, None, &id, "root_0");
        let expect = [
            &b"\x01"[..],
            b"\0\0\0\0\0\0\0\x0atoken_hash",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\x05key_1",
            b"\0\0\0\0\0\0\0\x06root_0",
        ]
        .concat();
        assert_eq!(bytes, expect);
    }
}
