//! The read-only connections, lent to one read at a time on a blocking thread. Connections are
//! opened when needed, and one that failed is not used again.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use scaivault_core::ports::ReadError;
use tokio::sync::Semaphore;

use crate::sqlite::connect;
use crate::sqlite::row::{Read, unreadable};

pub(crate) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, count: usize) -> Self {
        let permits = Arc::new(Semaphore::new(count.max(1)));
        Self { path, permits, idle: Mutex::new(Vec::new()) }
    }

    /// Runs a read made of one statement, or of several that need not agree with each other.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Connection) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        let closed = || ReadError::Unavailable("the store is closed".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let read = move || {
            let done = readers.read_now(body);
            drop(permit);
            done
        };
        let stopped = |_| ReadError::Unavailable("the read was stopped".to_owned());
        tokio::task::spawn_blocking(read).await.map_err(stopped)?
    }

    /// Runs a read of several statements in one snapshot.
    pub(crate) async fn read_snapshot<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Connection) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.read(move |conn| {
            let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
            let done = body(&snapshot);
            snapshot.finish().map_err(unreadable)?;
            done
        })
        .await
    }

    fn read_now<T>(&self, body: impl FnOnce(&Connection) -> Read<T>) -> Read<T> {
        let idle = self.idle.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect::reader(&self.path).map_err(unreadable)?,
        };
        let done = body(&conn);
        if !matches!(done, Err(ReadError::Unavailable(_))) && !self.permits.is_closed() {
            self.idle.lock().push(conn);
        }
        done
    }

    /// Refuses further reads and closes the idle connections, so that the writer's is the last one
    /// and can tidy the log away.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }
}
