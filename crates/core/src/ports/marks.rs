//! What a restore from a backup leaves in a store.

use async_trait::async_trait;

use super::store::Read;
use crate::time::Timestamp;

/// Marks of the store as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreMarks {
    /// Since when the store is one that was restored from a backup, and nobody has said yet that it
    /// may change targets again: what it knows of them is of the past.
    pub restored_at: Option<Timestamp>,
    /// When somebody said so last. Changes that were sent before the restore, and that the store
    /// forgot, carry numbers below this one ([`StoreMarks::fence`]).
    pub resumed_at: Option<Timestamp>,
}

impl StoreMarks {
    /// Changes at targets carry numbers from here on: numbers follow the clock, so this is above
    /// all that were given out before the store was resumed, those it forgot included.
    pub fn fence(&self) -> u64 {
        let at = self.resumed_at.map_or(0, Timestamp::as_micros);
        u64::try_from(at).unwrap_or(0)
    }
}

/// Reading the marks.
#[async_trait]
pub trait MarkReads {
    /// The marks, as every node sees them.
    async fn marks(&self) -> Read<StoreMarks>;
}
