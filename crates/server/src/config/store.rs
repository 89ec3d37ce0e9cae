//! `[store]`: where everything is kept. One file for one process, or one PostgreSQL database for
//! any number of nodes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::layers::{ConfigError, Expected, Section};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct StoreSection {
    /// Which database.
    pub database: Database,
    /// The file with the password for PostgreSQL, when the address holds none.
    pub password_file: Option<PathBuf>,
    /// What this node is called in a shared store.
    pub node_name: String,
    /// Connections for reads and claims, at most.
    pub connections: usize,
    /// Where growth of the embedded database ends; `None` is the disk's size.
    pub max_bytes: Option<u64>,
    /// For one write to be on disk.
    pub commit_timeout: Duration,
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// The embedded one, in this file.
    File(PathBuf),
    /// PostgreSQL, shared by nodes.
    Postgresql(DatabaseUrl),
}

/// An address that may hold a password: not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(String);

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

/// Without the credentials.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgresql(url) => {
                let (_, rest) = url.0.split_once("://").unwrap_or_default();
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
                write!(f, "postgresql://{rest}")
            }
        }
    }
}

/// Longest name of a node.
const NODE_NAME_MAX: usize = 200;

impl StoreSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let max_bytes = section.whole("max_bytes", 0..=u64::MAX)?;
        let connections = section.whole("connections", 1..=1_000)?;
        let database = section.text("database_url", database)?;
        if max_bytes > 0 && matches!(database, Database::Postgresql(_)) {
            return Err(section.refuse(
                "max_bytes",
                "limits the embedded database only: leave it at 0 with PostgreSQL",
            ));
        }
        Ok(Self {
            database,
            password_file: section.optional_path("password_file")?,
            node_name: section.text("node_name", node_name)?,
            connections: usize::try_from(connections).unwrap_or(1),
            max_bytes: (max_bytes > 0).then_some(max_bytes),
            commit_timeout: section.duration("commit_timeout")?,
        })
    }
}

/// Empty: this machine's name.
fn node_name(text: &str) -> Result<String, Expected> {
    if text.chars().any(char::is_control) || text.len() > NODE_NAME_MAX {
        return Err("expected a name of at most 200 characters, or nothing for the host's name");
    }
    if !text.is_empty() {
        return Ok(text.to_owned());
    }
    let host = rustix::system::uname();
    Ok(host.nodename().to_string_lossy().into_owned())
}

/// The form of `database_url`.
pub(crate) fn database(text: &str) -> Result<Database, Expected> {
    const EXPECTED: Expected = "expected postgresql://user:password@host:port/database, \
         sqlite:///absolute/path, sqlite:relative/path or the path of a file";
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if ["postgres", "postgresql"].contains(&scheme) {
        return match text.len() > scheme.len() + 3 {
            true => Ok(Database::Postgresql(DatabaseUrl(text.to_owned()))),
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
    let names_a_file = !path.is_empty() && path != ":memory:" && !path.ends_with('/');
    if names_a_file {
        Ok(Database::File(PathBuf::from(path)))
    } else {
        Err(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_database_url() {
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
            ("", None),
        ] {
            assert_eq!(
                database(text).ok(),
                expect.map(|path| Database::File(PathBuf::from(path))),
                "{text}"
            );
        }
        for (text, shown) in [
            ("postgresql://u:p@h/d", "postgresql://h/d"),
            ("postgres://h:5/d?sslmode=disable", "postgresql://h:5/d"),
            (
                "postgresql://u:p%40@h1,h2/d?password=x",
                "postgresql://h1,h2/d",
            ),
        ] {
            let parsed = database(text).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert!(!format!("{parsed:?}").contains("u:p"));
        }
    }

    #[test]
    fn a_node_is_called_as_its_host_unless_told() {
        assert_eq!(node_name("eu-1").unwrap(), "eu-1");
        assert!(!node_name("").unwrap().is_empty());
        assert!(node_name("a\nb").is_err());
    }
}
