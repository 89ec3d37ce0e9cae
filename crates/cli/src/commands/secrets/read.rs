//! `scaivault secrets read`: the only command that prints a value.

use std::collections::BTreeMap;

use clap::Args;
use scaivault_api::secret::SecretValue;
use serde_json::value::RawValue;

use crate::commands::Session;
use crate::exit::CliError;
use crate::table::{Table, or_dash, plain, plain_lines};

#[derive(Args)]
pub(crate) struct Read {
    /// Path of the secret
    path: String,
    /// This version instead of the current one
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Print the value of this field alone, to the byte; `/a/b` reaches into nested values
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
}

impl Read {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let secrets = session.client.secrets();
        let call = match self.version {
            Some(version) => secrets.read_version(&self.path, version),
            None => secrets.read(&self.path),
        };
        let Some(field) = self.field else {
            return session.output.answer(call, render).await;
        };
        let secret = call.await?;
        let value = find(&secret.data, &field)?;
        if session.output.is_json() {
            session.output.line(value.get())
        } else {
            session.output.value(&bare(value.get()))
        }
    }
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// A field of the value: by its name, or else by a JSON pointer. What is found is what was
/// stored, byte for byte.
fn find<'a>(data: &'a RawValue, field: &str) -> Result<&'a RawValue, CliError> {
    let fields = object(data).unwrap_or_default();
    if let Some(value) = fields.get(field) {
        return Ok(value);
    }
    let found = field.strip_prefix('/').and_then(|pointer| {
        pointer.split('/').try_fold(data, |value, part| {
            let part = part.replace("~1", "/").replace("~0", "~");
            match object(value) {
                Some(fields) => fields.get(&part).copied(),
                None => {
                    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                    items.get(part.parse::<usize>().ok()?).copied()
                }
            }
        })
    });
    found.ok_or_else(|| CliError::NoField {
        field: field.to_owned(),
        known: fields.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}

fn object(value: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// A string without its quotes, anything else as JSON.
fn bare(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}

fn render(secret: &SecretValue) -> String {
    let mut head = Table::fields();
    let current = if secret.is_current {
        "current"
    } else {
        "not current"
    };
    head.row(["path", &secret.path]);
    head.row(["type", &secret.secret_type]);
    head.row(["version", &format!("{} ({current})", secret.version)]);
    head.row(["updated", &secret.updated_at]);
    head.row(["expires", or_dash(secret.expires_at.as_deref())]);
    if let Some(until) = &secret.readable_until {
        head.row(["readable until", until]);
    }
    if let Some(description) = &secret.metadata.description {
        head.row(["description", description]);
    }
    format!("{}\n{}", head.render(), values(&secret.data))
}

/// One line for each field; a value of several lines stands below its name.
pub(crate) fn values(data: &RawValue) -> String {
    let Some(fields) = object(data) else {
        return format!("{}\n", plain(data.get()));
    };
    let mut short = Table::new(&["FIELD", "VALUE"]);
    let mut long = String::new();
    let mut has_short = false;
    for (name, value) in &fields {
        let value = bare(value.get());
        if value.contains('\n') {
            let value = plain_lines(value.trim_end_matches('\n'));
            long.push_str(&format!("\n{}:\n{value}\n", plain(name)));
        } else {
            has_short = true;
            short.row([name, &value]);
        }
    }
    let short = if has_short {
        short.render()
    } else {
        String::new()
    };
    format!(
        "{short}{}",
        if has_short {
            &long
        } else {
            long.trim_start_matches('\n')
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("json")
    }

    #[test]
    fn a_field_is_found_as_it_was_stored() {
        let data = raw(r#"{"a":"x\ny","n":1.50,"big":12345678901234567890123,
            "o":{"k/e":[true,"deep"]},"/odd":"slash","e":null}"#);
        let check = |field: &str, expect: &str| {
            let value = find(&data, field).expect("field");
            assert_eq!(bare(value.get()), expect, "{field}");
        };
        check("a", "x\ny");
        check("n", "1.50");
        check("big", "12345678901234567890123");
        check("/o/k~1e/1", "deep");
        check("/o", r#"{"k/e":[true,"deep"]}"#);
        check("/odd", "slash");
        check("e", "null");
        for absent in ["b", "/b", "/o/k~1e/2", "/a/0", ""] {
            assert!(find(&data, absent).is_err(), "{absent}");
        }
    }

    #[test]
    fn an_absent_field_names_those_there_are_without_values() {
        let data = raw(r#"{"user":"hunter1","password":"hunter2"}"#);
        let message = find(&data, "pass").expect_err("absent").to_string();
        assert_eq!(
            message,
            "there is no field 'pass' in this secret; it has: password, user"
        );
    }

    #[test]
    fn values_for_people() {
        let data = raw(r#"{"b":"x","a":{"n":1},"pem":"-----\nAA\n-----\n"}"#);
        assert_eq!(
            values(&data),
            "FIELD  VALUE\na      {\"n\":1}\nb      x\n\npem:\n-----\nAA\n-----\n"
        );
        assert_eq!(values(&raw(r#"{"pem":"A\nB"}"#)), "pem:\nA\nB\n");
        assert_eq!(
            values(&raw(r#"{"a":"\u001b[2J"}"#)),
            "FIELD  VALUE\na      \\u{1b}[2J\n"
        );
    }
}
