//! Deterministic simulation of rotations at targets: the real engine, one thread, every choice
//! drawn from a seed, the promises checked after every event. `docs/simulation.md` says what is
//! modelled.
//!
//! * `gate`: where every call through a port stops; `store`, `connector`: the ports behind it.
//! * `target`: what the target accepts; `setup`, `world`: what a life begins with.
//! * `life`: which event comes next; `fate`, `people`, `rest`: faults, consumers and operator, the
//!   end.
//! * `promises`: what must hold.
//! * `broken`: engines broken on purpose; `matrix`: one mishap at each stop of a calm rotation.

mod actors;
mod broken;
mod connector;
mod fate;
mod gate;
mod life;
mod matrix;
mod people;
mod promises;
mod rest;
mod setup;
mod store;
mod target;
mod world;

use std::collections::BTreeSet;

use scaivault_testkit::SeededEntropy;

pub use broken::Broken as Variant;
pub use matrix::{Fate, Inject, Place, STORIES, Story, Walk, walk};
pub use promises::Broken;

use life::Life;
use setup::Setup;

/// How to live a seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// An engine broken on purpose.
    pub variant: Option<Variant>,
    /// Faults that do not strike, by number.
    pub suppressed: BTreeSet<u64>,
    /// Keep every event.
    pub trace: bool,
}

/// What became of it.
#[derive(Debug)]
pub struct Lived {
    /// The promise that was broken.
    pub failure: Option<Broken>,
    /// Faults that struck, by number.
    pub faults: Vec<(u64, String)>,
    /// Every event.
    pub trace: Vec<String>,
    /// Rotations that were begun.
    pub rotations: usize,
}

/// Lives one seed.
pub fn live(seed: u64, options: &Options) -> Lived {
    let dice = SeededEntropy::new(seed);
    let setup = Setup::drawn(&dice);
    let header = format!("{setup:?}");
    let suppressed = options.suppressed.clone();
    let mut life = Life::new(seed, setup, suppressed, options.variant, options.trace);
    let failure = life.live().err();
    let mut trace = life.trace.take().unwrap_or_default();
    trace.insert(0, header);
    Lived {
        failure,
        faults: std::mem::take(&mut life.faults),
        trace,
        rotations: life.mirror.rotations.len(),
    }
}

/// The fewest faults with which a failing seed still fails.
pub fn minimised(seed: u64, options: &Options) -> Lived {
    let mut best = options.clone();
    best.trace = false;
    let mut lived = live(seed, &best);
    loop {
        let smaller = lived.faults.iter().rev().find_map(|(number, _)| {
            let mut tried = best.clone();
            tried.suppressed.insert(*number);
            let lived = live(seed, &tried);
            lived.failure.is_some().then_some((tried, lived))
        });
        match smaller {
            Some((tried, less)) => (best, lived) = (tried, less),
            None => break,
        }
    }
    best.trace = true;
    live(seed, &best)
}
