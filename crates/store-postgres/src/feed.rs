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
use crate::sql::change::{self, Seen};
use crate::sql::row::Read;
use crate::store::PostgresStore;

/// How long a look may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(3);

/// The least time between two notifications of a node.
const BETWEEN_NEWS: Duration = Duration::from_millis(10);

/// One node's ear.
pub(crate) struct Feed {
    connector: Connector,
    /// The node's own chain, and this process among those that may write to it.
    chain: String,
    maker: String,
    pub(crate) clock: StoreClock,
    state: Mutex<State>,
    heard: Arc<Notify>,
}

#[derive(Default)]
struct State {
    conn: Option<Conn>,
    seen: Seen,
}

impl Feed {
    pub(crate) fn new(
        connector: Connector,
        chain: String,
        maker: String,
        clock: StoreClock,
    ) -> Self {
        Self {
            connector,
            chain,
            maker,
            clock,
            state: Mutex::default(),
            heard: Arc::default(),
        }
    }

    async fn look(&self) -> Read<Changes> {
        let mut state = self.state.lock().await;
        // Given back when all went well: what a look that was cut short left on the way is nobody's.
        let conn = match state.conn.take().filter(|conn| !conn.is_closed()) {
            Some(conn) => conn,
            None => {
                let made = self.connector.listen(change::LISTEN, &self.heard).await;
                made.map_err(|error| unreadable(&error))?
            }
        };
        let asked = Asked::now();
        let rows = {
            let (chains, batches) = state.seen.columns();
            conn.query(change::LOOK, &[&chains, &batches]).await
        };
        let rows = rows.map_err(|error| unreadable(&error))?;
        if let Some(time) = change::time_of(&rows)? {
            self.clock.correct(&asked, time);
        }
        let (seen, changes) = state.seen.take_in(&rows, &self.chain, &self.maker)?;
        state.seen = seen;
        state.conn = Some(conn);
        Ok(changes)
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
            Ok(Ok(looked)) => looked,
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
