//! `[store]`: where everything is kept. One file for one process, or one PostgreSQL database for
//! any number of nodes.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::{ConfigError, Expected, Section};
use crate::place::Place;

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct StoreSection {
    /// Which database.
    pub database: Place,
    /// The file with the password for PostgreSQL, when the address holds none.
    pub password_file: Option<PathBuf>,
    /// What this node is called in a shared store.
    pub node_name: String,
    /// Connections for reads and claims, at most.
    pub connections: usize,
    /// Where growth of the embedded database ends; `None` is the disk's size.
    pub max_bytes: Option<u64>,
    /// Sealed values kept in memory.
    pub cache_bytes: usize,
    /// For one write to be on disk.
    pub commit_timeout: Duration,
}

/// Longest name of a node.
const NODE_NAME_MAX: usize = 200;

impl StoreSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let max_bytes = section.whole("max_bytes", 0..=u64::MAX)?;
        let cache_bytes = section.whole("cache_bytes", 0..=1 << 40)?;
        let connections = section.whole("connections", 1..=1_000)?;
        let database = section.text("database_url", Place::of_address)?;
        if max_bytes > 0 && matches!(database, Place::Postgresql(_)) {
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
            cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_as_its_host_unless_told() {
        assert_eq!(node_name("eu-1").unwrap(), "eu-1");
        assert!(!node_name("").unwrap().is_empty());
        assert!(node_name("a\nb").is_err());
    }
}
