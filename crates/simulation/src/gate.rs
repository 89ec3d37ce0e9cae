//! The gate: every call through a port stops here once, and goes on when the simulator says so,
//! with the verdict it says. There is no other concurrency: one actor is polled at a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use scaivault_core::ports::UnitName;
use scaivault_core::target::TroubleKind;
use scaivault_testkit::SeededEntropy;

/// Nobody: calls of the harness itself go through.
pub(crate) const HARNESS: usize = usize::MAX;

/// Where an actor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before a read of the store.
    Read,
    /// Before a claim.
    Claim,
    /// Before a commit.
    Commit(UnitName),
    /// Before a change at the target.
    Effect,
    /// Before a look at the target.
    Look,
    /// A commit, claim or change was made; its caller has not heard yet.
    After,
}

/// What comes of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Verdict {
    /// As it should be.
    #[default]
    Go,
    /// Not done, and told so.
    Lose,
    /// Done, the answer is lost.
    LoseAnswer,
    /// Not done, and nobody knows.
    LoseRequest,
    /// Nobody knows; it is done later.
    Late,
    /// Done and told; done once more later.
    Twice,
    /// Told as done; undone after so many seconds.
    Undo(u64),
    /// Not done for this reason.
    Refuse(TroubleKind),
}

struct Inner {
    running: usize,
    waits: Vec<Option<Point>>,
    wakers: Vec<Option<std::task::Waker>>,
    verdict: Verdict,
    /// Decides which reads stop: all of them would only cost time.
    dice: SeededEntropy,
    reads_stop: bool,
}

/// The gate.
pub(crate) struct Gate(Mutex<Inner>);

impl Gate {
    pub(crate) fn new(actors: usize, seed: u64, reads_stop: bool) -> Self {
        Self(Mutex::new(Inner {
            running: HARNESS,
            waits: vec![None; actors],
            wakers: vec![None; actors],
            verdict: Verdict::Go,
            dice: SeededEntropy::new(seed),
            reads_stop,
        }))
    }

    /// Who is polled now.
    pub(crate) fn running(&self) -> usize {
        self.0.lock().running
    }

    /// From now on calls are those of `actor`; the call it stands at comes to `verdict`.
    pub(crate) fn enter(&self, actor: usize, verdict: Verdict) {
        let mut inner = self.0.lock();
        inner.running = actor;
        inner.verdict = verdict;
        let waker = inner.wakers[actor].take();
        drop(inner);
        // Steps that run side by side are polled only when they were woken.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Calls are the harness's own again. Answers where the actor stands.
    pub(crate) fn leave(&self, actor: usize) -> Option<Point> {
        let mut inner = self.0.lock();
        inner.running = HARNESS;
        inner.waits[actor]
    }

    /// The actor is gone.
    pub(crate) fn forget(&self, actor: usize) {
        let mut inner = self.0.lock();
        inner.waits[actor] = None;
        inner.wakers[actor] = None;
    }

    /// Stops, unless it is the harness that calls.
    pub(crate) fn at(&self, point: Point) -> Wait<'_> {
        let inner = self.0.lock();
        let skips = match point {
            Point::Read => !inner.reads_stop || inner.dice.below(5) != 0,
            _ => false,
        };
        let stops = inner.running != HARNESS && !skips;
        Wait {
            gate: self,
            point: stops.then_some(point),
            stopped: false,
        }
    }
}

/// A stop.
pub(crate) struct Wait<'a> {
    gate: &'a Gate,
    point: Option<Point>,
    stopped: bool,
}

impl Future for Wait<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        let mut inner = self.gate.0.lock();
        let running = inner.running;
        match (self.point, self.stopped) {
            (None, _) => Poll::Ready(Verdict::Go),
            (Some(point), false) => {
                inner.waits[running] = Some(point);
                inner.wakers[running] = Some(context.waker().clone());
                drop(inner);
                self.stopped = true;
                Poll::Pending
            }
            (Some(_), true) => {
                inner.waits[running] = None;
                Poll::Ready(std::mem::take(&mut inner.verdict))
            }
        }
    }
}

/// Runs a future that never has to wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a call of the harness itself never waits"),
    }
}
