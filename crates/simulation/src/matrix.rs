//! The crash matrix: one calm rotation at a time, told as a story that leads through certain
//! steps, with one mishap at one stop of its worker.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::ports::{ConsumerReads, SecretReads};
use scaivault_core::rotation::{Observed, OnDeadline, Phase, StepKind, Which, decide, standing};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_engine::default_tenant;

use crate::actors::{self, Role};
use crate::broken::Broken as Variant;
use crate::gate::{Point, Verdict, now};
use crate::life::{Ill, Life};
use crate::promises::Broken;
use crate::setup::{Setup, consumer_name, span};
use crate::target::{Later, Minted};
use crate::world::path;

/// What happens in a rotation, beside the mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Nothing.
    Plain,
    /// A consumer stays behind past the deadline, which rolls back.
    LaggardRollsBack,
    /// A consumer stays behind past the deadline, which forces.
    LaggardForced,
    /// A consumer stays behind past the deadline, which parks; then it comes.
    LaggardHeld,
    /// The manager lacks a right for half an hour.
    Privilege,
    /// The answer to the first change is lost.
    AnswerLost,
    /// The first change is lost, and nobody knows.
    RequestLost,
    /// The target forgets the new credential while consumers move.
    Forgotten,
    /// The answer to the first change is lost, and the secret is changed by hand.
    ChangedByHand,
}

/// Every story.
pub const STORIES: [Story; 9] = [
    Story::Plain,
    Story::LaggardRollsBack,
    Story::LaggardForced,
    Story::LaggardHeld,
    Story::Privilege,
    Story::AnswerLost,
    Story::RequestLost,
    Story::Forgotten,
    Story::ChangedByHand,
];

/// Where the mishap is, seen from the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing was done.
    Before,
    /// Nobody knows: a change arrives later, a commit is made without an answer.
    Unknown,
    /// All was done.
    After,
}

/// What becomes of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its process dies.
    Killed,
    /// It gets an error.
    Error,
    /// It is paused past its claim while another worker takes over.
    Paused,
}

/// One mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inject {
    /// At the n-th stop of the worker.
    pub at: usize,
    /// Where.
    pub place: Place,
    /// Which.
    pub fate: Fate,
}

/// A way through a rotation.
#[derive(Debug)]
pub struct Walk {
    /// The steps at whose calls the worker stopped, in order.
    pub stops: Vec<StepKind>,
    /// How the rotation ended.
    pub ended: Phase,
    /// Whether the mishap came.
    pub struck: bool,
}

fn setup(story: Story, overlap: Overlap) -> Setup {
    let mut setup = Setup::calm(overlap);
    setup.workers = 2;
    setup.one_vault = false;
    let rules = &mut setup.rules;
    rules.propagation_bound = span(300);
    rules.deadline = Some(span(1_200));
    rules.consumers = Which::Listed(vec![consumer_name(0), consumer_name(1)]);
    rules.on_deadline = match story {
        Story::LaggardRollsBack => OnDeadline::RollBack,
        Story::LaggardForced => OnDeadline::Force,
        _ => OnDeadline::Hold,
    };
    setup
}

/// One rotation as the story goes, with a mishap or none.
///
/// # Errors
/// The promise that was broken.
pub fn walk(
    story: Story,
    overlap: Overlap,
    inject: Option<Inject>,
    variant: Option<Variant>,
) -> Result<Walk, Broken> {
    let life = Life::new(7, setup(story, overlap), BTreeSet::new(), variant, false);
    Walker {
        life,
        story,
        inject,
        stops: Vec::new(),
        effects: 0,
        told: false,
        last: None,
        struck: false,
    }
    .walk()
}

struct Walker {
    life: Life,
    story: Story,
    inject: Option<Inject>,
    stops: Vec<StepKind>,
    effects: usize,
    told: bool,
    last: Option<StepKind>,
    struck: bool,
}

impl Walker {
    fn walk(mut self) -> Result<Walk, Broken> {
        self.life.look()?;
        // Both consumers know the old credential.
        self.settle_others()?;
        let operator = self.life.operator();
        self.life.start(operator, actors::rotate)?;
        self.settle_others()?;
        for _ in 0..20_000 {
            self.tell()?;
            if self.life.actors[0].task.is_some() {
                self.worker_stop()?;
                continue;
            }
            if self.settle_others()? {
                continue;
            }
            let trouble = self.story == Story::Privilege && self.effects < 2;
            if !trouble && self.life.attend()? {
                continue;
            }
            if self.life.mirror.open().next().is_none() || self.rests() {
                self.life.afterwards()?;
                let rows = self.life.mirror.rotations.values();
                let ended = rows
                    .map(|row| row.phase)
                    .next_back()
                    .unwrap_or(Phase::Generating);
                return Ok(Walk {
                    stops: self.stops,
                    ended,
                    struck: self.struck,
                });
            }
            let ready = self.life.ready().into_iter();
            let mut ready =
                ready.filter(|who| self.life.actors[*who].role != Role::Worker || *who == 0);
            match ready.next() {
                Some(who) => self.life.begin(who)?,
                None => self.life.sleep()?,
            }
        }
        Err(Broken {
            promise: "P4",
            seen: format!("never ends after {:?}", self.stops.last()),
        })
    }

    /// Parked for a person who changed the secret meanwhile.
    fn rests(&self) -> bool {
        let mut open = self.life.mirror.open();
        self.life.mirror.by_hand && open.all(|row| row.phase == Phase::Parked)
    }

    /// Tasks of everybody but the worker go on to their end. Answers whether there was one.
    fn settle_others(&mut self) -> Result<bool, Broken> {
        let mut any = false;
        for who in 1..self.life.actors.len() {
            while self.life.actors[who].task.is_some() {
                any = true;
                self.life.poll(who, Verdict::Go)?;
            }
        }
        Ok(any)
    }

    /// What the story does now.
    fn tell(&mut self) -> Result<(), Broken> {
        let Some(row) = self.life.mirror.open().next() else {
            return Ok(());
        };
        let (phase, from, new) = (row.phase, row.from_version, row.to_version);
        let tag = row.id.to_string();
        let laggard = self.life.consumers.len() - 1;
        match self.story {
            Story::LaggardRollsBack | Story::LaggardForced | Story::LaggardHeld => {
                let late = matches!(phase, Phase::Parked | Phase::RollingBack | Phase::Revoking);
                self.told |= late;
                self.life.consumers[laggard].gone = !self.told;
            }
            Story::Privilege if !self.told => {
                self.told = true;
                self.life.set_ill(Ill::Privilege, true);
                let until = self.life.world.now().plus(Duration::from_secs(1_800));
                self.life.ills.push((until, Ill::Privilege));
            }
            Story::Privilege => {
                let over = self
                    .life
                    .ills
                    .iter()
                    .any(|(until, _)| *until <= self.life.world.now());
                if over {
                    self.life.ills.clear();
                    self.effects = self.effects.max(2);
                    self.life.set_ill(Ill::Privilege, false);
                }
            }
            Story::Forgotten if phase == Phase::Draining && !self.told => {
                self.told = true;
                let stored = |version| self.life.world.stored(version);
                if let Some(cred) = new.and_then(stored) {
                    // Without overlap, the state before is one in which the old one was accepted.
                    let old = stored(from).filter(|_| self.life.setup.overlap == Overlap::None);
                    let back = old
                        .map(|old| (old, Minted::default()))
                        .into_iter()
                        .collect();
                    let gone = vec![cred];
                    let undo = Later::Undo { gone, back, tag };
                    let mut state = self.life.world.target.state.lock();
                    state.arrive(undo, |_| true);
                }
            }
            Story::ChangedByHand
                if self.effects == 1 && !self.told && self.life.actors[0].task.is_none() =>
            {
                self.told = true;
                self.life.mirror.by_hand = true;
                let operator = self.life.operator();
                self.life.start(operator, |vault| actors::write(vault, 1))?;
                self.settle_others()?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The step that the machine names now.
    fn step(&self) -> Option<StepKind> {
        let row = self.life.mirror.open().next()?;
        let at = row.at_target.as_ref()?;
        let (store, tenant, path) = (&self.life.world.store.memory, default_tenant(), path());
        let head = now(SecretReads::secret_find(store, &tenant, &path)).ok()??;
        let ledger = now(ConsumerReads::consumer_list(store, &tenant, &path)).ok()?;
        let time = self.life.world.now();
        let observed = Observed {
            current_version: Some(head.current_version),
            candidate: None,
            standing: standing(&ledger, row.wanted(at), &at.rules, time),
            waits_for_turn: false,
        };
        Some(decide(row, &observed, time).kind())
    }

    fn worker_stop(&mut self) -> Result<(), Broken> {
        let point = self.life.actors[0].at;
        let counts = matches!(point, Some(Point::Commit(_) | Point::Effect | Point::Look));
        if !counts {
            return self.life.poll(0, Verdict::Go);
        }
        let goes_on = matches!(
            point,
            Some(Point::Effect | Point::Commit(scaivault_core::ports::UnitName::RotationSent))
        );
        if !goes_on {
            self.last = self.step();
        }
        self.stops.extend(self.last);
        let here = self.stops.len();
        let mut verdict = Verdict::Go;
        if point == Some(Point::Effect) {
            self.effects += 1;
            verdict = match (self.story, self.effects) {
                (Story::AnswerLost | Story::ChangedByHand, 1) => Verdict::LoseAnswer,
                (Story::RequestLost, 1) => Verdict::LoseRequest,
                _ => Verdict::Go,
            };
        }
        match self
            .inject
            .filter(|inject| inject.at == here && !self.struck)
        {
            Some(inject) => {
                self.struck = true;
                self.strike(inject, point, verdict)
            }
            None => self.life.poll(0, verdict),
        }
    }

    fn strike(
        &mut self,
        inject: Inject,
        point: Option<Point>,
        planned: Verdict,
    ) -> Result<(), Broken> {
        let is_effect = point == Some(Point::Effect);
        let is_look = point == Some(Point::Look);
        let told = match inject.place {
            Place::Before if is_look => Verdict::Refuse(TroubleKind::TimedOut),
            Place::Before => Verdict::Lose,
            Place::Unknown if is_effect => Verdict::Late,
            Place::Unknown if is_look => Verdict::Refuse(TroubleKind::Interrupted),
            Place::Unknown => Verdict::LoseAnswer,
            Place::After if is_look => planned,
            Place::After => Verdict::LoseAnswer,
        };
        match (inject.place, inject.fate) {
            (_, Fate::Error) => return self.life.poll(0, told),
            (Place::Before, _) => {}
            (Place::Unknown, _) => self.life.poll(0, told)?,
            (Place::After, _) => self.life.poll(0, planned)?,
        }
        match inject.fate {
            Fate::Killed => self.life.kill(0),
            Fate::Error => Ok(()),
            Fate::Paused => self.replaced(),
        }
    }

    /// The other worker takes over when the claim has lapsed, and the first wakes up later.
    fn replaced(&mut self) -> Result<(), Broken> {
        self.life.advance(Duration::from_secs(70))?;
        for _ in 0..3 {
            self.life.start(1, actors::work)?;
            self.settle_others()?;
            self.life.advance(Duration::from_secs(45))?;
        }
        Ok(())
    }
}
