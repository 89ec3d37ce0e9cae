//! Fields of credentials and settings: JSON objects whose texts are wiped after use.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::target::{Trouble, TroubleKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The text of a field of a credential. `None` when the value is no object, has no such field, or
/// the field holds no text.
pub(crate) fn text(credential: &Plaintext, field: &str) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Object<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);

    let Object(fields) = serde_json::from_slice(credential.expose()).ok()?;
    let raw = fields.get(field)?;
    serde_json::from_str::<String>(raw.get())
        .ok()
        .map(Zeroizing::new)
}

/// The text of a field that must be there.
pub(crate) fn needed(credential: &Plaintext, field: &str) -> Result<Zeroizing<String>, Trouble> {
    text(credential, field).ok_or_else(|| {
        Trouble::new(TroubleKind::Credential).remedy(format!(
            "write the value as a JSON object with the text field `{field}`"
        ))
    })
}

/// The text of a setting.
pub(crate) fn setting<'a>(settings: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    settings.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_of_objects_are_fields() {
        let value = Plaintext::new(br#"{"a":"x\n\u00e9","b":1,"c":null}"#.to_vec());
        assert_eq!(
            text(&value, "a").as_deref().map(String::as_str),
            Some("x\n\u{e9}")
        );
        assert!(text(&value, "b").is_none());
        assert!(text(&value, "d").is_none());
        assert!(text(&Plaintext::new(b"[1]".to_vec()), "a").is_none());
        assert_eq!(
            needed(&value, "d").unwrap_err().kind,
            TroubleKind::Credential
        );
    }
}
