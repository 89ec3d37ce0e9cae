//! The product in its production form: `init`, then `server`, on either store, with TLS or not.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use scaivault_peers::free_port;
use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use serde::{Deserialize, Serialize};

use crate::server::{Place, Server, UNLIMITED};
use crate::tls::Tls;
use crate::wire::Endpoint;

/// Where the product keeps its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The embedded store.
    Sqlite,
    /// A PostgreSQL of its own on this machine.
    Postgresql,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "embedded store",
            Self::Postgresql => "PostgreSQL",
        }
    }
}

/// What a PostgreSQL under measurement is set to beside its defaults. The server for tests it is
/// made from neither syncs nor has memory, and logs every statement.
const POSTGRESQL: [&str; 6] = [
    "fsync=on",
    "synchronous_commit=on",
    "log_statement=none",
    "log_connections=off",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
];

/// An initialised product, not running.
pub(crate) struct Product {
    binary: PathBuf,
    database_url: String,
    key_file: PathBuf,
    tls: Option<Tls>,
    pub(crate) root_token: String,
    /// Ends with this value.
    _postgresql: Option<Postgresql>,
}

impl Product {
    pub(crate) fn init(place: &Place, dir: &Path, kind: Kind, tls: Option<Tls>) -> Result<Self> {
        let binary = place.binary()?;
        let postgresql = (kind == Kind::Postgresql)
            .then(|| Postgresql::start_with(|_| POSTGRESQL.map(str::to_owned).to_vec()));
        let database_url = match &postgresql {
            None => format!("sqlite://{}", dir.join("scaivault.db").display()),
            Some(server) => format!(
                "postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres?sslmode=disable",
                server.port()
            ),
        };
        let mut made = Self {
            binary,
            database_url,
            key_file: dir.join("root.key"),
            tls,
            root_token: String::new(),
            _postgresql: postgresql,
        };
        let out = made.command("init").output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Admin token (shown this once): "));
        let Some(token) = line.filter(|_| out.status.success()) else {
            bail!("init: {}", String::from_utf8_lossy(&out.stderr));
        };
        made.root_token = token.trim().to_owned();
        Ok(made)
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Server> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = self.command("server");
        command
            .env("BIND_ADDRESS", address.to_string())
            .envs(UNLIMITED.map(|category| (format!("SCAIVAULT_RATE_LIMITS_{category}"), "0")));
        if let Some(tls) = &self.tls {
            command
                .env("TLS_CERT_FILE", &tls.certificate)
                .env("TLS_KEY_FILE", &tls.key);
        }
        let tls = self.tls.as_ref().map(|tls| tls.connector.clone());
        let mut server = Server::at(command, Endpoint { address, tls })?;
        server.ready_after = server.ready().await.context("the product does not start")?;
        Ok(server)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(name)
            .env("DATABASE_URL", &self.database_url)
            .env("SCAIVAULT_SEAL_KEY_FILE", &self.key_file)
            .env("SCAIVAULT_LOG_LEVEL", "error");
        command
    }
}
