//! What a generated value looks like when no recipe is attached.

use std::fmt;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Entropy, NewField};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Characters of a generated value.
const VALUE_CHARS: usize = 32;

/// Fields that hold the secret part, by custom; the first one present is replaced.
const SECRET_FIELDS: [&str; 9] = [
    "value",
    "password",
    "client_secret",
    "api_key",
    "secret",
    "token",
    "key",
    "secret_key",
    "api_secret",
];

/// Fields that are no secret even where they stand alone.
const NOT_SECRET: [&str; 9] = [
    "username",
    "user",
    "login",
    "host",
    "hostname",
    "url",
    "endpoint",
    "client_id",
    "cert_pem",
];

/// The current object with its secret part replaced by a random string: the first customary name
/// that holds text, else the only field if it holds text and is not one of those that are no
/// secret, else (an empty object) a new field `value`. Every other field keeps its bytes and its
/// place. `None` when there is nothing of that kind: nothing is touched rather than the wrong
/// thing.
pub(super) fn regenerate(current: &Plaintext, entropy: &dyn Entropy) -> Option<Plaintext> {
    let Fields(fields) = serde_json::from_slice(current.expose()).ok()?;
    let chosen = secret_field(&fields)?;
    let fresh = scaivault_crypto::generate::random_value(entropy, VALUE_CHARS);
    // Room for everything from the start: a growing buffer would leave copies behind.
    let mut out = Vec::with_capacity(current.len() + 2 * VALUE_CHARS);
    out.push(b'{');
    let mut put = |name: &str, value: &[u8], quoted: bool| -> Option<()> {
        if out.len() > 1 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, name).ok()?;
        out.push(b':');
        if quoted {
            out.push(b'"');
        }
        out.extend_from_slice(value);
        if quoted {
            out.push(b'"');
        }
        Some(())
    };
    for (name, value) in &fields {
        if *name == chosen {
            put(name, fresh.expose(), true)?;
        } else {
            put(name, value.get().as_bytes(), false)?;
        }
    }
    if !fields.iter().any(|(name, _)| *name == chosen) {
        put(&chosen, fresh.expose(), true)?;
    }
    out.push(b'}');
    Some(Plaintext::new(out))
}

/// The current object with these fields replaced, or added at its end; every other field keeps its
/// bytes and its place. Without a current value: these fields alone. `None` when the current value
/// is no object, or a new field is no UTF-8 text.
pub(crate) fn replaced(current: Option<&Plaintext>, new: &[NewField]) -> Option<Plaintext> {
    let empty = Plaintext::new(b"{}".to_vec());
    let current = current.unwrap_or(&empty);
    let Fields(fields) = serde_json::from_slice(current.expose()).ok()?;
    // Room for everything from the start: a growing buffer would leave copies behind. JSON writes
    // at most six bytes for one of a text.
    let room: usize = new
        .iter()
        .map(|field| 6 * field.value.len() + field.name.len() + 8)
        .sum();
    let mut out = Vec::with_capacity(current.len() + room + 2);
    out.push(b'{');
    let begin = |out: &mut Vec<u8>, name: &str| -> Option<()> {
        if out.len() > 1 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name).ok()?;
        out.push(b':');
        Some(())
    };
    let text = |out: &mut Vec<u8>, value: &Plaintext| -> Option<()> {
        let value = std::str::from_utf8(value.expose()).ok()?;
        serde_json::to_writer(out, value).ok()
    };
    for (name, value) in &fields {
        begin(&mut out, name)?;
        match new.iter().find(|field| field.name == *name) {
            Some(field) => text(&mut out, &field.value)?,
            None => out.extend_from_slice(value.get().as_bytes()),
        }
    }
    for field in new {
        if !fields.iter().any(|(name, _)| *name == field.name) {
            begin(&mut out, &field.name)?;
            text(&mut out, &field.value)?;
        }
    }
    out.push(b'}');
    Some(Plaintext::new(out))
}

fn secret_field(fields: &[(String, &RawValue)]) -> Option<String> {
    if fields.is_empty() {
        return Some("value".to_owned());
    }
    let is_text = |value: &RawValue| value.get().starts_with('"');
    let customary = SECRET_FIELDS.into_iter().find(|name| {
        fields
            .iter()
            .any(|(have, value)| have == name && is_text(value))
    });
    match (customary, fields) {
        (Some(name), _) => Some(name.to_owned()),
        (None, [(only, value)]) if is_text(value) && !NOT_SECRET.contains(&only.as_str()) => {
            Some(only.clone())
        }
        _ => None,
    }
}

/// An object's fields in order, values as they are written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn check(current: &str, changed: &str) {
        let entropy = Counting(std::sync::atomic::AtomicU8::new(3));
        let before: Map<String, Value> = serde_json::from_str(current).unwrap();
        let made = regenerate(&Plaintext::new(current.into()), &entropy).unwrap();
        let after: Map<String, Value> = serde_json::from_slice(made.expose()).unwrap();
        let fresh = after[changed].as_str().unwrap();
        assert_eq!(fresh.len(), VALUE_CHARS);
        assert_ne!(before.get(changed), Some(&after[changed]));
        for (name, value) in &before {
            assert!(name == changed || after[name] == *value, "{name} is kept");
        }
    }

    #[test]
    fn one_field_changes_and_the_rest_stays() {
        check(r#"{"anything":"old"}"#, "anything");
        check(r#"{"username":"app","password":"old"}"#, "password");
        check(
            r#"{"client_id":"a","client_secret":"b","key":1}"#,
            "client_secret",
        );
        check("{}", "value");
    }

    #[test]
    fn given_fields_are_replaced_or_added_and_nothing_else_moves() {
        let new = |name: &str, value: &str| NewField::new(name, Plaintext::new(value.into()));
        let current = Plaintext::new(br#"{"port":5432.0,"username":"a","x":[1, 2]}"#.to_vec());
        let fields = [new("username", "b\"\\"), new("password", "p")];
        let made = replaced(Some(&current), &fields).unwrap();
        let text = std::str::from_utf8(made.expose()).unwrap();
        let expect = r#"{"port":5432.0,"username":"b\"\\","x":[1, 2],"password":"p"}"#;
        assert_eq!(text, expect);
        let first = replaced(None, &fields).unwrap();
        let first: Map<String, Value> = serde_json::from_slice(first.expose()).unwrap();
        assert_eq!(first.len(), 2);
        assert!(replaced(Some(&Plaintext::new(b"[]".to_vec())), &fields).is_none());
    }

    #[test]
    fn numbers_and_order_are_kept_to_the_byte() {
        let entropy = Counting(std::sync::atomic::AtomicU8::new(3));
        let current = br#"{"z":1.50,"password":"x","a":12345678901234567890123}"#;
        let made = regenerate(&Plaintext::new(current.to_vec()), &entropy).unwrap();
        let text = std::str::from_utf8(made.expose()).unwrap();
        assert!(text.starts_with(r#"{"z":1.50,"password":""#), "{text}");
        assert!(
            text.ends_with(r#"","a":12345678901234567890123}"#),
            "{text}"
        );
    }

    #[test]
    fn rather_nothing_than_the_wrong_thing() {
        let entropy = Counting(std::sync::atomic::AtomicU8::new(3));
        for text in [
            "[1]",
            r#"{"username":"app"}"#,
            r#"{"host":"h","port":5}"#,
            r#"{"creds":{"user":"a","password":"b"}}"#,
            r#"{"password":{"now":"x"},"user":"u"}"#,
            r#"{"cert_pem":"c","key_pem":"k"}"#,
        ] {
            let current = Plaintext::new(text.into());
            assert!(regenerate(&current, &entropy).is_none(), "{text}");
        }
    }
}
