//! What a request is to be done with: one thing, or many in `batch_input`. Each of many comes to an
//! outcome of its own.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_api::ErrorCode;
use scaivault_core::transit::TransitRefusal;
use scaivault_engine::{TransitOutcome, VaultError};
use serde_json::{Map, Value, json};

use super::fields::{Fields, wrong};
use super::reply::Reply;
use crate::problem::Problem;

/// The most things in one request.
const ITEMS_MAX: usize = 5_000;

/// Bytes that were sent as base64; line ends do not count.
pub(super) fn base64_of(text: &str) -> Option<Vec<u8>> {
    match text.contains(['\n', '\r']) {
        false => STANDARD.decode(text).ok(),
        true => STANDARD.decode(text.replace(['\n', '\r'], "")).ok(),
    }
}

/// One thing, field by field.
pub(super) struct Item(Map<String, Value>);

impl Item {
    /// A text; none when it is not there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Whether it says that at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Bytes; none where it says nothing.
    pub(super) fn bytes(&self, name: &str, why: &'static str) -> TransitOutcome<Vec<u8>> {
        let text = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::String(text)) => text,
            Some(_) => return Err(TransitRefusal::Input(why)),
        };
        base64_of(text).ok_or(TransitRefusal::Input(why))
    }

    /// The bytes of a context.
    pub(super) fn context(&self) -> TransitOutcome<Vec<u8>> {
        self.bytes("context", "failed to base64-decode context")
    }

    /// The number of a version; 0 where it says nothing.
    pub(super) fn version(&self) -> TransitOutcome<u32> {
        let why = TransitRefusal::Input("key_version is a whole number, 0 or more");
        let number = match self.0.get("key_version") {
            None | Some(Value::Null) => return Ok(0),
            Some(Value::String(text)) if text.is_empty() => return Ok(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        let number = number.ok_or(why)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

/// What a request is to be done with.
pub(super) struct Items {
    pub(super) all: Vec<Item>,
    /// They came in a list, and so go their outcomes.
    pub(super) is_batch: bool,
}

impl Items {
    /// Of a request: these fields of its own when it has no list.
    pub(super) fn of(fields: &Fields, own: &[&str]) -> Result<Self, Problem> {
        let Some(batch) = fields.value("batch_input")? else {
            let mut item = serde_json::Map::new();
            for name in own {
                let value = match fields.value(name)? {
                    None => continue,
                    // A command line knows no types.
                    Some(Value::Number(number)) => Value::String(number.to_string()),
                    Some(value) => value,
                };
                item.insert((*name).to_owned(), value);
            }
            return Ok(Self {
                all: vec![Item(item)],
                is_batch: false,
            });
        };
        let batch = match batch {
            // A command line sends it as a text.
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            batch => batch,
        };
        let Value::Array(list) = batch else {
            return Err(wrong("batch_input", "is a list of objects"));
        };
        if list.is_empty() {
            let why = "missing batch input to process";
            return Err(Problem::new(ErrorCode::InvalidRequest, why));
        }
        if list.len() > ITEMS_MAX {
            let why = format!("has at most {ITEMS_MAX} items");
            return Err(wrong("batch_input", &why));
        }
        let objects = list.into_iter().map(|item| match item {
            Value::Object(item) => Ok(Item(item)),
            _ => Err(wrong("batch_input", "is a list of objects")),
        });
        Ok(Self {
            all: objects.collect::<Result<_, _>>()?,
            is_batch: true,
        })
    }

    /// The answer: of the one thing, or a list. `part` says what one came to.
    pub(super) fn answered<T>(
        &self,
        outcomes: Vec<TransitOutcome<T>>,
        part: impl Fn(T) -> Value,
    ) -> Result<Reply, Problem> {
        if !self.is_batch {
            let first = outcomes.into_iter().next();
            let first = first.unwrap_or(Err(TransitRefusal::Failed));
            return Reply::data(&part(first.map_err(VaultError::from)?));
        }
        let told = outcomes.into_iter().zip(&self.all).map(|(outcome, item)| {
            let mut told = match outcome {
                Ok(made) => part(made),
                Err(refusal) => json!({ "error": refusal.to_string() }),
            };
            told["reference"] = item.text("reference").unwrap_or_default().into();
            told
        });
        let told: Vec<Value> = told.collect();
        Reply::data(&json!({ "batch_results": told }))
    }

    /// The status of a list whose things did not all succeed: as theirs, 400, or what the client asked
    /// for where some did.
    pub(super) fn status(
        &self,
        fields: &Fields,
        failed: usize,
    ) -> Result<Option<StatusCode>, Problem> {
        if !self.is_batch || failed == 0 {
            return Ok(None);
        }
        let wanted = fields.number("partial_failure_response_code")?;
        let wanted = wanted.filter(|code| (200..600).contains(code) && failed < self.all.len());
        let wanted = wanted.and_then(|code| u16::try_from(code).ok());
        let wanted = wanted.and_then(|code| StatusCode::from_u16(code).ok());
        Ok(Some(wanted.unwrap_or(StatusCode::BAD_REQUEST)))
    }
}
