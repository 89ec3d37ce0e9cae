//! Why a unit was not applied, and what errors of the engine are told as.

use scaivault_core::ports::{CommitError, ReadError, RecordKind};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

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
        Some(db) => db.severity() == "FATAL" || db.code().code().starts_with("57P"),
        None => true,
    }
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
