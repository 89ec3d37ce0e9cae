//! What must hold after every event, checked from outside: from what was committed and what the
//! target accepts, without a word of the engine's own judgement.

use std::collections::{BTreeMap, BTreeSet};

use scaivault_core::consumer::ConsumerRead;
use scaivault_core::identity::Identity;
use scaivault_core::ids::RotationId;
use scaivault_core::ports::{Op, Record, Unit, UnitName};
use scaivault_core::rotation::{OnDeadline, Phase, Rotation, Rules, Which};
use scaivault_core::secret::{SecretHead, VersionState};
use scaivault_core::target::Overlap;
use scaivault_core::time::Timestamp;

use crate::target::{Cred, State};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: &'static str,
    /// What was seen.
    pub seen: String,
}

type Kept = Result<(), Broken>;

fn broken(promise: &'static str, seen: impl Into<String>) -> Kept {
    Err(Broken {
        promise,
        seen: seen.into(),
    })
}

/// What a consumer did, from its commits.
#[derive(Default)]
struct Reader {
    reads: BTreeMap<u64, Timestamp>,
    applied: BTreeSet<u64>,
}

/// What was committed, as the checks see it.
pub(crate) struct Mirror {
    rules: Rules,
    overlap: Overlap,
    pub(crate) head: Option<SecretHead>,
    pub(crate) states: BTreeMap<u64, VersionState>,
    pub(crate) creds: BTreeMap<u64, Cred>,
    pub(crate) rotations: BTreeMap<RotationId, Rotation>,
    readers: BTreeMap<Identity, Reader>,
    /// Rotations that may revoke, and those that may retire their candidate again.
    forward: BTreeSet<RotationId>,
    back: BTreeSet<RotationId>,
    pub(crate) by_hand: bool,
}

impl Mirror {
    pub(crate) fn new(rules: Rules, overlap: Overlap) -> Self {
        Self {
            rules,
            overlap,
            head: None,
            states: BTreeMap::new(),
            creds: BTreeMap::new(),
            rotations: BTreeMap::new(),
            readers: BTreeMap::new(),
            forward: BTreeSet::new(),
            back: BTreeSet::new(),
            by_hand: false,
        }
    }

    pub(crate) fn is_open(&self, tag: &str) -> bool {
        let mut all = self.rotations.values();
        all.any(|row| row.id.as_str() == tag && !row.phase.is_final())
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Rotation> {
        self.rotations.values().filter(|row| !row.phase.is_final())
    }

    pub(crate) fn current(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.current_version)
    }

    /// Takes in a commit. `open` reads the credential of a version just inserted.
    pub(crate) fn take(
        &mut self,
        unit: &Unit,
        target: &State,
        now: Timestamp,
        open: impl Fn(u64) -> Option<Cred>,
    ) -> Kept {
        for read in &unit.reads {
            self.read(read);
        }
        let mut rotations = Vec::new();
        for op in &unit.ops {
            match op {
                Op::Put(Record::Secret(head)) => self.head = Some(head.clone()),
                Op::Put(Record::Version(row)) => {
                    self.states.insert(row.version, row.state);
                }
                Op::VersionInsert(sealed) => {
                    let number = sealed.version.version;
                    self.states.insert(number, sealed.version.state);
                    match open(number) {
                        Some(cred) => self.creds.insert(number, cred),
                        None => return broken("P2", format!("version {number} does not open")),
                    };
                }
                Op::VersionDelete { version, .. } => {
                    self.states.remove(version);
                    self.creds.remove(version);
                }
                Op::ConsumerReport(report) => {
                    let reader = self.readers.entry(report.consumer.clone()).or_default();
                    if report.applied {
                        reader.applied.insert(report.version);
                    }
                }
                Op::Put(Record::Rotation(row)) => rotations.push(row.clone()),
                _ => {}
            }
        }
        for row in rotations {
            let before = self.rotations.insert(row.id.clone(), row.clone());
            self.rotation(unit, before.as_ref(), &row, target, now)?;
        }
        self.versions()
    }

    fn read(&mut self, read: &ConsumerRead) {
        let reader = self.readers.entry(read.consumer.clone()).or_default();
        reader.reads.insert(read.version, read.at);
    }

    fn versions(&self) -> Kept {
        let current: Vec<u64> = self
            .states
            .iter()
            .filter(|(_, state)| **state == VersionState::Current)
            .map(|(number, _)| *number)
            .collect();
        if current != [self.current()] {
            return broken(
                "P5",
                format!("current: {current:?}, head: {}", self.current()),
            );
        }
        let pending = self
            .states
            .values()
            .filter(|state| **state == VersionState::Pending)
            .count();
        let open = self.open().count();
        if pending > open {
            return broken("P5", format!("{pending} candidates, {open} open rotations"));
        }
        if open > 1 {
            return broken("P9", "two rotations of one secret are open");
        }
        Ok(())
    }

    fn rotation(
        &mut self,
        unit: &Unit,
        before: Option<&Rotation>,
        row: &Rotation,
        target: &State,
        now: Timestamp,
    ) -> Kept {
        let told = unit
            .audit
            .iter()
            .any(|line| line.extra_data.rotation_id.as_ref() == Some(&row.id));
        if !told && unit.name != UnitName::RotationWait {
            return broken("P5", format!("{} left no audit row", unit.name.as_str()));
        }
        if row.phase == Phase::Parked && row.reason.is_none() {
            return broken("P4", "parked without a reason");
        }
        let Some(before) = before else {
            return Ok(());
        };
        if row.revision <= before.revision {
            return broken("P9", "a row went back");
        }
        if before.phase != row.phase && !is_legal(before, row.phase) {
            let seen = format!("{} after {}", row.phase.as_str(), before.phase.as_str());
            return broken("P5", seen);
        }
        let Some(at) = &row.at_target else {
            return Ok(());
        };
        if row.phase == Phase::Revoking && !self.forward.contains(&row.id) {
            if row.from_version != 0 {
                self.gate(
                    row,
                    row.to_version,
                    row.from_version,
                    at.promoted_at,
                    target,
                    now,
                )?;
            }
            self.forward.insert(row.id.clone());
        }
        let sends = unit.name == UnitName::RotationSend && row.phase == Phase::RollingBack;
        let gap = self.overlap == Overlap::None; // waiting would only make it longer
        if sends && !gap && at.promoted_at.is_some() && !self.back.contains(&row.id) {
            let dead = row.to_version.unwrap_or(0);
            let since = at.demoted_at;
            self.gate(row, Some(row.from_version), dead, since, target, now)?;
            self.back.insert(row.id.clone());
        }
        Ok(())
    }

    /// Nobody that counts still needs `dead`, or the deadline forces it.
    fn gate(
        &self,
        row: &Rotation,
        wanted: Option<u64>,
        dead: u64,
        since: Option<Timestamp>,
        target: &State,
        now: Timestamp,
    ) -> Kept {
        let Some(at) = &row.at_target else {
            return Ok(());
        };
        let wanted = wanted.unwrap_or(0);
        let past = at.deadline_at.is_some_and(|deadline| deadline <= now);
        if at.forced && past && self.rules.on_deadline == OnDeadline::Force {
            return Ok(());
        }
        if self.current() != wanted && !self.by_hand {
            return broken(
                "P3",
                format!("v{dead} is revoked, readers get v{}", self.current()),
            );
        }
        let has = |reader: &Reader| {
            let read = reader.reads.get(&wanted);
            let held = read.is_some_and(|at| since.is_none_or(|since| *at >= since));
            held && (reader.applied.is_empty() || reader.applied.contains(&wanted))
        };
        let behind: Vec<String> = match &self.rules.consumers {
            Which::Live(window) => {
                let begins = now.minus(window.duration());
                let all = self.readers.iter();
                all.filter(|(_, reader)| {
                    // A read under way at the promotion may be stored after it.
                    let mut known = reader.reads.values();
                    known.any(|at| *at >= begins) && !has(reader)
                })
                .map(|(who, _)| who.to_string())
                .collect()
            }
            Which::Listed(names) => names
                .iter()
                .filter(|who| !self.readers.get(who).is_some_and(has))
                .map(ToString::to_string)
                .collect(),
            Which::Count(number) => {
                let holding = self.readers.values().filter(|reader| has(reader)).count();
                match u32::try_from(holding).unwrap_or(0) < *number {
                    true => vec![format!("{holding} of {number}")],
                    false => Vec::new(),
                }
            }
        };
        if !behind.is_empty() {
            return broken(
                "P3",
                format!("v{dead} is revoked, behind: {}", behind.join(", ")),
            );
        }
        let forward = row.phase == Phase::Revoking;
        if forward && self.rules.approval && at.approved_by.is_none() {
            return broken("P3", "nobody approved");
        }
        let quiet = self
            .creds
            .get(&dead)
            .and_then(|cred| target.quiet.get(cred));
        if quiet.is_none_or(|since| since.plus(self.rules.quiet_period.duration()) > now) {
            return broken(
                "P3",
                format!("v{dead} is revoked, not quiet: {quiet:?} at {now:?}"),
            );
        }
        Ok(())
    }

    /// What the target accepts against what is stored.
    pub(crate) fn target(&self, target: &mut State) -> Kept {
        if let Some(doubled) = target.doubled.take() {
            return broken("P9", format!("two workers under one number: {doubled}"));
        }
        for dropped in std::mem::take(&mut target.dropped) {
            self.may_drop(&dropped.cred, &dropped.tag, dropped.retired)?;
        }
        let mut some = false;
        for (cred, minted) in target.accepted() {
            let held = |(number, _): &(&u64, &Cred)| self.states.get(number).copied();
            let of = self.creds.iter().filter(|(_, stored)| *stored == cred);
            let states: Vec<VersionState> = of.filter_map(|pair| held(&pair)).collect();
            some |= !states.is_empty();
            let tagged = minted.tag.as_deref().is_some_and(|tag| self.is_open(tag));
            if states.is_empty() && !tagged {
                return broken(
                    "P2",
                    format!("{} is accepted, nobody stored it", cred.account),
                );
            }
            let live = states.iter().any(|state| {
                matches!(
                    state,
                    VersionState::Pending | VersionState::Current | VersionState::Previous
                )
            });
            let ended = !live && !tagged;
            if ended && !self.by_hand && !target.restored.contains(cred) {
                return broken("P3", format!("{} is accepted after its end", cred.account));
            }
        }
        if self.overlap == Overlap::None && self.open().next().is_some() {
            return Ok(()); // the gap that the policy accepted
        }
        if !some {
            return broken("P7", "no stored value is accepted");
        }
        match self.creds.get(&self.current()) {
            Some(cred) if target.accepts(cred) || target.restored.contains(cred) => Ok(()),
            _ => broken("P1", format!("locked out of v{}", self.current())),
        }
    }

    fn may_drop(&self, cred: &Cred, tag: &str, retired: bool) -> Kept {
        if !retired || self.overlap == Overlap::None {
            return Ok(());
        }
        let Some(row) = self.rotations.values().find(|row| row.id.as_str() == tag) else {
            return broken("P9", "a change of no rotation");
        };
        let is = |version: Option<u64>| version.and_then(|v| self.creds.get(&v)) == Some(cred);
        let promoted = row
            .at_target
            .as_ref()
            .is_some_and(|at| at.promoted_at.is_some());
        let fine = match () {
            () if is(Some(row.from_version)) => self.forward.contains(&row.id),
            () if is(row.to_version) => !promoted || self.back.contains(&row.id),
            () => row.to_version.is_none(),
        };
        match fine || self.by_hand {
            true => Ok(()),
            false => broken(
                "P3",
                format!("{} was revoked before its time", cred.account),
            ),
        }
    }
}

fn is_legal(before: &Rotation, after: Phase) -> bool {
    use Phase::{
        Applying, Completed, Draining, Generating, Parked, Propagating, Revoking, RolledBack,
        RollingBack, Verifying,
    };
    match before.phase {
        Generating => matches!(after, Applying | Parked | RollingBack | RolledBack),
        Applying => matches!(after, Verifying | Parked | RollingBack),
        Verifying => matches!(after, Propagating | Applying | Parked | RollingBack),
        Propagating => matches!(
            after,
            Draining | Revoking | Completed | Parked | RollingBack
        ),
        Draining => matches!(after, Revoking | Parked | RollingBack),
        Revoking => matches!(after, Completed | Parked),
        RollingBack => matches!(after, RolledBack | Parked),
        Parked => !after.is_final(),
        Completed | RolledBack => false,
    }
}
