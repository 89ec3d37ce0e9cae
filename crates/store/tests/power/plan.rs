//! What the recorded processes do: the same for whoever asks. Each client works on rows of its
//! own, so its units succeed, or are refused, whatever the others do meanwhile.

use scaivault_core::ids::TenantId;
use scaivault_core::ports::{Record, Unit, UnitName};
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{
    T0, assignment, audit, rotation, rotation_policy, tenant,
};

use crate::rows::Rows;

/// One thing a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Commits a unit.
    Unit(usize),
    /// Commits a key of the keyring, without an audit row.
    Key(usize),
    /// Claims the row of this number.
    Claim(usize),
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The store is closed.
    Close,
    /// It is killed when its writer is about to sync for the so many'th time: a whole transaction
    /// is in the log, and not synced.
    KilledAtSync(usize),
    /// It is killed when its writer is about to write for the so many'th time: a part of a
    /// transaction is in the log.
    KilledAtWrite(usize),
}

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Done by each client, one after another, while a read from outside holds the log.
    pub(crate) held: Vec<Vec<Step>>,
    /// After it.
    pub(crate) clients: Vec<Vec<Step>>,
    /// After the store was closed and opened again.
    pub(crate) again: Vec<Vec<Step>>,
    pub(crate) end: End,
}

/// One unit.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) unit: Unit,
    /// It is refused: it writes a row whose number is another.
    pub(crate) refused: bool,
    /// It needs the claim of this number.
    pub(crate) after_claim: Option<usize>,
}

/// A row that is put, claimed, and put again by its holder.
#[derive(Debug, Clone)]
pub(crate) enum Claimed {
    Assignment(Box<Assignment>),
    Rotation(Box<Rotation>),
}

/// The whole run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) processes: Vec<Process>,
    /// On a disk as the loss of power left it.
    pub(crate) second: Vec<Vec<Step>>,
    pub(crate) units: Vec<Planned>,
    /// With the unit that puts the row first, and the one its holder writes.
    pub(crate) claims: Vec<(Claimed, usize, usize)>,
    pub(crate) keys: usize,
}

/// The tenant whose rows are claimed.
pub(crate) fn claims_tenant() -> TenantId {
    tenant("c")
}

/// The identity in the audit row of a unit tells which it is.
pub(crate) fn who(unit: usize) -> String {
    format!("user:u{unit}")
}

/// The run.
pub(crate) fn plan() -> Plan {
    let mut plan = Plan::default();
    let entropy = SeededEntropy::new(20);
    let none = Vec::new;
    // A store is made, its first keys with it.
    let keys = vec![vec![plan.key(), plan.key()]];
    let first = plan.clients("p0", 1, 2, &entropy);
    plan.processes.push(Process {
        held: keys,
        clients: first,
        again: none(),
        end: End::Close,
    });
    let clients = plan.clients("p1", 8, 6, &entropy);
    let again = plan.clients("p1b", 4, 4, &entropy);
    plan.processes.push(Process {
        held: none(),
        clients,
        again,
        end: End::Close,
    });
    for (number, (clients, end)) in [
        (6, End::KilledAtSync(9)),
        (5, End::KilledAtWrite(101)),
        (6, End::KilledAtSync(11)),
        (6, End::Close),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("p{}", number + 2);
        let held = match number {
            3 => plan.clients(&format!("{name}h"), 5, 8, &entropy),
            _ => none(),
        };
        let mut clients = plan.clients(&name, clients, 5, &entropy);
        clients.push(plan.claimer(&name, 4));
        plan.processes.push(Process {
            held,
            clients,
            again: none(),
            end,
        });
    }
    plan.second = plan.clients("second", 3, 3, &entropy);
    plan
}

impl Plan {
    /// The process of this number; after the last of the run, the second's.
    pub(crate) fn process(&self, number: usize) -> Process {
        self.processes.get(number).cloned().unwrap_or(Process {
            held: Vec::new(),
            clients: self.second.clone(),
            again: Vec::new(),
            end: End::Close,
        })
    }

    fn key(&mut self) -> Step {
        self.keys += 1;
        Step::Key(self.keys - 1)
    }

    fn add(&mut self, unit: Unit, refused: bool, after_claim: Option<usize>) -> Step {
        let number = self.units.len();
        let audit = audit(&tenant("a"), 0, &who(number), None);
        self.units.push(Planned {
            unit: unit.audited(audit),
            refused,
            after_claim,
        });
        Step::Unit(number)
    }

    fn clients(
        &mut self,
        name: &str,
        count: usize,
        units: usize,
        entropy: &SeededEntropy,
    ) -> Vec<Vec<Step>> {
        (0..count)
            .map(|client| {
                let mut rows = Rows::new(format!("{name}c{client}"), client);
                (0..units)
                    .map(|_| {
                        let (unit, refused) = rows.next(entropy);
                        self.add(unit, refused, None)
                    })
                    .collect()
            })
            .collect()
    }

    /// A client that puts rows, claims each, and writes it as its holder.
    fn claimer(&mut self, name: &str, count: usize) -> Vec<Step> {
        let owner = claims_tenant();
        let rules = rotation_policy(&owner, "1");
        let mut steps = Vec::new();
        for n in 0..count {
            let (id, claim) = (format!("{name}n{n}"), self.claims.len());
            let row = match n % 2 {
                0 => Claimed::Assignment(Box::new(assignment(&rules, &id, Some(T0)))),
                _ => Claimed::Rotation(Box::new(rotation(&rules, &id, &id, Some(T0)))),
            };
            let (put, held) = match &row {
                Claimed::Assignment(row) => {
                    let mut held = Assignment::clone(row);
                    (held.revision, held.wake_at) = (3, None);
                    (
                        Record::Assignment(Assignment::clone(row)),
                        Record::Assignment(held),
                    )
                }
                Claimed::Rotation(row) => {
                    let mut held = Rotation::clone(row);
                    (held.revision, held.wake_at) = (3, None);
                    (
                        Record::Rotation(Rotation::clone(row)),
                        Record::Rotation(held),
                    )
                }
            };
            let first = self.add(Unit::new(UnitName::AssignmentWrite).put(put), false, None);
            let last = Unit::new(UnitName::ScheduleWait).put(held);
            let last = self.add(last, false, Some(claim));
            let number = |step| match step {
                Step::Unit(number) => number,
                other => unreachable!("{other:?}"),
            };
            self.claims.push((row, number(first), number(last)));
            steps.extend([first, Step::Claim(claim), last]);
        }
        steps
    }
}
