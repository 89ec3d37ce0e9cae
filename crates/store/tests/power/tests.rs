//! The promise, and proof that it can be seen broken.

use std::sync::OnceLock;

use crate::campaign::{Campaign, Report};
use crate::check::{Said, Wrong, check};
use crate::disk::{Disk, Fate, Image, Op};
use crate::expect::{Expect, write};
use crate::images::{fates, moments, seed_of};
use crate::plan::{Plan, Step};
use crate::record::{Recording, record_second, recording};
use crate::support::scratch;
use crate::workload::Remark;

const WAL: &str = "store.db-wal";
const DATABASE: &str = "store.db";

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

fn expect() -> &'static Expect {
    static EXPECT: OnceLock<Expect> = OnceLock::new();
    EXPECT.get_or_init(|| Expect::new(recording()))
}

fn run(ops: &[Op], images: usize, until: Option<Wrong>) -> Report {
    let campaign = Campaign {
        plan: &recording().plan,
        expect: expect(),
        start: (&Image::new(), Said::default()),
        ops,
        images,
        seed: number("SCAIVAULT_POWER_SEED", 1),
        until,
    };
    campaign.run()
}

/// After power is lost at any moment, whatever the disk kept of what was not synced: the store
/// opens, the database is sound, the audit chain verifies, every unit that was answered is there,
/// and what is there are whole units in their order.
#[test]
fn power_lost_at_any_moment_loses_nothing_answered() {
    let images = usize::try_from(number("SCAIVAULT_POWER_IMAGES", 5_000)).unwrap();
    let Recording { ops, plan, .. } = recording();
    let report = run(ops, images, None);
    let of = |test: fn(&Op) -> bool| ops.iter().filter(|op| test(op)).count();
    println!(
        "power loss: {} images at {} moments of {} writes, {} cuts, {} syncs and {} changes of \
         names; {} with torn writes, {} with nothing but what was synced, {} without a database; \
         {} units, {} answered ones looked for, {} found before their answer",
        report.images,
        report.moments,
        of(|op| matches!(op, Op::Write(..))),
        of(|op| matches!(op, Op::Truncate(..))),
        of(|op| matches!(op, Op::Sync(_) | Op::SyncDirectory)),
        of(|op| matches!(op, Op::Create(_) | Op::Unlink(_))),
        report.torn,
        report.bare,
        report.without,
        plan.units.len(),
        report.answered,
        report.unanswered,
    );
    report.assert_clean();
    assert!(report.images >= images);
    if images >= 1_000 {
        assert!(report.torn > images / 10, "writes are torn");
        assert!(report.bare >= report.moments - 1, "each moment kept bare");
        assert!(report.answered > 0 && report.unanswered > 0);
        assert!(report.without > 0, "power is lost before there is a store");
    }
}

/// The same after power came back and is lost again: while the store recovers, or soon after.
#[test]
fn power_lost_again_after_it_came_back_loses_nothing() {
    let seed = number("SCAIVAULT_POWER_SEED", 1);
    let Recording { ops, plan, .. } = recording();
    let moments = moments(ops);
    // While the file is made, with a change to be taken back; then here and there in the run.
    let first = Op::Sync(DATABASE.to_owned());
    let making = moments.iter().position(|at| ops.get(*at) == Some(&first));
    let mut chosen = vec![making.unwrap()];
    chosen.extend((1..5).map(|part| moments.len() * part / 5));
    let mut images = 0;
    for chosen in chosen {
        let (mut disk, mut said) = (Disk::default(), Said::default());
        for op in &ops[..moments[chosen]] {
            disk.apply(op);
            if let Op::Remark(text) = op {
                said.hear(Remark::parse(text), expect());
            }
        }
        let drawn = fates(&disk.unsynced(), 40, seed_of(seed, chosen));
        let start = match Some(chosen) == making {
            true => disk.image(&vec![Fate::There; disk.unsynced().len()]),
            false => disk.image(drawn.last().unwrap()),
        };
        let to_take_back = start.contains_key("store.db-journal");
        assert_eq!(to_take_back, Some(chosen) == making);
        let second = record_second(&start);
        let expect = Expect::new(&second);
        let known = expect
            .order
            .iter()
            .take_while(|unit| !second_has(plan, **unit));
        let campaign = Campaign {
            plan: &second.plan,
            expect: &expect,
            start: (&start, Said::these(known.count(), said.keys, plan)),
            ops: &second.ops,
            images: 120,
            seed,
            until: None,
        };
        let report = campaign.run();
        report.assert_clean();
        images += report.images;
    }
    println!("power loss, twice: {images} images");
    assert!(images >= 500);
}

fn second_has(plan: &Plan, unit: usize) -> bool {
    plan.second
        .iter()
        .flatten()
        .any(|step| *step == Step::Unit(unit))
}

/// The run is one that can go wrong: batches of several units, checkpoints while it runs, logs
/// begun anew over older ones, processes killed with writes under way.
#[test]
fn the_recording_has_what_is_delicate() {
    let Recording { ops, plan, .. } = recording();
    let place = |test: &dyn Fn(&Op) -> bool| -> Vec<usize> {
        (0..ops.len()).filter(|at| test(&ops[*at])).collect()
    };
    let headers = place(&|op| matches!(op, Op::Write(name, 0, _) if name == WAL));
    let fresh_logs = place(&|op| matches!(op, Op::Create(name) if name == WAL));
    assert!(headers.len() > fresh_logs.len() + 2, "logs begin anew");
    let log_cuts = place(&|op| matches!(op, Op::Truncate(name, _) if name == WAL));
    assert!(!log_cuts.is_empty(), "a long log is cut back");
    let checkpoints = place(&|op| matches!(op, Op::Sync(name) if name == DATABASE));
    assert!(checkpoints.len() > 8, "{} checkpoints", checkpoints.len());
    let syncs = place(&|op| matches!(op, Op::Sync(name) if name == WAL)).len();
    let answered = place(&|op| match op {
        Op::Remark(text) => matches!(Remark::parse(text), Remark::Answered(_)),
        _ => false,
    });
    assert!(answered.len() > syncs, "units share their syncs");
    let order = &expect().order;
    assert!(answered.len() > order.len() / 2);
    let refused = plan.units.iter().filter(|unit| unit.refused).count();
    assert!(refused > 3, "{refused} units are refused");
    assert!(order.len() > 150, "{} units", order.len());
    let found = place(&|op| matches!(op, Op::Remark(text) if text.starts_with("found")));
    assert_eq!(found.len(), plan.processes.len() + 1);
}

/// The check sees each kind of damage in the store as it was closed.
#[test]
fn each_kind_of_damage_is_seen() {
    let Recording { plan, last, .. } = recording();
    let said = Said::these(expect().order.len(), plan.keys, plan);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let checked = |image: &Image| {
        let checked = runtime.block_on(check((image, true), &said, plan, expect()));
        checked.map_err(|(wrong, _)| wrong)
    };
    let altered = |sql: &str| {
        let place = scratch();
        write(last, place.path());
        let conn = rusqlite::Connection::open(place.path().join(DATABASE)).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let mut image = last.clone();
        image.insert(
            DATABASE.to_owned(),
            std::fs::read(place.path().join(DATABASE)).unwrap(),
        );
        checked(&image)
    };
    assert_eq!(checked(last), Ok(expect().order.len()));
    assert_eq!(checked(&Image::new()), Err(Wrong::Lost));
    let in_part = Err(Wrong::InPart);
    let one =
        |table: &str| format!("DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})");
    assert_eq!(altered(&one("event")), in_part);
    assert_eq!(
        altered("UPDATE secret SET revision = revision + 1"),
        in_part
    );
    assert_eq!(altered("UPDATE assignment SET revision = 9"), in_part);
    assert_eq!(altered("DELETE FROM assignment"), Err(Wrong::Lost));
    assert_eq!(
        altered("DELETE FROM keyring WHERE id = 'key_1'"),
        Err(Wrong::Lost)
    );
    assert_eq!(
        altered("UPDATE keyring SET doc = replace(doc, 'root', 'r')"),
        in_part
    );
    let cut = "DELETE FROM audit_segment WHERE first_seq = (SELECT first_seq FROM store_head)";
    assert_eq!(altered(cut), Err(Wrong::Chain));
    let mut torn = last.clone();
    let content = torn.get_mut(DATABASE).unwrap();
    let middle = content.len() / 8192 * 4096;
    content[middle..middle + 512].fill(7);
    assert!(checked(&torn).is_err());
    let mut none = last.clone();
    none.get_mut(DATABASE).unwrap()[..512].fill(7);
    assert!(matches!(checked(&none), Err(Wrong::Chain | Wrong::Closed)));
}

/// The recording, but for some of its syncs.
fn without(drop: impl Fn(usize, &Op) -> bool) -> Vec<Op> {
    let ops = recording().ops.iter().enumerate();
    let kept = ops.filter(|(at, op)| !drop(*at, op));
    kept.map(|(_, op)| op.clone()).collect()
}

fn must_find(ops: &[Op], wrong: Wrong) {
    let report = run(ops, 3_000, Some(wrong));
    let found: Vec<Wrong> = report.findings.iter().map(|(found, ..)| found.0).collect();
    assert!(
        found.contains(&wrong),
        "{} images, and only {found:?}",
        report.images
    );
}

/// A disk that says it synced the log, and did not.
#[test]
fn a_log_that_is_not_synced_is_found() {
    let lying = without(|_, op| matches!(op, Op::Sync(name) if name == WAL));
    must_find(&lying, Wrong::Lost);
}

/// A store that syncs its log before checkpoints alone, as the engine does with
/// `synchronous=NORMAL`.
#[test]
fn a_log_synced_for_checkpoints_alone_is_found() {
    let ops = &recording().ops;
    let before_checkpoint = |at: usize| {
        let change = ops[at + 1..]
            .iter()
            .find(|op| matches!(op, Op::Write(..) | Op::Truncate(..)));
        matches!(change, Some(Op::Write(name, ..)) if name == DATABASE)
    };
    let normal =
        without(|at, op| matches!(op, Op::Sync(name) if name == WAL) && !before_checkpoint(at));
    must_find(&normal, Wrong::Lost);
}

/// A checkpoint whose pages are not synced before the log begins anew.
#[test]
fn a_database_that_is_not_synced_is_found() {
    let lying = without(|_, op| matches!(op, Op::Sync(name) if name == DATABASE));
    let report = run(&lying, 3_000, None);
    assert!(!report.findings.is_empty());
}

/// Names that are not made durable: the log with everything in it is nowhere.
#[test]
fn a_directory_that_is_not_synced_is_found() {
    let lying = without(|_, op| *op == Op::SyncDirectory);
    must_find(&lying, Wrong::Lost);
}

/// A store that answers first and syncs then.
#[test]
fn an_answer_before_the_sync_is_found() {
    let mut early = recording().ops.clone();
    for at in 1..early.len() {
        let told = matches!(&early[at], Op::Remark(text) if text.starts_with("answered"));
        let mut at = at;
        while told
            && at > 0
            && matches!(
                early[at - 1],
                Op::Sync(_) | Op::SyncDirectory | Op::Remark(_)
            )
        {
            if matches!(&early[at - 1], Op::Remark(text) if text.starts_with("answered")) {
                break;
            }
            early.swap(at - 1, at);
            at -= 1;
        }
    }
    must_find(&early, Wrong::Lost);
}
