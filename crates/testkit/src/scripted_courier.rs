//! Receivers that do as a test says: answer, refuse, stay silent, answer late, or keep the courier
//! waiting until the test lets it go. Every parcel is recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::delivery::{AttemptError, Attempted};
use scaivault_core::ports::{Clock, Courier, Parcel};
use scaivault_core::time::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::ManualClock;

/// What a receiver does with one parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Answers 204.
    Accept,
    /// Answers with this status, which is not 2xx.
    Refuse(u16),
    /// Takes the parcel and never answers: ten seconds pass.
    Timeout,
    /// Cannot be reached; it never sees the parcel.
    Unreachable,
    /// Answers 204 after this long: the clock moves on by it.
    Late(Duration),
    /// Answers 204 once [`ScriptedCourier::release`] lets it.
    Held,
}

/// A parcel that reached its receiver.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub url: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body, as sent.
    pub body: Vec<u8>,
    /// What the receiver did with it.
    pub reply: Reply,
}

impl Received {
    /// A header, by its exact name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none: every event is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body of an event is JSON")
    }
}

/// A courier to scripted receivers, told apart by URL. Share it in an `Arc`.
pub struct ScriptedCourier {
    clock: Arc<ManualClock>,
    state: Mutex<State>,
    gate: Semaphore,
}

#[derive(Default)]
struct State {
    always: HashMap<String, Reply>,
    next: HashMap<String, VecDeque<Reply>>,
    received: Vec<Received>,
    attempts: Vec<(Timestamp, String)>,
    holding: usize,
}

impl ScriptedCourier {
    /// One whose receivers all accept.
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }

    /// From now on the receiver at `url` does this.
    pub fn always(&self, url: &str, reply: Reply) {
        self.state.lock().always.insert(url.to_owned(), reply);
    }

    /// Does these first, one per parcel, and then what it always does.
    pub fn next(&self, url: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state.lock();
        state
            .next
            .entry(url.to_owned())
            .or_default()
            .extend(replies);
    }

    /// Lets one held parcel be answered.
    pub fn release(&self) {
        self.gate.add_permits(1);
    }

    /// How many parcels are held now.
    pub fn holding(&self) -> usize {
        self.state.lock().holding
    }

    /// What reached the receiver at `url`, in order, repetitions included.
    pub fn received(&self, url: &str) -> Vec<Received> {
        let state = self.state.lock();
        let here = state.received.iter().filter(|parcel| parcel.url == url);
        here.cloned().collect()
    }

    /// Everything that reached anybody, in order.
    pub fn received_by_all(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// When attempts at `url` were made, those that did not arrive included.
    pub fn attempts(&self, url: &str) -> Vec<Timestamp> {
        let state = self.state.lock();
        let here = state.attempts.iter().filter(|(_, to)| to == url);
        here.map(|(at, _)| *at).collect()
    }

    fn begin(&self, parcel: &Parcel) -> Reply {
        let at = self.clock.now();
        let mut state = self.state.lock();
        let scripted = state
            .next
            .get_mut(&parcel.url)
            .and_then(VecDeque::pop_front);
        let always = state.always.get(&parcel.url).copied();
        let reply = scripted.or(always).unwrap_or(Reply::Accept);
        state.attempts.push((at, parcel.url.clone()));
        if reply != Reply::Unreachable {
            state.received.push(Received {
                at,
                url: parcel.url.clone(),
                headers: parcel.headers.clone(),
                body: parcel.body.clone(),
                reply,
            });
        }
        reply
    }
}

fn answered(code: u16) -> Attempted {
    Attempted {
        response_code: Some(code),
        error: (!(200..300).contains(&code)).then_some(AttemptError::Status),
        duration: Duration::from_millis(5),
    }
}

fn unanswered(error: AttemptError) -> Attempted {
    Attempted {
        response_code: None,
        error: Some(error),
        duration: Duration::from_secs(10),
    }
}

#[async_trait]
impl Courier for ScriptedCourier {
    fn check_url(&self, url: &str) -> Result<(), &'static str> {
        if url.starts_with("https://") {
            Ok(())
        } else {
            Err("the URL must begin with https://")
        }
    }

    async fn deliver(&self, parcel: &Parcel) -> Attempted {
        match self.begin(parcel) {
            Reply::Accept => answered(204),
            Reply::Refuse(code) => answered(code),
            Reply::Timeout => unanswered(AttemptError::Timeout),
            Reply::Unreachable => unanswered(AttemptError::Connect),
            Reply::Late(by) => {
                self.clock.advance(by);
                answered(204)
            }
            Reply::Held => {
                self.state.lock().holding += 1;
                if let Ok(permit) = self.gate.acquire().await {
                    permit.forget();
                }
                self.state.lock().holding -= 1;
                answered(204)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(url: &str) -> Parcel {
        Parcel {
            url: url.to_owned(),
            headers: vec![("webhook-id", "evt_1".to_owned())],
            body: br#"{"event_id":"evt_1"}"#.to_vec(),
        }
    }

    #[tokio::test]
    async fn receivers_follow_their_script() {
        let clock = Arc::new(ManualClock::default());
        let courier = ScriptedCourier::new(clock.clone());
        let (a, b) = (parcel("https://a.example"), parcel("https://b.example"));
        courier.next(
            "https://a.example",
            [Reply::Refuse(500), Reply::Unreachable],
        );
        courier.always("https://a.example", Reply::Late(Duration::from_secs(7)));
        let before = clock.now();
        assert_eq!(courier.deliver(&a).await.error, Some(AttemptError::Status));
        assert_eq!(courier.deliver(&a).await.error, Some(AttemptError::Connect));
        assert_eq!(courier.deliver(&a).await.error, None);
        assert_eq!(clock.now().since(before), Duration::from_secs(7));
        assert_eq!(courier.deliver(&b).await.response_code, Some(204));
        assert_eq!(courier.attempts("https://a.example").len(), 3);
        assert_eq!(courier.received("https://a.example").len(), 2);
        let seen = &courier.received("https://b.example")[0];
        assert_eq!(seen.header("webhook-id"), Some("evt_1"));
        assert_eq!(seen.json()["event_id"], "evt_1");
    }

    #[tokio::test]
    async fn a_held_parcel_waits_for_its_release() {
        let courier = Arc::new(ScriptedCourier::new(Arc::default()));
        courier.always("https://a.example", Reply::Held);
        let slow = courier.clone();
        let held = tokio::spawn(async move { slow.deliver(&parcel("https://a.example")).await });
        while courier.holding() == 0 {
            tokio::task::yield_now().await;
        }
        courier.release();
        assert_eq!(held.await.expect("it ends").response_code, Some(204));
        assert_eq!(courier.holding(), 0);
    }
}
