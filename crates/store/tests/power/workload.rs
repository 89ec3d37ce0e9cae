//! The recorded process: this test program itself, started again with one ignored test.
//!
//! What it was told goes to a file of its own, one write for each remark, so that the recording
//! holds it in its place among the writes to the store.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::AuditReads;
use scaivault_core::ports::{Claims, CommitError, KeyReads, Record, Store, Unit, UnitName};
use scaivault_store::SqliteStore;
use scaivault_testkit::store_conformance::samples::{T0, key};
use tokio::task::JoinSet;

use crate::plan::{Claimed, Plan, Process, Step, claims_tenant, plan};
use crate::support::{FILE, mac, open};

/// Names the directory of the store, the file for remarks, and the number of the process.
pub(crate) const DIRECTORY: &str = "SCAIVAULT_POWER_DIRECTORY";
pub(crate) const REMARKS: &str = "SCAIVAULT_POWER_REMARKS";
pub(crate) const PROCESS: &str = "SCAIVAULT_POWER_PROCESS";

/// What the recorded process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remark {
    /// A step is about to be done.
    Begun(Step),
    /// It was answered: it is durable.
    Answered(Step),
    /// It was refused: nothing of it is there.
    Refused(Step),
    /// So many units were found by a store that was opened, after all before it had ended.
    Found(usize),
}

impl Remark {
    fn text(self) -> String {
        let (verb, step) = match self {
            Self::Found(count) => return format!("found units {count}"),
            Self::Begun(step) => ("begun", step),
            Self::Answered(step) => ("answered", step),
            Self::Refused(step) => ("refused", step),
        };
        match step {
            Step::Unit(n) => format!("{verb} unit {n}"),
            Step::Key(n) => format!("{verb} key {n}"),
            Step::Claim(n) => format!("{verb} claim {n}"),
        }
    }

    /// Of [`Remark::text`].
    pub(crate) fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [verb, kind, number] = words[..] else {
            panic!("not a remark: {text}");
        };
        let number = number.parse().expect("a number");
        let step = match kind {
            "unit" => Step::Unit(number),
            "key" => Step::Key(number),
            "claim" => Step::Claim(number),
            "units" => return Self::Found(number),
            _ => panic!("not a remark: {text}"),
        };
        match verb {
            "begun" => Self::Begun(step),
            "answered" => Self::Answered(step),
            "refused" => Self::Refused(step),
            _ => panic!("not a remark: {text}"),
        }
    }
}

#[test]
#[ignore = "the body of the recorded processes"]
fn as_child() {
    let var = |name| std::env::var(name).ok();
    let (Some(directory), Some(remarks), Some(number)) =
        (var(DIRECTORY), var(REMARKS), var(PROCESS))
    else {
        return;
    };
    let remarks = File::options().append(true).open(remarks).unwrap();
    let plan = plan();
    let process = plan.process(number.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let world = Arc::new(World { plan, remarks });
    runtime.block_on(world.run(&PathBuf::from(directory), process));
}

struct World {
    plan: Plan,
    remarks: File,
}

impl World {
    fn remark(&self, remark: Remark) {
        let line = format!("{}\n", remark.text());
        (&self.remarks).write_all(line.as_bytes()).unwrap();
    }

    async fn run(self: Arc<Self>, directory: &Path, process: Process) {
        let store = self.open(directory).await;
        if !process.held.is_empty() {
            let outside = rusqlite::Connection::open(directory.join(FILE)).unwrap();
            outside
                .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
                .unwrap();
            self.clients(&store, process.held).await;
            drop(outside);
        }
        self.clients(&store, process.clients).await;
        if !process.again.is_empty() {
            drop(store);
            let store = self.open(directory).await;
            self.clients(&store, process.again).await;
        }
    }

    async fn open(&self, directory: &Path) -> Arc<SqliteStore> {
        let store = open(directory).unwrap();
        store.start_audit(mac()).await.unwrap();
        let rows = store
            .audit_query(&AuditFilter::default(), None, 1)
            .await
            .unwrap()
            .rows;
        let found = rows.first().map_or(0, |row| row.seq);
        self.remark(Remark::Found(usize::try_from(found).unwrap()));
        Arc::new(store)
    }

    /// All clients at once.
    async fn clients(self: &Arc<Self>, store: &Arc<SqliteStore>, clients: Vec<Vec<Step>>) {
        let mut tasks = JoinSet::new();
        for steps in clients {
            let (world, store) = (Arc::clone(self), Arc::clone(store));
            tasks.spawn(async move {
                for step in steps {
                    world.remark(Remark::Begun(step));
                    let refused = do_step(&world.plan, &store, step).await;
                    world.remark(match refused {
                        true => Remark::Refused(step),
                        false => Remark::Answered(step),
                    });
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }
}

/// Does a step; returns whether it was refused.
///
/// # Panics
/// When it does not end as planned.
pub(crate) async fn do_step(plan: &Plan, store: &SqliteStore, step: Step) -> bool {
    match step {
        Step::Unit(number) => {
            let planned = &plan.units[number];
            let answer = store.commit(planned.unit.clone()).await;
            match &answer {
                Ok(_) => assert!(!planned.refused, "unit {number}"),
                Err(CommitError::Conflict(_)) => assert!(planned.refused, "unit {number}"),
                other => panic!("unit {number}: {other:?}"),
            }
            answer.is_err()
        }
        Step::Key(number) => {
            let unit = Unit::new(UnitName::KeyringWrite).put(Record::Key(key(&number.to_string())));
            store.commit(unit).await.unwrap();
            assert!(store.key_list().await.unwrap().len() > number);
            false
        }
        Step::Claim(number) => {
            let hold = Duration::from_secs(60);
            let revision = match &plan.claims[number].0 {
                Claimed::Assignment(row) => {
                    let claimed = store.assignment_claim(T0, hold, 9).await.unwrap();
                    let mine = claimed.iter().find(|found| found.path == row.path);
                    mine.map(|found| found.revision)
                }
                Claimed::Rotation(row) => {
                    let owner = claims_tenant();
                    let claim = store.rotation_claim_one(&owner, &row.id, T0, hold);
                    claim.await.unwrap().map(|found| found.revision)
                }
            };
            assert_eq!(revision, Some(2), "claim {number}");
            false
        }
    }
}
