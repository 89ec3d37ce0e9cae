//! Whether cached rows may be trusted.
//!
//! A commit invalidates what it touched when its answer is known. Two things can keep the answer
//! from us: it is [`CommitError::Unknown`], or our caller went away (a client hung up, a request
//! ran out of time) and the future that waited for it was dropped. The unit may still be applied
//! then, at any later moment, with nobody there to invalidate. So from that moment on caches are
//! passed by, until a commit that *began* afterwards succeeds: the store applies units in the
//! order they are handed over, so by then the lost one has been applied or never will be.

use std::sync::atomic::{AtomicU64, Ordering};

use scaivault_core::ports::{CommitError, Committed};

/// The state of one vault.
#[derive(Default)]
pub(crate) struct Settlement {
    /// Commits begun, ever.
    begun: AtomicU64,
    /// While not 0: caches are passed by until a commit numbered above it succeeds.
    lost_at: AtomicU64,
}

/// A commit on its way. Dropped without an answer, it counts as lost.
pub(crate) struct Underway<'a> {
    settlement: &'a Settlement,
    number: u64,
    answered: bool,
}

impl Settlement {
    /// Whether cached rows may be used now.
    pub(crate) fn is_settled(&self) -> bool {
        self.lost_at.load(Ordering::Acquire) == 0
    }

    /// A commit begins.
    pub(crate) fn begin(&self) -> Underway<'_> {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        Underway {
            settlement: self,
            number,
            answered: false,
        }
    }

    fn lose(&self) {
        let latest = self.begun.load(Ordering::Acquire);
        self.lost_at.fetch_max(latest, Ordering::AcqRel);
    }
}

impl Underway<'_> {
    /// The answer is here. When it settles what was lost before, `clear` empties the caches
    /// before they are used again.
    pub(crate) fn answered(
        mut self,
        result: &Result<Committed, CommitError>,
        clear: impl FnOnce(),
    ) {
        self.answered = true;
        match result {
            Err(CommitError::Unknown) => self.settlement.lose(),
            Err(_) => {}
            Ok(_) => {
                let lost_at = self.settlement.lost_at.load(Ordering::Acquire);
                if lost_at != 0 && self.number > lost_at {
                    clear();
                    // Another loss in between keeps the caches out.
                    let _ = self.settlement.lost_at.compare_exchange(
                        lost_at,
                        0,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                }
            }
        }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.settlement.lose();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn ok() -> Result<Committed, CommitError> {
        Ok(Committed::default())
    }

    #[test]
    fn a_dropped_commit_is_settled_only_by_one_that_began_later() {
        let settlement = Settlement::default();
        let cleared = Cell::new(0);
        let clear = || cleared.set(cleared.get() + 1);
        let earlier = settlement.begin();
        drop(settlement.begin());
        assert!(!settlement.is_settled());
        earlier.answered(&ok(), clear);
        assert!(
            !settlement.is_settled(),
            "it may have been applied before the lost one"
        );
        settlement.begin().answered(&ok(), clear);
        assert!(settlement.is_settled());
        assert_eq!(cleared.get(), 1);
    }

    #[test]
    fn unknown_counts_as_lost_and_failures_settle_nothing() {
        let settlement = Settlement::default();
        settlement
            .begin()
            .answered(&Err(CommitError::Unknown), || {});
        let refused = Err(CommitError::Unavailable("full".into()));
        settlement.begin().answered(&refused, || {});
        assert!(!settlement.is_settled());
        settlement.begin().answered(&ok(), || {});
        assert!(settlement.is_settled());
    }
}
