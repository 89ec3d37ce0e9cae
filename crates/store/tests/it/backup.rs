//! A backup is of one moment, and is what it says; a restored store says that it is one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use scaivault_core::ports::{AuditReads, Record, SecretReads, Store, Unit, UnitName};
use scaivault_store::backup::{BackupError, Written, backup, checksum_file, restore};
use scaivault_store::transfer::Holdings;
use scaivault_store::{OpenError, SqliteSource};
use scaivault_testkit::store_conformance::samples::*;

use crate::support::at as store_at;

fn quiet(_: u64, _: u64) {}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn write(store: &dyn Store, n: i64) {
    let made = secret(&tenant("a"), &format!("app/s{n}"));
    let mut unit = Unit::new(UnitName::SecretWrite).put(Record::Secret(made));
    unit.audit
        .push(audit(&tenant("a"), n, "sa:x", Some("app/s")));
    store.commit(unit).await.unwrap();
}

fn made(directory: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let at = |name| directory.join(name);
    (at("store.db"), at("copy.db"), at("back.db"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_store_is_backed_up_as_it_was_at_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let (live, copy, back) = made(directory.path());
    let store = store_at(&live).await;
    for n in 0..300 {
        write(&store, n).await;
    }
    // It goes on while it is copied: what comes later is not in it, and nothing is half in it.
    let mut later = 300;
    let mut told = Vec::new();
    let written = backup(&live, &copy, &mut |done, total| {
        told.push((done, total));
        futures(write(&store, later));
        later += 1;
    });
    let written = written.unwrap();
    assert!(later > 300);
    let last = *told.last().unwrap();
    assert_eq!(last, (written.bytes, written.bytes));
    for file in [&copy, &checksum_file(&copy)] {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let line = std::fs::read_to_string(checksum_file(&copy)).unwrap();
    assert_eq!(line, format!("{}  copy.db\n", written.sha256));
    restore(&copy, &back, 77, &mut quiet).unwrap();
    let expect = [
        "back.db",
        "back.db.lock",
        "copy.db",
        "copy.db.sha256",
        "store.db",
    ];
    let there = names(directory.path());
    assert!(
        expect
            .iter()
            .all(|name| there.contains(&(*name).to_owned()))
    );
    assert!(
        !there.iter().any(|name| name.starts_with(".scaivault-")),
        "{there:?}"
    );
    let mode = std::fs::metadata(&back).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut view = SqliteSource::open(&back).unwrap();
    assert_eq!(view.numbers().await.unwrap().restored_at, 77);
    drop(view);
    let restored = store_at(&back).await;
    let report = restored.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (300, None));
    let (a, before, after) = (tenant("a"), path("app/s299"), path("app/s300"));
    assert!(restored.secret_find(&a, &before).await.unwrap().is_some());
    assert!(restored.secret_find(&a, &after).await.unwrap().is_none());
    // The original knows of nothing.
    drop(store);
    let mut view = SqliteSource::open(&live).unwrap();
    assert_eq!(view.numbers().await.unwrap().restored_at, 0);
}

/// The store answers from its own thread: a short wait on this one does not hold it up.
fn futures(work: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
}

#[tokio::test]
async fn what_was_damaged_is_not_restored_and_nothing_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (live, copy, back) = made(directory.path());
    let store = store_at(&live).await;
    write(&store, 1).await;
    drop(store);
    backup(&live, &copy, &mut quiet).unwrap();
    let again = backup(&live, &copy, &mut quiet);
    assert!(matches!(again, Err(BackupError::There(file)) if file == copy));
    let over = restore(&copy, &live, 1, &mut quiet);
    assert!(matches!(over, Err(BackupError::There(file)) if file == live));
    // A log that is left over would be taken for the restored store's.
    std::fs::write(directory.path().join("back.db-wal"), "x").unwrap();
    assert!(matches!(
        restore(&copy, &back, 1, &mut quiet),
        Err(BackupError::There(_))
    ));
    std::fs::remove_file(directory.path().join("back.db-wal")).unwrap();
    let whole = std::fs::read(&copy).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let sums = checksum_file(&copy);
    let line = std::fs::read_to_string(&sums).unwrap();
    type Check = fn(&Result<Written, BackupError>) -> bool;
    let cases: [(&[u8], Option<&str>, Check); 5] = [
        (&bent, Some(&line), |got| {
            matches!(got, Err(BackupError::Damaged(_)))
        }),
        (&whole[..middle], Some(&line), |got| {
            matches!(got, Err(BackupError::Damaged(_)))
        }),
        (&whole, Some("nonsense"), |got| {
            matches!(got, Err(BackupError::NoChecksum(_)))
        }),
        (&whole, None, |got| {
            matches!(got, Err(BackupError::File(..)))
        }),
        (&whole, Some(&line), Result::is_ok),
    ];
    for (bytes, sum, expect) in cases {
        std::fs::write(&copy, bytes).unwrap();
        match sum {
            Some(sum) => std::fs::write(&sums, sum).unwrap(),
            None => std::fs::remove_file(&sums).unwrap(),
        }
        let got = restore(&copy, &back, 1, &mut quiet);
        assert!(expect(&got), "{got:?}");
        assert_eq!(back.exists(), got.is_ok());
    }
}

#[tokio::test]
async fn what_is_no_store_is_not_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let (live, copy, _) = made(directory.path());
    std::fs::write(&live, "this is no database, whatever it is").unwrap();
    let got = backup(&live, &copy, &mut quiet);
    assert!(
        matches!(got, Err(BackupError::Open(OpenError::Foreign(_)))),
        "{got:?}"
    );
    assert_eq!(names(directory.path()), ["store.db"]);
}
