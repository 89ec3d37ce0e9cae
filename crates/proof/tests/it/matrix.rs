//! The crash matrix: a rotation is recorded as it runs without trouble; every commit it made and
//! every call it sent to the target is then tried again, in a rotation of other accounts, with
//! something going wrong right there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scaivault_core::ports::UnitName;
use scaivault_core::rotation::Phase;
use scaivault_testkit::{Fault, When};
use tokio::task::JoinSet;

use crate::attached::{Attached, ROUND};
use crate::script::Strike;
use crate::system::System;

/// What every system is tried at on the way through, at least.
const POINTS_MIN: usize = 36;
/// A rotation that takes this long, in virtual time, does not end.
const NEVER: Duration = Duration::from_secs(24 * 3_600);
/// Rotations at a time at one server.
const AT_A_TIME: usize = 8;

/// Where and what goes wrong.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// At the n-th commit of a name: it is lost, or its answer is; the process dies of it, or is
    /// told and goes on.
    Commit {
        name: UnitName,
        nth: u64,
        fault: Fault,
        killed: bool,
    },
    /// At the n-th change.
    Effect { nth: usize, strike: Strike },
    /// The n-th look does not tell.
    Look { nth: u64 },
}

/// What a rotation without trouble does.
struct Trace {
    commits: Vec<(UnitName, u64)>,
    effects: usize,
    looks: u64,
}

/// Whether a commit is one of a rotation.
fn is_of_rotation(name: UnitName) -> bool {
    name.as_str().starts_with("rotation_") && name != UnitName::RotationPolicyWrite
}

/// Which way the rotation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To its end.
    Through,
    /// Back, when readers have the new version.
    BackPromoted,
    /// Back, before readers have it: the target may have been told.
    BackEarly,
}

/// What goes wrong with a commit, and whether the process dies of it.
const FAULTS: [(Fault, bool); 4] = [
    (Fault::Unit, true),
    (Fault::Answer, false),
    (Fault::Answer, true),
    (Fault::Unit, false),
];

impl Way {
    /// The way through is tried with every fault; the ways back with the first two.
    fn faults(self) -> usize {
        match self {
            Self::Through => FAULTS.len(),
            Self::BackPromoted | Self::BackEarly => 2,
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Through, Self::BackPromoted, Self::BackEarly];

    fn end(self) -> Phase {
        match self {
            Self::Through => Phase::Completed,
            Self::BackPromoted | Self::BackEarly => Phase::RolledBack,
        }
    }

    /// Brings a rotation to where this way begins.
    async fn prepare(self, attached: &mut Attached) {
        attached.check().await;
        if self == Self::Through {
            return;
        }
        // Where the verification does not tell, the rotation waits for its next attempt.
        attached.w.script.blind(self == Self::BackEarly);
        attached.rotate().await;
        attached.round().await;
        attached.w.script.blind(false);
        let phase = attached.last().await.phase;
        match self {
            Self::BackPromoted => assert_eq!(phase, Phase::Propagating),
            _ => assert_eq!(phase, Phase::Verifying),
        }
    }

    /// What somebody asks for there.
    async fn ask(self, attached: &mut Attached) {
        match self {
            Self::Through => attached.rotate().await,
            Self::BackPromoted | Self::BackEarly => attached.step_back().await,
        }
    }
}

async fn record(system: &Arc<dyn System>, way: Way) -> Trace {
    let mut attached = Attached::new(system.clone()).await;
    way.prepare(&mut attached).await;
    let seen: Arc<Mutex<Vec<(UnitName, u64)>>> = Arc::default();
    let names = seen.clone();
    attached.w.watched.watch(move |unit, _| {
        let mut names = names.lock();
        if is_of_rotation(unit.name) {
            let before = names.iter().filter(|(name, _)| *name == unit.name).count();
            names.push((unit.name, u64::try_from(before).unwrap() + 1));
        }
    });
    let (effects, looks) = (attached.w.script.effects().len(), attached.w.script.looks());
    way.ask(&mut attached).await;
    assert_eq!(attached.follow().await, way.end());
    attached.assert_one_left().await;
    let commits = seen.lock().clone();
    Trace {
        commits,
        effects: attached.w.script.effects().len() - effects,
        looks: attached.w.script.looks() - looks,
    }
}

fn points(trace: &Trace, way: Way) -> Vec<Point> {
    let mut points = Vec::new();
    for (name, nth) in trace.commits.iter().copied() {
        for (fault, killed) in FAULTS.into_iter().take(way.faults()) {
            points.push(Point::Commit {
                name,
                nth,
                fault,
                killed,
            });
        }
    }
    for nth in 0..trace.effects {
        points.extend(Strike::ALL.map(|strike| Point::Effect { nth, strike }));
    }
    if way == Way::Through {
        points.extend((0..trace.looks).map(|nth| Point::Look { nth }));
    }
    points
}

/// Whether the rotation came to the point: one that has to look at the target more often, because
/// a session was slow to end, has a few points more than another.
async fn run(system: Arc<dyn System>, way: Way, point: Point) -> bool {
    let mut attached = Attached::new(system).await;
    way.prepare(&mut attached).await;
    let mut dies = false;
    match point {
        Point::Commit {
            name,
            nth,
            fault,
            killed,
        } => {
            attached.w.store.arm(name, When::Nth(nth), fault);
            dies = killed;
        }
        Point::Effect { nth, strike } => attached.w.script.strike(nth, strike),
        Point::Look { nth } => attached.w.script.unclear(nth),
    }
    way.ask(&mut attached).await;
    let ended = loop {
        if dies && !attached.w.store.struck().is_empty() {
            attached.w.restart();
            dies = false;
        }
        let phase = attached.round().await;
        if phase.is_final() {
            break phase;
        }
        attached.w.clock.advance(ROUND);
        let age = attached.w.now().since(attached.last().await.opened_at);
        assert!(age < NEVER, "never ends: {:?}", attached.last().await);
    };
    assert_eq!(ended, way.end(), "{:?}", attached.last().await);
    attached.assert_one_left().await;
    attached.w.script.struck() || !attached.w.store.struck().is_empty()
}

/// Tries every point at one server and prints what was done.
pub(crate) async fn matrix(system: Arc<dyn System>, way: Way) {
    let begun = Instant::now();
    let trace = record(&system, way).await;
    let points = points(&trace, way);
    let count = points.len();
    let mut left = points.into_iter();
    let mut running = JoinSet::new();
    let (mut failed, mut missed) = (Vec::new(), 0);
    loop {
        while running.len() < AT_A_TIME
            && let Some(point) = left.next()
        {
            let system = system.clone();
            running.spawn(async move {
                let tried = tokio::spawn(run(system, way, point)).await;
                tried.map_err(|error| format!("{point:?}: {error}"))
            });
        }
        match running.join_next().await {
            Some(tried) => match tried.unwrap() {
                Ok(reached) => missed += usize::from(!reached),
                Err(error) => failed.push(error),
            },
            None => break,
        }
    }
    println!(
        "proof: {}, {way:?}: {} points, {} rotations, {} failed, {:.1} s",
        system.name(),
        count - missed,
        count + 1,
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(failed.is_empty(), "{failed:#?}");
    let enough = way != Way::Through || count - missed >= POINTS_MIN;
    assert!(enough && missed * 5 <= count, "{missed} of {count} missed");
}
