//! One life: events drawn from the seed, promises checked after each of them.

use std::collections::BTreeSet;
use std::task::{Context, Waker};
use std::time::Duration;

use scaivault_core::ports::{Claims, Op, UnitName};
use scaivault_core::time::Timestamp;
use scaivault_testkit::SeededEntropy;

use crate::actors::{self, Actor, Consumer, Done, Role, Task};
use crate::broken::Broken as Variant;
use crate::gate::{Point, Verdict, now};
use crate::promises::{Broken, Mirror};
use crate::setup::Setup;
use crate::target::Later;
use crate::world::World;

pub(crate) type Kept = Result<(), Broken>;

/// What is wrong with the target for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    Down,
    Manager,
    Privilege,
}

/// A life under way.
pub(crate) struct Life {
    pub(crate) setup: Setup,
    pub(crate) world: World,
    pub(crate) actors: Vec<Actor>,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) mirror: Mirror,
    /// Which event comes next.
    pub(crate) dice: SeededEntropy,
    /// Which fault strikes.
    fate: SeededEntropy,
    chances: u64,
    suppressed: BTreeSet<u64>,
    pub(crate) faults: Vec<(u64, String)>,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) ills: Vec<(Timestamp, Ill)>,
    /// Versions that were current, in order.
    pub(crate) currents: Vec<u64>,
    lives: u64,
    pub(crate) edits: u64,
    pub(crate) resumed: u64,
    pub(crate) attends_at: Timestamp,
    pub(crate) stormy: bool,
}

impl Life {
    pub(crate) fn new(
        seed: u64,
        setup: Setup,
        suppressed: BTreeSet<u64>,
        broken: Option<Variant>,
        trace: bool,
    ) -> Self {
        let count = setup.workers + setup.consumers + 1;
        let world = World::new(seed, &setup, count, broken);
        let shared = world.vault();
        let vault = |world: &World| match setup.one_vault {
            true => shared.clone(),
            false => world.vault(),
        };
        let roles = (0..setup.workers).map(|_| Role::Worker);
        let roles = roles
            .chain((0..setup.consumers).map(Role::Consumer))
            .chain([Role::Operator]);
        let actors = roles
            .map(|role| Actor {
                role,
                task: None,
                at: None,
                vault: vault(&world),
            })
            .collect();
        let dice = SeededEntropy::new(seed ^ 0x6469_6365);
        let start = world.now();
        let consumers = (0..setup.consumers)
            .map(|number| Consumer {
                next_at: start,
                holds: None,
                session: false,
                gone: false,
                acknowledges: number < setup.acknowledging,
                since: 0,
            })
            .collect();
        Self {
            mirror: Mirror::new(setup.rules.clone(), setup.overlap),
            stormy: setup.events > 0,
            lives: u64::try_from(count).unwrap_or(0),
            setup,
            world,
            actors,
            consumers,
            dice,
            fate: SeededEntropy::new(seed ^ 0x6661_7465),
            chances: 0,
            suppressed,
            faults: Vec::new(),
            trace: trace.then(Vec::new),
            ills: Vec::new(),
            currents: Vec::new(),
            edits: 0,
            resumed: 0,
            attends_at: start,
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.world.now().as_secs() - 1_800_000_000;
            trace.push(format!("{at:>7}s {}", line()));
        }
    }

    pub(crate) fn strike(&mut self, rate: u64, what: impl FnOnce() -> String) -> bool {
        if rate == 0 || !self.stormy {
            return false;
        }
        self.chances += 1;
        if self.fate.below(1_000) >= rate || self.suppressed.contains(&self.chances) {
            return false;
        }
        let what = what();
        self.note(|| format!("FAULT {what}"));
        self.faults.push((self.chances, what));
        true
    }

    pub(crate) fn any(&self, end: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(end.max(1)).unwrap_or(1))).unwrap_or(0)
    }

    /// The whole of it.
    pub(crate) fn live(&mut self) -> Kept {
        self.look()?;
        let begins = self.operator();
        self.start(begins, actors::rotate)?;
        for _ in 0..self.setup.events {
            self.event()?;
        }
        self.stormy = false;
        self.come_to_rest()
    }

    pub(crate) fn operator(&self) -> usize {
        self.actors.len() - 1
    }

    fn event(&mut self) -> Kept {
        self.fate_of_target()?;
        let busy: Vec<usize> = (0..self.actors.len())
            .filter(|number| self.actors[*number].task.is_some())
            .collect();
        if !busy.is_empty() {
            if self.strike(self.setup.rates.death, || "a task dies".into()) {
                let who = busy[self.any(busy.len())];
                return self.kill(who);
            }
            if self.strike(self.setup.rates.pause, || "everybody is paused".into()) {
                let secs = 20 + self.dice.below(200);
                return self.advance(Duration::from_secs(secs));
            }
            if self.dice.below(1_000) >= self.setup.rates.interleave.min(300) {
                let who = busy[self.any(busy.len())];
                let verdict = self.verdict(who);
                return self.poll(who, verdict);
            }
        }
        self.begin_something(busy.is_empty())
    }

    pub(crate) fn begin_something(&mut self, idle: bool) -> Kept {
        let mut ready = self.ready();
        if self.dice.below(8) == 0 {
            let pause = Duration::from_millis(1 + self.dice.below(4_000));
            self.advance(pause)?;
        }
        let operator = self.operator();
        if self.actors[operator].task.is_none() && self.operate(operator)? {
            return Ok(());
        }
        if ready.is_empty() {
            return match idle {
                true => self.sleep(),
                false => Ok(()),
            };
        }
        let who = ready.swap_remove(self.any(ready.len()));
        self.begin(who)
    }

    /// Actors with something to begin.
    pub(crate) fn ready(&self) -> Vec<usize> {
        let at = self.world.now();
        let due = self.next_work().is_some_and(|due| due <= at);
        let actors = self.actors.iter().enumerate();
        let ready = actors.filter(|(_, actor)| {
            actor.task.is_none()
                && match actor.role {
                    Role::Worker => due,
                    Role::Consumer(number) => {
                        let consumer = &self.consumers[number];
                        !consumer.gone && consumer.next_at <= at
                    }
                    Role::Operator => false,
                }
        });
        ready.map(|(number, _)| number).collect()
    }

    pub(crate) fn next_work(&self) -> Option<Timestamp> {
        let next = now(Claims::next_work(&self.world.store.memory)).unwrap_or_default();
        [next.assignment_at, next.rotation_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing to do: time goes on to what comes next.
    pub(crate) fn sleep(&mut self) -> Kept {
        let at = self.world.now();
        let consumers = self.consumers.iter().filter(|consumer| !consumer.gone);
        let consumers = consumers.map(|consumer| consumer.next_at);
        let later = self
            .world
            .target
            .state
            .lock()
            .later
            .iter()
            .map(|(due, _)| *due)
            .min();
        let ills = self.ills.iter().map(|(until, _)| *until);
        let attends = (!self.stormy).then_some(self.attends_at);
        let next = consumers
            .chain(self.next_work())
            .chain(attends)
            .chain(later)
            .chain(ills);
        let next = next.filter(|next| *next > at).min();
        let next = next.unwrap_or_else(|| at.plus(Duration::from_secs(60)));
        let most = at.plus(Duration::from_secs(3_600));
        self.advance(next.min(most).since(at))
    }

    pub(crate) fn advance(&mut self, by: Duration) -> Kept {
        let to = self.world.now().plus(by);
        let busy = self.is_busy();
        // What is on its way arrives when it does.
        loop {
            let busy = busy || self.is_busy();
            let due = {
                let mut state = self.world.target.state.lock();
                let first = state.later.iter().enumerate().filter(|(_, (due, later))| {
                    *due <= to && !(busy && matches!(later, Later::Undo { .. }))
                });
                let first = first
                    .min_by_key(|(_, (due, _))| *due)
                    .map(|(place, _)| place);
                first.map(|place| state.later.swap_remove(place))
            };
            let Some((due, later)) = due else { break };
            self.world.clock.set(due.max(self.world.now()));
            self.arrive(later)?;
        }
        self.world.clock.set(to);
        Ok(())
    }

    /// Whether something rests on what was seen at the target: a worker's task, or a change on
    /// its way.
    fn is_busy(&self) -> bool {
        let mut tasks = self.actors.iter();
        let sent = |(_, later): &(Timestamp, Later)| matches!(later, Later::Change(_));
        tasks.any(|actor| actor.role == Role::Worker && actor.task.is_some())
            || self.world.target.state.lock().later.iter().any(sent)
    }

    pub(crate) fn arrive(&mut self, later: Later) -> Kept {
        let busy = self.is_busy();
        if matches!(later, Later::Undo { .. }) && busy {
            // Between a proof and the commit that rests on it nobody could tell.
            let due = self.world.now().plus(Duration::from_secs(1));
            self.world.target.state.lock().later.push((due, later));
            return Ok(());
        }
        self.note(|| format!("arrives: {later:?}"));
        let came = {
            let mut state = self.world.target.state.lock();
            state.arrive(later, |tag| self.mirror.is_open(tag))
        };
        self.note(|| format!("  {came:?}"));
        self.look()
    }

    pub(crate) fn begin(&mut self, who: usize) -> Kept {
        match self.actors[who].role {
            Role::Worker => self.start(who, actors::work),
            Role::Consumer(number) => self.consumer_begins(who, number),
            Role::Operator => Ok(()),
        }
    }

    pub(crate) fn start(
        &mut self,
        who: usize,
        task: impl FnOnce(std::sync::Arc<scaivault_engine::Vault>) -> Task,
    ) -> Kept {
        let vault = self.actors[who].vault.clone();
        self.actors[who].task = Some(task(vault));
        self.poll(who, Verdict::Go)
    }

    /// One step of one task.
    pub(crate) fn poll(&mut self, who: usize, verdict: Verdict) -> Kept {
        let Some(mut task) = self.actors[who].task.take() else {
            return Ok(());
        };
        self.world.gate.enter(who, verdict);
        let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let at = self.world.gate.leave(who);
        let before = std::mem::replace(&mut self.actors[who].at, at);
        let dull = |point: Option<Point>| !matches!(point, Some(Point::Effect | Point::Look));
        if verdict != Verdict::Go || !dull(before) {
            self.note(|| format!("{who} {before:?} {verdict:?} -> {at:?}"));
        }
        match polled {
            std::task::Poll::Pending => {
                self.actors[who].task = Some(task);
                self.look()
            }
            std::task::Poll::Ready(done) => {
                drop(task);
                self.actors[who].at = None;
                self.look()?;
                self.done(who, done)
            }
        }
    }

    /// A process dies where it stands; the next one knows what is stored. What it had sent may
    /// be lost, done, or done later.
    pub(crate) fn kill(&mut self, who: usize) -> Kept {
        let at = self.actors[who].at;
        self.note(|| format!("{who} dies at {at:?}"));
        self.actors[who].task = None;
        self.actors[who].at = None;
        self.world.gate.forget(who);
        let sent = self.world.target.state.lock().in_hand.remove(&who);
        if let Some(sent) = sent.filter(|_| self.stormy) {
            let secs = self.dice.below(19);
            let due = self.world.now().plus(Duration::from_secs(secs));
            match self.dice.below(3) {
                0 => {}
                1 => self.arrive(Later::Change(sent))?,
                _ => self
                    .world
                    .target
                    .state
                    .lock()
                    .later
                    .push((due, Later::Change(sent))),
            }
        }
        if !self.setup.one_vault {
            self.actors[who].vault = self.world.vault();
        }
        self.lives += 1;
        self.world.target.lives.lock()[who] = self.lives;
        self.look()
    }

    fn done(&mut self, who: usize, done: Done) -> Kept {
        match (done, self.actors[who].role) {
            (Done::Worked(result), _) => {
                if result.is_err() {
                    self.note(|| format!("{who} worked: {result:?}"));
                }
                Ok(())
            }
            (Done::Acted(what, result), _) => {
                self.note(|| format!("{what}: {result:?}"));
                Ok(())
            }
            (Done::Read(Ok((version, cred))), Role::Consumer(number)) => {
                self.consumer_got(number, version, cred)
            }
            (Done::Read(result), Role::Consumer(number)) => {
                self.note(|| format!("read: {:?}", result.map(|(version, _)| version)));
                self.consumers[number].next_at = self.world.now().plus(Duration::from_secs(5));
                Ok(())
            }
            (Done::Read(_), _) => Ok(()),
        }
    }

    /// Checks everything that may have changed.
    pub(crate) fn look(&mut self) -> Kept {
        let applied = self.world.store.take_applied();
        let at = self.world.now();
        let mut state = self.world.target.state.lock();
        for applied in &applied {
            let open = |version| self.world.stored(version);
            self.mirror.take(&applied.unit, &state, at, open)?;
            let current = self.mirror.current();
            if self.currents.last() != Some(&current) {
                self.currents.push(current);
            }
        }
        if applied.is_empty() && !state.changed {
            return Ok(());
        }
        state.changed = false;
        let kept = self.mirror.target(&mut state);
        drop(state);
        for applied in applied {
            let name = applied.unit.name;
            if !matches!(name, UnitName::AuditOnly | UnitName::RotationWait) {
                self.note(|| {
                    let phase = applied.unit.ops.iter().find_map(|op| match op {
                        Op::Put(scaivault_core::ports::Record::Rotation(row)) => Some(format!(
                            "{} {:?} {:?}",
                            row.phase.as_str(),
                            row.reason,
                            row.at_target
                                .as_ref()
                                .map(|at| (at.in_flight, at.maybe_live))
                        )),
                        _ => None,
                    });
                    format!("{} {} {phase:?}", applied.actor, name.as_str())
                });
            }
        }
        kept
    }
}
