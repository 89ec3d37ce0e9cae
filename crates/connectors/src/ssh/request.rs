//! What a request asks for, and the forms that it shares with roles.

use std::collections::BTreeMap;

use scaivault_core::ports::FieldProblem;
use serde_json::{Map, Value};

/// Of one text.
pub(super) const TEXT_MAX: usize = 1024;

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) public_key: Option<String>,
    /// A new pair is made and given out.
    pub(super) generate: bool,
    pub(super) principals: Vec<String>,
    pub(super) extensions: Option<BTreeMap<String, String>>,
    pub(super) critical_options: Option<BTreeMap<String, String>>,
}

impl Asked {
    /// Reads a request's own fields.
    pub(super) fn read(params: &Map<String, Value>) -> Result<Self, FieldProblem> {
        let mut asked = Self::default();
        for (field, value) in params {
            let problem = |what: &str| (field.clone(), what.to_owned());
            match field.as_str() {
                "public_key" => {
                    let line = value.as_str().ok_or_else(|| problem("is a text"))?;
                    asked.public_key = Some(line.to_owned());
                }
                "generate" => {
                    let yes = value.as_bool().ok_or_else(|| problem("is true or false"))?;
                    asked.generate = yes;
                }
                "valid_principals" => {
                    let all = list(value);
                    asked.principals =
                        all.ok_or_else(|| problem("is a list of texts, or one with commas"))?;
                }
                "extensions" => {
                    let all = options(value);
                    asked.extensions = Some(all.ok_or_else(|| problem("is an object of texts"))?);
                }
                "critical_options" => {
                    let all = options(value);
                    asked.critical_options =
                        Some(all.ok_or_else(|| problem("is an object of texts"))?);
                }
                _ => return Err(problem("is not known")),
            }
        }
        match (&asked.public_key, asked.generate) {
            (None, false) => Err((
                "public_key".to_owned(),
                "is required: the key to be signed, or `generate`: true for a new pair".to_owned(),
            )),
            (Some(_), true) => Err((
                "generate".to_owned(),
                "makes a key of its own: leave `public_key` out".to_owned(),
            )),
            _ => Ok(asked),
        }
    }
}

/// Texts by comma or as a list.
pub(super) fn list(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<&str> = match value {
        Value::String(text) => text.split(',').collect(),
        Value::Array(all) => all.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let texts = texts.into_iter().map(str::trim);
    Some(
        texts
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

/// Names with their texts.
pub(super) fn options(value: &Value) -> Option<BTreeMap<String, String>> {
    let pairs = value.as_object()?.iter().map(|(name, value)| {
        let value = value.as_str()?;
        let sound = |text: &str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        (is_word(name) && sound(value)).then(|| (name.clone(), value.to_owned()))
    });
    pairs.collect()
}

/// A principal or the name of an option: nothing that a list or a pattern is made of.
pub(super) fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@:+/\\$".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(fits)
}
