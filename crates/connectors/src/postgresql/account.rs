//! Which roles an attachment is about.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, FieldProblem};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::value::{needed, setting, text};

/// The longest name. The server cuts longer ones without an error, and they would mean another
/// role.
const NAME_MAX: usize = 63;

/// The roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// Two login roles in a group role.
    Two { names: [String; 2], group: String },
    /// One login role.
    One { name: String },
}

fn is_name(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_str)
        .is_some_and(|name| !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0'))
}

/// What is wrong with an attachment's settings.
pub(super) fn problems(account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let mut say = |field: &str, problem: &str| found.push((field.to_owned(), problem.to_owned()));
    let fields: &[&str] = match overlap {
        Overlap::TwoUsers => &["accounts", "group"],
        _ => &["account"],
    };
    for field in account.keys() {
        if !fields.contains(&field.as_str()) {
            say(field, "is not known for this overlap");
        }
    }
    let name = "is the name of a role: 1 to 63 bytes";
    match overlap {
        Overlap::TwoUsers => {
            let accounts = account.get("accounts").and_then(Value::as_array);
            let names = accounts.map(Vec::as_slice).unwrap_or_default();
            let [one, other] = names else {
                say("accounts", "is a list of two names of roles");
                return found;
            };
            if !is_name(Some(one)) || !is_name(Some(other)) || one == other {
                say("accounts", "is a list of two different names of roles");
            }
            let group = account.get("group");
            if !is_name(group) {
                say("group", name);
            } else if names.iter().any(|name| Some(name) == group) {
                say("group", "is a role of its own, not one of the accounts");
            }
        }
        Overlap::None if !is_name(account.get("account")) => say("account", name),
        Overlap::None => {}
        Overlap::TwoPasswords | Overlap::NKeys => {
            say("overlap", "a role has one password: use two_users or none");
        }
    }
    found
}

impl Account {
    /// Reads a validated attachment.
    pub(super) fn read(call: &Call<'_>) -> Result<Self, Trouble> {
        if !problems(call.account, call.overlap).is_empty() {
            return Err(TroubleKind::Settings.into());
        }
        let name = |field: &str| setting(call.account, field).unwrap_or_default().to_owned();
        if call.overlap == Overlap::None {
            return Ok(Self::One {
                name: name("account"),
            });
        }
        let list = call.account.get("accounts").and_then(Value::as_array);
        let mut names = list.into_iter().flatten().filter_map(Value::as_str);
        let mut next = || names.next().unwrap_or_default().to_owned();
        Ok(Self::Two {
            names: [next(), next()],
            group: name("group"),
        })
    }

    /// The login roles.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Two { names, .. } => names,
            Self::One { name } => std::slice::from_ref(name),
        }
    }

    /// The group role.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Self::Two { group, .. } => Some(group),
            Self::One { .. } => None,
        }
    }

    /// The role that the next credential names; `None` where the current value names it already.
    pub(super) fn next(&self, current: Option<&Plaintext>) -> Result<Option<String>, Trouble> {
        let Some(current) = current else {
            return Ok(self.names().first().cloned());
        };
        let named = needed(current, "username")?;
        match self {
            Self::Two { names, .. } => {
                let idle = names.iter().find(|name| **name != *named);
                Ok(idle.cloned())
            }
            Self::One { name } if *name == *named => Ok(None),
            Self::One { .. } => Err(foreign()),
        }
    }

    /// The role of a credential, which must be one of these.
    pub(super) fn role_of(&self, credential: &Plaintext) -> Result<&str, Trouble> {
        let named = needed(credential, "username")?;
        let found = self.names().iter().find(|name| **name == *named);
        found.map(String::as_str).ok_or_else(foreign)
    }
}

fn foreign() -> Trouble {
    Trouble::new(TroubleKind::Settings)
        .remedy("let the value's `username` be an account that the attachment names")
}

/// A credential's password.
pub(super) fn password(credential: &Plaintext) -> Result<Zeroizing<String>, Trouble> {
    needed(credential, "password")
}

/// Whether both name the same role.
pub(super) fn same_role(one: &Plaintext, other: &Plaintext) -> bool {
    let (one, other) = (text(one, "username"), text(other, "username"));
    one.is_some() && one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(account: Value, overlap: Overlap, fields: &[&str]) {
        let found = problems(account.as_object().unwrap(), overlap);
        let names: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(names, fields, "{account}");
    }

    #[test]
    fn attachments_are_judged_by_field() {
        let two = Overlap::TwoUsers;
        check(json!({"accounts": ["a", "b"], "group": "g"}), two, &[]);
        check(
            json!({"accounts": ["a", "a"], "group": "g"}),
            two,
            &["accounts"],
        );
        check(
            json!({"accounts": ["a", "b"], "group": "a"}),
            two,
            &["group"],
        );
        check(json!({"accounts": ["a"], "group": "g"}), two, &["accounts"]);
        check(
            json!({"accounts": ["a", "b"], "group": "g", "password": "x"}),
            two,
            &["password"],
        );
        check(json!({"account": "a"}), Overlap::None, &[]);
        check(
            json!({"account": "a".repeat(64)}),
            Overlap::None,
            &["account"],
        );
        check(json!({"account": "a\0"}), Overlap::None, &["account"]);
        check(json!({"account": "a"}), Overlap::TwoPasswords, &["overlap"]);
    }

    #[test]
    fn the_idle_role_is_next() {
        let account = Account::Two {
            names: ["a".into(), "b".into()],
            group: "g".into(),
        };
        let next = |value: &str| account.next(Some(&Plaintext::new(value.into()))).unwrap();
        assert_eq!(account.next(None).unwrap().as_deref(), Some("a"));
        assert_eq!(next(r#"{"username":"a"}"#).as_deref(), Some("b"));
        assert_eq!(next(r#"{"username":"b"}"#).as_deref(), Some("a"));
        assert_eq!(next(r#"{"username":"x"}"#).as_deref(), Some("a"));
    }
}
