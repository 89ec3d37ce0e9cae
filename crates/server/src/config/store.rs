//! `[store]`: where everything is kept. One file for one process, or one PostgreSQL database for
//! any number of nodes.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::{ConfigError, Expected, Section};
use super::memory;
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
        let cache_bytes = section.whole_or_auto("cache_bytes", 1 << 40)?;
        let cache_bytes = cache_bytes.unwrap_or_else(|| cache_share(memory::available()));
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

/// The part of the memory there is that sealed values may take when nobody says: a sixteenth, but
/// neither less than a few ten thousand secrets take nor more than a million and a half do.
fn cache_share(memory: Option<u64>) -> u64 {
    (memory.unwrap_or(0) / 16).clamp(48 << 20, 1 << 30)
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
    fn the_cache_takes_its_share_of_the_memory() {
        assert_eq!(cache_share(None), 48 << 20);
        assert_eq!(cache_share(Some(256 << 20)), 48 << 20);
        assert_eq!(cache_share(Some(8 << 30)), 512 << 20);
        assert_eq!(cache_share(Some(1 << 40)), 1 << 30);
        assert!(memory::available().is_some_and(|bytes| bytes > 64 << 20));
    }

    #[test]
    fn a_node_is_called_as_its_host_unless_told() {
        assert_eq!(node_name("eu-1").unwrap(), "eu-1");
        assert!(!node_name("").unwrap().is_empty());
        assert!(node_name("a\nb").is_err());
    }
}
