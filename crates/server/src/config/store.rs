//! `[store]`: the embedded database.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::{ConfigError, Expected, Section};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct StoreSection {
    /// The database file.
    pub database_file: PathBuf,
    /// Where growth ends; `None` is the disk's size.
    pub max_bytes: Option<u64>,
    /// For one write to be on disk.
    pub commit_timeout: Duration,
}

impl StoreSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let max_bytes = section.whole("max_bytes", 0..=u64::MAX)?;
        Ok(Self {
            database_file: section.text("database_url", database_file)?,
            max_bytes: (max_bytes > 0).then_some(max_bytes),
            commit_timeout: section.duration("commit_timeout")?,
        })
    }
}

fn database_file(text: &str) -> Result<PathBuf, Expected> {
    const EXPECTED: Expected =
        "expected sqlite:///absolute/path, sqlite:relative/path or the path of a file";
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if ["postgres", "postgresql"]
        .iter()
        .any(|other| scheme.eq_ignore_ascii_case(other))
    {
        return Err(
            "PostgreSQL is not in this version, which keeps its data in an embedded database: \
             use sqlite:///absolute/path",
        );
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
        Ok(PathBuf::from(path))
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
                database_file(text).ok(),
                expect.map(PathBuf::from),
                "{text}"
            );
        }
        for text in ["postgresql://u:p@h/d", "postgres://h", "POSTGRESQL://h"] {
            assert!(
                database_file(text)
                    .unwrap_err()
                    .contains("not in this version")
            );
        }
    }
}
