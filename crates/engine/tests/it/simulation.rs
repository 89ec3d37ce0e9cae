//! Random lives, each fixed by its seed: writers, rotations, workers, deletions, jumps of the
//! clock, lost commits and lost answers, restarts, in any order. After every step the promises are
//! checked against what is stored.
//!
//! `SCAIVAULT_SIM_SEEDS` says how many seeds (default 300), `SCAIVAULT_SIM_FIRST` where they begin. A
//! failing seed is printed with everything it did; with `SCAIVAULT_SIM_FIRST=<seed>` and one seed it
//! comes again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use scaivault_core::access::Permission;
use scaivault_core::event::EventType;
use scaivault_core::identity::IdentityKind;
use scaivault_core::ids::{RotationId, RotationPolicyId};
use scaivault_core::ports::UnitName;
use scaivault_core::rotation::Phase;
use scaivault_core::secret::{SecretHead, VersionState};
use scaivault_core::time::Timestamp;
use scaivault_engine::{MetadataChange, RotationPolicyChange, SecretWrite, VaultError};
use scaivault_testkit::{Fault, Reply, SeededEntropy, When};

use crate::world::{
    DAY, HOUR, PAST_ANY_HOLD, RECEIVER, World, caller, ninety_days, path, root, span, work_slice,
    write_of,
};

const PATHS: [&str; 3] = ["app/one", "app/two", "team/three"];
const STEPS: usize = 70;

#[test]
fn random_lives_keep_the_promises() {
    let number = |name: &str, otherwise: u64| {
        let text = std::env::var(name).ok();
        text.map_or(otherwise, |text| text.parse().expect("a number of seeds"))
    };
    let seeds = number("SCAIVAULT_SIM_SEEDS", 300);
    let first = number("SCAIVAULT_SIM_FIRST", 0);
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    live(seed);
                }
            });
        }
    });
}

fn live(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut sim = Sim::new(seed).await;
        for _ in 0..STEPS {
            sim.step().await;
            sim.check().await;
        }
        sim.come_to_rest().await;
    });
}

struct Sim {
    w: World,
    dice: SeededEntropy,
    policies: Vec<RotationPolicyId>,
    models: BTreeMap<&'static str, Model>,
    /// The latest the clock ever showed: deadlines passed then have passed.
    latest: Timestamp,
    written: u64,
    log: Log,
}

/// What is known of one secret from its writers' answers.
#[derive(Default)]
struct Model {
    /// Number → value, of every write that was acknowledged.
    acked: BTreeMap<u64, String>,
    /// Values whose write has an unknown outcome.
    maybe: BTreeSet<String>,
    /// Values whose write was refused.
    never: BTreeSet<String>,
    /// The head as last seen.
    seen: Option<SecretHead>,
    /// Ends of grace periods, as first seen.
    grace: HashMap<u64, Timestamp>,
    /// A permanent deletion was asked for since the last look.
    erased: bool,
}

/// What happened, told when the life fails.
struct Log {
    seed: u64,
    lines: Mutex<Vec<String>>,
}

impl Log {
    fn note(&self, line: String) {
        self.lines.lock().push(line);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.lines.lock().join("\n  ");
            eprintln!("simulation seed {}:\n  {lines}", self.seed);
        }
    }
}

impl Sim {
    async fn new(seed: u64) -> Self {
        let w = World::seeded(seed).await;
        w.hear_all().await;
        w.grant("sa:writer", "**", &[Permission::Write, Permission::Read])
            .await;
        let mut policies = Vec::new();
        for (name, auto_generate) in [("by hand", false), ("by itself", true)] {
            let mut draft = ninety_days(name);
            draft.auto_generate = auto_generate;
            policies.push(w.policy(draft).await.id);
        }
        let latest = w.now();
        Self {
            w,
            dice: SeededEntropy::new(seed.wrapping_mul(0x0005_DEEC_E66D).wrapping_add(11)),
            policies,
            models: PATHS.into_iter().map(|at| (at, Model::default())).collect(),
            latest,
            written: 0,
            log: Log {
                seed,
                lines: Mutex::default(),
            },
        }
    }

    fn pick<T: Clone>(&self, of: &[T]) -> T {
        let at = self.dice.below(u64::try_from(of.len()).unwrap());
        of[usize::try_from(at).unwrap()].clone()
    }

    async fn step(&mut self) {
        let at = self.pick(&PATHS);
        match self.dice.below(100) {
            0..18 => self.write(at).await,
            18..26 => self.read(at).await,
            26..32 => self.rotate(at).await,
            32..38 => self.attach(at).await,
            38..41 => self.detach(at).await,
            41..43 => self.change_policy().await,
            43..46 => self.delete(at).await,
            46..48 => self.undelete(at).await,
            48..50 => self.change_metadata(at).await,
            50..68 => self.work().await,
            68..70 => self.housekeeping().await,
            70..84 => self.move_clock(),
            84..94 => self.arm(),
            94..97 => self.receiver(),
            _ => self.restart(),
        }
        self.latest = self.latest.max(self.w.now());
    }

    // ---- steps ------------------------------------------------------------------------------

    async fn write(&mut self, at: &'static str) {
        self.written += 1;
        let value = format!("value-{}", self.written);
        let who = if self.dice.below(3) == 0 {
            caller("sa:writer")
        } else {
            root()
        };
        let open = self.open_rotation(at).await;
        let head = self.w.head(at).await;
        let write = SecretWrite {
            cas: match self.dice.below(4) {
                0 => Some(head.map_or(0, |head| head.current_version)),
                1 => Some(self.dice.below(5)),
                _ => None,
            },
            rotation_id: if self.dice.below(3) == 0 { open } else { None },
            max_versions: (self.dice.below(8) == 0).then_some(2),
            ..write_of(at, &value)
        };
        let done = self.w.vault.secret_write(&who, write).await;
        self.note(format!("write {value} to {at}"), &done);
        let model = self.models.get_mut(at).unwrap();
        match done {
            Ok(written) => {
                model.acked.insert(written.head.current_version, value);
            }
            Err(VaultError::Unavailable(_)) => {
                model.maybe.insert(value);
            }
            Err(_) => {
                model.never.insert(value);
            }
        }
    }

    /// A read answers what is stored now, or nothing.
    async fn read(&mut self, at: &'static str) {
        let head = self.w.head(at).await.filter(|head| !head.is_deleted());
        let version = (self.dice.below(3) == 0).then(|| 1 + self.dice.below(6));
        let read = self.w.read(&root(), at, version).await;
        self.note(format!("read {at} {version:?}"), &read);
        let rows = self.w.versions(at).await;
        let expect = match &head {
            None => Err("secret_not_found"),
            Some(head) => {
                let wanted = version.unwrap_or(head.current_version);
                match rows.iter().find(|row| row.version == wanted) {
                    None => Err("version_not_found"),
                    Some(row) => match row.readable(self.w.now()) {
                        scaivault_core::secret::Readable::Yes => Ok(wanted),
                        scaivault_core::secret::Readable::Closed => Err("secret_expired"),
                        scaivault_core::secret::Readable::Never => Err("version_not_found"),
                    },
                }
            }
        };
        match (read, expect) {
            (Ok(value), Ok(wanted)) => assert_eq!(Some(value), self.w.stored(at, wanted).await),
            (Err(VaultError::Unavailable(_)), _) => {}
            (Err(error), Err(code)) => assert_eq!(error.code(), code),
            (read, expect) => panic!("read {read:?}, but stored is {expect:?}"),
        }
    }

    async fn rotate(&mut self, at: &'static str) {
        let done = self.w.vault.secret_rotate(&root(), &path(at)).await;
        let done = done.map(|rotation| (rotation.phase, rotation.to_version));
        self.note(format!("rotate {at}"), &done);
    }

    async fn attach(&mut self, at: &'static str) {
        let policy = self.pick(&self.policies);
        let done = self
            .w
            .vault
            .assignment_create(&root(), &policy, &path(at))
            .await;
        self.note(format!("attach {at} to {policy}"), &done.map(|_| ()));
    }

    /// Best where a candidate is in the making.
    async fn detach(&mut self, at: &'static str) {
        let mut at = at;
        for other in PATHS {
            let rotations = self.w.rotations(other).await;
            if rotations
                .iter()
                .any(|rotation| rotation.phase == Phase::Verifying)
            {
                at = other;
            }
        }
        if let Some(assignment) = self.w.assignment(at).await {
            let policy = assignment.policy_id;
            let done = self
                .w
                .vault
                .assignment_delete(&root(), &policy, &path(at))
                .await;
            self.note(format!("detach {at}"), &done);
        }
    }

    async fn change_policy(&mut self) {
        let policy = self.pick(&self.policies);
        let mut change = RotationPolicyChange::default();
        match self.dice.below(4) {
            0 => change.interval = Some(span(self.pick(&["90d", "30d", "1h"]))),
            1 => change.is_active = Some(self.dice.below(3) > 0),
            2 => change.auto_generate = Some(self.dice.below(2) == 0),
            _ => change.grace_period = Some(span(self.pick(&["48h", "1h", "20d"]))),
        }
        let text = format!("change {policy} {change:?}");
        let done = self
            .w
            .vault
            .rotation_policy_change(&root(), &policy, change)
            .await;
        self.note(text, &done.map(|_| ()));
    }

    async fn delete(&mut self, at: &'static str) {
        let permanent = self.dice.below(2) == 0;
        let done = self
            .w
            .vault
            .secret_delete(&root(), &path(at), permanent)
            .await;
        self.note(format!("delete {at} permanent={permanent}"), &done);
        let open = matches!(done, Ok(_) | Err(VaultError::Unavailable(_)));
        self.models.get_mut(at).unwrap().erased |= permanent && open;
    }

    async fn undelete(&mut self, at: &'static str) {
        let done = self.w.vault.secret_undelete(&root(), &path(at)).await;
        self.note(format!("undelete {at}"), &done.map(|_| ()));
    }

    async fn change_metadata(&mut self, at: &'static str) {
        let change = MetadataChange {
            max_versions: Some(1 + u32::try_from(self.dice.below(5)).unwrap()),
            ..MetadataChange::default()
        };
        let done = self
            .w
            .vault
            .secret_metadata_change(&root(), &path(at), &change)
            .await;
        self.note(format!("metadata of {at}: {change:?}"), &done.map(|_| ()));
    }

    async fn work(&mut self) {
        let done = match self.dice.below(4) {
            0 => self.w.vault.rotation_run_once().await,
            1 => self.w.vault.fan_out_run_once().await,
            _ => work_slice(&self.w.vault).await,
        };
        self.note("work".to_owned(), &done);
    }

    async fn housekeeping(&mut self) {
        let done = self.w.vault.housekeeping_run_once().await;
        self.note("housekeeping".to_owned(), &done);
    }

    fn move_clock(&mut self) {
        let by = match self.dice.below(10) {
            0..3 => Duration::from_secs(60 + self.dice.below(3_600)),
            3..6 => HOUR * 20,
            6..8 => DAY * 8,
            8 => DAY * 45,
            _ => {
                let back = Duration::from_secs(self.dice.below(7_200));
                self.w.clock.rewind(back);
                self.log.note(format!("the clock goes back by {back:?}"));
                return;
            }
        };
        self.w.clock.advance(by);
        self.log
            .note(format!("the clock goes on by {by:?} to {}", self.w.now()));
    }

    fn arm(&mut self) {
        // Most faults where most happens.
        let name = match self.dice.below(3) {
            0 => self.pick(UnitName::ALL),
            _ => self.pick(&[
                UnitName::SecretWrite,
                UnitName::SecretDelete,
                UnitName::AssignmentWrite,
                UnitName::RotationOpen,
                UnitName::RotationGenerate,
                UnitName::RotationPromote,
                UnitName::RotationPromote,
                UnitName::RotationClose,
                UnitName::RotationAnnounce,
                UnitName::FanOut,
                UnitName::DeliveryDone,
            ]),
        };
        let fault = self.pick(&[Fault::Unit, Fault::Answer]);
        let nth = 1 + self.dice.below(2);
        self.w.store.arm(name, When::Nth(nth), fault);
        self.log
            .note(format!("{} {nth} will lose its {fault:?}", name.as_str()));
    }

    fn receiver(&mut self) {
        let reply = self.pick(&[Reply::Refuse(500), Reply::Timeout, Reply::Unreachable]);
        self.w.courier.next(RECEIVER, [reply]);
        self.log.note(format!("the receiver will {reply:?}"));
    }

    fn restart(&mut self) {
        self.w.vault = self.w.another_vault();
        if self.dice.below(2) == 0 {
            self.w.clock.advance(PAST_ANY_HOLD);
        }
        self.log.note("restart".to_owned());
    }

    async fn open_rotation(&self, at: &str) -> Option<RotationId> {
        self.w.assignment(at).await?.open_rotation
    }

    fn note<T: std::fmt::Debug>(&self, what: String, done: &Result<T, VaultError>) {
        match done {
            Ok(_) => self.log.note(what),
            Err(error) => self.log.note(format!("{what}: {error:?}")),
        }
    }

    // ---- promises ---------------------------------------------------------------------------

    async fn check(&mut self) {
        for at in PATHS {
            self.check_secret(at).await;
            self.check_rotations(at).await;
        }
    }

    async fn check_secret(&mut self, at: &'static str) {
        let head = self.w.head(at).await;
        let rows = self.w.versions(at).await;
        let latest = self.latest;
        let model = self.models.get_mut(at).unwrap();
        let was = model.seen.take();
        let began_anew = match (&was, &head) {
            (Some(was), Some(head)) => head.revision < was.revision,
            _ => false,
        };
        if head.is_none() || began_anew {
            // Gone for good only by request, or after its retention.
            let purged = was.as_ref().and_then(|was| was.recoverable_until);
            let may = model.erased || purged.is_some_and(|until| until <= latest);
            assert!(was.is_none() || may, "{at} vanished");
            let kept = std::mem::take(model);
            model.never = kept.never;
            model.maybe = kept.maybe;
            if began_anew {
                model.acked = kept.acked.into_iter().filter(|(n, _)| *n == 1).collect();
            }
        }
        model.erased = false;
        let Some(head) = head else {
            assert!(rows.is_empty(), "versions of {at} outlived it");
            return;
        };
        if let Some(was) = was.filter(|_| !began_anew) {
            assert!(
                head.current_version >= was.current_version,
                "{at} went back"
            );
            assert!(
                head.latest_version >= was.latest_version,
                "{at} reuses numbers"
            );
        }
        if let Some((acked, _)) = model.acked.last_key_value() {
            assert!(
                head.current_version >= *acked,
                "an acknowledged write of {at} is lost"
            );
        }
        let numbers: Vec<u64> = rows.iter().map(|row| row.version).collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] > pair[1]),
            "{at}: {numbers:?}"
        );
        assert!(
            numbers
                .first()
                .is_some_and(|first| *first <= head.latest_version)
        );
        let current: Vec<u64> = rows
            .iter()
            .filter(|row| row.state == VersionState::Current)
            .map(|row| row.version)
            .collect();
        assert_eq!(
            current,
            [head.current_version],
            "{at} has one current version"
        );

        for row in &rows {
            if row.state == VersionState::Previous {
                let end = row.readable_until.expect("a grace period has an end");
                let first = *model.grace.entry(row.version).or_insert(end);
                assert!(
                    end >= first,
                    "the grace period of {at} {} was cut short",
                    row.version
                );
            }
            if row.state == VersionState::Closed {
                let end = row.readable_until.expect("a closed version had an end");
                let first = *model.grace.entry(row.version).or_insert(end);
                assert!(
                    end >= first && end <= latest,
                    "{at} {} closed early",
                    row.version
                );
            }
        }
        for (version, end) in &model.grace {
            let kept = rows.iter().any(|row| row.version == *version);
            assert!(
                kept || *end <= latest,
                "{at} {version} aged out within its grace period"
            );
        }
        model.seen = Some(head.clone());
        let value = self.w.stored(at, head.current_version).await;
        let value = value.expect("the current version is there");
        let model = &self.models[at];
        let row = rows
            .iter()
            .find(|row| row.version == head.current_version)
            .unwrap();
        if row.created_by.kind() == IdentityKind::System {
            assert_eq!(value.len(), 32, "{at} was generated");
        } else {
            match model.acked.get(&head.current_version) {
                Some(acked) => assert_eq!(value, *acked, "{at}"),
                None => assert!(model.maybe.contains(&value), "{at} holds {value}"),
            }
        }
        assert!(
            !model.never.contains(&value),
            "{at} holds a refused {value}"
        );
    }

    async fn check_rotations(&self, at: &'static str) {
        let rotations = self.w.rotations(at).await;
        let rows = self.w.versions(at).await;
        let unended = rotations
            .iter()
            .filter(|rotation| !rotation.phase.is_final());
        let waiting: Vec<_> = unended
            .filter(|rotation| rotation.is_before_promotion())
            .collect();
        assert!(
            waiting.len() <= 1,
            "two rotations of {at} at once: {waiting:?}"
        );
        for rotation in &rotations {
            if matches!(rotation.phase, Phase::Parked | Phase::RolledBack) {
                assert!(rotation.reason.is_some(), "{rotation:?}");
            }
            let runs = !rotation.phase.is_final() && rotation.phase != Phase::Parked;
            assert!(
                !runs || rotation.wake_at.is_some(),
                "forgotten: {rotation:?}"
            );
        }
        let pending: Vec<u64> = rows
            .iter()
            .filter(|row| row.state == VersionState::Pending)
            .map(|row| row.version)
            .collect();
        let owned: Vec<u64> = waiting
            .iter()
            .filter(|rotation| rotation.phase == Phase::Verifying)
            .filter_map(|rotation| rotation.to_version)
            .collect();
        assert_eq!(pending, owned, "candidates of {at} and their rotation");
        let assignment = self.w.assignment(at).await;
        let open = assignment.and_then(|assignment| assignment.open_rotation);
        let waiting: Option<RotationId> = waiting.first().map(|rotation| rotation.id.clone());
        assert_eq!(open, waiting, "the schedule of {at} points at what waits");
    }

    /// Faults end; what was begun is finished, and everybody was told everything.
    async fn come_to_rest(&mut self) {
        self.w.store.disarm();
        self.w.clock.set(self.latest);
        self.w.restart();
        self.log.note("rest".to_owned());
        self.w.live(DAY * 2).await;
        self.latest = self.w.now();
        self.check().await;
        self.w.assert_chain_verifies().await;
        let mut by_path: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for body in self.w.envelopes(RECEIVER) {
            if let Some(at) = body["path"].as_str() {
                let sequence = body["sequence"].as_u64().unwrap();
                by_path.entry(at.to_owned()).or_default().push(sequence);
            }
        }
        for (at, mut sequence) in by_path {
            sequence.sort_unstable();
            let whole: Vec<u64> = (1..=u64::try_from(sequence.len()).unwrap()).collect();
            assert_eq!(sequence, whole, "the events of {at}");
        }
        let rotated = self.w.told_of(RECEIVER, EventType::SecretRotated);
        let mut told: Vec<&str> = Vec::new();
        for data in &rotated {
            let id = data["rotation_id"].as_str().unwrap();
            assert!(!told.contains(&id), "{id} was told twice");
            told.push(id);
        }
        for at in PATHS {
            for rotation in self.w.rotations(at).await {
                let promoted = rotation.grace_ends_at.is_some();
                assert_eq!(
                    told.contains(&rotation.id.as_str()),
                    promoted,
                    "{rotation:?}"
                );
            }
        }
    }
}
