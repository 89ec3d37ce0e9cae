//! The writer: one thread that owns the only connection that writes, and the queue before it.
//!
//! Group commit: whatever waits is taken at once, applied in one transaction and answered together.
//! While a transaction is synced the next batch gathers by itself, so batches are full under load
//! and a lone unit waits for nobody.

mod answer;
mod batch;
#[cfg(test)]
mod fault;
mod gather;
mod ledger;
mod queue;
mod settle;
#[cfg(test)]
mod tests;
mod thread;
mod watch;

pub(crate) use answer::Outcome;
pub(crate) use batch::{Source, Writer};
pub(crate) use ledger::Ledger;
pub(crate) use queue::{Shared, Work};
pub(crate) use watch::Watch;

use crate::sqlite::event::{PRUNE_START, PruneMark};

/// What the writer remembers between transactions, beside the head. All of it can be forgotten at
/// any time at no more than the cost of reading it again.
pub(crate) struct Memory {
    pub(crate) ledger: Ledger,
    pub(crate) prune: PruneMark,
    /// The receiver served last by a claim of deliveries.
    pub(crate) served: String,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Ledger::new(),
            prune: PRUNE_START,
            served: String::new(),
        }
    }

    /// After a failed transaction: what it left here may not be so.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}
