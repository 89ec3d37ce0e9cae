//! Who still holds which version: the consumers' half of the gate before a credential is revoked.
//!
//! A pure function of the ledger. It errs on the side of waiting: a stored `last_read_at` may lag
//! by [`SETTLED_RESOLUTION`], so a consumer counts as live for that much longer. Reads of what is
//! not the current version lag by [`LEDGER_RESOLUTION`] at most: who goes back to the old one is
//! seen, and who comes again to the new one counts as behind until that is stored, too.

use std::collections::BTreeMap;

use super::rules::{Rules, Which};
use crate::consumer::{Consumer, LEDGER_RESOLUTION, SETTLED_RESOLUTION};
use crate::identity::Identity;
use crate::time::Timestamp;

/// Where the consumers stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Consumers that count and do not hold the wanted version.
    pub behind: Vec<Identity>,
    /// Consumers that acknowledge, hold it, and have not said that they use it.
    pub unapplied: Vec<Identity>,
    /// Consumers that reported a failure with it.
    pub failed: Vec<Identity>,
    /// Whether any consumer has read it.
    pub used: bool,
    /// Whether any consumer counts at all.
    pub anyone: bool,
    /// How many count.
    pub counted: usize,
    /// Under [`Which::Count`]: how many are missing.
    pub missing: u32,
}

impl Standing {
    /// Whether every consumer that counts has moved, and somebody has.
    pub fn is_clear(&self) -> bool {
        self.used && self.has_moved()
    }

    /// Whether no consumer that counts is behind.
    pub fn has_moved(&self) -> bool {
        self.behind.is_empty() && self.unapplied.is_empty() && self.missing == 0
    }
}

/// Which version is wanted, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The version consumers should hold.
    pub version: u64,
    /// Only reads at or after this count: they held it before once, and have to come back to it.
    pub read_since: Option<Timestamp>,
    /// Failures reported before this have been dealt with.
    pub heed_since: Option<Timestamp>,
}

#[derive(Default)]
struct Life {
    last_read: Option<Timestamp>,
    /// Last read of the wanted version.
    wanted: Option<Timestamp>,
    /// Last read of any other version.
    other: Option<Timestamp>,
    acknowledges: bool,
    applied: Option<Timestamp>,
    failed: Option<Timestamp>,
}

impl Life {
    fn add(&mut self, row: &Consumer, wanted: &Wanted) {
        self.acknowledges |= row.applied_at.is_some();
        self.last_read = self.last_read.max(Some(row.last_read_at));
        if row.version == wanted.version {
            let counts = wanted
                .read_since
                .is_none_or(|since| row.last_read_at >= since);
            self.wanted = counts.then_some(row.last_read_at);
            self.applied = row.applied_at.filter(|_| counts);
            self.failed = row.failed_at;
        } else {
            self.other = self.other.max(Some(row.last_read_at));
        }
    }

    /// Holds the wanted version, and has not gone back to another since.
    fn holds(&self) -> bool {
        match (self.wanted, self.other) {
            (Some(wanted), Some(other)) => other <= wanted.plus(LEDGER_RESOLUTION),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// Reads the ledger of one secret.
pub fn standing(ledger: &[Consumer], wanted: Wanted, rules: &Rules, now: Timestamp) -> Standing {
    let mut lives: BTreeMap<&Identity, Life> = BTreeMap::new();
    for row in ledger {
        if !rules.ignore.contains(&row.consumer) {
            lives.entry(&row.consumer).or_default().add(row, &wanted);
        }
    }
    let mut found = Standing {
        used: lives.values().any(|life| life.wanted.is_some()),
        ..Standing::default()
    };
    let counted: Vec<(&Identity, Option<&Life>)> = match &rules.consumers {
        Which::Live(window) => {
            let begins = now.minus(window.duration() + SETTLED_RESOLUTION);
            let live = |life: &Life| life.last_read.is_some_and(|at| at >= begins);
            let all = lives.iter().filter(|(_, life)| live(life));
            all.map(|(who, life)| (*who, Some(life))).collect()
        }
        Which::Listed(names) => names.iter().map(|who| (who, lives.get(who))).collect(),
        Which::Count(number) => {
            let holding = lives.values().filter(|life| life.holds()).count();
            let holding = u32::try_from(holding).unwrap_or(u32::MAX);
            found.missing = number.saturating_sub(holding);
            let all = lives.iter().filter(|(_, life)| life.wanted.is_some());
            all.map(|(who, life)| (*who, Some(life))).collect()
        }
    };
    found.anyone = !counted.is_empty() || found.missing > 0;
    found.counted = counted.len();
    for (who, life) in counted {
        match life {
            Some(life) if life.holds() => {
                if life.acknowledges && life.applied.is_none() {
                    found.unapplied.push(who.clone());
                }
            }
            _ => found.behind.push(who.clone()),
        }
    }
    for (who, life) in &lives {
        let heeded = |at: &Timestamp| wanted.heed_since.is_none_or(|since| *at > since);
        if let Some(failed) = life.failed.filter(heeded)
            && life.applied.is_none_or(|applied| applied < failed)
        {
            found.failed.push((*who).clone());
        }
    }
    found
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
