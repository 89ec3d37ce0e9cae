//! Why one unit of a batch was not applied. A refusal concerns its unit alone; only a failure of
//! the engine itself ([`Refusal::Engine`]) can concern the whole batch.

use scaivault_core::ports::{CommitError, ReadError, RecordKind};

#[derive(Debug)]
pub(crate) enum Refusal {
    /// A row was not at the expected number.
    Conflict(RecordKind),
    /// A unique field is taken.
    Duplicate(RecordKind, &'static str),
    /// Not applied, for a reason in words.
    Failed(String),
    /// The engine failed.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Refusal {
    /// As the caller is told.
    pub(crate) fn into_commit_error(self) -> CommitError {
        match self {
            Self::Conflict(kind) => CommitError::Conflict(kind),
            Self::Duplicate(kind, field) => CommitError::Duplicate(kind, field),
            Self::Failed(text) => CommitError::Unavailable(text),
            Self::Engine(error) => CommitError::Unavailable(error.to_string()),
        }
    }
}
