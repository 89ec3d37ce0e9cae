//! The machine against a model of a target, consumers and workers that die: every promise is
//! checked after every move.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::consumer::Consumer;
use crate::ids::{RotationId, RotationPolicyId, TenantId};
use crate::path::SecretPath;
use crate::ports::{Login, Refusal, Sessions};
use crate::rotation::{
    EffectOutcome, Jitter, RotationPolicy, Trigger, Which, decide as decide_any, standing,
};
use crate::secret::VersionState;
use crate::target::TroubleKind;
use crate::time::Span;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const JITTER: Jitter = Jitter(7);
const OLD: u64 = 1;
const NEW: u64 = 2;
const HOLD: Duration = Duration::from_secs(60);

fn span(text: &str) -> Span {
    Span::parse(text).unwrap()
}

fn rules() -> Rules {
    Rules {
        consumers: Which::Live(span("10m")),
        quiet_period: span("30s"),
        deadline: Some(span("2h")),
        ..Rules::default()
    }
}

fn opened(overlap: Overlap, rules: Rules) -> Rotation {
    let policy = RotationPolicy {
        id: RotationPolicyId::parse("rot_1").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
        name: "p".into(),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: Vec::new(),
        auto_generate: true,
        secret_policy_id: None,
        rules: rules.clone(),
        calendar: crate::rotation::Calendar::default(),
        drift_check: None,
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    };
    let attached = Attached {
        target_id: TargetId::parse("tgt_1").unwrap(),
        target_name: "orders-db".into(),
        overlap,
        account: Map::new(),
        is_manager: false,
    };
    Rotation::open(
        RotationId::parse("rtn_1").unwrap(),
        SecretPath::parse("a/b").unwrap(),
        &policy,
        Trigger::Schedule,
        Identity::system("rotation-scheduler"),
        OLD,
        T0,
    )
    .at_target(attached, rules, false, 100)
}

/// What a roll of the dice lets happen at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    /// Done, but the answer is lost.
    AnswerLost,
    /// The request is lost, and nobody knows.
    RequestLost,
    /// Nobody knows, and it is done later.
    Late,
    /// Refused for now.
    Refused,
    /// Refused until a person does something.
    Forbidden,
    /// The worker dies between the mark and the effect.
    DiesBefore,
    /// The worker dies between the effect and its record.
    DiesAfter,
}

const LUCKS: [Luck; 8] = [
    Luck::Good,
    Luck::AnswerLost,
    Luck::RequestLost,
    Luck::Late,
    Luck::Refused,
    Luck::Forbidden,
    Luck::DiesBefore,
    Luck::DiesAfter,
];

struct World {
    rotation: Rotation,
    now: Timestamp,
    current: u64,
    candidate: Option<VersionState>,
    /// Versions the target accepts.
    accepts: BTreeSet<u64>,
    /// The highest epoch the target has seen.
    fence: u64,
    late: Vec<(u64, Effect, Phase)>,
    /// A retirement was sent since the gate was last passed.
    retiring: bool,
    ledger: BTreeMap<(u8, u64), Consumer>,
    /// Sessions open at the target by consumer and version.
    sessions: BTreeMap<u8, u64>,
}

impl World {
    fn new(overlap: Overlap, rules: Rules) -> Self {
        Self {
            rotation: opened(overlap, rules),
            now: T0,
            current: OLD,
            candidate: None,
            accepts: BTreeSet::from([OLD]),
            fence: 0,
            late: Vec::new(),
            retiring: false,
            ledger: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    fn at(&self) -> &AtTarget {
        self.rotation.at_target.as_ref().unwrap()
    }

    fn seen(&self) -> Observed {
        let rows: Vec<Consumer> = self.ledger.values().cloned().collect();
        let wanted = self.rotation.wanted(self.at());
        Observed {
            current_version: Some(self.current),
            candidate: self.candidate,
            standing: standing(&rows, wanted, &self.at().rules, self.now),
            waits_for_turn: false,
        }
    }

    fn consumer_reads(&mut self, who: u8) {
        let (now, version) = (self.now, self.current);
        let row = self
            .ledger
            .entry((who, version))
            .or_insert_with(|| Consumer {
                consumer: Identity::parse(&format!("sa:c{who}")).unwrap(),
                version,
                first_read_at: now,
                last_read_at: now,
                applied_at: None,
                failed_at: None,
                detail: None,
            });
        row.last_read_at = now;
        // Promise 1: what readers get is accepted.
        assert!(self.accepts.contains(&version), "{:?}", self.rotation);
        self.sessions.insert(who, version);
    }

    fn change(&mut self, effect: Effect, phase: Phase, epoch: u64) {
        if epoch < self.fence {
            return; // the target holds a later number
        }
        self.fence = epoch;
        let back = phase == Phase::RollingBack;
        let (dead, kept) = if back { (NEW, OLD) } else { (OLD, NEW) };
        match effect {
            Effect::Apply => {
                self.accepts.insert(NEW);
            }
            Effect::Retire => {
                self.accepts.remove(&dead);
                self.sessions.retain(|_, version| *version != dead);
            }
            Effect::Heal => {
                self.accepts.insert(kept);
            }
            Effect::Restore | Effect::Clear => panic!("not under this overlap"),
        }
    }

    fn send(&mut self, effect: Effect, luck: Luck) {
        // Whoever does not know what became of a change looks before it sends one.
        assert_eq!(self.at().in_flight, InFlight::Nothing, "sent blindly");
        let marked = self.rotation.sending(effect, self.now.plus(HOLD));
        let (phase, epoch) = (marked.phase, marked.revision);
        if effect == Effect::Retire {
            self.assert_may_retire();
        }
        self.rotation = marked;
        let unknown = || EffectOutcome::Unknown(TroubleKind::TimedOut.into());
        let outcome = match luck {
            Luck::Good => {
                self.change(effect, phase, epoch);
                EffectOutcome::Applied { minted: None }
            }
            Luck::AnswerLost => {
                self.change(effect, phase, epoch);
                unknown()
            }
            Luck::RequestLost => unknown(),
            Luck::Late => {
                self.late.push((epoch, effect, phase));
                unknown()
            }
            Luck::Refused => EffectOutcome::NotApplied(TroubleKind::Unreachable.into()),
            Luck::Forbidden => EffectOutcome::NotApplied(TroubleKind::Privilege.into()),
            Luck::DiesBefore => return,
            Luck::DiesAfter => {
                self.change(effect, phase, epoch);
                return;
            }
        };
        self.rotation = self.rotation.sent(effect, outcome, JITTER, self.now);
    }

    /// Nothing is revoked while a live consumer needs it, but at the deadline or by force.
    fn assert_may_retire(&mut self) {
        if std::mem::replace(&mut self.retiring, true) {
            return; // the same one again
        }
        let at = self.at();
        let released = at.forced || at.is_past_deadline(self.now);
        let never_promoted = self.rotation.phase == Phase::RollingBack && at.demoted_at.is_none();
        let seen = self.seen();
        // A consumer may come back with the old version between the last look and this moment;
        // what must hold is that the look before allowed it.
        let looked = at.is_quiet();
        assert!(
            released || never_promoted || looked,
            "retired early: {:?} {:?}",
            self.rotation,
            seen.standing
        );
    }

    fn login(&self, version: u64, luck: Luck) -> Login {
        match luck {
            Luck::Good | Luck::AnswerLost | Luck::Late | Luck::DiesAfter => {
                if self.accepts.contains(&version) {
                    Login::Accepted
                } else {
                    Login::Refused(Refusal::Credential)
                }
            }
            _ => Login::Unknown(TroubleKind::Unreachable.into()),
        }
    }

    fn look(&mut self, look: Look, luck: Luck) {
        let now = self.now;
        self.rotation = match look {
            Look::Candidate => {
                let login = self.login(NEW, luck);
                self.rotation.looked_for_candidate(&login, JITTER, now)
            }
            Look::Sessions => {
                let back = self.rotation.phase == Phase::RollingBack;
                let dead = if back { NEW } else { OLD };
                let open = self.sessions.values().filter(|v| **v == dead).count();
                let sessions = match luck {
                    Luck::Good | Luck::AnswerLost => Sessions::Open(u64::try_from(open).unwrap()),
                    _ => Sessions::Unknown(TroubleKind::TimedOut.into()),
                };
                self.rotation.looked_at_sessions(&sessions, JITTER, now)
            }
            Look::Retired => {
                let back = self.rotation.phase == Phase::RollingBack;
                let (dead, kept) = if back { (NEW, OLD) } else { (OLD, NEW) };
                let (dead, kept) = (self.login(dead, luck), self.login(kept, luck));
                let next = self
                    .rotation
                    .looked_at_retired(&dead, Some(&kept), JITTER, now);
                match next {
                    Some(next) => next,
                    None if back => self.rotation.candidate_dead(now),
                    None => self.rotation.completed(now),
                }
            }
            Look::Residue => panic!("nothing is minted here"),
        };
    }

    fn perform(&mut self, step: Step, luck: Luck) {
        let now = self.now;
        match step {
            Step::Generate => {
                self.candidate = Some(VersionState::Pending);
                self.rotation = self.rotation.planned(Some(NEW), now);
            }
            Step::Send(effect) => self.send(effect, luck),
            Step::Look(look) => self.look(look, luck),
            Step::Verify => match self.login(NEW, luck) {
                Login::Accepted => {
                    self.current = NEW;
                    self.candidate = Some(VersionState::Current);
                    self.rotation = self.rotation.promoted_at_target(now);
                }
                other => self.rotation = self.rotation.not_verified(&other, JITTER, now),
            },
            Step::Enter(phase) => self.rotation = self.rotation.entered(phase, now),
            Step::Force => self.rotation = self.rotation.forced(now),
            Step::Alert => self.rotation = self.rotation.alerted(now),
            Step::StepBack(reason) => self.rotation = self.rotation.stepped_back(reason, now),
            Step::Demote => {
                self.current = OLD;
                self.rotation = self.rotation.demoted(now);
            }
            Step::Finish => self.rotation = self.rotation.rolled_back(now),
            Step::Resume => self.rotation = self.rotation.resumed(false, now),
            Step::Park(reason) => self.rotation = self.rotation.parked_at_target(reason, now),
            Step::Close => self.rotation = self.rotation.completed(now),
            Step::Wait(until) => self.rotation = self.rotation.waiting(until),
            Step::Promote | Step::Withdraw | Step::Overdue | Step::Abandon(_) => {
                panic!("{step:?} is not for targets")
            }
        }
    }

    /// One worker's turn, when the row is due and free.
    fn work(&mut self, luck: Luck) {
        let due = self.rotation.wake_at.is_some_and(|wake| wake <= self.now);
        let free = self
            .rotation
            .claimed_until
            .is_none_or(|until| until <= self.now);
        if !due || !free {
            return;
        }
        let step = decide_any(&self.rotation, &self.seen(), self.now);
        self.perform(step, luck);
        if self.rotation.phase == Phase::Draining {
            self.retiring = false;
        }
        self.check();
    }

    fn check(&self) {
        assert!(
            self.accepts.contains(&self.current),
            "locked out: {:?}",
            self.rotation
        );
        let known = match self.rotation.to_version {
            Some(_) => BTreeSet::from([OLD, NEW]),
            None => BTreeSet::from([OLD]),
        };
        assert!(
            self.accepts.is_subset(&known),
            "unknown: {:?}",
            self.rotation
        );
        match self.rotation.phase {
            Phase::Completed => assert_eq!(self.accepts, BTreeSet::from([NEW])),
            Phase::RolledBack => assert_eq!(self.accepts, BTreeSet::from([OLD])),
            Phase::Parked => assert!(self.rotation.reason.is_some()),
            _ => {}
        }
    }

    /// With good luck and consumers that follow, everything ends.
    fn come_to_rest(&mut self) {
        for _ in 0..400 {
            if self.rotation.phase.is_final() {
                return;
            }
            if self.rotation.phase == Phase::Parked {
                self.rotation = self.rotation.resumed(true, self.now);
            }
            for who in 0..3 {
                self.consumer_reads(who);
            }
            let wake = self.rotation.wake_at.unwrap_or(self.now);
            let free = self.rotation.claimed_until.unwrap_or(self.now);
            self.now = self.now.max(wake).max(free).plus(Duration::from_secs(1));
            self.work(Luck::Good);
        }
        panic!("never ends: {:?}", self.rotation);
    }
}

fn moves() -> impl Strategy<Value = Vec<(u8, usize, u64)>> {
    proptest::collection::vec((0u8..12, 0usize..LUCKS.len(), 0u64..900), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn whatever_happens_the_promises_hold(moves in moves(), back in any::<bool>()) {
        let mut rules = rules();
        if back {
            rules.on_deadline = OnDeadline::RollBack;
        }
        let mut world = World::new(Overlap::TwoUsers, rules);
        for (what, luck, amount) in moves {
            match what {
                0..6 => world.work(LUCKS[luck]),
                6 | 7 => world.now = world.now.plus(Duration::from_secs(amount)),
                8 => world.consumer_reads(u8::try_from(amount % 3).unwrap()),
                9 => {
                    if let Some((epoch, effect, phase)) = world.late.pop() {
                        world.change(effect, phase, epoch);
                        world.check();
                    }
                }
                10 if world.rotation.phase == Phase::Parked => {
                    world.rotation = world.rotation.resumed(true, world.now);
                }
                11 if amount < 60 && may_roll_back(&world.rotation) => {
                    world.rotation = world.rotation.stepped_back(Reason::ByHand, world.now);
                }
                _ => {}
            }
        }
        world.come_to_rest();
    }
}

fn may_roll_back(rotation: &Rotation) -> bool {
    rotation.may_roll_back()
}

#[test]
fn a_whole_rotation_in_order() {
    let mut world = World::new(Overlap::TwoUsers, rules());
    world.consumer_reads(0);
    let mut phases = vec![world.rotation.phase];
    for _ in 0..40 {
        let step = decide_any(&world.rotation, &world.seen(), world.now);
        world.perform(step, Luck::Good);
        world.check();
        if phases.last() != Some(&world.rotation.phase) {
            phases.push(world.rotation.phase);
        }
        if world.rotation.phase == Phase::Propagating {
            world.consumer_reads(0);
        }
        world.now = world.now.max(world.rotation.wake_at.unwrap_or(world.now));
    }
    assert_eq!(
        phases,
        [
            Phase::Generating,
            Phase::Applying,
            Phase::Verifying,
            Phase::Propagating,
            Phase::Draining,
            Phase::Revoking,
            Phase::Completed,
        ]
    );
}

#[test]
fn a_live_consumer_behind_holds_the_rotation_until_the_deadline_parks_it() {
    let mut world = World::new(Overlap::TwoUsers, rules());
    while world.rotation.phase != Phase::Propagating {
        world.work(Luck::Good);
    }
    let row = |world: &World| Consumer {
        consumer: Identity::parse("sa:slow").unwrap(),
        version: OLD,
        first_read_at: T0,
        last_read_at: world.now,
        applied_at: None,
        failed_at: None,
        detail: None,
    };
    let deadline = world.at().deadline_at.unwrap();
    while world.now < deadline {
        world.ledger.insert((9, OLD), row(&world));
        world.now = world.now.plus(Duration::from_secs(60));
        world.work(Luck::Good);
        assert!(world.accepts.contains(&OLD));
    }
    world.work(Luck::Good);
    assert_eq!(
        (world.rotation.phase, world.rotation.reason),
        (Phase::Parked, Some(Reason::DrainDeadline))
    );
    assert!(world.at().alerted, "told of once before");
}

#[test]
fn trouble_that_needs_a_person_parks_at_once_and_tries_again_by_itself() {
    let mut world = World::new(Overlap::TwoUsers, rules());
    world.work(Luck::Good);
    world.work(Luck::Forbidden);
    let parked = world.rotation.clone();
    assert_eq!(
        (parked.phase, parked.reason),
        (Phase::Parked, Some(Reason::TargetTrouble))
    );
    assert_eq!(parked.trouble.map(|t| t.kind), Some(TroubleKind::Privilege));
    world.now = parked.wake_at.unwrap();
    world.work(Luck::Good);
    assert_eq!(world.rotation.phase, Phase::Applying);
    world.work(Luck::Good);
    assert_eq!(world.rotation.phase, Phase::Verifying);
}

#[test]
fn what_stays_is_looked_at_before_the_other_goes_and_healed_first() {
    for phase in [Phase::Revoking, Phase::RollingBack] {
        let mut rotation = opened(Overlap::TwoUsers, rules()).planned(Some(NEW), T0);
        rotation.phase = phase;
        rotation.at_target.as_mut().unwrap().maybe_live = true;
        let seen = Observed {
            current_version: Some(if phase == Phase::Revoking { NEW } else { OLD }),
            candidate: None,
            standing: crate::rotation::Standing::default(),
            waits_for_turn: false,
        };
        let step = |rotation: &Rotation| decide_any(rotation, &seen, T0);
        assert_eq!(step(&rotation), Step::Send(Effect::Retire));
        assert!(
            rotation
                .looked_at_kept(&Login::Accepted, JITTER, T0)
                .is_none()
        );
        let refused = Login::Refused(Refusal::Credential);
        let healing = rotation.looked_at_kept(&refused, JITTER, T0).unwrap();
        assert_eq!(step(&healing), Step::Send(Effect::Heal));
        assert!(healing.wake_at > Some(T0), "not in the same breath");
        let unknown = Login::Unknown(TroubleKind::TimedOut.into());
        let waiting = rotation.looked_at_kept(&unknown, JITTER, T0).unwrap();
        assert_eq!((waiting.phase, waiting.attempts), (phase, 1));
        assert_eq!(
            step(&waiting),
            Step::Send(Effect::Retire),
            "looked at again"
        );
    }
}

#[path = "at_target_named_tests.rs"]
mod named;
