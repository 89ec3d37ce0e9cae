//! A bounded set of connections for reads and claims.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use scaivault_core::ports::ReadError;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Row;

use crate::conn::{Conn, Connector, Params, Purpose};
use crate::refusal::{is_lost, unreadable};

/// Connections, made as they are needed and kept.
pub(crate) struct Pool {
    connector: Connector,
    handle: Handle,
    free: Mutex<Vec<Conn>>,
    places: Arc<Semaphore>,
    patience: Duration,
}

/// A connection in use. Closed when it is not given back: what it is in the middle of is nobody
/// else's.
pub(crate) struct Lease {
    conn: Conn,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Lease {
    pub(crate) fn conn(&self) -> &Conn {
        &self.conn
    }

    /// The connection may go to somebody else: it is in the middle of nothing.
    pub(crate) fn give_back(self) {
        if !self.conn.is_closed() {
            self.pool.free.lock().push(self.conn);
        }
    }
}

impl Pool {
    pub(crate) fn new(
        connector: Connector,
        handle: Handle,
        connections: usize,
        patience: Duration,
    ) -> Self {
        Self {
            connector: connector.within(patience),
            handle,
            free: Mutex::default(),
            places: Arc::new(Semaphore::new(connections.max(1))),
            patience,
        }
    }

    /// Puts a time limit on work that may be polled by any runtime: the store's own has the clock.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        within(&self.handle, self.patience, work).await
    }

    /// A connection: a kept one, or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, ReadError> {
        let closed = |_| ReadError::Unavailable("the store is closed".to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(closed)?;
        let kept = {
            let mut free = self.free.lock();
            free.retain(|conn| !conn.is_closed());
            free.pop()
        };
        let conn = match kept {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        Ok(Lease {
            conn,
            pool: Arc::clone(self),
            _place: place,
        })
    }

    async fn connect(&self) -> Result<Conn, ReadError> {
        let connector = self.connector.clone();
        let made = self
            .handle
            .spawn(async move { connector.connect(Purpose::Serve).await });
        match made.await {
            Ok(made) => made.map_err(|error| unreadable(&error)),
            Err(_) => Err(ReadError::Unavailable("the store is closed".to_owned())),
        }
    }

    /// Reads in one statement. When the connection turns out to be gone, another one is asked.
    pub(crate) async fn query(self: &Arc<Self>, sql: &str, params: Params<'_>) -> ReadRows {
        let asked = self.in_time(async {
            let lease = self.lease().await?;
            match lease.conn().query(sql, params).await {
                Err(error) if is_lost(&error) => drop(lease),
                answer => {
                    lease.give_back();
                    return answer.map_err(|error| unreadable(&error));
                }
            }
            // The others it has are most likely gone, too.
            self.free.lock().clear();
            let lease = self.lease().await?;
            let again = lease.conn().query(sql, params).await;
            lease.give_back();
            again.map_err(|error| unreadable(&error))
        });
        let late = || ReadError::Unavailable("no answer from the database in time".to_owned());
        asked.await.ok_or_else(late)?
    }
}

type ReadRows = Result<Vec<Row>, ReadError>;

/// Waits no longer than `patience` by the clock of this runtime, whichever polls it.
pub(crate) async fn within<T>(
    handle: &Handle,
    patience: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let limit = {
        let _inside = handle.enter();
        tokio::time::timeout(patience, work)
    };
    limit.await.ok()
}
