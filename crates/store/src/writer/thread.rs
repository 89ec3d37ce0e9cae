//! The writer's thread: batch after batch, and between them the work nobody waits for: the audit
//! index, and the checkpoint that brings the write-ahead log into the database file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use scaivault_core::ports::CommitError;

use super::batch::{Writer, run};
use super::gather::{Done, Gather};
use super::queue::{Taken, Work};
use super::settle::{Failure, roll_back};
use crate::refusal::Refusal;
use crate::sqlite::audit_index;

/// Units of one transaction, at most.
const BATCH_MAX: usize = 1_024;
/// The index is extended when the queue was empty for this long …
const IDLE: Duration = Duration::from_millis(20);
/// … and at least so many rows are missing from it: below that, reading them is cheaper.
const INDEX_LAG_MIN: u64 = 2_000;
/// Past so many missing rows the index is extended under load, too, in small steps.
const INDEX_LAG_MAX: u64 = 500_000;
const INDEX_ROWS_IDLE: u64 = 5_000;
const INDEX_ROWS_FORCED: u64 = 4_000;

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut works = Vec::with_capacity(BATCH_MAX);
        let (mut gather, mut wait) = (Gather::default(), None);
        loop {
            let idle = self.index_wants(INDEX_LAG_MIN).then_some(IDLE);
            let shared = std::sync::Arc::clone(&self.shared);
            match shared.take(&mut works, BATCH_MAX, wait.take(), idle) {
                Taken::Closed => return,
                Taken::Idle => self.tidy(|writer| writer.extend_index(INDEX_ROWS_IDLE)),
                Taken::Batch { in_vain } => {
                    let (units, started) = (works.len(), Instant::now());
                    self.serve(&mut works);
                    wait = gather.after(Done {
                        units,
                        arrived: shared.queue_len(),
                        took: started.elapsed(),
                        in_vain,
                    });
                    self.tidy(|writer| {
                        if writer.index_wants(INDEX_LAG_MAX) {
                            writer.extend_index(INDEX_ROWS_FORCED);
                        }
                        writer.checkpoint();
                    });
                }
            }
        }
    }

    /// Does work nobody waits for.
    fn tidy(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            tracing::error!("the store's writer panicked; it goes on with a new connection");
            self.distrust();
        }
    }

    /// Commits and answers.
    fn serve(&mut self, works: &mut Vec<Work>) {
        let count = works.len();
        match catch_unwind(AssertUnwindSafe(|| self.commit_batch(works))) {
            Ok(outcomes) => self.shared.answer(outcomes.into_iter()),
            Err(_) => {
                tracing::error!("the store's writer panicked; it goes on with a new connection");
                self.memory.clear();
                self.distrust();
                self.shared
                    .answer(std::iter::repeat_n(Err(CommitError::Unknown), count));
            }
        }
        works.clear();
    }

    pub(super) fn index_lag(&self) -> u64 {
        self.head.last_seq.saturating_sub(self.indexed)
    }

    fn index_wants(&self, lag: u64) -> bool {
        self.index_lag() >= lag && self.head.last_seq >= self.index_not_before
    }

    /// Extends the audit index by a slice, in a transaction of its own. A failure costs nothing
    /// but the slice; it is tried again some rows later.
    fn extend_index(&mut self, rows_max: u64) {
        let Some(conn) = self.conn.as_ref().filter(|_| !self.doubtful) else {
            return;
        };
        let extended = run(conn, "BEGIN IMMEDIATE")
            .map_err(Into::into)
            .and_then(|()| audit_index::extend(conn, &self.head.chain, rows_max))
            .and_then(|upto| Ok(run(conn, "COMMIT").map(|()| upto)?));
        match extended {
            Ok(upto) => self.indexed = upto,
            Err(refusal) => {
                let sound = roll_back(conn).is_ok();
                let doubtful =
                    matches!(&refusal, Refusal::Engine(error) if Failure::is_doubtful(error));
                let text = refusal.into_commit_error().to_string();
                tracing::warn!(error = %text, "the audit index was not extended");
                *self.shared.trouble.lock() = Some(text);
                self.index_not_before = self.head.last_seq + INDEX_LAG_MIN;
                if doubtful || !sound {
                    self.distrust();
                }
            }
        }
        self.shared.counters.unindexed(self.index_lag());
    }

    /// Brings the log into the database file, when it has grown enough. Nobody waits for it: it
    /// runs after the answers. What readers still look at stays for the next time.
    fn checkpoint(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        let step = self.source.checkpoint_pages;
        if pages < step {
            self.checkpoint_at = step;
        }
        if pages < self.checkpoint_at {
            return;
        }
        let Some(conn) = &self.conn else {
            return;
        };
        let restart = pages >= self.source.restart_pages();
        let sql = match restart {
            true => "PRAGMA wal_checkpoint(RESTART)",
            false => "PRAGMA wal_checkpoint(PASSIVE)",
        };
        let stuck = conn.query_row(sql, [], |row| row.get::<_, bool>(0));
        // A read that does not end, from outside perhaps, is waited for ever more rarely.
        self.checkpoint_at = match stuck {
            Ok(true) if restart => pages.saturating_mul(2),
            _ => pages.saturating_add(step),
        };
        if let Err(error) = stuck {
            tracing::error!(%error, "the write-ahead log was not brought into the database");
            *self.shared.trouble.lock() = Some(error.to_string());
            if Failure::is_doubtful(&error) {
                self.distrust();
            }
        }
    }
}
