//! A connection: an engine as HashiCorp Vault's API describes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an engine has beside its own terms where it is a connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Roles that may make credentials; `*` stands for anything. None of them: none may.
    pub allowed_roles: Vec<String>,
    /// How accounts are called where the role says nothing.
    pub username_template: Option<String>,
    /// What is shown again as it was written. Never a credential.
    pub shown: Map<String, Value>,
}

impl Connection {
    /// Whether credentials of a role, called so in that API, are made.
    pub fn allows(&self, role: &str) -> bool {
        self.allowed_roles.iter().any(|glob| fits(glob, role))
    }
}

/// `*` stands for any number of characters.
fn fits(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// A URL with its credential taken out of it, and that credential: user and password where they are
/// written out.
pub fn without_credential(url: &str) -> (String, Option<String>, Option<String>) {
    let url = url.trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    // What follows the place may have an @ of its own.
    let end = match scheme {
        Some(_) => rest.find('?').unwrap_or(rest.len()),
        None => rest.find("@tcp(").map_or(rest.len(), |at| at + 1),
    };
    let Some(at) = rest[..end].rfind('@') else {
        return (url.to_owned(), None, None);
    };
    let (credential, behind) = rest.split_at(at);
    let (user, password) = match credential.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credential, None),
    };
    let plain = |text: &str, placeholder: &str| -> Option<String> {
        let text = text.trim();
        if text.is_empty() || text == placeholder {
            return None;
        }
        Some(match scheme {
            Some(_) => decoded(text),
            None => text.to_owned(),
        })
    };
    let user = plain(user, "{{username}}");
    let password = password.and_then(|text| plain(text, "{{password}}"));
    let scheme = scheme.map(|scheme| format!("{scheme}://"));
    let clean = format!(
        "{}{{{{username}}}}:{{{{password}}}}{behind}",
        scheme.unwrap_or_default()
    );
    (clean, user, password)
}

/// With `%40` and the like as what they stand for.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let two = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match two.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(coded) => {
                plain.push(coded);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Whether a statement that is to change an account's own password does just that, as rotations here
/// do it anyway.
pub fn is_usual_rotation(statement: &str) -> bool {
    let plain: String = statement
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '`' | ';'))
        .flat_map(char::to_lowercase)
        .collect();
    let plain = plain.replace("{{username}}", "{{name}}");
    let named = ["alteruser", "alterrole"]
        .iter()
        .find_map(|begin| plain.strip_prefix(begin));
    let Some(rest) = named.and_then(|rest| rest.strip_prefix("{{name}}")) else {
        return false;
    };
    let rest = rest.strip_prefix("@%").unwrap_or(rest);
    [
        "password{{password}}",
        "withpassword{{password}}",
        "encryptedpassword{{password}}",
        "withencryptedpassword{{password}}",
        "identifiedby{{password}}",
    ]
    .contains(&rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roles_are_allowed_by_name_or_glob() {
        let connection = |globs: &[&str]| Connection {
            allowed_roles: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            ..Connection::default()
        };
        for (globs, role, expect) in [
            (vec![], "a", false),
            (vec!["a"], "a", true),
            (vec!["a"], "ab", false),
            (vec!["*"], "anything", true),
            (vec!["app-*"], "app-x", true),
            (vec!["app-*"], "web-app-x", false),
            (vec!["*-ro"], "app-ro", true),
            (vec!["a*b*c"], "a1b2c", true),
            (vec!["a*b*c"], "ac", false),
            (vec!["a*a"], "a", false),
            (vec!["x", "a*"], "a", true),
        ] {
            assert_eq!(connection(&globs).allows(role), expect, "{globs:?} {role}");
        }
    }

    #[test]
    fn credentials_are_taken_out_of_urls() {
        let some = |text: &str| Some(text.to_owned());
        for (url, clean, user, password) in [
            (
                "postgresql://{{username}}:{{password}}@db:5432/a?sslmode=disable",
                "postgresql://{{username}}:{{password}}@db:5432/a?sslmode=disable",
                None,
                None,
            ),
            (
                "postgres://root:p%40ss@db/a",
                "postgres://{{username}}:{{password}}@db/a",
                some("root"),
                some("p@ss"),
            ),
            (
                "root:p@s:s@tcp(db:3306)/",
                "{{username}}:{{password}}@tcp(db:3306)/",
                some("root"),
                some("p@s:s"),
            ),
            (
                "root:{{password}}@tcp(db)/",
                "{{username}}:{{password}}@tcp(db)/",
                some("root"),
                None,
            ),
            ("redis://db", "redis://db", None, None),
        ] {
            assert_eq!(without_credential(url), (clean.to_owned(), user, password));
        }
    }

    #[test]
    fn what_rotations_do_anyway() {
        for yes in [
            "ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}';",
            "ALTER ROLE \"{{username}}\" PASSWORD '{{password}}'",
            "alter user '{{username}}'@'%' identified by '{{password}}';",
        ] {
            assert!(is_usual_rotation(yes), "{yes}");
        }
        for no in [
            "ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}'; GRANT a TO b",
            "ALTER USER other PASSWORD '{{password}}'",
            "SELECT set_password('{{name}}', '{{password}}')",
            "",
        ] {
            assert!(!is_usual_rotation(no), "{no}");
        }
    }

    proptest! {
        /// What is stored has nothing of what stood before the place.
        #[test]
        fn nothing_of_it_stays(password in "[a-zA-Z0-9:!]{8,20}") {
            for url in [format!("postgresql://u:{password}@db/x"), format!("u:{password}@tcp(db:1)/")] {
                let (clean, user, found) = without_credential(&url);
                prop_assert!(!clean.contains(&password));
                prop_assert_eq!(user.as_deref(), Some("u"));
                prop_assert_eq!(found.as_deref(), Some(&*password));
            }
        }
    }
}
