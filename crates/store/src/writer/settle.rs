//! After a failed transaction: what is durable, what to tell its callers, and how to go on.
//!
//! A full disk (or a full database) fails a transaction cleanly: it is rolled back, nothing of it
//! is there. After an input/output error nothing the connection says is trusted: it is closed and
//! opened again. When it was the commit itself that failed so, the transaction may be in the log
//! all the same; the head row's number tells. Then a further write must succeed before anyone is
//! answered: where the transaction is there, it makes sure that it is durable; where it is not,
//! it overwrites what the failed one left in the log, which a later recovery could still bring
//! back. Without that write, nobody knows, and that is the answer.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use super::batch::{Writer, run};
use crate::sqlite::conn::Conn;
use crate::sqlite::head::{self, Head};
use crate::sqlite::meta;

/// How far the transaction got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No commit was tried.
    Before,
    /// The commit itself failed.
    Commit,
}

/// The engine failed a transaction.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: rusqlite::Error,
    pub(super) stage: Stage,
    /// The work at which it failed, if at one.
    pub(super) culprit: Option<usize>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Applied,
    NotApplied(String),
    Unknown,
}

impl Failure {
    pub(super) fn before_commit(error: rusqlite::Error) -> Self {
        Self {
            error,
            stage: Stage::Before,
            culprit: None,
        }
    }

    pub(super) fn at_commit(error: rusqlite::Error) -> Self {
        Self {
            error,
            stage: Stage::Commit,
            culprit: None,
        }
    }

    /// It failed at this work.
    pub(super) fn by(self, culprit: usize) -> Self {
        Self {
            culprit: Some(culprit),
            ..self
        }
    }

    pub(super) fn closed() -> Self {
        Self::before_commit(rusqlite::Error::InvalidQuery)
    }

    /// Whether the connection is to be trusted no more. The codes listed leave the file and the
    /// log as they were.
    pub(super) fn is_doubtful(error: &rusqlite::Error) -> bool {
        let Some(code) = error.sqlite_error_code() else {
            return false;
        };
        !matches!(
            code,
            ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::OperationInterrupted
        )
    }
}

impl Writer {
    /// Makes the writer fit to go on, as far as possible, and finds out what became of the
    /// transaction whose head would have been `next`.
    pub(super) fn settle(&mut self, failure: &Failure, next: &Head) -> Verdict {
        let text = failure.error.to_string();
        tracing::error!(error = %text, stage = ?failure.stage, "a transaction failed");
        self.shared.counters.failed();
        *self.shared.trouble.lock() = Some(text.clone());
        self.memory.clear();
        let rolled_back = self
            .conn
            .as_ref()
            .is_some_and(|conn| roll_back(conn).is_ok());
        if rolled_back && !Failure::is_doubtful(&failure.error) {
            return Verdict::NotApplied(text);
        }
        let before = self.head.batch;
        self.distrust();
        match (failure.stage, self.make_sound()) {
            (Stage::Before, _) => Verdict::NotApplied(text),
            (Stage::Commit, Err(_)) => Verdict::Unknown,
            (Stage::Commit, Ok(found)) if found == Some(next.batch) => Verdict::Applied,
            (Stage::Commit, Ok(found)) if found == Some(before) => Verdict::NotApplied(text),
            (Stage::Commit, Ok(_)) => Verdict::Unknown,
        }
    }

    /// The connection is given up; nothing is committed before a probe went through a new one.
    pub(super) fn distrust(&mut self) {
        self.conn = None;
        self.doubtful = true;
    }

    /// Opens the connection again if need be, and lets a probe through if the last transaction
    /// ended in doubt. Returns, after a new opening, the number of the last transaction found.
    ///
    /// # Errors
    /// What is wrong, for operators.
    pub(super) fn make_sound(&mut self) -> Result<Option<u64>, String> {
        let mut found = None;
        if self.conn.is_none() {
            self.reopen()?;
            found = Some(self.head.batch);
        }
        if self.doubtful {
            self.probe()?;
            self.doubtful = false;
            tracing::info!("the store writes again");
        }
        Ok(found)
    }

    fn reopen(&mut self) -> Result<(), String> {
        let (conn, log_pages) = self.source.open().map_err(|error| error.to_string())?;
        let head = head::read(&conn).map_err(|error| error.to_string())?;
        let indexed = meta::read(&conn, meta::AUDIT_INDEXED).map_err(|error| error.to_string())?;
        let head = head.ok_or("the store's head row is gone")?;
        if head.chain != self.head.chain {
            return Err("the store was replaced by another while it was open".to_owned());
        }
        (self.head, self.indexed) = (head, indexed);
        let conn = Conn::new(conn, Arc::clone(&self.shared.rows));
        (self.conn, self.log_pages) = (Some(conn), log_pages);
        Ok(())
    }

    /// What a process that was killed left in the log may not be synced, though whoever reads sees
    /// it. It is, once a further write was synced. When the disk refuses that, nothing is
    /// committed before one went through.
    pub(crate) fn confirm(&mut self) {
        match self.probe() {
            Ok(()) => {}
            Err(text) => {
                tracing::error!(error = %text, "the store was opened, but does not write");
                *self.shared.trouble.lock() = Some(text);
                self.doubtful = true;
            }
        }
    }

    /// A durable write of nothing but the head row's number.
    fn probe(&mut self) -> Result<(), String> {
        let Some(conn) = &self.conn else {
            return Err("the database is not open".to_owned());
        };
        let next = Head {
            batch: self.head.batch + 1,
            ..self.head.clone()
        };
        let written = run(conn, "BEGIN IMMEDIATE")
            .and_then(|()| head::write(conn, &next))
            .and_then(|()| self.commit(conn));
        match written {
            Ok(()) => {
                self.head = next;
                Ok(())
            }
            Err(error) => {
                if roll_back(conn).is_err() || Failure::is_doubtful(&error) {
                    self.distrust();
                }
                Err(error.to_string())
            }
        }
    }
}

/// Ends the transaction, if one is open.
pub(super) fn roll_back(conn: &Connection) -> rusqlite::Result<()> {
    if conn.is_autocommit() {
        Ok(())
    } else {
        run(conn, "ROLLBACK")
    }
}
