//! Answers to callers.

use std::time::Instant;

use scaivault_core::ports::{CommitError, Committed};
use tokio::sync::oneshot;

pub(crate) type Outcome = Result<Committed, CommitError>;

/// Where an answer goes, once. A caller that went away is no matter: its unit counts all the same.
pub(crate) struct Reply {
    caller: Option<oneshot::Sender<Outcome>>,
    /// Until when the caller waits.
    pub(crate) deadline: Instant,
}

impl Reply {
    pub(crate) fn new(deadline: Instant) -> (Self, oneshot::Receiver<Outcome>) {
        let (caller, answer) = oneshot::channel();
        (
            Self {
                caller: Some(caller),
                deadline,
            },
            answer,
        )
    }

    /// Answers, unless it was answered before.
    pub(crate) fn send(&mut self, outcome: Outcome) {
        if let Some(caller) = self.caller.take() {
            let _ = caller.send(outcome);
        }
    }
}
