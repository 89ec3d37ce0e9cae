//! What a generated value looks like when no recipe is attached.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use serde_json::{Map, Value};
use zeroize::Zeroize;

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

/// The current object with its secret part replaced by a random string, everything else kept:
/// the only field if there is just one, else the first customary name that is there, else a new
/// field `value`. `None` when the current value is not an object.
pub(super) fn regenerate(current: &Plaintext, entropy: &dyn Entropy) -> Option<Plaintext> {
    let mut object: Map<String, Value> = serde_json::from_slice(current.expose()).ok()?;
    let field = secret_field(&object);
    let fresh = scaivault_crypto::generate::random_value(entropy, VALUE_CHARS);
    let text = String::from_utf8(fresh.expose().to_vec()).ok()?;
    let replaced = object.insert(field, Value::String(text));
    let bytes = serde_json::to_vec(&object).ok();
    wipe(replaced);
    for (_, value) in object {
        wipe(Some(value));
    }
    bytes.map(Plaintext::new)
}

fn secret_field(object: &Map<String, Value>) -> String {
    if object.len() == 1
        && let Some(only) = object.keys().next()
    {
        return only.clone();
    }
    SECRET_FIELDS
        .into_iter()
        .find(|name| object.contains_key(*name))
        .unwrap_or("value")
        .to_owned()
}

fn wipe(value: Option<Value>) {
    match value {
        Some(Value::String(mut text)) => text.zeroize(),
        Some(Value::Array(items)) => items.into_iter().for_each(|item| wipe(Some(item))),
        Some(Value::Object(fields)) => fields.into_iter().for_each(|(_, v)| wipe(Some(v))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
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
        check(r#"{"host":"h","port":5}"#, "value");
        check("{}", "value");
    }

    #[test]
    fn only_objects_are_regenerated() {
        let entropy = Counting(std::sync::atomic::AtomicU8::new(3));
        assert!(regenerate(&Plaintext::new(b"[1]".to_vec()), &entropy).is_none());
    }
}
