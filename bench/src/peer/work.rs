//! The kinds of work, and the requests each is made of.

use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::dialect::{Dialect, LISTED};
use crate::load::Requests;
use crate::seed;

/// A kind of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// The current value of any secret, by chance.
    Read,
    /// One more value of a secret of the connection's own.
    Write,
    /// Nine reads, then a write.
    Mixed,
    /// The hundred secrets below a prefix.
    List,
    /// One more token.
    Token,
}

impl Work {
    pub(crate) const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Mixed,
        Self::List,
        Self::Token,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Mixed => "mixed",
            Self::List => "list",
            Self::Token => "token",
        }
    }
}

/// Prefixes that are listed.
pub(crate) const PREFIXES: usize = 10;

/// Secrets that one connection writes.
const OWN: usize = 16;

/// Requests of one connection before mixed work begins again from its first.
const MIXED_TURN: usize = 200;

pub(crate) fn listed_prefix(number: usize) -> String {
    format!("apps/listed-{number}")
}

pub(crate) fn listed_path(number: usize) -> String {
    let prefix = listed_prefix(number / LISTED);
    format!("{prefix}/entry-{:03}", number % LISTED)
}

/// Not among those that are read: their values stay as long as they were.
fn written_path(number: usize) -> String {
    format!("apps/written-{:03}/entry-{number:05}", number % 100)
}

/// What is sent for a kind of work, where so many secrets were stored.
pub(crate) fn requests(
    work: Work,
    dialect: &dyn Dialect,
    connections: usize,
    secrets: usize,
) -> Requests {
    match work {
        Work::Read => {
            let all = (0..secrets).map(|number| dialect.read(&seed::name(number)));
            Requests::Any(Arc::new(all.collect()))
        }
        Work::Write => {
            let all =
                (0..connections * OWN).map(|number| dialect.write(&written_path(number), number));
            Requests::Own(Arc::new(all.collect()))
        }
        Work::Mixed => {
            let one = |number: usize| {
                if number % 10 == 9 {
                    let connection = number / MIXED_TURN;
                    let own = connection * OWN + number / 10 % OWN;
                    dialect.write(&written_path(own), own)
                } else {
                    dialect.read(&seed::name(scattered(number) % secrets))
                }
            };
            Requests::Own(Arc::new((0..connections * MIXED_TURN).map(one).collect()))
        }
        Work::List => {
            let all = (0..PREFIXES).map(|number| dialect.list(&listed_prefix(number)));
            Requests::Any(Arc::new(all.collect()))
        }
        Work::Token => Requests::Any(Arc::new(vec![dialect.issue_token()])),
    }
}

fn scattered(number: usize) -> usize {
    ((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize
}
