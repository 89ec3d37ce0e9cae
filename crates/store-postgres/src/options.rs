//! How a store is opened, and why it may refuse to.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Options of [`crate::PostgresStore::open`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgresql://user:password@host:port/database`. `sslmode` is `disable` or `verify-full`
    /// (`require` and `verify-ca` mean the same: an encrypted connection is always verified);
    /// without it, only connections to this machine are in clear text. `sslrootcert` names a file
    /// with the authorities to trust instead of this machine's.
    pub url: String,
    /// The password, when the address holds none.
    pub password: Option<String>,
    /// The name this node's audit chain goes by, the same after each start. Two nodes must not
    /// have the same one: they would take turns.
    pub node: String,
    /// Connections for reads and claims, at most; the writer has two more.
    pub connections: usize,
    /// Units that may wait for the writer; further ones are refused at once.
    pub queue_max: usize,
    /// How long a unit may take, waiting included, before its caller is answered without it.
    pub commit_timeout: Duration,
    /// How long a read may take, waiting for a connection included.
    pub read_timeout: Duration,
}

impl PostgresOptions {
    /// The defaults, for this database and node.
    pub fn new(url: impl Into<String>, node: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password: None,
            node: node.into(),
            connections: 8,
            queue_max: 8_192,
            commit_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
        }
    }
}

/// The address holds a password.
impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresOptions({})", self.node)
    }
}

/// The store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one.
    #[error("the database's address is not understood: write postgresql://user:password@host/name")]
    Address,
    /// A mode that does not say whom to trust.
    #[error("sslmode={0} is not known: write `disable` or `verify-full`")]
    SslMode(String),
    /// The file with authorities cannot be read.
    #[error("cannot read {0}")]
    AuthorityFile(PathBuf, #[source] std::io::Error),
    /// It holds none.
    #[error("the file named by sslrootcert holds no certificate that is understood")]
    Authorities,
    /// This machine knows none.
    #[error("this machine trusts no authority: install ca-certificates, or set sslrootcert")]
    NoAuthorities,
    /// A node without a name, or with one that is too long.
    #[error("the node's name must have 1 to 200 characters")]
    NodeName,
    /// Made by a newer program that this one cannot work beside.
    #[error(
        "the store has schema revision {found}, this program knows {known}: run the newer program"
    )]
    Newer {
        /// Of the database.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// A copy into it was begun and not finished.
    #[error("a copy into this store has not been finished: run 'scaivault store copy' again")]
    Unfinished,
    /// Made by an older program, or not a store of ours.
    #[error("the store has schema revision {found}, {known} is needed: start the server once")]
    Older {
        /// Of the database; 0 when there is none.
        found: i64,
        /// The one needed.
        known: i64,
    },
    /// No connection, or the server refused. The text is for operators, free of values.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// Opened outside a runtime that can reach the network.
    #[error("the store must be opened inside a runtime")]
    NoRuntime,
}

/// How to reach the database.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    /// The authorities' certificates, when others than this machine's.
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) encrypted: bool,
}

impl Address {
    pub(crate) fn parse(url: &str, password: Option<&str>) -> Result<Self, OpenError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut ca_file, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => ca_file = Some(PathBuf::from(value)),
                _ => rest.push(pair),
            }
        }
        let plain = match rest.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", rest.join("&")),
        };
        let mut config: Config = plain.parse().map_err(|_| OpenError::Address)?;
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_hosts().is_empty() || !base.contains("://") {
            return Err(OpenError::Address);
        }
        let encrypted = match mode {
            None => !config.get_hosts().iter().all(is_this_machine),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => return Err(OpenError::SslMode(other.to_owned())),
        };
        let ca_pem = match ca_file {
            None => None,
            Some(file) => match std::fs::read(&file) {
                Ok(pem) => Some(pem),
                Err(error) => return Err(OpenError::AuthorityFile(file, error)),
            },
        };
        config
            .ssl_mode(match encrypted {
                true => SslMode::Require,
                false => SslMode::Disable,
            })
            // After a failover the one that takes writes is looked for.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("scaivault");
        }
        Ok(Self {
            config,
            ca_pem,
            encrypted,
        })
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_in_clear_text_unasked() {
        let encrypted = |url: &str| {
            Address::parse(url, None)
                .map(|address| address.encrypted)
                .ok()
        };
        for (url, expect) in [
            ("postgresql://a:b@127.0.0.1:5/x", Some(false)),
            ("postgresql://a:b@localhost/x", Some(false)),
            ("postgresql://a:b@db.example/x", Some(true)),
            ("postgresql://a:b@127.0.0.1,db.example/x", Some(true)),
            ("postgresql://a:b@db.example/x?sslmode=disable", Some(false)),
            (
                "postgresql://a:b@127.0.0.1/x?sslmode=verify-full",
                Some(true),
            ),
            ("postgresql://a:b@127.0.0.1/x?sslmode=require", Some(true)),
            ("postgresql://a:b@127.0.0.1/x?sslmode=prefer", None),
            ("postgresql://a@h/x?sslrootcert=/nowhere/ca.pem", None),
            ("/var/lib/store.db", None),
            ("host=x", None),
            ("", None),
        ] {
            assert_eq!(encrypted(url), expect, "{url}");
        }
    }
}
