//! What fails in a storm, and how often.

use std::collections::BTreeMap;

use scaivault_peers::Wire;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Kill,
    Partition,
    FailOver,
    Crash,
    Pause,
    Clock,
    FullDisk,
    NoConnections,
    Stall,
}

/// How often each comes in one round.
const ROUND: [(Fault, usize); 9] = [
    (Fault::Kill, 40),
    (Fault::Partition, 20),
    (Fault::FailOver, 3),
    (Fault::Crash, 2),
    (Fault::Pause, 1),
    (Fault::Clock, 4),
    (Fault::FullDisk, 1),
    (Fault::NoConnections, 1),
    (Fault::Stall, 1),
];

/// Those of one round, of which `SCAIVAULT_STORM_FAULTS=Kill,Clock` leaves the others out.
pub(crate) fn chosen() -> BTreeMap<Fault, usize> {
    let all: BTreeMap<Fault, usize> = ROUND.into();
    let Ok(names) = std::env::var("SCAIVAULT_STORM_FAULTS") else {
        return all;
    };
    let of = |name: &str| {
        let known = all.iter().find(|(fault, _)| format!("{fault:?}") == name);
        let known = known.map(|(fault, times)| (*fault, *times));
        known.unwrap_or_else(|| panic!("SCAIVAULT_STORM_FAULTS: {name:?} is none of {all:?}"))
    };
    names.split(',').map(of).collect()
}

/// Where a node's network fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Reset,
    Wires(Wire, Wire),
    /// In the middle of something.
    After(usize),
}

pub(crate) const CUTS: [Cut; 9] = [
    Cut::Reset,
    Cut::Wires(Wire::Held, Wire::Open),
    Cut::Wires(Wire::Open, Wire::Held),
    Cut::Wires(Wire::Held, Wire::Held),
    Cut::Wires(Wire::Swallowed, Wire::Open),
    Cut::Wires(Wire::Open, Wire::Swallowed),
    Cut::Wires(Wire::Swallowed, Wire::Swallowed),
    Cut::After(300),
    Cut::After(5_000),
];

pub(crate) const CLOCKS: [&str; 4] = ["+1h", "-1h", "+1y", "-40d"];
