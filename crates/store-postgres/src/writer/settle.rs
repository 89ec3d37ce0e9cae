//! After a failed transaction: what is durable, what to tell its callers, and how to go on.
//!
//! Where no commit was sent, nothing is there. Where its answer was lost, the head row tells, by
//! its number and by who moved it: the transaction locked that row when it began, so whoever gets
//! the lock after it sees how it ended. Until somebody gets it, nobody knows, and that is the
//! answer.

use std::time::Duration;

use scaivault_core::ports::ReadError;
use tokio::time::{Instant, timeout};
use tokio_postgres::Error;

use super::batch::{SILENT, Writer};
use super::queue::Outcome;
use crate::conn::{Conn, Purpose};
use crate::refusal::{is_lost, is_transient, text};
use crate::sql::lost::Lost;
use crate::sql::{head, marks};

/// How long a lost answer is looked for. The database ends a transaction whose client is silent
/// sooner than this.
const LOOK_MAX: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What to do with units of which nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Tell their callers.
    Never,
    /// Try them again.
    Together,
    /// One of them got in another transaction's way: try them again, each alone.
    Alone,
}

/// The database failed a transaction.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it is there.
    NotApplied { text: String, again: Again },
    /// Another process of this node's name was faster. Nothing of it is there.
    Moved,
    /// The commit was sent, and not answered.
    Doubtful {
        text: String,
        lost: Lost,
        outcomes: Vec<Outcome>,
    },
}

impl Failure {
    /// It failed before a commit was sent, or the database answered that it did not commit.
    pub(super) fn before(error: &Error) -> Self {
        Self::NotApplied {
            text: text(error),
            again: match (is_lost(error), is_transient(error)) {
                (true, _) => Again::Together,
                (false, true) => Again::Alone,
                (false, false) => Again::Never,
            },
        }
    }

    /// The database refused it, and would again.
    pub(super) fn refused(text: String) -> Self {
        Self::NotApplied {
            text,
            again: Again::Never,
        }
    }

    pub(super) fn lost(text: &str) -> Self {
        Self::NotApplied {
            text: text.to_owned(),
            again: Again::Together,
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Verdict {
    Applied(Vec<Outcome>),
    NotApplied { text: String, again: Again },
    Unknown,
}

impl Writer {
    /// Makes sure that there is a connection, and that the head is known as it is.
    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        if self.conn.as_ref().is_some_and(|conn| !conn.is_closed()) {
            return Ok(());
        }
        self.places.forget();
        let made = self.connector.connect(Purpose::Write).await;
        let conn = made.map_err(|error| Failure::before(&error))?;
        self.know_head(&conn).await?;
        self.conn = Some(conn);
        Ok(())
    }

    /// Reads the head as it is. Where it, or any chain this node has seen, is behind what is known,
    /// the store was restored from a backup, or a standby that did not have all of it was
    /// promoted: targets are ahead of it, so that is marked before anything is written.
    async fn know_head(&mut self, conn: &Conn) -> Result<(), Failure> {
        let unread = |error: ReadError| Failure::refused(error.to_string());
        let found = match head::read(conn, &self.node).await.map_err(unread)? {
            Some(head) if head.chain == self.head.chain => head,
            _ => {
                let text = "the store was replaced by another while it was open";
                return Err(Failure::refused(text.to_owned()));
            }
        };
        if self.head.is_forgotten_by(&found) || self.feed.is_ahead_of(conn).await.map_err(unread)? {
            let (known, found) = (self.head.batch, found.batch);
            tracing::error!(node = %self.node, known, found, "{}", marks::WENT_BACK);
            marks::went_back(conn).await.map_err(unread)?;
        }
        self.head = found;
        Ok(())
    }

    /// As [`Writer::know_head`], on the connection there is; it is given up when that fails, so
    /// that the next one begins with it.
    async fn know_head_again(&mut self) {
        let patience = self.shared.commit_timeout;
        if let Some(conn) = self.conn.take()
            && let Ok(Ok(())) = timeout(patience, self.know_head(&conn)).await
        {
            self.conn = Some(conn);
        }
    }

    /// Makes the writer fit to go on, as far as possible, and finds out what became of the
    /// transaction.
    pub(super) async fn settle(&mut self, failure: Failure) -> Verdict {
        match failure {
            Failure::NotApplied { text, again } => {
                self.note(&text);
                self.roll_back().await;
                Verdict::NotApplied { text, again }
            }
            Failure::Moved => {
                tracing::error!(
                    node = %self.node,
                    "another process goes by this node's name: give each a name of its own"
                );
                self.roll_back().await;
                self.know_head_again().await;
                let text = "another process goes by this node's name".to_owned();
                Verdict::NotApplied {
                    text,
                    again: Again::Together,
                }
            }
            Failure::Doubtful {
                text,
                lost,
                outcomes,
            } => {
                self.note(&text);
                self.conn = None;
                self.look(lost, outcomes, text).await
            }
        }
    }

    fn note(&self, text: &str) {
        tracing::error!(error = %text, "a transaction failed");
        *self.shared.trouble.lock() = Some(text.to_owned());
    }

    /// A connection that cannot even roll back is given up; the database does it then.
    async fn roll_back(&mut self) {
        if let Some(conn) = self.conn.take()
            && !conn.is_closed()
            && let Ok(Ok(())) = timeout(self.shared.commit_timeout, conn.run("ROLLBACK")).await
        {
            self.conn = Some(conn);
        }
    }

    /// Looks until it is certain how the transaction ended.
    async fn look(&mut self, lost: Lost, outcomes: Vec<Outcome>, text: String) -> Verdict {
        let begun = Instant::now();
        loop {
            let found = timeout(self.shared.commit_timeout, self.found(&lost)).await;
            match found.unwrap_or_else(|_| Err(SILENT.to_owned())) {
                Ok(there) => {
                    tracing::info!(?there, "a commit whose answer was lost was looked up");
                    self.know_head_again().await;
                    return match there {
                        Some(true) => Verdict::Applied(outcomes),
                        Some(false) => Verdict::NotApplied {
                            text,
                            again: Again::Together,
                        },
                        None => Verdict::Unknown,
                    };
                }
                Err(error) => tracing::error!(%error, "a lost commit cannot be looked up yet"),
            }
            if begun.elapsed() > LOOK_MAX {
                return Verdict::Unknown;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the transaction is there, as far as that can be told.
    async fn found(&mut self, lost: &Lost) -> Result<Option<bool>, String> {
        let conn = self.connector.connect(Purpose::Write).await;
        let conn = conn.map_err(|error| text(&error))?;
        let left = lost.find(&conn, &self.maker).await;
        let left = left.map_err(|error| error.to_string())?;
        let there = lost.is_there(&left);
        if there == Some(true) {
            // What it moved to is durable: from here on the store may not be behind it.
            self.head = lost.next.clone();
        }
        self.conn = Some(conn);
        Ok(there)
    }
}
