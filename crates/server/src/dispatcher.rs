//! Which deliveries are in flight. Receivers do not hold each other up:
//!
//! - a receiver has one delivery in flight at a time, so one that hangs holds one place;
//! - half of the places are for receivers whose last attempt went well. All others (new, failing
//!   or slow ones) share the other half and wait in line for it, however many they are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaivault_engine::{ClaimedDelivery, Vault, VaultError};
use tokio::task::{Id, JoinSet};

/// An attempt that took longer does not count as going well.
const SLOW: Duration = Duration::from_secs(2);

/// Deliveries of unproven receivers that may wait in line. A claim lasts long enough for all of
/// them to get their turn at the longest possible attempt.
const LINE_MAX: usize = 128;

/// Receivers remembered as proven; beyond it all are forgotten and prove themselves again.
const PROVEN_MAX: usize = 100_000;

type Outcome = (Result<bool, VaultError>, Duration);

/// The deliveries of one server.
pub(crate) struct Dispatcher {
    vault: Arc<Vault>,
    most: usize,
    in_flight: JoinSet<Outcome>,
    running: HashMap<Id, String>,
    unproven_running: usize,
    line: VecDeque<ClaimedDelivery>,
    proven: HashSet<String>,
}

impl Dispatcher {
    pub(crate) fn new(vault: Arc<Vault>, most: usize) -> Self {
        Self {
            vault,
            most: most.max(2),
            in_flight: JoinSet::new(),
            running: HashMap::new(),
            unproven_running: 0,
            line: VecDeque::new(),
            proven: HashSet::new(),
        }
    }

    /// How many more deliveries may be claimed now.
    pub(crate) fn room(&self) -> usize {
        let places = self.most.saturating_sub(self.in_flight.len());
        places.min(LINE_MAX.saturating_sub(self.line.len()))
    }

    /// Receivers that have a delivery in flight or in line.
    pub(crate) fn busy(&self) -> Vec<String> {
        let in_line = self
            .line
            .iter()
            .map(|delivery| delivery.receiver().to_owned());
        self.running.values().cloned().chain(in_line).collect()
    }

    /// Takes a claimed delivery on: starts it, or puts it in line.
    pub(crate) fn take(&mut self, delivery: ClaimedDelivery) {
        if self.proven.contains(delivery.receiver()) {
            self.start(delivery);
        } else {
            self.line.push_back(delivery);
            self.advance();
        }
    }

    /// Waits until one attempt is done; pending for ever while none is in flight.
    pub(crate) async fn one_done(&mut self) {
        match self.in_flight.join_next_with_id().await {
            Some(Ok((id, outcome))) => self.settle(id, Some(outcome)),
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery ended abnormally");
                self.settle(error.id(), None);
            }
            None => std::future::pending().await,
        }
    }

    /// Waits for what is in flight. What is in line stays claimed until its claim lapses.
    pub(crate) async fn finish(mut self) {
        self.line.clear();
        while !self.in_flight.is_empty() {
            self.one_done().await;
        }
    }

    fn start(&mut self, delivery: ClaimedDelivery) {
        let receiver = delivery.receiver().to_owned();
        if !self.proven.contains(&receiver) {
            self.unproven_running += 1;
        }
        let vault = self.vault.clone();
        let task = self.in_flight.spawn(async move {
            let begun = Instant::now();
            (vault.delivery_attempt(delivery).await, begun.elapsed())
        });
        self.running.insert(task.id(), receiver);
    }

    fn advance(&mut self) {
        while self.unproven_running < self.most / 2
            && let Some(delivery) = self.line.pop_front()
        {
            self.start(delivery);
        }
    }

    fn settle(&mut self, id: Id, outcome: Option<Outcome>) {
        let Some(receiver) = self.running.remove(&id) else {
            return;
        };
        if !self.proven.contains(&receiver) {
            self.unproven_running = self.unproven_running.saturating_sub(1);
        }
        let well = match outcome {
            Some((Ok(accepted), took)) => accepted && took < SLOW,
            Some((Err(error), _)) => {
                tracing::warn!(%error, "a delivery's outcome was not recorded; it is tried again");
                false
            }
            None => false,
        };
        if well {
            if self.proven.len() >= PROVEN_MAX {
                self.proven.clear();
                self.unproven_running = self.running.len();
            }
            self.proven.insert(receiver);
        } else {
            self.proven.remove(&receiver);
        }
        self.advance();
    }
}
