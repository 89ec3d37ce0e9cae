//! Templates: `{{name}}` in the texts of a description, replaced with values that are escaped for
//! the place they land in. This is the one file in which a value becomes part of a request.
//!
//! Names are `manager.field`, `credential.field`, `account.field`, `tag` and `id`. There are no
//! expressions, no defaults and no white space inside the braces.

use reqwest::header::HeaderValue;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::target::{Trouble, TroubleKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::value;

/// What a template may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A field of the manager secret's value.
    Manager(String),
    /// A field of the credential that is tried.
    Credential(String),
    /// A field of the attachment's settings.
    Account(String),
    /// What the keys of this rotation are called.
    Tag,
    /// The id of the key that is revoked.
    Id,
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let field = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
        };
        match text.split_once('.') {
            None if text == "tag" => Some(Self::Tag),
            None if text == "id" => Some(Self::Id),
            Some(("manager", rest)) => field(rest).map(Self::Manager),
            Some(("credential", rest)) => field(rest).map(Self::Credential),
            Some(("account", rest)) => field(rest).map(Self::Account),
            _ => None,
        }
    }

    /// Whether its value is secret: such a value stays out of addresses, which are logged on the
    /// way.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Manager(_) | Self::Credential(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(Name),
}

/// A text with names in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or("a `{{` has no `}}`".to_owned())?;
            let name = Name::parse(name).ok_or_else(|| {
                "a name in braces is none of manager.…, credential.…, account.…, tag, id".to_owned()
            })?;
            literal(before, &mut parts)?;
            parts.push(Part::Name(name));
            rest = after;
        }
        literal(rest, &mut parts)?;
        Ok(Self(parts))
    }

    /// The names in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Name(name) => Some(name),
        })
    }

    /// The name, when there is nothing else in it.
    pub(super) fn whole(&self) -> Option<&Name> {
        match self.0.as_slice() {
            [Part::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// The fixed texts in it.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Name(_) => None,
        })
    }

    /// The text with every value passed through `escape`.
    fn render(
        &self,
        values: &Values<'_>,
        escape: impl Fn(&str, &mut String) -> Result<(), Trouble>,
    ) -> Result<Zeroizing<String>, Trouble> {
        let mut out = Zeroizing::new(String::new());
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => escape(&values.text(name)?, &mut out)?,
            }
        }
        Ok(out)
    }

    /// As the text of a form field, a query parameter or a JSON string: their encoders escape it.
    pub(super) fn plain(&self, values: &Values<'_>) -> Result<Zeroizing<String>, Trouble> {
        self.render(values, |value, out| {
            out.push_str(value);
            Ok(())
        })
    }

    /// As a path: no value is empty, leaves its segment, or makes one that means another place.
    pub(super) fn path(&self, values: &Values<'_>) -> Result<Zeroizing<String>, Trouble> {
        let path = self.render(values, segment)?;
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(unfit());
        }
        Ok(path)
    }

    /// As a header's value. It is marked as secret for whoever prints headers.
    pub(super) fn header(&self, values: &Values<'_>) -> Result<HeaderValue, Trouble> {
        let text = self.plain(values)?;
        if !text.is_ascii() {
            // Servers read other bytes in different ways.
            return Err(unfit());
        }
        let mut value = HeaderValue::from_str(&text).map_err(|_| unfit())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn literal(text: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    if text.contains("}}") {
        return Err("a `}}` has no `{{`".to_owned());
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// Leaves only the characters that never have a meaning in a path.
fn segment(value: &str, out: &mut String) -> Result<(), Trouble> {
    if value.is_empty() {
        // `/keys/` is not the key without an id, it is the list of all.
        return Err(unfit());
    }
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Ok(())
}

fn unfit() -> Trouble {
    Trouble::new(TroubleKind::Credential)
        .remedy("a field's text cannot stand where the description puts it")
}

/// A JSON body with its texts replaced. A text that is nothing but an account's field becomes the
/// field's value, so that lists stay lists.
pub(super) fn json(body: &Value, values: &Values<'_>) -> Result<Value, Trouble> {
    Ok(match body {
        Value::String(text) => {
            let template =
                Template::parse(text).map_err(|_| Trouble::from(TroubleKind::Settings))?;
            match template.whole() {
                Some(Name::Account(field)) => values.account(field)?.clone(),
                _ => Value::String(template.plain(values)?.to_string()),
            }
        }
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| json(item, values))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), json(field, values)?)))
                .collect::<Result<_, Trouble>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
    })
}

/// What names stand for in one request.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// The manager secret's value.
    pub(super) manager: Option<&'a Plaintext>,
    /// The credential that is tried.
    pub(super) credential: Option<&'a Plaintext>,
    /// The attachment's own fields.
    pub(super) account: Option<&'a Map<String, Value>>,
    /// What the keys of this rotation are called.
    pub(super) tag: &'a str,
    /// The key that is revoked.
    pub(super) id: Option<&'a str>,
}

impl Values<'_> {
    fn account(&self, field: &str) -> Result<&Value, Trouble> {
        let found = self.account.and_then(|account| account.get(field));
        found.ok_or_else(|| {
            Trouble::new(TroubleKind::Settings)
                .remedy(format!("give the attachment's `fields` a field `{field}`"))
        })
    }

    fn text(&self, name: &Name) -> Result<Zeroizing<String>, Trouble> {
        match name {
            Name::Manager(field) => {
                let manager = self.manager.ok_or(TroubleKind::ManagerMissing)?;
                value::text(manager, field).ok_or_else(|| {
                    Trouble::new(TroubleKind::ManagerMissing)
                        .remedy(format!("give the manager secret the text field `{field}`"))
                })
            }
            Name::Credential(field) => {
                value::needed(self.credential.ok_or(TroubleKind::Settings)?, field)
            }
            Name::Account(field) => match self.account(field)? {
                Value::String(text) => Ok(Zeroizing::new(text.clone())),
                Value::Number(number) => Ok(Zeroizing::new(number.to_string())),
                _ => Err(Trouble::new(TroubleKind::Settings).remedy(format!(
                    "the attachment's field `{field}` has to be a text here"
                ))),
            },
            Name::Tag => Ok(Zeroizing::new(self.tag.to_owned())),
            Name::Id => Ok(Zeroizing::new(
                self.id.ok_or(TroubleKind::Settings)?.to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
