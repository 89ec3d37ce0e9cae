//! The product in its production form: `init`, then `server`, on either store, with TLS or not.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use scaivault_peers::free_port;
use serde::{Deserialize, Serialize};

use super::postgresql::Database;
use crate::server::{Place, Server, UNLIMITED};
use crate::tls::Tls;
use crate::wire::Endpoint;

/// Where the product keeps its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
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

/// An initialised product, not running.
pub(crate) struct Product {
    binary: PathBuf,
    data: Data,
    key_file: PathBuf,
    tls: Option<Tls>,
    pub(crate) root_token: String,
}

/// Where its data is.
enum Data {
    File(PathBuf),
    Postgresql(Database),
}

impl Product {
    pub(crate) fn init(place: &Place, dir: &Path, kind: Kind, tls: Option<Tls>) -> Result<Self> {
        let binary = place.binary()?;
        let data = match kind {
            Kind::Sqlite => Data::File(dir.join("scaivault.db")),
            Kind::Postgresql => Data::Postgresql(Database::start()),
        };
        let mut made = Self {
            binary,
            data,
            key_file: dir.join("root.key"),
            tls,
            root_token: String::new(),
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
            .env("SCAIVAULT_TARGETS_ALLOW", "127.0.0.1")
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

    /// The embedded store's file, which can be filled while nothing runs.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.data {
            Data::File(file) => Some(file),
            Data::Postgresql(_) => None,
        }
    }

    pub(crate) fn key_file(&self) -> &Path {
        &self.key_file
    }

    fn command(&self, name: &str) -> Command {
        let database_url = match &self.data {
            Data::File(file) => format!("sqlite://{}", file.display()),
            Data::Postgresql(database) => database.url(),
        };
        let mut command = Command::new(&self.binary);
        command
            .arg(name)
            .env("DATABASE_URL", database_url)
            .env("SCAIVAULT_SEAL_KEY_FILE", &self.key_file)
            .env("SCAIVAULT_LOG_LEVEL", "error");
        command
    }
}
