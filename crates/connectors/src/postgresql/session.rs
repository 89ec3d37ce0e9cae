//! A session: one address that was allowed, one login.

use std::time::Duration;

use scaivault_core::ports::Reach;
use scaivault_core::target::{Trouble, TroubleKind};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Place, Settings};
use super::trouble;
use crate::tls;

const CONNECT_MAX: Duration = Duration::from_secs(5);
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// A logged-in session; it ends when this is dropped.
pub(super) struct Session {
    pub(super) client: Client,
    /// Who logged in.
    pub(super) user: String,
    connection: JoinHandle<()>,
}

/// A login that did not come about.
pub(super) enum NoLogin {
    /// The server's answer.
    Refused(tokio_postgres::Error, Trouble),
    /// No answer.
    Trouble(Trouble),
}

impl From<NoLogin> for Trouble {
    fn from(no: NoLogin) -> Self {
        match no {
            NoLogin::Refused(_, trouble) | NoLogin::Trouble(trouble) => trouble,
        }
    }
}

impl From<Trouble> for NoLogin {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<TroubleKind> for NoLogin {
    fn from(kind: TroubleKind) -> Self {
        Self::Trouble(kind.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn stream(reach: &dyn Reach, place: &Place) -> Result<TcpStream, Trouble> {
    for address in reach.reach(&place.host, place.port).await? {
        let connected = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address));
        if let Ok(Ok(stream)) = connected.await {
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(TroubleKind::Unreachable.into())
}

impl Session {
    /// Logs in.
    pub(super) async fn open(
        reach: &dyn Reach,
        settings: &Settings<'_>,
        place: &Place,
        (user, password): (&str, &str),
    ) -> Result<Self, NoLogin> {
        let encrypted = match settings.tls {
            Some(tls) => tls != "off",
            None => !place.is_loopback(),
        };
        let mut config = Config::new();
        config
            .user(user)
            .password(password)
            .dbname(&place.database)
            .application_name("scaivault");
        let stream = stream(reach, place).await?;
        let login = async {
            if encrypted {
                let trust = tls::client_config(settings.ca_pem).await?;
                let mut tls = MakeRustlsConnect::new(trust);
                let host = place.host.trim_matches(['[', ']']);
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host)
                    .map_err(|_| TroubleKind::Settings)?;
                config.ssl_mode(SslMode::Require);
                Self::run(config.connect_raw(stream, tls).await, user, true)
            } else {
                config.ssl_mode(SslMode::Disable);
                Self::run(config.connect_raw(stream, NoTls).await, user, false)
            }
        };
        match tokio::time::timeout(LOGIN_MAX, login).await {
            Ok(session) => session,
            Err(_) => Err(TroubleKind::TimedOut.into()),
        }
    }

    fn run<S, T>(
        login: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
        user: &str,
        encrypted: bool,
    ) -> Result<Self, NoLogin>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (client, connection) = login.map_err(|error| {
            let trouble = trouble::login(&error, encrypted);
            match trouble::code(&error) {
                Some(_) => NoLogin::Refused(error, trouble),
                None => NoLogin::Trouble(trouble),
            }
        })?;
        let connection = tokio::spawn(async move {
            // How it ended is what the next statement is told.
            let _ = connection.await;
        });
        Ok(Self {
            client,
            user: user.to_owned(),
            connection,
        })
    }
}
