//! The readers: threads with a read-only connection each, taking reads from a queue. Under load a
//! thread goes from read to read without sleeping, and a stalled disk stalls these threads alone,
//! never the caller's runtime.
//!
//! There are three lanes, so that reads which walk many rows do not hold back those of a few, and
//! those which walk all rows hold back nobody.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use scaivault_core::ports::ReadError;
use tokio::sync::oneshot;

use crate::rows::Rows;
use crate::sqlite::conn::Conn;
use crate::sqlite::connect;
use crate::sqlite::row::{Read, unreadable};

/// Threads for reads that walk many rows.
const SLOW_READERS: usize = 2;
/// Threads for reads that walk all rows, for minutes perhaps.
const ENDLESS_READERS: usize = 2;

/// A read with its answer's way back. Returns whether the connection may be used again.
type Job = Box<dyn FnOnce(Read<&Conn>) -> bool + Send>;

pub(crate) struct Readers {
    quick: Arc<Lane>,
    slow: Arc<Lane>,
    endless: Arc<Lane>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    sleeping: usize,
    closed: bool,
}

impl Readers {
    /// Starts the threads; connections are opened when first needed.
    pub(crate) fn start(path: PathBuf, quick: usize, rows: &Arc<Rows>) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        let mut lane = |count: usize| -> std::io::Result<Arc<Lane>> {
            let lane = Arc::<Lane>::default();
            for _ in 0..count {
                let (lane, path) = (Arc::clone(&lane), path.clone());
                let rows = Arc::clone(rows);
                let thread = std::thread::Builder::new().name("store-reader".to_owned());
                threads.push(thread.spawn(move || lane.run(&path, &rows))?);
            }
            Ok(lane)
        };
        let (quick, slow) = (lane(quick.max(1))?, lane(SLOW_READERS)?);
        let endless = lane(ENDLESS_READERS)?;
        Ok(Self {
            quick,
            slow,
            endless,
            threads,
        })
    }

    /// Runs a read of a few rows: one statement, or several that need not agree with each other.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.quick.read(body).await
    }

    /// Runs a read of a few rows by several statements in one snapshot.
    pub(crate) async fn read_snapshot<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.quick.read(|conn| snapshot(conn, body)).await
    }

    /// Runs a read that may walk many rows.
    pub(crate) async fn read_many<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.slow.read(body).await
    }

    /// The same by several statements in one snapshot.
    pub(crate) async fn read_many_snapshot<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.slow.read(|conn| snapshot(conn, body)).await
    }

    /// Runs a read that walks all rows.
    pub(crate) async fn read_all<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        self.endless.read(body).await
    }

    /// Refuses further reads, lets those waiting finish and closes the connections.
    pub(crate) fn close(&mut self) {
        self.quick.close();
        self.slow.close();
        self.endless.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn snapshot<T>(conn: &Conn, body: impl FnOnce(&Conn) -> Read<T>) -> Read<T> {
    let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
    let done = body(conn);
    snapshot.finish().map_err(unreadable)?;
    done
}

impl Lane {
    async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Conn) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        let (caller, answer) = oneshot::channel();
        let job = move |conn: Read<&Conn>| {
            let done = conn.and_then(body);
            let sound = !matches!(done, Err(ReadError::Unavailable(_)));
            let _ = caller.send(done);
            sound
        };
        self.push(Box::new(job))?;
        let stopped = |_| ReadError::Unavailable("the read was stopped".to_owned());
        answer.await.map_err(stopped)?
    }

    fn push(&self, job: Job) -> Read<()> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(ReadError::Unavailable("the store is closed".to_owned()));
        }
        queue.jobs.push_back(job);
        if queue.sleeping > 0 {
            drop(queue);
            self.bell.notify_one();
        }
        Ok(())
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.sleeping += 1;
            self.bell.wait(&mut queue);
            queue.sleeping -= 1;
        }
    }

    /// A thread's life. A connection on which a read failed, or panicked, is replaced.
    fn run(&self, path: &std::path::Path, rows: &Arc<Rows>) {
        let mut conn = None;
        while let Some(job) = self.next() {
            let opened = match conn.take() {
                Some(conn) => Ok(conn),
                None => connect::reader(path)
                    .map(|conn| Conn::new(conn, Arc::clone(rows)))
                    .map_err(unreadable),
            };
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                job(opened.as_ref().map_err(Clone::clone))
            }));
            conn = opened.ok().filter(|_| matches!(ran, Ok(true)));
        }
    }

    fn close(&self) {
        self.queue.lock().closed = true;
        self.bell.notify_all();
    }
}
