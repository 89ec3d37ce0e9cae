//! How long the writer waits for more before it begins a transaction.
//!
//! A transaction costs much the same whether it carries one unit or a hundred. By itself a batch
//! is what came while the one before was synced. Callers that were just answered come again
//! together: without a wait the first of them would have a transaction of its own, and all others
//! the next. So under load the writer waits until a quarter of them is there. Not for more: what
//! is done for the others while it syncs is time it would otherwise wait for (measured, see
//! docs/performance.md). After a lone unit it does not wait, and when callers do not come it soon
//! stops waiting for them.

use std::time::Duration;

use super::thread::BATCH_MAX;

/// Units in one batch from which on there is load.
const LOAD: usize = 8;
/// A long wait, at most, and a short one.
const LONG: Duration = Duration::from_millis(1);
const SHORT: Duration = Duration::from_micros(400);
/// Batches without a long wait after one that was in vain, at first and at most.
const PAUSE: u32 = 4;
const PAUSE_MAX: u32 = 64;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// So many units …
    pub(super) wanted: usize,
    /// … but no longer than this.
    pub(super) patience: Duration,
}

/// One batch that was committed and answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Its units.
    pub(super) units: usize,
    /// Units that came meanwhile.
    pub(super) arrived: usize,
    /// How long it took.
    pub(super) took: Duration,
    /// What was waited for before it did not all come.
    pub(super) in_vain: bool,
}

#[derive(Debug)]
pub(super) struct Gather {
    /// The last wait was a long one.
    long: bool,
    /// Batches without a long wait that are left.
    paused: u32,
    /// … and how many there will be after the next one in vain.
    pause: u32,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            long: false,
            paused: 0,
            pause: PAUSE,
        }
    }
}

impl Gather {
    /// Nothing came at all, whatever was waited for.
    pub(super) fn idle(&mut self, in_vain: bool) {
        self.learn(in_vain);
    }

    /// From what the last wait came to.
    fn learn(&mut self, in_vain: bool) {
        if std::mem::take(&mut self.long) {
            if in_vain {
                self.paused = self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            } else {
                self.pause = PAUSE;
            }
        }
    }

    /// What to wait for after this batch.
    pub(super) fn after(&mut self, done: Done) -> Option<Wait> {
        self.learn(done.in_vain);
        if done.units < 2 {
            return None;
        }
        self.long = done.units >= LOAD && self.paused == 0;
        self.paused = self.paused.saturating_sub(1);
        if !self.long {
            // The callers of this batch come again together: without a wait the first of them
            // would have a transaction of its own, and all others the next.
            return Some(Wait {
                wanted: three_quarters(done.units),
                patience: (done.took / 8).min(SHORT),
            });
        }
        // Callers there surely are: those of this batch, and those that came meanwhile. The rest
        // of them keeps the processors busy while the next batch is synced.
        let wanted = ((done.units + done.arrived) / 4).clamp(1, BATCH_MAX);
        Some(Wait {
            wanted,
            patience: (done.took * 2).min(LONG),
        })
    }
}

fn three_quarters(count: usize) -> usize {
    count - count / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(units: usize, arrived: usize, in_vain: bool) -> Done {
        Done {
            units,
            arrived,
            took: Duration::from_micros(300),
            in_vain,
        }
    }

    #[test]
    fn nobody_waits_after_a_lone_unit_and_not_long_after_a_few() {
        let mut gather = Gather::default();
        assert_eq!(gather.after(done(1, 0, false)), None);
        let wait = gather.after(done(4, 2, false)).unwrap();
        assert_eq!(wait.wanted, 3);
        assert!(wait.patience < Duration::from_micros(40));
    }

    #[test]
    fn under_load_a_quarter_of_the_callers_is_waited_for() {
        let mut gather = Gather::default();
        for callers in [8, 64, 256, 1_024] {
            let wait = gather.after(done(callers, 0, false)).unwrap();
            assert_eq!(wait.wanted, callers / 4);
            let wait = gather.after(done(callers / 2, callers / 2, false)).unwrap();
            assert_eq!(wait.wanted, if callers == 8 { 3 } else { callers / 4 });
        }
        let crowd = gather.after(done(BATCH_MAX, 100 * BATCH_MAX, false));
        assert_eq!(crowd.unwrap().wanted, BATCH_MAX);
    }

    #[test]
    fn waits_in_vain_become_rare_and_come_back_when_one_helps() {
        let mut gather = Gather::default();
        let mut long = 0;
        for _ in 0..1_000 {
            // Only short waits are over 40 µs early here.
            let wait = gather.after(done(20, 0, true)).unwrap();
            long += usize::from(wait.patience > Duration::from_micros(40));
        }
        assert!((2..30).contains(&long), "{long} of 1000");
        while gather.after(done(20, 0, false)).unwrap().patience < Duration::from_micros(40) {}
        let again = (0..10)
            .filter(|_| gather.after(done(20, 20, false)).unwrap().wanted == 10)
            .count();
        assert_eq!(again, 10);
    }
}
