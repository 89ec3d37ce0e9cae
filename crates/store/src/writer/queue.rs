//! The queue before the writer, and what writer, callers and watch share.
//!
//! A caller locks the queue for one push, and wakes the thread only when it sleeps and enough has
//! gathered; the writer locks it once per batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use scaivault_core::ports::CommitError;

use super::Memory;
use super::answer::{Outcome, Reply};
use super::gather::Wait;
use crate::chain_mac::ChainMac;
use crate::prepared::Prepared;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::sqlite::conn::Conn;
use crate::stats::Counters;

/// Work of another form than a unit: a claim, a probe. It gets its own savepoint, and may be run
/// again when the transaction it was in failed.
pub(crate) type Job = Box<dyn FnMut(&Conn, &mut Memory) -> Result<(), Refusal> + Send>;

pub(crate) enum Work {
    Unit(Prepared),
    Job(Job),
}

struct Entry {
    work: Work,
    reply: Reply,
}

/// What comes next for the writer.
pub(crate) enum Taken {
    /// Something to commit.
    Batch {
        /// It is less than was waited for.
        in_vain: bool,
    },
    /// Nothing came for a while.
    Idle {
        /// Something was waited for.
        in_vain: bool,
    },
    /// The store is being dropped and everything was taken.
    Closed,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The writer sleeps until so many entries are there.
    wanted: Option<usize>,
    closed: bool,
}

pub(crate) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    queue_max: usize,
    commit_timeout: Duration,
    /// Callers of the batch in the writer's hands.
    flight: Mutex<Vec<Reply>>,
    /// The key of the audit chain, once started.
    pub(crate) mac: RwLock<Option<Arc<dyn ChainMac>>>,
    /// The key of the rows, once started.
    pub(crate) rows: Arc<Rows>,
    /// The last thing that went wrong with writing, until writing goes well again.
    pub(crate) trouble: Mutex<Option<String>>,
    pub(crate) counters: Counters,
    #[cfg(test)]
    pub(super) faults: super::fault::Faults,
}

impl Shared {
    pub(crate) fn new(queue_max: usize, commit_timeout: Duration) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            queue_max,
            commit_timeout,
            flight: Mutex::default(),
            mac: RwLock::new(None),
            rows: Arc::default(),
            trouble: Mutex::new(None),
            counters: Counters::default(),
            #[cfg(test)]
            faults: super::fault::Faults::default(),
        }
    }

    /// Queues work and waits for its answer, at most for the commit timeout.
    pub(crate) async fn submit(&self, work: Work) -> Outcome {
        self.submit_within(work, self.commit_timeout).await
    }

    pub(crate) async fn submit_within(&self, work: Work, patience: Duration) -> Outcome {
        let (reply, answer) = Reply::new(Instant::now() + patience.min(self.commit_timeout));
        self.push(Entry { work, reply })?;
        answer.await.unwrap_or(Err(CommitError::Unknown))
    }

    pub(crate) fn commit_timeout(&self) -> Duration {
        self.commit_timeout
    }

    fn push(&self, entry: Entry) -> Result<(), CommitError> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(CommitError::Unavailable("the store is closed".to_owned()));
        }
        if queue.entries.len() >= self.queue_max {
            return Err(CommitError::Unavailable(
                "too many writes are waiting".to_owned(),
            ));
        }
        queue.entries.push_back(entry);
        if queue
            .wanted
            .is_some_and(|wanted| queue.entries.len() >= wanted)
        {
            queue.wanted = None;
            drop(queue);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes the next batch into `works`, and its callers into the flight.
    ///
    /// `gather` waits for several entries, `idle` that long for any.
    pub(crate) fn take(
        &self,
        works: &mut Vec<Work>,
        max: usize,
        gather: Option<Wait>,
        idle: Option<Duration>,
    ) -> Taken {
        let mut queue = self.queue.lock();
        let mut in_vain = false;
        if let Some(Wait { wanted, patience }) = gather {
            let until = Instant::now() + patience;
            while queue.entries.len() < wanted && !queue.closed {
                queue.wanted = Some(wanted);
                if self.wake.wait_until(&mut queue, until).timed_out() {
                    in_vain = queue.entries.len() < wanted;
                    break;
                }
            }
        }
        while queue.entries.is_empty() {
            if queue.closed {
                return Taken::Closed;
            }
            queue.wanted = Some(1);
            match idle {
                None => self.wake.wait(&mut queue),
                Some(patience) => {
                    let slept = self.wake.wait_for(&mut queue, patience);
                    if slept.timed_out() && queue.entries.is_empty() && !queue.closed {
                        return Taken::Idle { in_vain };
                    }
                }
            }
        }
        queue.wanted = None;
        let count = queue.entries.len().min(max);
        let mut flight = self.flight.lock();
        for entry in queue.entries.drain(..count) {
            works.push(entry.work);
            flight.push(entry.reply);
        }
        Taken::Batch { in_vain }
    }

    /// Answers the batch in flight, in its order.
    pub(crate) fn answer(&self, outcomes: impl Iterator<Item = Outcome>) {
        let mut flight = self.flight.lock();
        for (reply, outcome) in flight.iter_mut().zip(outcomes) {
            reply.send(outcome);
        }
        flight.clear();
    }

    /// Answers whoever waited too long: a unit still in the queue is withdrawn and so surely not
    /// applied; of one in the writer's hands nobody can say.
    pub(crate) fn expire(&self, now: Instant) {
        let mut late = Vec::new();
        let mut queue = self.queue.lock();
        if queue
            .entries
            .iter()
            .any(|entry| entry.reply.deadline <= now)
        {
            let (kept, expired) = std::mem::take(&mut queue.entries)
                .into_iter()
                .partition(|entry| entry.reply.deadline > now);
            queue.entries = kept;
            late = Vec::from(expired as VecDeque<Entry>);
        }
        drop(queue);
        for mut entry in late {
            let text = "the store did not get to it in time".to_owned();
            entry.reply.send(Err(CommitError::Unavailable(text)));
        }
        for reply in self
            .flight
            .lock()
            .iter_mut()
            .filter(|reply| reply.deadline <= now)
        {
            reply.send(Err(CommitError::Unknown));
        }
    }

    /// Units waiting.
    pub(crate) fn queue_len(&self) -> usize {
        self.queue.lock().entries.len()
    }

    /// No more is accepted; what waits is still done.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_one();
    }
}
