//! Connections: to the addresses that may be reached, encrypted and verified by the host's name,
//! logged in.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Reach};
use scaivault_core::target::{Trouble, TroubleKind};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::settings::{Node, Site};
use super::wire::{Fault, Reply, Stream, Wire};
use crate::{tls, value};

/// How long a connection may take until it is logged in. Nothing was changed by then.
const LOGIN_MAX: Duration = Duration::from_secs(5);

/// A user with its password.
pub(crate) struct Login {
    pub(crate) username: Zeroizing<String>,
    pub(crate) password: Zeroizing<String>,
}

impl Login {
    /// Of a credential's value.
    pub(crate) fn of(credential: &Plaintext) -> Result<Self, Trouble> {
        Ok(Self {
            username: value::needed(credential, "username")?,
            password: value::needed(credential, "password")?,
        })
    }

    /// Of the manager.
    pub(crate) fn manager(call: &Call<'_>) -> Result<Self, Trouble> {
        Self::manager_of(call.manager)
    }

    /// Of the manager's value.
    pub(crate) fn manager_of(manager: Option<&Plaintext>) -> Result<Self, Trouble> {
        let missing = || Trouble::new(TroubleKind::ManagerMissing);
        Self::of(manager.ok_or_else(missing)?).map_err(|_| missing())
    }
}

/// Why a login failed.
pub(crate) enum Denied {
    /// The server refused user and password.
    Credential,
    /// Something else.
    Trouble(Trouble),
}

impl From<Trouble> for Denied {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Connects to one node and logs in.
pub(crate) async fn log_in(
    reach: &dyn Reach,
    site: &Site,
    node: &Node,
    login: &Login,
) -> Result<Wire, Denied> {
    let made = async {
        let mut wire = connect(reach, site, node).await?;
        let command: [&[u8]; 3] = [
            b"AUTH",
            login.username.as_bytes(),
            login.password.as_bytes(),
        ];
        match wire.ask(&command).await {
            Ok(Reply::Text(text)) if text == b"OK" => Ok(wire),
            Ok(_) => Err(Trouble::new(TroubleKind::Protocol).into()),
            Err(Fault::Refused(code)) if code == "WRONGPASS" => Err(Denied::Credential),
            // Before version 6 `AUTH` knows no users.
            Err(Fault::Refused(code)) if code == "ERR" => {
                Err(Trouble::new(TroubleKind::Unsupported).code(code).into())
            }
            // Nothing but a login was sent: an end of the connection changed nothing.
            Err(Fault::Cut) => Err(Trouble::new(TroubleKind::Unreachable).into()),
            Err(fault) => Err(Trouble::from(fault).into()),
        }
    };
    match tokio::time::timeout(LOGIN_MAX, made).await {
        Ok(answer) => answer,
        Err(_) => Err(Trouble::new(TroubleKind::TimedOut).into()),
    }
}

/// The manager's connections to every node.
pub(crate) async fn manage(reach: &dyn Reach, call: &Call<'_>) -> Result<Vec<Wire>, Trouble> {
    manage_of(reach, call.settings, call.manager).await
}

/// The same of settings and a manager alone.
pub(crate) async fn manage_of(
    reach: &dyn Reach,
    settings: &Map<String, Value>,
    manager: Option<&Plaintext>,
) -> Result<Vec<Wire>, Trouble> {
    let site = Site::of(settings)?;
    let login = Login::manager_of(manager)?;
    let mut wires = Vec::with_capacity(site.nodes.len());
    for node in &site.nodes {
        let wire = log_in(reach, &site, node, &login).await;
        wires.push(wire.map_err(manager_denied)?);
    }
    Ok(wires)
}

/// What it means that the manager was not let in.
pub(crate) fn manager_denied(denied: Denied) -> Trouble {
    match denied {
        Denied::Credential => Trouble::new(TroubleKind::ManagerRefused).code("WRONGPASS"),
        Denied::Trouble(trouble) => trouble,
    }
}

async fn connect(reach: &dyn Reach, site: &Site, node: &Node) -> Result<Wire, Trouble> {
    let mut plain = None;
    for address in reach.reach(&node.host, node.port).await? {
        if let Ok(stream) = TcpStream::connect(address).await {
            plain = Some(stream);
            break;
        }
    }
    let plain = plain.ok_or(TroubleKind::Unreachable)?;
    let _ = plain.set_nodelay(true);
    let stream: Box<dyn Stream> = if site.encrypts(node) {
        let config = Arc::new(tls::client_config(site.ca_pem.as_deref()).await?);
        let name = ServerName::try_from(node.host.clone()).map_err(|_| TroubleKind::Settings)?;
        let connector = TlsConnector::from(config);
        let made = connector.connect(name, plain).await;
        Box::new(made.map_err(|_| TroubleKind::Tls)?)
    } else {
        Box::new(plain)
    };
    Ok(Wire::new(stream))
}
