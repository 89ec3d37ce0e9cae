//! Where a store is: a file, or a database of PostgreSQL.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// A store's address.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// The embedded store's file.
    File(PathBuf),
    /// A database, with its password.
    Postgres(String),
}

/// The password is left out.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.told())
    }
}

impl Place {
    /// Reads an address: the path of a file, `sqlite:…`, `postgresql://…`, or `@FILE` for a file
    /// that holds one of these.
    ///
    /// # Errors
    /// When it is none of these. The text does not repeat the address.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(file) = text.strip_prefix('@') {
            let read = std::fs::read_to_string(file);
            let read = read.with_context(|| format!("cannot read {file}"))?;
            let inner = read.trim();
            if inner.starts_with('@') {
                bail!("{file} names another file instead of a store");
            }
            return Self::parse(inner);
        }
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if is("postgresql") || is("postgres") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => match rest.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => absolute,
                Some(_) => "",
                None => rest,
            },
            None if text.contains("://") => "",
            None => text,
        };
        if path.is_empty() || path == ":memory:" || path.ends_with('/') || path.contains(['?', '#'])
        {
            bail!(
                "a store is named by the path of its file, by sqlite:///absolute/path or by \
                 postgresql://user:password@host/database"
            );
        }
        Ok(Self::File(PathBuf::from(path)))
    }

    /// As people are told of it.
    pub fn told(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Postgres(url) => match url::Url::parse(url) {
                Ok(url) => format!(
                    "postgresql://{}{}",
                    url.host_str().unwrap_or_default(),
                    url.path()
                ),
                Err(_) => "postgresql://…".to_owned(),
            },
        }
    }

    /// Whether both name the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
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
            ("/srv/v.db", Some("/srv/v.db")),
            ("v.db", Some("v.db")),
            ("sqlite:///srv/v.db", Some("/srv/v.db")),
            ("sqlite:v.db", Some("v.db")),
            ("sqlite://host/v.db", None),
            ("mysql://u:p@h/d", None),
            ("/srv/", None),
            ("", None),
        ] {
            let found = Place::parse(text).ok();
            assert_eq!(found, expect.map(|path| Place::File(path.into())), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_told() {
        let place = Place::parse("postgresql://u:hidden@db.example:5/vault?sslmode=disable");
        let place = place.unwrap();
        assert_eq!(place.told(), "postgresql://db.example/vault");
        assert!(!format!("{place:?}").contains("hidden"));
        let refused = Place::parse("mysql://u:hidden@h/d").unwrap_err();
        assert!(!format!("{refused:#}").contains("hidden"));
    }

    #[test]
    fn an_address_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("url");
        std::fs::write(&file, "postgresql://u:p@h/d\n").unwrap();
        let found = Place::parse(&format!("@{}", file.display())).unwrap();
        assert_eq!(found, Place::Postgres("postgresql://u:p@h/d".into()));
    }
}
