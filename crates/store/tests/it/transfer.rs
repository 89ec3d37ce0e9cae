//! Sides of a copy in files: who is there, what is left alone, and whose beginning it is.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::Connection;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::{Record, Store, Unit, UnitName};
use scaivault_store::transfer::{
    ChainEnd, Destination, Holdings, Moved, Numbers, Row, Source, Standing, StoredSegment, Table,
    TransferError, Value, copy,
};
use scaivault_store::{OpenError, SqliteDestination, SqliteOptions, SqliteSource, SqliteStore};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::*;

use crate::support::{at as store_at, mac};

/// A store that holds a secret of this name, and a row of the trail.
async fn filled(path: &Path, seed: u64, secret_at: &str) {
    let entropy = SeededEntropy::new(seed);
    let store = SqliteStore::open(SqliteOptions::file(path), &entropy).unwrap();
    store.start_audit(mac()).await.unwrap();
    let made = secret(&tenant("a"), secret_at);
    let mut unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(made))
        .put(Record::Key(key(secret_at.rsplit('/').next().unwrap())));
    unit.audit.push(audit(&tenant("a"), 1, "sa:x", None));
    store.commit(unit).await.unwrap();
}

async fn copied(from: &mut dyn Source, to: &mut dyn Destination) -> Moved<()> {
    let copied = copy(from, to, &SeededEntropy::new(9), &mut |_| {}).await;
    copied.map(drop)
}

/// As it is where the volume of a live server is mounted read-only: the lock's file cannot be
/// opened for writing. A directory cannot either, even by the superuser.
#[tokio::test]
async fn who_may_only_read_the_lock_sees_a_server_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live.db");
    filled(&path, 1, "app/a").await;
    let lock = directory.path().join("live.db.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let server = std::fs::File::open(&lock).unwrap();
    server.try_lock().unwrap();
    let mut view = SqliteSource::open(&path).unwrap();
    assert!(!view.is_alone());
    assert!(!view.stood_still().await.unwrap());
    assert_eq!(view.unseen(), None, "it was seen");
    drop((view, server));
    // Once it is gone, none can come while the view is there.
    let mut view = SqliteSource::open(&path).unwrap();
    assert!(view.is_alone() && view.stood_still().await.unwrap());
    let server = std::fs::File::open(&lock).unwrap();
    assert!(server.try_lock().is_err());
    drop(view);
    server.try_lock().unwrap();
}

#[tokio::test]
async fn where_no_lock_can_be_had_a_server_is_assumed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live.db");
    filled(&path, 1, "app/a").await;
    let lock = directory.path().join("live.db.lock");
    std::fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(directory.path().join("none/lock"), &lock).unwrap();
    let mut view = SqliteSource::open(&path).unwrap();
    assert!(!view.is_alone());
    assert!(!view.stood_still().await.unwrap());
    let why = view.unseen().unwrap();
    assert!(why.contains("live.db.lock") && why.contains("copy it to where"));
    // It is copied all the same.
    let mut to = SqliteDestination::open(&directory.path().join("to.db"), &SeededEntropy::new(2));
    copied(&mut view, to.as_mut().unwrap()).await.unwrap();
}

/// A destination that is killed before the audit trail comes.
struct WithoutTrail(SqliteDestination);

#[async_trait]
impl Holdings for WithoutTrail {
    async fn page(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        until: Option<&[Value]>,
        limit: usize,
    ) -> Moved<Vec<Row>> {
        self.0.page(table, after, until, limit).await
    }
    async fn find(&mut self, table: &'static Table, key: &[Value]) -> Moved<Option<Row>> {
        self.0.find(table, key).await
    }
    async fn count(&mut self, table: &'static Table) -> Moved<u64> {
        self.0.count(table).await
    }
    async fn numbers(&mut self) -> Moved<Numbers> {
        self.0.numbers().await
    }
    async fn chains(&mut self) -> Moved<Vec<ChainEnd>> {
        self.0.chains().await
    }
    async fn anchors(&mut self) -> Moved<Vec<AuditAnchor>> {
        self.0.anchors().await
    }
    async fn segments(
        &mut self,
        chain: &str,
        after: i64,
        limit: usize,
    ) -> Moved<Vec<StoredSegment>> {
        self.0.segments(chain, after, limit).await
    }
}

#[async_trait]
impl Destination for WithoutTrail {
    async fn standing(&mut self) -> Moved<Standing> {
        self.0.standing().await
    }
    async fn begin(&mut self, of: i64) -> Moved<()> {
        self.0.begin(of).await
    }
    async fn replace(
        &mut self,
        table: &'static Table,
        gone: Vec<Row>,
        rows: Vec<Row>,
    ) -> Moved<()> {
        self.0.replace(table, gone, rows).await
    }
    async fn put_anchor(&mut self, anchor: &AuditAnchor) -> Moved<()> {
        self.0.put_anchor(anchor).await
    }
    async fn append(&mut self, _: &str, _: Vec<StoredSegment>) -> Moved<()> {
        Err(TransferError::Destination("killed".into()))
    }
    async fn set_numbers(&mut self, numbers: &Numbers) -> Moved<()> {
        self.0.set_numbers(numbers).await
    }
    async fn finish(&mut self) -> Moved<()> {
        self.0.finish().await
    }
}

#[tokio::test]
async fn the_beginning_of_another_vault_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    filled(&at("a.db"), 1, "app/a").await;
    filled(&at("b.db"), 2, "app/b").await;
    let mut a = SqliteSource::open(&at("a.db")).unwrap();
    let mut b = SqliteSource::open(&at("b.db")).unwrap();
    let to = SqliteDestination::open(&at("to.db"), &SeededEntropy::new(3)).unwrap();
    let mut cut = WithoutTrail(to);
    let killed = copied(&mut a, &mut cut).await.unwrap_err();
    assert!(killed.to_string().ends_with("killed"), "{killed}");
    let mut to = cut.0;
    assert_eq!(to.chains().await.unwrap(), [], "no chain to compare");
    let secrets = Table::named("secret");
    let before = to.page(secrets, None, None, 9).await.unwrap();
    let mixed = copied(&mut b, &mut to).await;
    assert!(
        matches!(mixed, Err(TransferError::OtherVault(_))),
        "{mixed:?}"
    );
    assert_eq!(to.page(secrets, None, None, 9).await.unwrap(), before);
    copied(&mut a, &mut to).await.unwrap();
    assert_eq!(to.chains().await.unwrap(), a.chains().await.unwrap());
}

/// A vault of an earlier release, named by mistake, is not migrated before it is refused.
#[tokio::test]
async fn a_vault_that_is_named_by_mistake_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    filled(&at("a.db"), 1, "app/a").await;
    let old = Connection::open(at("old.db")).unwrap();
    old.execute_batch(include_str!("../../src/sqlite/migrations/0001_initial.sql"))
        .unwrap();
    old.execute_batch(
        "PRAGMA application_id = 1399019124; PRAGMA user_version = 1;
         INSERT INTO keyring (id, revision, doc) VALUES ('key_1', 1, '{}');",
    )
    .unwrap();
    drop(old);
    let before = std::fs::read(at("old.db")).unwrap();
    let mut a = SqliteSource::open(&at("a.db")).unwrap();
    let mut to = SqliteDestination::open(&at("old.db"), &SeededEntropy::new(3)).unwrap();
    let refused = copied(&mut a, &mut to).await;
    assert!(matches!(refused, Err(TransferError::NotEmpty)));
    drop(to);
    assert!(std::fs::read(at("old.db")).unwrap() == before, "not a byte");
    // The same for one of this release.
    let before = std::fs::read(at("a.db")).unwrap();
    drop(a);
    let mut to = SqliteDestination::open(&at("a.db"), &SeededEntropy::new(3)).unwrap();
    assert_eq!(to.standing().await.unwrap(), Standing::Used);
    drop(to);
    assert!(std::fs::read(at("a.db")).unwrap() == before, "not a byte");
    let store = store_at(&at("a.db")).await;
    let locked = SqliteDestination::open(&at("a.db"), &SeededEntropy::new(3));
    assert!(matches!(locked, Err(OpenError::Locked(_))));
    drop(store);
}
