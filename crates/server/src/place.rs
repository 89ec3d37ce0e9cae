//! Where a store is: a file, or a database of PostgreSQL. One form for the configuration and for
//! commands.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

/// A store's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The embedded store's file.
    File(PathBuf),
    /// A database of PostgreSQL, shared by nodes.
    Postgresql(DatabaseUrl),
}

/// An address that may hold a password: not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The whole of it, for whoever connects.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// As people are told of it: without the credentials.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgresql(url) => {
                let (_, rest) = url.0.split_once("://").unwrap_or_default();
                // What follows a question mark may be a password, with any character in it.
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                write!(f, "postgresql://{rest}")
            }
        }
    }
}

/// What an address looks like.
const EXPECTED: &str = "expected postgresql://user:password@host:port/database, \
     sqlite:///absolute/path, sqlite:relative/path or the path of a file";

impl Place {
    /// Reads an address.
    ///
    /// # Errors
    /// What was expected; the address is not repeated.
    pub(crate) fn of_address(text: &str) -> Result<Self, &'static str> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if is("postgres") || is("postgresql") {
            let rest = &text[scheme.len()..];
            return match rest.len() > "://".len() {
                true => Ok(Self::Postgresql(DatabaseUrl(format!("postgresql{rest}")))),
                false => Err(EXPECTED),
            };
        }
        let path = match text.strip_prefix("sqlite:") {
            // Options and hosts have no meaning here; a path that happens to look so is not ours.
            Some(rest) if rest.contains(['?', '#']) => return Err(EXPECTED),
            Some(rest) => match rest.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => absolute,
                Some(_) => return Err(EXPECTED),
                None => rest,
            },
            None if text.contains("://") => return Err(EXPECTED),
            None => text,
        };
        match path.is_empty() || path == ":memory:" || path.ends_with('/') {
            true => Err(EXPECTED),
            false => Ok(Self::File(PathBuf::from(path))),
        }
    }

    /// Reads an address from a command line: also `@FILE` for a file that holds one.
    ///
    /// # Errors
    /// When it is none. The text does not repeat the address.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(file) = text.strip_prefix('@') else {
            return Self::of_address(text)
                .map_err(|expected| anyhow!("a store's address: {expected}"));
        };
        let read = std::fs::read_to_string(file);
        let read = read.with_context(|| format!("cannot read {file}"))?;
        let inner = read.trim();
        if inner.starts_with('@') {
            bail!("{file} names another file instead of a store");
        }
        Self::parse(inner)
    }

    /// Whether both name the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => {
                let real = |path: &PathBuf| {
                    std::fs::canonicalize(path)
                        .or_else(|_| std::path::absolute(path))
                        .ok()
                };
                real(one) == real(two)
            }
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_an_address() {
        for (text, expect) in [
            ("sqlite:///var/lib/v.db", Some("/var/lib/v.db")),
            ("sqlite:/var/lib/v.db", Some("/var/lib/v.db")),
            ("sqlite:data/v.db", Some("data/v.db")),
            ("data/v.db", Some("data/v.db")),
            ("/srv/v.db", Some("/srv/v.db")),
            ("sqlite://host/v.db", None),
            ("sqlite:", None),
            ("sqlite:///", None),
            ("sqlite::memory:", None),
            (":memory:", None),
            ("sqlite:///v.db?mode=ro", None),
            ("mysql://root@h/x", None),
            ("/srv/", None),
            ("postgresql://", None),
            ("", None),
        ] {
            let found = Place::parse(text).ok();
            assert_eq!(found, expect.map(|path| Place::File(path.into())), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_told() {
        for (text, shown) in [
            ("postgresql://u:hidden@h/d", "postgresql://h/d"),
            ("POSTGRES://h:5/d?sslmode=disable", "postgresql://h:5/d"),
            ("postgresql://h/d?password=abc@hidden", "postgresql://h/d"),
            (
                "postgresql://u:hidden%40@h1,h2/d?password=hidden",
                "postgresql://h1,h2/d",
            ),
        ] {
            let parsed = Place::parse(text).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert!(!format!("{parsed:?}").contains("hidden"));
        }
        let refused = Place::parse("mysql://u:hidden@h/d").unwrap_err();
        assert!(!format!("{refused:#}").contains("hidden"));
    }

    #[test]
    fn an_address_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("url");
        std::fs::write(&file, "postgresql://u:p@h/d\n").unwrap();
        let found = Place::parse(&format!("@{}", file.display())).unwrap();
        assert_eq!(found.to_string(), "postgresql://h/d");
    }
}
