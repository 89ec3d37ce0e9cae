//! Why a unit was not applied, and what errors of the engine are told as.

use scaivault_core::ports::{CommitError, ReadError, RecordKind};
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// A refusal concerns its unit alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A row was not at the expected number.
    Conflict(RecordKind),
    /// A unique field is taken.
    Duplicate(RecordKind, &'static str),
    /// Not applied, for a reason in words.
    Failed(String),
}

impl From<Refusal> for CommitError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Conflict(kind) => Self::Conflict(kind),
            Refusal::Duplicate(kind, field) => Self::Duplicate(kind, field),
            Refusal::Failed(text) => Self::Unavailable(text),
        }
    }
}

/// What an error says, for operators. The server's details, which may hold values, are left out.
pub(crate) fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => {
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(error) {
                text = format!("{text}: {cause}");
            }
            text
        }
    }
}

pub(crate) fn unreadable(error: &Error) -> ReadError {
    ReadError::Unavailable(text(error))
}

/// Whether the session is gone, with whatever it was about to answer.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        // Not by the severity that people read: it is in the server's language.
        Some(db) => {
            matches!(
                db.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            ) || db.code().code().starts_with("57P")
        }
        None => true,
    }
}

/// Whether a commit that was answered by this is not there, for certain. Of what is not known to
/// abort a transaction the outcome is looked up: that costs a moment, a wrong answer a write.
pub(crate) fn is_aborted(error: &Error) -> bool {
    !is_lost(error)
        && error.code().is_some_and(|code| {
            let code = code.code();
            let class = code.get(..2).unwrap_or(code);
            // 40003: it is not known whether the statement completed.
            (class == "40" && code != "40003")
                || class == "23"
                || ["25P02", "55P03"].contains(&code)
        })
}

/// Whether the transaction got in another's way: nothing of it is there, and it may be tried again.
pub(crate) fn is_transient(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
        ]
        .contains(code)
    })
}
