//! One batch as one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::Instant;

use rusqlite::Connection;
use scaivault_core::ports::{CommitError, Committed, Op};

use super::Memory;
use super::answer::Outcome;
use super::queue::{Shared, Work};
use super::settle::{Failure, Verdict};
use crate::audit::{SegmentBuilder, coded_message};
use crate::prepared::Prepared;
use crate::refusal::Refusal;
use crate::sqlite::apply::apply;
use crate::sqlite::conn::Conn;
use crate::sqlite::connect::Durability;
use crate::sqlite::head::{self, Head};
use crate::sqlite::{audit_segment, connect};

/// Works left out of a batch before it is given up.
const LEFT_OUT_MAX: usize = 3;

/// How to open the writer's connection, again if need be.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) max_bytes: Option<u64>,
    /// Pages of the log that make a checkpoint worth its syncs.
    pub(crate) checkpoint_pages: i32,
}

impl Source {
    pub(crate) fn open(&self) -> rusqlite::Result<(Connection, Arc<AtomicI32>)> {
        let opened = connect::writer(&self.path, self.durability, self.max_bytes)?;
        connect::keep_log(&opened.0, self.restart_pages())?;
        Ok(opened)
    }

    /// Pages past which readers are waited for, so that the log can begin anew. Below that it
    /// begins anew whenever no read is under way for an instant.
    pub(super) fn restart_pages(&self) -> i32 {
        self.checkpoint_pages.saturating_mul(4)
    }
}

pub(crate) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Source,
    /// `None` while it could not be opened again after a failure.
    pub(super) conn: Option<Conn>,
    /// Length of the write-ahead log after the last commit.
    pub(super) log_pages: Arc<AtomicI32>,
    /// As durable.
    pub(super) head: Head,
    pub(super) memory: Memory,
    segment: SegmentBuilder,
    /// The last transaction ended in doubt: none is begun before a probe went through.
    pub(super) doubtful: bool,
    /// The audit index reaches to this row.
    pub(super) indexed: u64,
    /// … and is not extended before the chain reaches to this one.
    pub(super) index_not_before: u64,
    /// The log is as long as this before the next checkpoint.
    pub(super) checkpoint_at: i32,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Source,
        (conn, log_pages): (Connection, Arc<AtomicI32>),
        head: Head,
        indexed: u64,
    ) -> Self {
        let checkpoint_at = source.checkpoint_pages;
        let rows = Arc::clone(&shared.rows);
        Self {
            shared,
            source,
            conn: Some(Conn::new(conn, rows)),
            log_pages,
            head,
            memory: Memory::new(),
            segment: SegmentBuilder::default(),
            doubtful: false,
            indexed,
            index_not_before: 0,
            checkpoint_at,
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Commits a batch; one outcome for each work, in order.
    ///
    /// A work at which the engine gives the whole transaction up, for want of space, is left out
    /// and the rest tried again: it must not take its neighbours along.
    pub(super) fn commit_batch(&mut self, works: &mut [Work]) -> Vec<Outcome> {
        let count = works.len();
        let all = |error: CommitError| vec![Err(error); count];
        let mut left_out = Vec::new();
        loop {
            if let Err(text) = self.make_sound() {
                return all(CommitError::Unavailable(text));
            }
            let started = Instant::now();
            let mut outcomes = Vec::with_capacity(count);
            let mut next = self.head.clone();
            let failure = match self.transact(works, &left_out, &mut outcomes, &mut next) {
                Ok(()) => {
                    self.committed(next, &outcomes, started);
                    return outcomes;
                }
                Err(failure) => failure,
            };
            match (self.settle(&failure, &next), failure.culprit) {
                (Verdict::Applied, _) => return outcomes,
                (Verdict::Unknown, _) => return all(CommitError::Unknown),
                (Verdict::NotApplied(text), Some(at))
                    if left_out.len() < LEFT_OUT_MAX && !Failure::is_doubtful(&failure.error) =>
                {
                    left_out.push((at, CommitError::Unavailable(text)));
                }
                (Verdict::NotApplied(text), _) => return all(CommitError::Unavailable(text)),
            }
        }
    }

    fn committed(&mut self, next: Head, outcomes: &[Outcome], started: Instant) {
        let rows = next.last_seq - self.head.last_seq;
        let units = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        let refused = outcomes.len() as u64 - units;
        self.head = next;
        self.shared
            .counters
            .committed(units, refused, rows, started.elapsed());
        self.shared.counters.unindexed(self.index_lag());
        *self.shared.trouble.lock() = None;
    }

    fn transact(
        &mut self,
        works: &mut [Work],
        left_out: &[(usize, CommitError)],
        outcomes: &mut Vec<Outcome>,
        next: &mut Head,
    ) -> Result<(), Failure> {
        let conn = self.conn.take().ok_or_else(Failure::closed)?;
        let done = self.transact_on(&conn, works, left_out, outcomes, next);
        self.conn = Some(conn);
        done
    }

    fn transact_on(
        &mut self,
        conn: &Conn,
        works: &mut [Work],
        left_out: &[(usize, CommitError)],
        outcomes: &mut Vec<Outcome>,
        next: &mut Head,
    ) -> Result<(), Failure> {
        let mac = self.shared.mac.read().clone();
        self.segment.begin(self.head.last_seq, self.head.head);
        run(conn, "BEGIN IMMEDIATE").map_err(Failure::before_commit)?;
        for (at, work) in works.iter_mut().enumerate() {
            let refused = left_out.iter().find(|(out, _)| *out == at);
            outcomes.push(match (refused, work) {
                (Some((_, error)), _) => Err(error.clone()),
                (None, Work::Unit(unit)) => self
                    .unit(conn, unit, mac.is_some())
                    .map_err(|failure| failure.by(at))?,
                (None, Work::Job(job)) => {
                    let done = in_savepoint(conn, &mut self.memory, job);
                    let done = done.map_err(|failure| failure.by(at))?;
                    done.map(|()| Committed::default())
                        .map_err(Refusal::into_commit_error)
                }
            });
        }
        if let Some(mac) = mac {
            if self.segment.rows > 0 {
                next.first_seq = self.segment.first_seq;
                next.last_seq = self.segment.last_seq();
                next.head = self.segment.head;
            }
            // Also over a head that did not move: it says that every document has its code.
            next.mac = mac.mac(&coded_message(
                &next.chain,
                next.first_seq,
                next.last_seq,
                &next.head,
            ));
            if self.segment.rows > 0 {
                audit_segment::insert(conn, &next.chain, &self.segment, &next.mac)
                    .map_err(Failure::before_commit)?;
            }
        }
        next.batch += 1;
        head::write(conn, next).map_err(Failure::before_commit)?;
        self.commit(conn).map_err(Failure::at_commit)
    }

    /// Applies one unit. A refusal is its own; a failure is everybody's.
    fn unit(&mut self, conn: &Conn, unit: &Prepared, audited: bool) -> Result<Outcome, Failure> {
        if unit.audit.rows() > 0 && !audited {
            let text = "the audit chain has not been started".to_owned();
            return Ok(Err(CommitError::Unavailable(text)));
        }
        if !unit.ops.is_empty() {
            let applied = in_savepoint(conn, &mut self.memory, |conn, memory| {
                unit.ops
                    .iter()
                    .try_for_each(|(op, json)| apply(conn, op, json, memory))
            })?;
            if let Err(refusal) = applied {
                tracing::debug!(unit = unit.name.as_str(), ?refusal, "unit refused");
                return Ok(Err(refusal.into_commit_error()));
            }
        }
        for read in &unit.reads {
            self.memory
                .ledger
                .record(conn, read)
                .map_err(Failure::before_commit)?;
        }
        self.segment.push(&self.head.chain, &unit.audit);
        let events = unit
            .ops
            .iter()
            .filter(|(op, _)| matches!(op, Op::Emit(_)))
            .count();
        Ok(Ok(Committed { events }))
    }

    /// The commit itself: where a disk that fails shows.
    pub(super) fn commit(&self, conn: &Connection) -> rusqlite::Result<()> {
        #[cfg(test)]
        if let Some(fault) = self.shared.faults.next() {
            return fault.strike(conn);
        }
        run(conn, "COMMIT")
    }
}

/// Runs a statement without rows.
pub(super) fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Runs `body`; when it refuses, everything it did is undone and the transaction goes on. When the
/// engine itself gave the transaction up, that is the whole batch's failure.
fn in_savepoint(
    conn: &Conn,
    memory: &mut Memory,
    body: impl FnOnce(&Conn, &mut Memory) -> Result<(), Refusal>,
) -> Result<Result<(), Refusal>, Failure> {
    let (prune, served) = (memory.prune, memory.served.clone());
    run(conn, "SAVEPOINT unit").map_err(Failure::before_commit)?;
    match body(conn, memory) {
        Ok(()) => {
            run(conn, "RELEASE unit").map_err(Failure::before_commit)?;
            Ok(Ok(()))
        }
        Err(Refusal::Engine(error)) if conn.is_autocommit() || Failure::is_doubtful(&error) => {
            Err(Failure::before_commit(error))
        }
        Err(refusal) => {
            (memory.prune, memory.served) = (prune, served);
            run(conn, "ROLLBACK TO unit").map_err(Failure::before_commit)?;
            run(conn, "RELEASE unit").map_err(Failure::before_commit)?;
            Ok(Err(refusal))
        }
    }
}
