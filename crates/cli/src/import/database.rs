//! Connections and roles of a database mount. The source never gives the password of a connection: it
//! comes from a file, or somebody finishes the work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::context::{Halt, Pair, at_source, at_target};
use super::report::{Entry, Kind, Outcome, Report};
use super::trouble::Trouble;
use crate::token::Token;

/// Files with passwords, each by its connection: `mydb`, or `mount/mydb` where several mounts have one
/// of this name.
pub(crate) type PasswordFiles = BTreeMap<String, PathBuf>;

/// A database mount.
pub(crate) struct Databases<'a> {
    pub(crate) pair: Pair<'a>,
    pub(crate) report: &'a Report,
    /// Paths there and here, with their slashes.
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Whether the mount is here already.
    pub(crate) is_here: bool,
    pub(crate) passwords: &'a BTreeMap<String, Token>,
    /// Whether the target logs in at the database before it keeps a connection.
    pub(crate) verify: bool,
}

#[derive(Deserialize)]
struct Shown {
    data: Map<String, Value>,
}

/// What became of it, why, and what to run.
type Told = (Outcome, String, Option<String>);

impl Databases<'_> {
    /// Copies all of it.
    ///
    /// # Errors
    /// When going on makes no sense.
    pub(crate) async fn copy(&self) -> Result<(), Trouble> {
        for name in self.names("config", Kind::Connection).await? {
            let told = self.connection(&name).await;
            self.tell(
                Kind::Connection,
                &format!("{}config/{name}", self.from),
                told,
            )?;
        }
        for name in self.names("roles", Kind::Role).await? {
            let told = self.role(&name).await;
            self.tell(Kind::Role, &format!("{}roles/{name}", self.from), told)?;
        }
        for name in self.names("static-roles", Kind::Role).await? {
            let told = self.static_role(&name).await;
            self.tell(
                Kind::Role,
                &format!("{}static-roles/{name}", self.from),
                told,
            )?;
        }
        Ok(())
    }

    fn tell(&self, kind: Kind, path: &str, told: Result<Told, Halt>) -> Result<(), Trouble> {
        match told {
            Ok((outcome, reason, command)) => {
                self.report.tell(Entry {
                    kind,
                    outcome,
                    path: path.to_owned(),
                    reason,
                    command,
                });
                Ok(())
            }
            Err(halt) => self.report.halted(kind, path, halt),
        }
    }

    async fn names(&self, word: &str, kind: Kind) -> Result<Vec<String>, Trouble> {
        let path = format!("{}{word}", self.from);
        match self.pair.source.list(&path).await {
            Ok(names) => Ok(names),
            Err(trouble) => {
                self.report.halted(kind, &path, at_source(trouble))?;
                Ok(Vec::new())
            }
        }
    }

    async fn there(&self, word: &str, name: &str) -> Result<Map<String, Value>, Halt> {
        let read = async {
            let path = format!("{}{word}/{name}", self.from);
            let answer = self.pair.source.read(&path).await?;
            Ok(answer.parse::<Shown>()?.data)
        };
        read.await.map_err(at_source)
    }

    async fn here(&self, path: &str) -> Result<Option<Map<String, Value>>, Halt> {
        if !self.is_here {
            return Ok(None);
        }
        let read = async {
            let answer = self.pair.target.find(path).await?;
            answer
                .map(|answer| Ok(answer.parse::<Shown>()?.data))
                .transpose()
        };
        read.await.map_err(at_target)
    }

    async fn connection(&self, name: &str) -> Result<Told, Halt> {
        let there = connection_fields(self.there("config", name).await?);
        let path = format!("{}config/{name}", self.to);
        if let Some(here) = self.here(&path).await? {
            let differs = differing(&there, &connection_fields(here));
            if differs.is_empty() {
                return Ok((Outcome::Same, String::new(), None));
            }
            if !self.pair.overwrite {
                let why = format!("another connection is here: {} differ", differs.join(", "));
                return Ok((Outcome::Conflict, why, None));
            }
        }
        let mut body = there.clone();
        let of_mount = format!("{}{name}", self.from);
        let password = self.passwords.get(&of_mount).or(self.passwords.get(name));
        match password {
            Some(password) => {
                body.insert("password".to_owned(), password.expose().into());
            }
            None if there.contains_key("username") => {
                let why = format!(
                    "the source does not give its password: give it by --database-password-file \
                     {of_mount}=FILE, or run the command; then run this again for its roles"
                );
                let command = command(&path, &there, Some("password=-"));
                return Ok((Outcome::ByHand, why, Some(command)));
            }
            None => {}
        }
        if !self.verify {
            body.insert("verify_connection".to_owned(), false.into());
        }
        self.write(&path, body).await
    }

    async fn role(&self, name: &str) -> Result<Told, Halt> {
        let there = said(self.there("roles", name).await?);
        let path = format!("{}roles/{name}", self.to);
        if let Some(here) = self.here(&path).await? {
            let differs = differing(&there, &said(here));
            if differs.is_empty() {
                return Ok((Outcome::Same, String::new(), None));
            }
            if !self.pair.overwrite {
                let why = format!("another role is here: {} differ", differs.join(", "));
                return Ok((Outcome::Conflict, why, None));
            }
        }
        self.write(&path, there).await
    }

    /// Making one rotates the password at the database, which the source would not know of.
    async fn static_role(&self, name: &str) -> Result<Told, Halt> {
        let mut there = said(self.there("static-roles", name).await?);
        for told in ["last_vault_rotation", "ttl"] {
            there.remove(told);
        }
        let path = format!("{}static-roles/{name}", self.to);
        if self.here(&path).await?.is_some() {
            return Ok((Outcome::Same, String::new(), None));
        }
        let why = "making it rotates the password at the database at once, and the source would rotate \
                   it again: delete it there first, then run the command";
        let command = command(&path, &there, None);
        Ok((Outcome::ByHand, why.to_owned(), Some(command)))
    }

    async fn write(&self, path: &str, body: Map<String, Value>) -> Result<Told, Halt> {
        if !self.pair.target.is_dry() {
            let written = self.pair.target.put(path, &Value::Object(body)).await;
            written.map_err(at_target)?;
        }
        Ok((Outcome::Copied, String::new(), None))
    }
}

/// A connection as it is written: what is told of it is one level deeper, and one name differs.
fn connection_fields(mut told: Map<String, Value>) -> Map<String, Value> {
    let mut fields = match told.remove("connection_details") {
        Some(Value::Object(details)) => details,
        _ => Map::new(),
    };
    for secret in ["password", "private_key", "tls_certificate_key"] {
        fields.remove(secret);
    }
    for (theirs, ours) in [
        ("plugin_name", "plugin_name"),
        ("allowed_roles", "allowed_roles"),
        ("password_policy", "password_policy"),
        (
            "root_credentials_rotate_statements",
            "root_rotation_statements",
        ),
    ] {
        if let Some(value) = told.remove(theirs) {
            fields.insert(ours.to_owned(), value);
        }
    }
    said(fields)
}

/// Without what is said by saying nothing.
fn said(fields: Map<String, Value>) -> Map<String, Value> {
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(map) => !map.is_empty(),
    };
    let usual = |name: &str, value: &Value| name == "credential_type" && value == "password";
    fields
        .into_iter()
        .filter(|(name, value)| is_said(value) && !usual(name, value))
        .collect()
}

/// Names of fields that are otherwise here.
fn differing(there: &Map<String, Value>, here: &Map<String, Value>) -> Vec<String> {
    let differs = |(name, value): &(&String, &Value)| match here.get(*name) {
        // Some servers tell numbers as text.
        Some(other) => word(value) != word(other),
        None => true,
    };
    let names = there.iter().filter(differs).map(|(name, _)| name.clone());
    names.collect()
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) if all.iter().all(Value::is_string) => {
            let words: Vec<String> = all.iter().map(word).collect();
            words.join(",")
        }
        other => other.to_string(),
    }
}

/// What a person runs, with either command line.
fn command(path: &str, fields: &Map<String, Value>, last: Option<&str>) -> String {
    let mut words = vec!["bao write".to_owned(), quoted(path)];
    for (name, value) in fields {
        let text = match value {
            // One statement each, which may have commas.
            Value::Array(all) if name.ends_with("_statements") => json!(all).to_string(),
            value => word(value),
        };
        words.push(quoted(&format!("{name}={text}")));
    }
    words.extend(last.map(str::to_owned));
    words.join(" ")
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn a_connection_is_written_as_it_is_told() {
        let told = json!({
            "plugin_name": "postgresql-database-plugin",
            "plugin_version": "",
            "allowed_roles": ["reader", "writer"],
            "password_policy": "",
            "root_credentials_rotate_statements": ["ALTER x"],
            "connection_details": {
                "connection_url": "postgresql://{{username}}:{{password}}@db/o",
                "username": "root", "max_open_connections": 4, "disable_escaping": false,
            },
        });
        let expect = json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": ["reader", "writer"],
            "root_rotation_statements": ["ALTER x"],
            "connection_url": "postgresql://{{username}}:{{password}}@db/o",
            "username": "root", "max_open_connections": 4,
        });
        assert_eq!(connection_fields(map(told)), map(expect));
    }

    #[test]
    fn what_differs_is_named() {
        let there = said(map(
            json!({ "db_name": "d", "default_ttl": 3600, "max_ttl": 0,
                    "creation_statements": ["a"], "credential_type": "password" }),
        ));
        let same = map(
            json!({ "db_name": "d", "default_ttl": "3600", "creation_statements": ["a"],
                               "more": 1 }),
        );
        assert_eq!(differing(&there, &same), Vec::<String>::new());
        let other = map(json!({ "db_name": "d", "creation_statements": ["b"] }));
        assert_eq!(
            differing(&there, &other),
            ["creation_statements", "default_ttl"]
        );
    }

    #[test]
    fn the_command_can_be_pasted() {
        let fields = map(json!({ "connection_url": "a b's", "username": "root" }));
        let text = command("database/config/my", &fields, Some("password=-"));
        assert_eq!(
            text,
            r"bao write database/config/my 'connection_url=a b'\''s' username=root password=-"
        );
        let fields = map(json!({ "creation_statements": ["a, b", "c"] }));
        let text = command("database/roles/r", &fields, None);
        assert!(
            text.ends_with(r#"'creation_statements=["a, b","c"]'"#),
            "{text}"
        );
    }
}
