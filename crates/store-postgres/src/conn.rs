//! One connection, and the statements it has prepared.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::options::{Address, OpenError};
use crate::tls;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads and claims.
    Serve,
    /// Commits.
    Write,
}

/// Parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A session; it ends when this is dropped.
pub(crate) struct Conn {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    connection: JoinHandle<()>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Makes sessions. To be used inside the store's runtime.
#[derive(Clone)]
pub(crate) struct Connector {
    address: Arc<Address>,
    tls: Option<MakeRustlsConnect>,
    /// How long a statement that serves may take.
    patience: Duration,
}

impl Connector {
    /// Blocks while it reads certificates.
    pub(crate) fn new(address: Address) -> Result<Self, OpenError> {
        let tls = match address.encrypted {
            true => Some(tls::client_config(address.ca_pem.as_deref())?),
            false => None,
        };
        Ok(Self {
            address: Arc::new(address),
            tls: tls.map(MakeRustlsConnect::new),
            patience: STATEMENT,
        })
    }

    /// Sessions that serve whoever waits no longer than this. The database gives up what nobody
    /// waits for any more, which it does not notice by itself.
    pub(crate) fn within(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// A session, told of notifications.
    pub(crate) async fn listen(&self, listen: &str, heard: &Arc<Notify>) -> Result<Conn, Error> {
        let conn = self
            .open(Some(Arc::clone(heard)), self.patience, false)
            .await?;
        conn.run(listen).await?;
        Ok(conn)
    }

    async fn open(
        &self,
        heard: Option<Arc<Notify>>,
        patience: Duration,
        by_key: bool,
    ) -> Result<Conn, Error> {
        let config = &self.address.config;
        let (client, connection) = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(run(connection, heard)))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(run(connection, heard)))
            }
        };
        let conn = Conn {
            client,
            statements: Mutex::default(),
            connection,
        };
        // 0 would be no limit.
        let limit = patience.as_millis().max(1);
        let planner = if by_key { PLANNER } else { "" };
        let settings =
            format!("{SESSION}; SET statement_timeout = '{limit}ms'; {DURABLE}; {planner}");
        conn.client.batch_execute(&settings).await?;
        Ok(conn)
    }

    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Conn, Error> {
        let patience = match purpose {
            Purpose::Serve => self.patience,
            Purpose::Write => STATEMENT,
        };
        self.open(None, patience, purpose == Purpose::Write).await
    }
}

/// A node that is paused or cut off in the middle of a transaction holds its locks no longer than
/// this; whoever waits for one gives up before a caller does.
const SESSION: &str = "SET default_transaction_isolation = 'read committed';
    SET idle_in_transaction_session_timeout = '4s';
    SET lock_timeout = '4500ms'";

/// A commit finds every row by its key. The database keeps the plan it made for a statement while
/// tables were small, when reading them whole looked cheaper, and goes by it until it has counted
/// them anew. Asked for this way: a database that does not have such a setting needs none.
const PLANNER: &str = "SELECT set_config(name, 'off', false) FROM pg_settings
    WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit')";

/// Statements a session has prepared from which on those that others can stand for are not.
const STATEMENTS_MAX: usize = 400;

/// What no statement takes.
const STATEMENT: Duration = Duration::from_secs(60);

/// A commit is answered when it is durable on every server that is waited for, whatever the
/// database's default. Claims are commits, too.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')";

/// Until the connection ends; how it ended is what the next statement is told.
async fn run<S, T>(mut connection: tokio_postgres::Connection<S, T>, heard: Option<Arc<Notify>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(_), Some(heard)) = (message, &heard) {
            heard.notify_one();
        }
    }
}

impl Conn {
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Ends the session; whoever waits for an answer is told that it is lost.
    pub(crate) fn end(&self) {
        self.connection.abort();
    }

    /// Prepares a statement, once per session.
    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.lock().get(sql) {
            return Ok(known.clone());
        }
        let made = self.client.prepare(sql).await?;
        self.statements.lock().insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    /// Whether so many statements are prepared that this one is not to be.
    pub(crate) fn is_full_for(&self, sql: &str) -> bool {
        let statements = self.statements.lock();
        statements.len() >= STATEMENTS_MAX && !statements.contains_key(sql)
    }

    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.client.query(&statement, params).await
    }

    /// Runs a prepared statement; how many rows it changed. Sent when first polled, so that
    /// several of them go out together, in the order they are polled in.
    pub(crate) async fn execute(
        &self,
        statement: &Statement,
        params: impl Iterator<Item = &(dyn ToSql + Sync)>,
    ) -> Result<u64, Error> {
        let params: Vec<&(dyn ToSql + Sync)> = params.collect();
        self.client.execute(statement, &params).await
    }

    /// As [`Conn::execute`], for rows.
    pub(crate) async fn fetch(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.client.query(statement, params).await
    }

    /// Runs statements without parameters and rows.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }
}
