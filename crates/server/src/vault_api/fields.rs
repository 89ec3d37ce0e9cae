//! The fields of a body. Clients of this API send numbers and durations as numbers or as text, lists
//! as lists or with commas: a command line knows no types.

use std::collections::BTreeMap;

use axum::body::Bytes;
use scaivault_api::ErrorCode;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::body::{is_field_name, parse};
use crate::problem::Problem;

/// What is wrong with a value that is JSON, and yet says nothing.
pub(super) const UNREADABLE: &str =
    "has a text that is no Unicode (half a surrogate pair), or a number that is too large";

/// What a body says, each field as it was written.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Of an object, or of nothing.
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, Problem> {
        // As their command line says that there is nothing to say.
        let is_empty = matches!(bytes.trim_ascii(), b"" | b"null");
        match is_empty {
            true => Ok(Self::default()),
            false => parse(bytes).map(Self),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, as they were written.
    pub(super) fn all(&self) -> &BTreeMap<String, Box<RawValue>> {
        &self.0
    }

    /// Fields that are none of these: they are told as not heeded.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<String> {
        let unknown = self.0.keys().filter(|name| !known.contains(&name.as_str()));
        let shown: Vec<&str> = unknown
            .map(|name| if is_field_name(name) { name } else { "?" })
            .collect();
        match shown.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "Endpoint ignores these unrecognized parameters: [{}]",
                shown.join(" ")
            )],
        }
    }

    /// As it was written; `null` counts as absent.
    pub(super) fn raw(&self, name: &str) -> Option<&RawValue> {
        let found = self.0.get(name).map(|raw| &**raw);
        found.filter(|raw| raw.get() != "null")
    }

    /// A value of any type.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, Problem> {
        let read = |raw: &RawValue| serde_json::from_str(raw.get());
        let value = self.raw(name).map(read).transpose();
        value.map_err(|_| wrong(name, UNREADABLE))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(wrong(name, "is a text")),
        }
    }

    /// A text that has to be there.
    pub(super) fn needed(&self, name: &str) -> Result<String, Problem> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| wrong(name, "is needed"))
    }

    /// A whole number from 0.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        match self.text(name)?.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match text.bytes().all(|byte| byte.is_ascii_digit()) {
                true => text
                    .parse()
                    .map(Some)
                    .map_err(|_| wrong(name, "is too large")),
                false => Err(wrong(name, "is a whole number, 0 or more")),
            },
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.text(name)?.as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(wrong(name, "is true or false")),
        }
    }

    /// A duration in seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, Problem> {
        match self.text(name)?.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => seconds(&text).map(Some).ok_or_else(|| {
                wrong(
                    name,
                    "is a number of seconds, or a time such as 90s, 1h30m or 7d",
                )
            }),
        }
    }

    /// Texts: a list, or one text with commas.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Array(list)) => {
                let texts: Option<Vec<String>> = list.into_iter().map(text).collect();
                texts
                    .map(Some)
                    .ok_or_else(|| wrong(name, "is a list of texts"))
            }
            Some(value) => {
                let text = text(value).ok_or_else(|| wrong(name, "is a list of texts"))?;
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                Ok(Some(parts.map(str::to_owned).collect()))
            }
        }
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, Problem> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(wrong(name, "is an object")),
        }
    }
}

/// 400 for one field.
pub(super) fn wrong(name: &str, why: &str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, format!("{name} {why}"))
}

/// `90`, `90s`, `1h30m`, `7d` in seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (mut total, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = unit.split_at(letters);
        let each = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(each)?)?;
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn durations() {
        let check = |text: &str, expect| assert_eq!(seconds(text), expect, "{text}");
        check("90", Some(90));
        check("1h30m", Some(5_400));
        check("7d", Some(604_800));
        check("0s", Some(0));
        for bad in [
            "",
            "h",
            "1x",
            "-1",
            "1.5h",
            "1h-1m",
            "99999999999999999999d",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn types_are_lenient_where_a_command_line_has_none() {
        let body =
            r#"{"a":"5","b":5,"c":"true","d":"x, y","e":["x","y"],"f":null,"g":"1h","h":{}}"#;
        let fields = fields(body);
        assert_eq!(fields.number("a").unwrap(), Some(5));
        assert_eq!(fields.number("b").unwrap(), Some(5));
        assert_eq!(fields.flag("c").unwrap(), Some(true));
        assert_eq!(fields.texts("d").unwrap(), fields.texts("e").unwrap());
        assert_eq!(fields.text("f").unwrap(), None);
        assert_eq!(fields.seconds("g").unwrap(), Some(3_600));
        assert!(fields.text("h").is_err() && fields.number("g").is_err());
        assert!(fields.unknown(&["a", "b", "c", "d", "e", "f", "g"])[0].contains("[h]"));
    }

    #[test]
    fn what_cannot_be_read_is_not_absent() {
        for body in [
            r#"{"c":{"cas":1e999}}"#,
            r#"{"d":[1e999]}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(
                Fields::parse(&Bytes::from_static(body.as_bytes())).is_err(),
                "{body}"
            );
        }
        assert_eq!(fields("{}").value("e").unwrap(), None);
    }

    #[test]
    fn no_body_is_no_fields_and_a_list_is_no_body() {
        assert!(fields("  ").raw("a").is_none());
        assert!(fields(" null\n").raw("a").is_none());
        assert!(Fields::parse(&Bytes::from_static(b"[1]")).is_err());
        assert!(Fields::parse(&Bytes::from_static(b"{\"a\":")).is_err());
    }
}
