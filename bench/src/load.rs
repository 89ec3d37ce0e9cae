//! The load: connections that ask, wait for the answer, and ask again.
//!
//! Closed loop: each asks as soon as it was answered, which finds the most the server can do.
//! Open loop: each asks at given times whether the server keeps up or not, and a latency counts
//! from the time a request was meant to be sent, so that waiting behind a slow one is not hidden.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::latency::Outcome;
use crate::timer::Timer;
use crate::wire::{Connection, Endpoint};

/// What is sent.
#[derive(Clone)]
pub(crate) enum Requests {
    /// Any of these, by chance.
    Any(Arc<Vec<Vec<u8>>>),
    /// Each connection has its own share, and takes its turns in it.
    Own(Arc<Vec<Vec<u8>>>),
}

#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) to: Endpoint,
    pub(crate) requests: Requests,
    pub(crate) connections: usize,
    /// Counted; a tenth of it passes before, uncounted.
    pub(crate) duration: Duration,
    /// Requests per second of all connections together; closed loop without.
    pub(crate) rate: Option<f64>,
}

impl Load {
    pub(crate) async fn run(&self) -> Result<Outcome> {
        let mut opened = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            opened.push(Connection::open(&self.to).await?);
        }
        let begin = Instant::now();
        let counted_from = begin + self.duration / 10;
        let until = counted_from + self.duration;
        let mut tasks = JoinSet::new();
        for (number, connection) in opened.into_iter().enumerate() {
            let turns = Turns::new(&self.requests, number, self.connections);
            let client = Client {
                connection,
                turns,
                counted_from,
                until,
            };
            match self.pace(begin, number) {
                None => tasks.spawn(client.closed_loop()),
                Some(pace) => tasks.spawn(client.open_loop(pace)),
            };
        }
        let mut outcome = Outcome::of(self.duration);
        while let Some(done) = tasks.join_next().await {
            outcome.add(done??);
        }
        Ok(outcome.sorted())
    }

    /// Connections take turns: each begins a little after the one before.
    fn pace(&self, begin: Instant, number: usize) -> Option<Pace> {
        let every = Duration::from_secs_f64(self.connections as f64 / self.rate?);
        let offset = every.mul_f64(number as f64 / self.connections as f64);
        Some(Pace {
            next: begin + offset,
            every,
        })
    }
}

struct Pace {
    next: Instant,
    every: Duration,
}

struct Client {
    connection: Connection,
    turns: Turns,
    counted_from: Instant,
    until: Instant,
}

impl Client {
    async fn closed_loop(mut self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        loop {
            let asked = Instant::now();
            if asked >= self.until {
                return Ok(outcome);
            }
            self.connection.ask_well(self.turns.next()).await?;
            let now = Instant::now();
            let latency = (now >= self.counted_from).then(|| now - asked);
            outcome.answer(latency, self.is_within(now));
        }
    }

    async fn open_loop(mut self, mut pace: Pace) -> Result<Outcome> {
        let timer = Timer::new()?;
        let mut outcome = Outcome::default();
        while pace.next < self.until {
            timer.wait(pace.next).await?;
            self.connection.ask_well(self.turns.next()).await?;
            let now = Instant::now();
            let latency = (pace.next >= self.counted_from).then(|| now - pace.next);
            outcome.answer(latency, self.is_within(now));
            pace.next += pace.every;
        }
        Ok(outcome)
    }

    fn is_within(&self, now: Instant) -> bool {
        (self.counted_from..self.until).contains(&now)
    }
}

/// Which request is next on one connection.
struct Turns {
    requests: Requests,
    /// Of an own share: where it begins and how long it is.
    share: (usize, usize),
    state: u64,
}

impl Turns {
    fn new(requests: &Requests, number: usize, connections: usize) -> Self {
        let share = match requests {
            Requests::Any(_) => (0, 0),
            Requests::Own(all) => {
                let length = (all.len() / connections).max(1);
                (number * length % all.len(), length)
            }
        };
        let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1);
        Self {
            requests: requests.clone(),
            share,
            state: seed,
        }
    }

    fn next(&mut self) -> &[u8] {
        match &self.requests {
            Requests::Any(all) => {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                &all[(self.state % all.len() as u64) as usize]
            }
            Requests::Own(all) => {
                self.state = self.state.wrapping_add(1);
                let (begin, length) = self.share;
                &all[begin + (self.state % length as u64) as usize]
            }
        }
    }
}
