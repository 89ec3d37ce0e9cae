//! Whether others can read a body. A value is kept byte for byte, and the grammar of JSON allows what
//! most readers of it refuse: a `\u` escape that names half a character, a number beyond every double.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// All of a document, read as far as anybody would and kept nowhere.
pub(crate) struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Readable;

    #[test]
    fn half_characters_and_numbers_beyond_a_double_are_for_nobody() {
        let is_read = |text: &str| serde_json::from_str::<Readable>(text).is_ok();
        for text in [
            r#"{"a":"\ud83d\ude00","b":[null,true,-1,1e308,0.1]}"#,
            r#"{"a":"\u00e9\n\\ud800"}"#,
            r#"{"a":123456789012345678901234567890}"#,
            r#""x""#,
        ] {
            assert!(is_read(text), "{text}");
        }
        for text in [
            r#"{"\ud800":""}"#,
            r#"{"a":"\udc00"}"#,
            r#"[{"a":"\ud800\u0041"}]"#,
            r#"{"a":"\ud83dx"}"#,
            r#"{"a":"\\\ud800"}"#,
            r#"{"a":[1e400]}"#,
            "-1e999",
        ] {
            assert!(!is_read(text), "{text}");
        }
    }
}
