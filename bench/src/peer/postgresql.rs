//! A PostgreSQL of its own for each server that keeps its data there, set alike for both; or one in
//! which both make accounts.

use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};

/// What it is set to beside its defaults. The server for tests it is made from neither syncs nor has
/// memory, and logs every statement.
const SETTINGS: [&str; 7] = [
    "fsync=on",
    "synchronous_commit=on",
    "log_statement=none",
    "log_connections=off",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    // One pool of the peer has 128.
    "max_connections=200",
];

/// Ends with this value.
pub(crate) struct Database(Postgresql);

impl Database {
    pub(crate) fn start() -> Self {
        Self(Postgresql::start_with(|_| {
            SETTINGS.map(str::to_owned).to_vec()
        }))
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }

    /// Runs statements as the superuser; what came back.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.0.sql(statements)
    }

    pub(crate) fn url(&self) -> String {
        let port = self.0.port();
        format!("postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable")
    }
}
