//! Both sides of a copy on PostgreSQL: a view of a database that nodes may be serving, and a
//! database that is nobody's yet.

use async_trait::async_trait;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_store::transfer::{
    ChainEnd, Destination, Holdings, Moved, Numbers, Row, Source, Standing, StoredSegment, Table,
    TransferError, Value,
};
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::conn::{Conn, Connector, Purpose};
use crate::options::{Address, OpenError};
use crate::refusal::text;
use crate::sql::{marks, migrate, transfer};

/// Any number that others do not use: one copy at a time goes into a database.
const LOCK: i64 = 0x5ca1_7a01_7000_0002;

/// A copy takes its time, and holds a view for as long.
const PATIENT: &str = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0";

/// A view of a database as it is now; its nodes may go on.
pub struct PostgresSource {
    connector: Connector,
    conn: Conn,
    batches: Vec<(String, i64)>,
}

/// A database that a copy is made into.
pub struct PostgresDestination {
    conn: Conn,
}

fn source(error: Error) -> TransferError {
    TransferError::Source(text(&error))
}

fn destination(error: Error) -> TransferError {
    let constraint = error.as_db_error().and_then(DbError::constraint);
    match constraint.and_then(|name| name.strip_suffix("_doc_code")) {
        Some(table) => TransferError::Unsigned(table.to_owned()),
        None => TransferError::Destination(text(&error)),
    }
}

fn unavailable(error: Error) -> OpenError {
    OpenError::Unavailable(text(&error))
}

/// A store into which a copy was begun and not finished is not served.
pub(crate) async fn refuse_unfinished(conn: &Conn) -> Result<(), OpenError> {
    match transfer::number(conn, transfer::COPYING).await {
        Ok(0) => Ok(()),
        Ok(_) => Err(OpenError::Unfinished),
        Err(error) => Err(unavailable(error)),
    }
}

/// Says that a database was restored from a backup now, by its own clock: its nodes begin nothing at
/// a target until they are told to. Its schema is left as it is, so that it can be said before the
/// first node starts.
///
/// # Errors
/// [`OpenError`]; [`OpenError::Older`] when there is no store in it.
pub async fn mark_restored(url: &str) -> Result<(), OpenError> {
    let connector = Connector::new(Address::parse(url, None)?)?;
    let conn = connector
        .connect(Purpose::Write)
        .await
        .map_err(unavailable)?;
    if migrate::found(&conn).await? == 0 {
        let known = migrate::known();
        return Err(OpenError::Older { found: 0, known });
    }
    marks::restored(&conn).await.map_err(unavailable)
}

/// What a database with a schema of any revision holds.
async fn standing(conn: &Conn) -> Result<Standing, Error> {
    let copying = transfer::number(conn, transfer::COPYING).await?;
    if copying != 0 {
        return Ok(Standing::Copying(copying));
    }
    let keys = transfer::count(conn, Table::named("keyring")).await?;
    Ok(
        match keys == 0 && transfer::chains(conn).await?.is_empty() {
            true => Standing::Empty,
            false => Standing::Used,
        },
    )
}

impl PostgresSource {
    /// Takes a view.
    ///
    /// # Errors
    /// [`OpenError`], also when the database holds an unfinished copy.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let connector = Connector::new(Address::parse(url, None)?)?;
        let conn = connector
            .connect(Purpose::Serve)
            .await
            .map_err(unavailable)?;
        migrate::look(&conn).await?;
        conn.run(PATIENT).await.map_err(unavailable)?;
        conn.run(transfer::COPY_NAME).await.map_err(unavailable)?;
        conn.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(unavailable)?;
        refuse_unfinished(&conn).await?;
        let batches = transfer::batches(&conn).await.map_err(unavailable)?;
        Ok(Self {
            connector,
            conn,
            batches,
        })
    }
}

impl PostgresDestination {
    /// Opens a database, and makes its tables where there is no vault in it. One that is used is
    /// left as it is: it was most likely named by mistake.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let connector = Connector::new(Address::parse(url, None)?)?;
        let conn = connector
            .connect(Purpose::Write)
            .await
            .map_err(unavailable)?;
        conn.run(transfer::COPY_NAME).await.map_err(unavailable)?;
        conn.run(PATIENT).await.map_err(unavailable)?;
        let there = migrate::found(&conn).await? > 0;
        let standing = match there {
            true => standing(&conn).await.map_err(unavailable)?,
            false => Standing::Empty,
        };
        if !matches!(standing, Standing::Used) {
            migrate::migrate(&conn).await?;
        }
        let sql = "SELECT pg_try_advisory_lock($1 + 'meta'::regclass::oid::bigint)";
        let rows = conn.query(sql, &[&LOCK]).await.map_err(unavailable)?;
        if !rows.first().is_some_and(|row| row.get(0)) {
            let text = "another copy into this database is under way".to_owned();
            return Err(OpenError::Unavailable(text));
        }
        Ok(Self { conn })
    }

    async fn ended(&mut self, done: Result<(), Error>) -> Moved<()> {
        match done {
            Ok(()) => self.conn.run("COMMIT").await.map_err(destination),
            Err(error) => {
                let _ = self.conn.run("ROLLBACK").await;
                Err(destination(error))
            }
        }
    }
}

macro_rules! holdings {
    ($side:ident, $failed:ident) => {
        #[async_trait]
        impl Holdings for $side {
            async fn page(
                &mut self,
                table: &'static Table,
                after: Option<&[Value]>,
                until: Option<&[Value]>,
                limit: usize,
            ) -> Moved<Vec<Row>> {
                let page = transfer::page(&self.conn, table, after, until, limit);
                page.await.map_err($failed)
            }

            async fn find(&mut self, table: &'static Table, key: &[Value]) -> Moved<Option<Row>> {
                let found = transfer::find(&self.conn, table, key);
                found.await.map_err($failed)
            }

            async fn count(&mut self, table: &'static Table) -> Moved<u64> {
                let count = transfer::count(&self.conn, table).await.map_err($failed)?;
                Ok(u64::try_from(count).unwrap_or(0))
            }

            async fn numbers(&mut self) -> Moved<Numbers> {
                transfer::numbers(&self.conn).await.map_err($failed)
            }

            async fn chains(&mut self) -> Moved<Vec<ChainEnd>> {
                transfer::chains(&self.conn).await.map_err($failed)
            }

            async fn anchors(&mut self) -> Moved<Vec<AuditAnchor>> {
                transfer::anchors(&self.conn).await.map_err($failed)
            }

            async fn segments(
                &mut self,
                chain: &str,
                after: i64,
                limit: usize,
            ) -> Moved<Vec<StoredSegment>> {
                let segments = transfer::segments(&self.conn, chain, after, limit);
                segments.await.map_err($failed)
            }
        }
    };
}

holdings!(PostgresSource, source);
holdings!(PostgresDestination, destination);

#[async_trait]
impl Source for PostgresSource {
    async fn stood_still(&mut self) -> Moved<bool> {
        let conn = self.connector.connect(Purpose::Serve).await;
        let conn = conn.map_err(source)?;
        let now = transfer::batches(&conn).await.map_err(source)?;
        Ok(now == self.batches && !transfer::is_served(&conn).await.map_err(source)?)
    }
}

#[async_trait]
impl Destination for PostgresDestination {
    async fn standing(&mut self) -> Moved<Standing> {
        standing(&self.conn).await.map_err(destination)
    }

    async fn begin(&mut self, of: i64) -> Moved<()> {
        let set = transfer::set_number(&self.conn, transfer::COPYING, of);
        set.await.map_err(destination)
    }

    async fn replace(
        &mut self,
        table: &'static Table,
        gone: Vec<Row>,
        rows: Vec<Row>,
    ) -> Moved<()> {
        self.conn.run("BEGIN").await.map_err(destination)?;
        let done = transfer::replace(&self.conn, table, &gone, &rows).await;
        self.ended(done).await
    }

    async fn put_anchor(&mut self, anchor: &AuditAnchor) -> Moved<()> {
        self.conn.run("BEGIN").await.map_err(destination)?;
        let done = transfer::put_anchor(&self.conn, anchor).await;
        self.ended(done).await
    }

    async fn append(&mut self, chain: &str, segments: Vec<StoredSegment>) -> Moved<()> {
        self.conn.run("BEGIN").await.map_err(destination)?;
        let done = transfer::append(&self.conn, chain, &segments).await;
        self.ended(done).await
    }

    async fn set_numbers(&mut self, numbers: &Numbers) -> Moved<()> {
        self.conn.run("BEGIN").await.map_err(destination)?;
        let done = transfer::set_numbers(&self.conn, numbers).await;
        self.ended(done).await
    }

    async fn finish(&mut self) -> Moved<()> {
        let cleared = transfer::clear_number(&self.conn, transfer::COPYING);
        cleared.await.map_err(destination)
    }
}
