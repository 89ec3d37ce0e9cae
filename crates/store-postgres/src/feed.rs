//! What other nodes changed: looked for on a connection of its own, so that neither a full pool
//! nor a slow commit keeps a node from knowing. The same connection hears notifications where the
//! database passes them on; behind a pooler that does not, only looking by the clock is left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::ports::{ChangeFeed, Changes, ReadError};
use tokio::sync::{Mutex, Notify};

use crate::clock::{Asked, StoreClock};
use crate::conn::{Conn, Connector};
use crate::pool::Pool;
use crate::refusal::unreadable;
use crate::sql::change::{self, News, Seen};
use crate::sql::row::Read;
use crate::sql::{marks, migrate};
use crate::store::PostgresStore;
use crate::writer::Shared;

/// How long a look may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(3);

/// The least time between two notifications of a node.
const BETWEEN_NEWS: Duration = Duration::from_millis(10);

/// The session that looks are made in, and which of this process's it is.
#[derive(Default)]
struct Ear {
    conn: Option<Conn>,
    session: u64,
}

/// What one node hears.
pub(crate) struct Feed {
    connector: Connector,
    /// The node's own chain, and this process among those that may write to it.
    chain: String,
    pub(crate) maker: String,
    pub(crate) clock: StoreClock,
    shared: Arc<Shared>,
    ear: Mutex<Ear>,
    /// Moved by whoever takes the news, so that news nobody took are told again.
    seen: parking_lot::Mutex<Seen>,
    heard: Arc<Notify>,
}

impl Feed {
    pub(crate) fn new(
        connector: Connector,
        chain: String,
        maker: String,
        clock: StoreClock,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            connector: connector.within(PATIENCE),
            chain,
            maker,
            clock,
            shared,
            ear: Mutex::default(),
            seen: parking_lot::Mutex::default(),
            heard: Arc::default(),
        }
    }

    /// Whether the database that this is a session of is behind what was seen here.
    pub(crate) async fn is_ahead_of(&self, conn: &Conn) -> Read<bool> {
        let seen = self.seen.lock().clone();
        seen.is_ahead_of(conn).await
    }

    async fn look(&self) -> Read<News> {
        let mut ear = self.ear.lock().await;
        // Given back when all went well: what a look that was cut short left on the way is nobody's.
        let conn = match ear.conn.take().filter(|conn| !conn.is_closed()) {
            Some(conn) => conn,
            None => {
                let made = self.connector.listen(change::LISTEN, &self.heard).await;
                let made = made.map_err(|error| unreadable(&error))?;
                ear.session += 1;
                made
            }
        };
        let seen = self.seen.lock().clone();
        let (chains, batches) = seen.columns();
        let anew = seen.is_of_another(ear.session);
        let asked = Asked::now();
        let rows = conn.query(change::LOOK, &[&chains, &batches, &anew]).await;
        let rows = rows.map_err(|error| unreadable(&error))?;
        if let Some(time) = change::time_of(&rows)? {
            self.clock.correct(&asked, time);
        }
        let outdated = migrate::outdated(change::needs_of(&rows)?.unwrap_or(0));
        self.shared.set_outdated(outdated.clone());
        let news = seen.take_in(&rows, ear.session, &self.chain, &self.maker)?;
        if news.went_back {
            // Until it is marked, every look finds it.
            tracing::error!("{}", marks::WENT_BACK);
            marks::went_back(&conn).await?;
        }
        ear.conn = Some(conn);
        match outdated {
            None => Ok(news),
            Some(why) => Err(ReadError::Unavailable(why)),
        }
    }
}

#[async_trait]
impl ChangeFeed for PostgresStore {
    async fn look(&self) -> Result<Changes, ReadError> {
        let feed = Arc::clone(&self.feed);
        // In the store's own runtime: the connection's task lives there.
        let looking = self
            .handle
            .spawn(async move { tokio::time::timeout(PATIENCE, feed.look()).await });
        match looking.await {
            Ok(Ok(looked)) => {
                let news = looked?;
                *self.feed.seen.lock() = news.seen;
                Ok(news.changes)
            }
            Ok(Err(_)) => Err(ReadError::Unavailable(
                "no answer from the database in time".to_owned(),
            )),
            Err(_) => Err(ReadError::Unavailable("the store is closed".to_owned())),
        }
    }

    async fn news(&self) {
        self.feed.heard.notified().await;
    }
}

/// Notifies the other nodes after commits that concern them. Outside of the commits: a
/// notification makes a transaction wait for all others that notify, and losing one costs a
/// moment, no more.
pub(crate) async fn tell(pool: Arc<Pool>, told: Arc<Notify>) {
    loop {
        told.notified().await;
        let sent = pool.in_time(async {
            let Ok(lease) = pool.lease().await else {
                return;
            };
            if lease.conn().run(change::NEWS).await.is_ok() {
                lease.give_back();
            }
        });
        sent.await;
        tokio::time::sleep(BETWEEN_NEWS).await;
    }
}
