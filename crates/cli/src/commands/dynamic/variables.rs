//! Credentials as environment variables.

use clap::Args;
use scaivault_api::dynamic::Credential;
use serde_json::Value;

use crate::exit::CliError;

/// Which variables.
#[derive(Args)]
pub(super) struct Variables {
    /// A variable: PGUSER=username, or a text with fields in it:
    /// DATABASE_URL=postgresql://{{username}}:{{password}}@db/orders. May be repeated
    /// [default: one for each field]
    #[arg(long = "env", value_name = "NAME=FIELD", value_parser = variable)]
    wanted: Vec<Variable>,
    /// What names begin with where no --env is given [default: the engine's name]
    #[arg(long, value_name = "PREFIX", conflicts_with = "wanted")]
    prefix: Option<String>,
}

/// One variable: its name, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: String,
    holds: Holds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Holds {
    Field(String),
    Text(String),
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, holds) = text
        .split_once('=')
        .ok_or("it is NAME=FIELD, or NAME=TEXT with {{field}} in it")?;
    if !is_name(name) {
        return Err("a name is of letters, digits and _, and begins with no digit".to_owned());
    }
    let holds = match holds.contains("{{") {
        true => Holds::Text(holds.to_owned()),
        false => Holds::Field(holds.to_owned()),
    };
    Ok(Variable {
        name: name.to_owned(),
        holds,
    })
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Variables {
    /// Looked at before anything is made.
    pub(super) fn check(&self) -> Result<(), CliError> {
        match &self.prefix {
            Some(prefix) if !prefix.is_empty() && !is_name(prefix) => Err(CliError::Input(
                "--prefix is of letters, digits and _, and begins with no digit".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Names and values, in the order they were asked for.
    pub(super) fn of(&self, made: &Credential) -> Result<Vec<(String, String)>, CliError> {
        if self.wanted.is_empty() {
            return Ok(self.all(made));
        }
        let one = |wanted: &Variable| {
            let value = match &wanted.holds {
                Holds::Field(field) => field_of(made, field)?,
                Holds::Text(text) => fill(made, text)?,
            };
            Ok((wanted.name.clone(), value))
        };
        self.wanted.iter().map(one).collect()
    }

    fn all(&self, made: &Credential) -> Vec<(String, String)> {
        let prefix = match &self.prefix {
            Some(prefix) => prefix.clone(),
            None => prefix_of(&made.engine),
        };
        let mut all: Vec<(String, String)> = made
            .data
            .iter()
            .map(|(field, value)| (format!("{prefix}{}", upper(field)), bare(value)))
            .collect();
        all.push((format!("{prefix}LEASE_ID"), made.lease_id.clone()));
        all
    }
}

/// `orders-db` gives `ORDERS_DB_`; what begins with a digit gets a line before it.
fn prefix_of(engine: &str) -> String {
    let name = format!("{}_", upper(engine));
    match is_name(&name) {
        true => name,
        false => format!("_{name}"),
    }
}

fn upper(text: &str) -> String {
    let letter = |char: char| match char.is_ascii_alphanumeric() {
        true => char.to_ascii_uppercase(),
        false => '_',
    };
    text.chars().map(letter).collect()
}

fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn field_of(made: &Credential, field: &str) -> Result<String, CliError> {
    if let Some(value) = made.data.get(field) {
        return Ok(bare(value));
    }
    match field {
        "lease_id" => Ok(made.lease_id.clone()),
        "expires_at" => Ok(made.expires_at.clone()),
        _ => {
            let mut known: Vec<&str> = made.data.keys().map(String::as_str).collect();
            known.extend(["lease_id", "expires_at"]);
            Err(CliError::NoCredentialField {
                field: field.to_owned(),
                known: known.join(", "),
            })
        }
    }
}

/// Puts fields into a text. In a URL they are encoded: a password may hold anything.
fn fill(made: &Credential, text: &str) -> Result<String, CliError> {
    let is_url = text.contains("://");
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, behind) = after.split_once("}}").ok_or_else(|| {
            CliError::Input("a text of --env has {{ without }} behind it".to_owned())
        })?;
        filled.push_str(before);
        let value = field_of(made, field.trim())?;
        match is_url {
            true => encode(&mut filled, &value),
            false => filled.push_str(&value),
        }
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// As a part of a URL: everything but its unreserved characters.
fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Lines for a shell to read: `export NAME='value'`.
pub(super) fn shell(variables: &[(String, String)]) -> String {
    let line = |(name, value): &(String, String)| {
        format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
    };
    variables.iter().map(line).collect()
}

/// Lines of a file of variables: `NAME=value`, in which no value can have a second line.
pub(super) fn file(variables: &[(String, String)]) -> Result<String, CliError> {
    let mut text = String::new();
    for (name, value) in variables {
        if value.contains(['\n', '\r']) {
            return Err(CliError::Input(format!(
                "{name} has several lines, which --format env cannot say; take shell or json"
            )));
        }
        text.push_str(&format!("{name}={value}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Credential {
        serde_json::from_value(serde_json::json!({
            "lease_id": "lse_1", "engine": "orders-db", "role": "reader",
            "data": {"username": "v_r", "password": "a'b/c@d", "pub-key": "x\ny"},
            "renewable": true, "ttl": 60, "expires_at": "t1", "max_expires_at": "t2"
        }))
        .expect("a credential")
    }

    fn variables(wanted: &[&str]) -> Variables {
        let wanted = wanted.iter().map(|text| variable(text).expect("one"));
        Variables {
            wanted: wanted.collect(),
            prefix: None,
        }
    }

    fn texts(variables: &Variables) -> Vec<String> {
        let all = variables.of(&made()).expect("variables");
        let line = |(name, value)| format!("{name}={value}");
        all.into_iter().map(line).collect()
    }

    #[test]
    fn every_field_without_being_asked() {
        let mut all = variables(&[]);
        assert_eq!(
            texts(&all),
            [
                "ORDERS_DB_PASSWORD=a'b/c@d",
                "ORDERS_DB_PUB_KEY=x\ny",
                "ORDERS_DB_USERNAME=v_r",
                "ORDERS_DB_LEASE_ID=lse_1"
            ]
        );
        all.prefix = Some(String::new());
        assert_eq!(texts(&all)[0], "PASSWORD=a'b/c@d");
        assert_eq!(prefix_of("7up"), "_7UP_");
    }

    #[test]
    fn a_url_takes_any_password() {
        let wanted = variables(&[
            "URL=postgresql://{{username}}:{{ password }}@db/x",
            "LINE=user {{username}} until {{expires_at}}",
            "PGUSER=username",
            "LEASE=lease_id",
        ]);
        assert_eq!(
            texts(&wanted),
            [
                "URL=postgresql://v_r:a%27b%2Fc%40d@db/x",
                "LINE=user v_r until t1",
                "PGUSER=v_r",
                "LEASE=lse_1"
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_told_without_values() {
        for text in ["X=token", "X={{token}}"] {
            let refused = variables(&[text]).of(&made()).expect_err("not there");
            let told = refused.to_string();
            assert!(told.contains("'token'") && told.contains("username"));
            assert!(!told.contains("v_r"));
        }
        assert!(variables(&["X={{username"]).of(&made()).is_err());
        for bad in ["X", "1X=username", "A B=username", "=username"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn forms() {
        let all = variables(&["P=password"]).of(&made()).expect("one");
        assert_eq!(shell(&all), "export P='a'\\''b/c@d'\n");
        assert_eq!(file(&all).expect("a line"), "P=a'b/c@d\n");
        let lines = variables(&["K=pub-key"]).of(&made()).expect("one");
        assert!(file(&lines).is_err());
        assert_eq!(shell(&lines), "export K='x\ny'\n");
    }
}
