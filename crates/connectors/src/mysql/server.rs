//! Which server it is.

use scaivault_core::target::{Overlap, Trouble};

use super::session::Session;

/// The two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    MySql,
    MariaDb,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) family: Family,
    version: (u32, u32, u32),
}

impl Server {
    /// Asks.
    pub(super) async fn ask(session: &mut Session) -> Result<Self, Trouble> {
        let version: String = session.one("SELECT @@version").await?;
        Ok(Self::parse(&version))
    }

    /// Reads a version text such as `8.0.36` or `10.11.6-MariaDB-log`.
    pub(super) fn parse(version: &str) -> Self {
        let plain = version.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = plain.split('.').map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let family = match version.to_ascii_lowercase().contains("mariadb") {
            true => Family::MariaDb,
            false => Family::MySql,
        };
        Self {
            family,
            version: (next(), next(), next()),
        }
    }

    /// Whether this connector speaks to it at all.
    pub(super) fn is_known(&self) -> bool {
        match self.family {
            Family::MySql => self.version >= (8, 0, 14),
            Family::MariaDb => self.version >= (10, 4, 2),
        }
    }

    /// Whether an account can hold a number of ours.
    pub(super) fn has_attribute(&self) -> bool {
        self.family == Family::MySql && self.version >= (8, 0, 21)
    }

    /// What ends other accounts' sessions.
    pub(super) fn kill_right(&self) -> &'static str {
        match self.family {
            Family::MySql => "CONNECTION_ADMIN",
            Family::MariaDb if self.version >= (10, 5, 2) => "CONNECTION ADMIN",
            Family::MariaDb => "SUPER",
        }
    }

    /// The overlaps it supports.
    pub(super) fn overlaps(&self) -> Vec<Overlap> {
        match self.is_known() {
            true => super::OVERLAPS.to_vec(),
            false => Vec::new(),
        }
    }

    /// Product and version, in our words.
    pub(super) fn label(&self) -> String {
        let name = match self.family {
            Family::MySql => "MySQL",
            Family::MariaDb => "MariaDB",
        };
        let (major, minor, patch) = self.version;
        format!("{name} {major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let maria = Server::parse("10.11.6-MariaDB-0+deb12u1-log");
        assert_eq!(maria.label(), "MariaDB 10.11.6");
        assert!(maria.is_known() && !maria.has_attribute());
        assert_eq!(Server::parse("10.4.30-MariaDB").kill_right(), "SUPER");
        let mysql = Server::parse("8.0.36");
        assert_eq!(mysql.label(), "MySQL 8.0.36");
        assert!(mysql.is_known() && mysql.has_attribute());
        assert!(!Server::parse("5.7.44-log").is_known());
        assert!(Server::parse("").overlaps().is_empty());
    }
}
