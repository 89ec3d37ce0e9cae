//! Sessions: how one is opened, what a statement came to, and what is in doubt.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, DriverError, Error, IoError, OptsBuilder, SslOpts};
use scaivault_core::ports::{Effect, Reach, Refusal};
use scaivault_core::target::{Trouble, TroubleKind};

use super::quote;
use super::settings::Place;

/// How long a connection may take. Below the bound of a whole call, so that what was never sent
/// is told apart from what may have been done.
const CONNECT_MAX: Duration = Duration::from_secs(8);
const GOODBYE_MAX: Duration = Duration::from_secs(1);
const PACKET_MAX: usize = 4 << 20;

/// Why no session was opened.
pub(super) enum Shut {
    /// The server refused the account.
    Refused(Refusal, u16),
    /// It did not come to that.
    Trouble(Trouble),
}

/// An open session.
pub(super) struct Session {
    conn: Conn,
    /// Something was sent that may have changed the server.
    pub(super) doubt: bool,
}

impl Session {
    /// Logs in.
    pub(super) async fn open(
        reach: &Arc<dyn Reach>,
        place: &Place,
        username: &str,
        password: &str,
        database: Option<&str>,
    ) -> Result<Self, Shut> {
        let found = reach.reach(&place.host, place.port).await;
        let ips: Vec<_> = found
            .map_err(Shut::Trouble)?
            .iter()
            .map(std::net::SocketAddr::ip)
            .collect();
        if ips.is_empty() {
            return Err(Shut::Trouble(TroubleKind::Unreachable.into()));
        }
        let opts = OptsBuilder::default()
            .ip_or_hostname(place.host.as_str())
            .tcp_port(place.port)
            .resolved_ips(Some(ips))
            .user(Some(username))
            .pass(Some(password))
            .db_name(database)
            .prefer_socket(false)
            // Both are read from the server otherwise, with a statement of their own.
            .max_allowed_packet(Some(PACKET_MAX))
            .wait_timeout(Some(60))
            .stmt_cache_size(0)
            .ssl_opts(tls(place));
        let conn = match tokio::time::timeout(CONNECT_MAX, Conn::new(opts)).await {
            Ok(conn) => conn.map_err(|error| shut(&error))?,
            Err(_) => return Err(Shut::Trouble(TroubleKind::TimedOut.into())),
        };
        Ok(Self { conn, doubt: false })
    }

    /// Reads rows.
    pub(super) async fn rows<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
    ) -> Result<Vec<T>, Trouble> {
        let rows: Vec<mysql_async::Row> = self.conn.query(sql).await.map_err(|e| trouble(&e))?;
        rows.into_iter()
            .map(|row| T::from_row_opt(row).map_err(|_| TroubleKind::Protocol.into()))
            .collect()
    }

    /// Reads one value.
    pub(super) async fn one<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
    ) -> Result<T, Trouble> {
        let first = self.rows(sql).await?.into_iter().next();
        first.ok_or(TroubleKind::Protocol.into())
    }

    /// Whether the server still answers on it.
    pub(super) async fn answers(&mut self) -> bool {
        let answer = tokio::time::timeout(CONNECT_MAX, self.conn.ping()).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    /// Runs a statement of this session alone.
    pub(super) async fn set(&mut self, sql: &str) -> Result<(), Trouble> {
        self.conn.query_drop(sql).await.map_err(|e| trouble(&e))
    }

    /// Runs a statement that changes the server. One that the server refuses changes nothing.
    pub(super) async fn change(&mut self, sql: &str) -> Result<(), Trouble> {
        let before = std::mem::replace(&mut self.doubt, true);
        let done = self.conn.query_drop(sql).await;
        done.map_err(|error| {
            if matches!(error, Error::Server(_)) {
                self.doubt = before;
            }
            trouble(&error)
        })
    }

    /// Makes statements mean the same on every server.
    pub(super) async fn prepare(&mut self) -> Result<(), Trouble> {
        let mode = quote::text(quote::SQL_MODE);
        self.set(&format!("SET SESSION sql_mode = {mode}")).await?;
        self.set("SET NAMES utf8mb4").await
    }

    /// The account the server took this session for, name and host.
    pub(super) async fn current_user(&mut self) -> Result<(String, String), Trouble> {
        let user: String = self.one("SELECT CURRENT_USER()").await?;
        let (name, host) = user.rsplit_once('@').ok_or(TroubleKind::Protocol)?;
        Ok((name.to_owned(), host.to_owned()))
    }

    /// Says goodbye, which also gives locks back.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(GOODBYE_MAX, self.conn.disconnect()).await;
    }

    /// What an effect came to.
    pub(super) fn outcome(&self, done: Result<(), Trouble>) -> Effect {
        match done {
            Ok(()) => Effect::applied(),
            Err(trouble) if self.doubt => Effect::Unknown(trouble),
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }
}

fn tls(place: &Place) -> Option<SslOpts> {
    let own = place
        .ca_pem
        .as_ref()
        .map(|pem| pem.as_bytes().to_vec().into());
    place.tls.then(|| {
        SslOpts::default()
            .with_disable_built_in_roots(own.is_some())
            .with_root_certs(own.into_iter().collect())
    })
}

fn shut(error: &Error) -> Shut {
    let Error::Server(server) = error else {
        return Shut::Trouble(trouble(error));
    };
    match server.code {
        // 1130: no account for the address we come from; 1698: no password where one is wanted.
        1045 | 1130 | 1698 => Shut::Refused(Refusal::Credential, server.code),
        3118 | 4151 => Shut::Refused(Refusal::Locked, server.code),
        1820 | 1862 => Shut::Refused(Refusal::Expired, server.code),
        // The database the value names.
        1044 | 1049 => {
            Shut::Trouble(Trouble::new(TroubleKind::Settings).code(server.code.to_string()))
        }
        _ => Shut::Trouble(trouble(error)),
    }
}

/// Our words for what went wrong.
pub(super) fn trouble(error: &Error) -> Trouble {
    use std::io::ErrorKind as Io;
    match error {
        Error::Server(server) => Trouble::new(kind(server.code)).code(server.code.to_string()),
        Error::Io(IoError::Tls(_)) => TroubleKind::Tls.into(),
        Error::Io(IoError::Io(io)) => match io.kind() {
            Io::ConnectionRefused
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::AddrNotAvailable => TroubleKind::Unreachable.into(),
            Io::TimedOut => TroubleKind::TimedOut.into(),
            // The TLS handshake reports through here.
            Io::InvalidData => TroubleKind::Tls.into(),
            _ => TroubleKind::Interrupted.into(),
        },
        Error::Driver(DriverError::NoClientSslFlagFromServer) => TroubleKind::Tls.into(),
        Error::Driver(DriverError::ConnectionClosed) => TroubleKind::Interrupted.into(),
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled,
        ) => TroubleKind::Unsupported.into(),
        _ => TroubleKind::Protocol.into(),
    }
}

fn kind(code: u16) -> TroubleKind {
    match code {
        1040 | 1203 | 1226 => TroubleKind::Throttled,
        1044 | 1045 | 1095 | 1141 | 1142 | 1143 | 1227 | 1370 | 1410 | 1698 => {
            TroubleKind::Privilege
        }
        // Read-only servers, and names that do not fit.
        1290 | 1470 | 1836 => TroubleKind::Settings,
        1396 | 1449 => TroubleKind::NoAccount,
        1053 | 1317 => TroubleKind::Interrupted,
        1205 | 3024 => TroubleKind::TimedOut,
        // Let in only to change its password, which has expired.
        1820 | 1862 => TroubleKind::ManagerRefused,
        1524 | 1235 | 1064 => TroubleKind::Unsupported,
        3159 => TroubleKind::Tls,
        _ => TroubleKind::Protocol,
    }
}
