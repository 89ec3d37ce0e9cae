//! Places in the trail of all nodes.

use std::time::{Duration, Instant};

use futures_util::future::join3;
use tokio::task::JoinHandle;
use tokio_postgres::Error;

use crate::conn::{Conn, Connector, Purpose};
use crate::sql::row::{get, int};

/// How old places that were asked for ahead may be: the trail is to be in the order of time, as far
/// as it can be.
const FRESH: Duration = Duration::from_millis(50);

type Given = Result<(Conn, i64), Error>;

/// Asked for while the transaction before is under way.
struct Ahead {
    rows: u64,
    at: Instant,
    answer: JoinHandle<Given>,
}

/// Gives places out on a connection of its own, in commits that wait for no disk: the segment that
/// uses them is written behind them to the same log, so it is durable only if they are, too. Places
/// nobody uses stay empty.
pub(super) struct Places {
    connector: Connector,
    kept: Option<Conn>,
    ahead: Option<Ahead>,
}

impl Places {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            kept: None,
            ahead: None,
        }
    }

    /// Asks for places that the next transaction may want, and waits for nothing.
    pub(super) fn ask_ahead(&mut self, rows: u64) {
        if self.ahead.is_none() {
            let giving = give(self.connector.clone(), self.kept.take(), rows);
            self.ahead = Some(Ahead {
                rows,
                at: Instant::now(),
                answer: tokio::spawn(giving),
            });
        }
    }

    /// What was asked for ahead may be of another past.
    pub(super) fn forget(&mut self) {
        self.ahead = None;
    }

    /// The first of so many places.
    pub(super) async fn take(&mut self, rows: u64) -> Result<i64, Error> {
        if rows == 0 {
            return Ok(0);
        }
        if let Some(ahead) = self.ahead.take()
            && let Ok(Ok((conn, first))) = ahead.answer.await
        {
            self.kept = Some(conn);
            if ahead.rows >= rows && ahead.at.elapsed() < FRESH {
                return Ok(first);
            }
        }
        let (conn, first) = give(self.connector.clone(), self.kept.take(), rows).await?;
        self.kept = Some(conn);
        Ok(first)
    }
}

async fn give(connector: Connector, kept: Option<Conn>, rows: u64) -> Given {
    let conn = match kept.filter(|conn| !conn.is_closed()) {
        Some(conn) => conn,
        None => connector.connect(Purpose::Serve).await?,
    };
    let sql = "UPDATE meta SET value = value + $1 WHERE name = 'audit_place'
               RETURNING value - $1 + 1";
    let statement = conn.prepare(sql).await?;
    let rows = int(rows);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&rows];
    // For this transaction alone: behind a pooler the session may be somebody else's next.
    let (begun, rows, committed) = join3(
        conn.run("BEGIN; SET LOCAL synchronous_commit = off"),
        conn.fetch(&statement, &params),
        conn.run("END"),
    )
    .await;
    begun?;
    let rows = rows?;
    committed?;
    let first = rows.first().and_then(|row| get(row, 0).ok()).unwrap_or(0);
    Ok((conn, first))
}
