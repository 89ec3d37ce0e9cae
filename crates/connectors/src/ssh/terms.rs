//! What a role allows, and what of it a request gets.

use std::collections::BTreeMap;

use scaivault_core::ports::FieldProblem;
use serde_json::{Map, Value};

use super::ca::RsaHash;
use super::certificate::Kind;
use super::request::{Asked, TEXT_MAX, is_word, list, options};

/// Placeholders of whoever asks, as people write them.
const IDENTITY: [&str; 2] = ["{{identity}}", "{{token_display_name}}"];

/// A role's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) kind: Kind,
    /// Patterns of users, or of hosts.
    allowed: Vec<String>,
    default_user: Option<String>,
    allowed_extensions: Vec<String>,
    default_extensions: BTreeMap<String, String>,
    allowed_critical_options: Vec<String>,
    default_critical_options: BTreeMap<String, String>,
    pub(super) hash: RsaHash,
    key_id_format: String,
}

/// What it gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) principals: Vec<String>,
    pub(super) extensions: BTreeMap<String, String>,
    pub(super) critical_options: BTreeMap<String, String>,
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.len() <= TEXT_MAX && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

impl Terms {
    /// Reads a role's settings; each problem names its field.
    pub(super) fn read(settings: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let mut found = Vec::new();
        let mut bad = |field: &str, what: &str| {
            found.push((format!("settings.{field}"), what.to_owned()));
        };
        let mut terms = Self {
            kind: Kind::User,
            allowed: Vec::new(),
            default_user: None,
            allowed_extensions: Vec::new(),
            default_extensions: BTreeMap::new(),
            allowed_critical_options: Vec::new(),
            default_critical_options: BTreeMap::new(),
            hash: RsaHash::default(),
            key_id_format: "{{name}}".to_owned(),
        };
        const LIST: &str = "is a list of texts, or one text with commas";
        const OPTIONS: &str = "is an object of texts; a flag has the text \"\"";
        match settings.get("key_type").map(Value::as_str) {
            None | Some(Some("user")) => {}
            Some(Some("host")) => terms.kind = Kind::Host,
            Some(_) => bad("key_type", "is `user` or `host`"),
        }
        let (own, other) = match terms.kind {
            Kind::User => ("allowed_users", "allowed_domains"),
            Kind::Host => ("allowed_domains", "allowed_users"),
        };
        for (field, value) in settings {
            match field.as_str() {
                "key_type" => {}
                name if name == own => match list(value) {
                    Some(all) => terms.allowed = all,
                    None => bad(field, LIST),
                },
                name if name == other => bad(field, "belongs to the other `key_type`"),
                "default_user" => match text(value) {
                    Some(user) => terms.default_user = Some(user),
                    None => bad(field, "is a text"),
                },
                "allowed_extensions" => match list(value) {
                    Some(all) => terms.allowed_extensions = all,
                    None => bad(field, LIST),
                },
                "allowed_critical_options" => match list(value) {
                    Some(all) => terms.allowed_critical_options = all,
                    None => bad(field, LIST),
                },
                "default_extensions" => match options(value) {
                    Some(all) => terms.default_extensions = all,
                    None => bad(field, OPTIONS),
                },
                "default_critical_options" => match options(value) {
                    Some(all) => terms.default_critical_options = all,
                    None => bad(field, OPTIONS),
                },
                "algorithm_signer" => match value.as_str() {
                    Some("default" | "rsa-sha2-512") => terms.hash = RsaHash::Sha512,
                    Some("rsa-sha2-256") => terms.hash = RsaHash::Sha256,
                    _ => bad(field, "is `default`, `rsa-sha2-512` or `rsa-sha2-256`"),
                },
                "key_id_format" => match text(value) {
                    Some(format) if terms_known(&format) => terms.key_id_format = format,
                    _ => bad(
                        field,
                        "is a text in which {{name}}, {{identity}} and {{role}} may stand",
                    ),
                },
                _ => bad(field, "is not known"),
            }
        }
        if terms.allowed.is_empty() && terms.default_user.is_none() {
            bad(
                own,
                "is required: a certificate for nobody in particular is one for everybody",
            );
        }
        match found.is_empty() {
            true => Ok(terms),
            false => Err(found),
        }
    }

    /// What a request gets; else the field that is more than the role allows.
    pub(super) fn grant(&self, asked: &Asked, holder: &str) -> Result<Granted, FieldProblem> {
        let problem = |field: &str, what: &str| (field.to_owned(), what.to_owned());
        let default = self.default_user.as_ref().map(|user| filled(user, holder));
        let principals = match (asked.principals.is_empty(), &default) {
            (false, _) => asked.principals.clone(),
            (true, Some(user)) => vec![user.clone()],
            (true, None) => {
                let what = "is required: the role has no default_user";
                return Err(problem("valid_principals", what));
            }
        };
        let allowed = |principal: &String| {
            default.as_ref() == Some(principal)
                || self
                    .allowed
                    .iter()
                    .any(|pattern| fits(pattern, principal, holder))
        };
        if !principals.iter().all(|one| is_word(one) && allowed(one)) {
            return Err(problem(
                "valid_principals",
                "has one that the role does not allow",
            ));
        }
        let chosen = |field: &str,
                      asked: &Option<BTreeMap<String, String>>,
                      allowed: &[String],
                      default: &BTreeMap<String, String>| {
            let Some(asked) = asked else {
                return Ok(default.clone());
            };
            let may = |name: &String| allowed.iter().any(|one| one == "*" || one == name);
            // What the role gives anyway may be asked for, as it is.
            let given = |(name, value): (&String, &String)| default.get(name) == Some(value);
            match asked
                .iter()
                .all(|(name, value)| may(name) || given((name, value)))
            {
                true => Ok(asked.clone()),
                false => Err(problem(field, "has one that the role does not allow")),
            }
        };
        let mut critical_options = chosen(
            "critical_options",
            &asked.critical_options,
            &self.allowed_critical_options,
            &self.default_critical_options,
        )?;
        // They hold a certificate back: none of the role's is lost by asking for another.
        for (name, value) in &self.default_critical_options {
            let may = |one: &String| one == "*" || one == name;
            if !self.allowed_critical_options.iter().any(may) {
                critical_options.insert(name.clone(), value.clone());
            } else {
                critical_options
                    .entry(name.clone())
                    .or_insert_with(|| value.clone());
            }
        }
        Ok(Granted {
            principals,
            extensions: chosen(
                "extensions",
                &asked.extensions,
                &self.allowed_extensions,
                &self.default_extensions,
            )?,
            critical_options,
        })
    }

    /// What a certificate is called in the logs of servers.
    pub(super) fn key_id(&self, name: &str, role: &str, holder: &str) -> String {
        let text = filled(&self.key_id_format, holder)
            .replace("{{name}}", name)
            .replace("{{role}}", role)
            .replace("{{role_name}}", role);
        text.chars()
            .map(|c| {
                if c.is_control() || c.is_whitespace() {
                    '_'
                } else {
                    c
                }
            })
            .collect()
    }
}

fn terms_known(format: &str) -> bool {
    let plain = ["{{name}}", "{{role}}", "{{role_name}}"]
        .iter()
        .fold(filled(format, ""), |text, known| text.replace(known, ""));
    !plain.contains("{{") && !format.is_empty()
}

fn filled(text: &str, holder: &str) -> String {
    IDENTITY
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, holder))
}

/// A pattern with `*`; what is filled in has none.
fn fits(pattern: &str, principal: &str, holder: &str) -> bool {
    if IDENTITY.iter().any(|word| pattern.contains(word)) {
        return filled(pattern, holder) == principal;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = principal.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
