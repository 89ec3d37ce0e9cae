//! Units waiting for the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use scaivault_core::ports::{CommitError, Committed};
use scaivault_store::rows::Rows;
use scaivault_store::{ChainMac, Counters};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use crate::pool::within;
use crate::prepared::Prepared;

/// What a caller is told.
pub(crate) type Outcome = Result<Committed, CommitError>;

/// Units one transaction takes at most …
const UNITS_MAX: usize = 512;
/// … and those that change rows: where one of them is refused, each takes a savepoint, and past 64
/// of them every other session pays for looking at what they wrote.
const CHANGES_MAX: usize = 64;

/// Rows the audit index may lag behind before it is extended.
const INDEX_LAG: u64 = 1_000;

pub(crate) struct Work {
    number: u64,
    pub(super) unit: Prepared,
    pub(super) answer: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Waiting {
    works: VecDeque<Work>,
    next: u64,
    closed: bool,
}

/// What the writer and its callers share.
pub(crate) struct Shared {
    handle: Handle,
    waiting: Mutex<Waiting>,
    wake: Notify,
    queue_max: usize,
    pub(super) commit_timeout: Duration,
    pub(crate) mac: RwLock<Option<Arc<dyn ChainMac>>>,
    /// The key of the rows, once started.
    pub(crate) rows: Arc<Rows>,
    /// The last row of the node's chain, and the last one indexed as far as is known here.
    grown: watch::Sender<(u64, u64)>,
    /// A commit that concerns other nodes was made.
    pub(crate) told: Arc<Notify>,
    /// Figures.
    pub(crate) counters: Counters,
    /// The last thing that went wrong, until writing went well again.
    pub(crate) trouble: Mutex<Option<String>>,
    /// The store was moved on to where this program may not write it.
    outdated: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(handle: Handle, queue_max: usize, commit_timeout: Duration) -> Self {
        Self {
            handle,
            waiting: Mutex::default(),
            wake: Notify::new(),
            queue_max,
            commit_timeout,
            mac: RwLock::new(None),
            rows: Arc::default(),
            grown: watch::Sender::default(),
            told: Arc::default(),
            counters: Counters::default(),
            trouble: Mutex::new(None),
            outdated: Mutex::new(None),
        }
    }

    /// The chain reaches to this row.
    pub(super) fn grown(&self, last_seq: u64) {
        self.grown.send_if_modified(|(last, indexed)| {
            *last = last_seq;
            last_seq >= *indexed + INDEX_LAG
        });
    }

    /// Waits until the chain has grown enough to be indexed further; returns its last row.
    pub(crate) async fn unindexed(&self) -> u64 {
        let mut grown = self.grown.subscribe();
        let enough = grown.wait_for(|(last, indexed)| *last >= indexed + INDEX_LAG);
        let found = enough.await.map(|grown| grown.0);
        // The sender lives as long as this.
        found.unwrap_or(0)
    }

    /// The index reaches to this row.
    pub(crate) fn indexed(&self, upto: u64) {
        self.grown.send_modify(|(_, indexed)| *indexed = upto);
    }

    /// Why this program may not work with the store any more, if so. Nothing is written then.
    pub(crate) fn set_outdated(&self, why: Option<String>) {
        *self.outdated.lock() = why;
    }

    pub(crate) fn outdated(&self) -> Option<String> {
        self.outdated.lock().clone()
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.waiting.lock().works.len()
    }

    /// Lets what is queued be written, and nothing more.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    pub(crate) async fn submit(&self, unit: Prepared) -> Outcome {
        self.submit_within(unit, self.commit_timeout).await
    }

    /// Waits no longer than `patience`. A unit that was not begun by then is taken back: that it is
    /// not applied is certain.
    pub(crate) async fn submit_within(&self, unit: Prepared, patience: Duration) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let number = self.push(unit, answer)?;
        self.wake.notify_one();
        match within(&self.handle, patience, outcome).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(CommitError::Unknown),
            None if self.take_back(number) => {
                let text = self.trouble.lock().clone();
                let text = text.unwrap_or_else(|| "too many units are waiting".to_owned());
                Err(CommitError::Unavailable(text))
            }
            None => Err(CommitError::Unknown),
        }
    }

    fn push(&self, unit: Prepared, answer: oneshot::Sender<Outcome>) -> Result<u64, CommitError> {
        let refused = |text: &str| Err(CommitError::Unavailable(text.to_owned()));
        if let Some(why) = self.outdated() {
            return refused(&why);
        }
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return refused("the store is closed");
        }
        if waiting.works.len() >= self.queue_max {
            return refused("too many units are waiting");
        }
        waiting.next += 1;
        let number = waiting.next;
        waiting.works.push_back(Work {
            number,
            unit,
            answer,
        });
        Ok(number)
    }

    /// `false` when the writer has it.
    fn take_back(&self, number: u64) -> bool {
        let mut waiting = self.waiting.lock();
        let found = waiting.works.iter().position(|work| work.number == number);
        found.and_then(|at| waiting.works.remove(at)).is_some()
    }

    /// The next batch; `None` when the store is closed and all is written.
    pub(super) async fn next(&self) -> Option<Vec<Work>> {
        loop {
            let (batch, closed) = self.take();
            if !batch.is_empty() {
                return Some(batch);
            }
            if closed {
                return None;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> (Vec<Work>, bool) {
        let mut waiting = self.waiting.lock();
        let (mut batch, mut changes) = (Vec::new(), 0);
        while batch.len() < UNITS_MAX
            && changes < CHANGES_MAX
            && let Some(work) = waiting.works.pop_front()
        {
            changes += usize::from(work.unit.is_change());
            batch.push(work);
        }
        (batch, waiting.closed)
    }
}
