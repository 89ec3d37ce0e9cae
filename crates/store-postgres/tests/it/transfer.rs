//! A vault moves from one engine to the other and back, and is the same vault.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::audit::AuditFilter;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::{
    AuditReads, KeyReads, Op, PolicyReads, Record, SecretReads, Store, Unit, UnitName,
};
use scaivault_core::secret::SecretHead;
use scaivault_store::transfer::{
    ChainEnd, Copied, Destination, Holdings, Moved, Numbers, Row, Source, Standing, StoredSegment,
    TABLES, Table, TransferError, Value, check, copy,
};
use scaivault_store::{OpenError, SqliteDestination, SqliteOptions, SqliteSource, SqliteStore};
use scaivault_store_postgres::{
    ChainMac as _, PostgresDestination, PostgresOptions, PostgresSource, PostgresStore,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::*;

use crate::database::{Database, RUNTIME, TestMac};

const HOLD: Duration = Duration::from_secs(60);

/// Everything a store holds, in order.
#[derive(Debug, PartialEq)]
struct Dump {
    rows: Vec<(&'static str, Row)>,
    numbers: Numbers,
    ends: Vec<ChainEnd>,
    anchors: Vec<AuditAnchor>,
    segments: Vec<StoredSegment>,
}

async fn dump(store: &mut dyn Source) -> Dump {
    let mut rows = Vec::new();
    for table in TABLES {
        let all = store.page(table, None, None, 1_000_000).await.unwrap();
        rows.extend(all.into_iter().map(|row| (table.name, row)));
    }
    let ends = store.chains().await.unwrap();
    let mut segments = Vec::new();
    for end in &ends {
        segments.extend(store.segments(&end.chain, 0, 1_000_000).await.unwrap());
    }
    Dump {
        rows,
        numbers: store.numbers().await.unwrap(),
        ends,
        anchors: store.anchors().await.unwrap(),
        segments,
    }
}

/// At least one row of every kind, some of them changed since they were made.
async fn fill(store: &dyn Store) {
    let a = tenant("a");
    let mut unit = Unit::new(UnitName::Housekeeping);
    for id in ["1", "2"] {
        let policy = policy(&a, id);
        let recipe = secret_policy(&a, id);
        let mut rotation_policy = rotation_policy(&a, id);
        rotation_policy.secret_policy_id = Some(recipe.id.clone());
        let at_path = format!("app/s{id}");
        let head = SecretHead {
            expires_at: Some(at(9)),
            secret_policy_id: Some(recipe.id.clone()),
            ..secret(&a, &at_path)
        };
        let mut tagged = head.clone();
        tagged.metadata.tags = ["red", "blue"].map(str::to_owned).into_iter().collect();
        let owned_by = target(&a, id);
        let run = rotation(&rotation_policy, id, &at_path, Some(at(1)));
        unit = unit
            .put(Record::Key(key(id)))
            .put(Record::Partner(partner(id)))
            .put(Record::Tenant(tenant_row(&partner(id).id, id)))
            .put(Record::Secret(tagged))
            .op(Op::VersionInsert(sealed(&a, &at_path, 1)))
            .op(Op::VersionInsert(sealed(&a, &at_path, 2)))
            .put(Record::Binding(binding(&policy, id, "sa:ci")))
            .put(Record::Policy(policy))
            .put(Record::Token(token(&a, id)))
            .put(Record::MachineRole(machine_role(&a, id)))
            .put(Record::SecretId(secret_id(&machine_role(&a, id), id)))
            .put(Record::Assignment(assignment(
                &rotation_policy,
                &at_path,
                Some(at(1)),
            )))
            .put(Record::Rotation(at_target(run, &owned_by)))
            .put(Record::RotationPolicy(rotation_policy))
            .put(Record::SecretPolicy(recipe))
            .put(Record::Target(owned_by))
            .put(Record::GroupTurn(group_turn(&a, id)))
            .put(Record::Campaign(campaign(&a, id, Some(at(2)))))
            .put(Record::AuditExport(audit_export(&a, id, Some(at(2)))))
            .put(Record::AuditForward(audit_forward(id)))
            .put(Record::Debt(debt(&a, id, Some(at(3)))))
            .put(Record::Mount(mount(&a, id)))
            .put(Record::Cubby(cubby(&token(&a, id), id)))
            .put(Record::Transit(transit_key(&a, id, Some(at(5)))))
            .put(Record::Lease(lease(&engine(&a, id), id, Some(at(4)))))
            .put(Record::Role(engine_role(&engine(&a, id), id)))
            .put(Record::Engine(engine(&a, id)))
            .put(Record::Webhook(webhook(&a, id)))
            .put(Record::Subscription(subscription(&a, id)))
            .op(Op::Emit(event(&a, id, Some(&at_path))));
    }
    unit = unit.put(Record::Delivery(delivery(&a, "1", "wh_1", 1, Some(at(1)))));
    for id in ["2", "3", "4"] {
        unit = unit.put(Record::Delivery(delivery(&a, id, "sub_1", 1, None)));
    }
    unit.audit.push(audit(&a, 1, "sa:ci", Some("app/s1")));
    unit.reads.push(read(&a, "app/s1", 1, "sa:ci", 1));
    store.commit(unit).await.unwrap();
    let mut unit = Unit::new(UnitName::Housekeeping)
        .op(Op::FanOutAdvance { from: 0, to: 1 })
        .op(Op::BufferTrim {
            receiver: "sub_1".into(),
            keep: 1,
        });
    for n in 2..40 {
        unit.audit.push(audit(&a, n, "sa:ci", Some("app/s2")));
    }
    store.commit(unit).await.unwrap();
    // What the chain began with is gone already.
    let found = store.audit_prunable(at(2), None).await.unwrap().unwrap();
    assert_eq!(found.rows, 1);
    let pruning = pruning(found, 41, |message| TestMac(1).mac(message));
    store.commit(pruning).await.unwrap();
    // What is held when it moves: in one engine the document says so, in the other it does not.
    assert_eq!(
        store.assignment_claim(at(5), HOLD, 1).await.unwrap().len(),
        1
    );
    let claimed = store.rotation_claim_at_targets(at(5), HOLD, &[], 1).await;
    assert_eq!(claimed.unwrap().len(), 1);
    assert_eq!(
        store
            .delivery_claim(at(5), HOLD, &[], 1)
            .await
            .unwrap()
            .len(),
        1
    );
}

/// A store in a file, as its server has it.
async fn embedded(path: &Path, seed: u64) -> SqliteStore {
    let store = SqliteStore::open(SqliteOptions::file(path), &SeededEntropy::new(seed)).unwrap();
    store.start_audit(Arc::new(TestMac(1))).await.unwrap();
    store
}

fn to_file(path: &Path, seed: u64) -> SqliteDestination {
    SqliteDestination::open(path, &SeededEntropy::new(seed)).unwrap()
}

async fn run(from: &mut dyn Source, to: &mut dyn Destination) -> Moved<Copied> {
    let copied = copy(from, to, &SeededEntropy::new(9), &mut |_| {}).await?;
    let checked = check(from, to, &copied, Some(&TestMac(1))).await?;
    assert_eq!(checked.versions.len(), copied.sample.len());
    to.finish().await?;
    Ok(copied)
}

fn inside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    RUNTIME.block_on(async { RUNTIME.spawn(work).await.unwrap() })
}

struct Places {
    _directory: tempfile::TempDir,
    first: PathBuf,
    second: PathBuf,
    url: String,
}

impl Places {
    fn new(database: &Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            first: directory.path().join("first.db"),
            second: directory.path().join("second.db"),
            url: database.url(Database::port()),
            _directory: directory,
        }
    }

    /// A file that is full, and a database that nothing is in.
    async fn filled(&self) -> (SqliteSource, PostgresDestination) {
        fill(&embedded(&self.first, 1).await).await;
        let first = SqliteSource::open(&self.first).unwrap();
        (first, PostgresDestination::open(&self.url).await.unwrap())
    }
}

#[test]
fn there_and_back_it_is_the_same() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        let (mut first, mut between) = places.filled().await;
        let copied = run(&mut first, &mut between).await.unwrap();
        assert!(copied.rows > 40 && copied.written == copied.rows);
        assert_eq!((copied.audit_rows, copied.removed), (39, 0));
        for table in TABLES {
            assert!(
                first.count(table).await.unwrap() > 0,
                "{} is empty",
                table.name
            );
        }
        let original = dump(&mut first).await;
        let mut over = PostgresSource::open(&places.url).await.unwrap();
        assert_eq!(dump(&mut over).await, original);
        let mut second = to_file(&places.second, 2);
        run(&mut over, &mut second).await.unwrap();
        drop(second);
        let mut back = SqliteSource::open(&places.second).unwrap();
        assert_eq!(dump(&mut back).await, original);
    });
}

/// What an earlier release left is told by what is to be done about it.
#[test]
fn rows_without_codes_are_refused_with_the_way_out() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        let (mut first, mut between) = places.filled().await;
        let table = TABLES.iter().find(|table| table.name == "policy").unwrap();
        let mut row = first.page(table, None, None, 1).await.unwrap().remove(0);
        let doc = table.columns.iter().position(|(name, _)| *name == "doc");
        let doc = &mut row[doc.unwrap()];
        let (bare, _) = doc.text().rsplit_once(",\"~\":\"").unwrap();
        *doc = Value::Text(format!("{bare}}}"));
        between.begin(1).await.unwrap();
        let refused = between.replace(table, Vec::new(), vec![row]).await;
        let Err(TransferError::Unsigned(place)) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(place, "policy");
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("scaivault store sign-rows"), "{told}");
    });
}

/// The copy is used: claims, events and the trail go on where the original stopped.
async fn goes_on(store: &dyn Store, rows: u64) {
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (rows, None));
    let of = |path_of: &str| AuditFilter {
        tenant: Some(tenant("a")),
        path: Some(path(path_of)),
        ..AuditFilter::default()
    };
    let trail = store.audit_query(&of("app/s2"), None, 99).await.unwrap();
    assert_eq!(trail.rows.len(), 38);
    let mut unit =
        Unit::new(UnitName::Housekeeping).op(Op::Emit(event(&tenant("a"), "9", Some("app/s1"))));
    unit.audit
        .push(audit(&tenant("a"), 50, "sa:ci", Some("app/s2")));
    store.commit(unit).await.unwrap();
    let (mark, events) = store.fan_out_pending(9).await.unwrap();
    let places: Vec<_> = events
        .iter()
        .map(|row| (row.position, row.sequence))
        .collect();
    assert_eq!((mark, places), (1, vec![(2, 1), (3, 2)]));
    // New rows come behind all that were copied; pages neither miss nor repeat one.
    for filter in [AuditFilter::default(), of("app/s2")] {
        let (mut seqs, mut below) = (Vec::new(), None);
        loop {
            let page = store.audit_query(&filter, below, 7).await.unwrap();
            seqs.extend(page.rows.iter().map(|row| row.seq));
            match page.next {
                Some(next) => below = Some(next),
                None => break,
            }
        }
        assert!(seqs.is_sorted_by(|newer, older| newer > older));
        let all = if filter.path.is_some() {
            39
        } else {
            usize::try_from(rows).unwrap() + 1
        };
        assert_eq!(seqs.len(), all);
    }
    assert_eq!(
        store
            .audit_summary(&AuditFilter::default())
            .await
            .unwrap()
            .total,
        rows + 1
    );
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (rows + 1, None));
    // Held rows come free when their claims lapse, and at no other time.
    assert!(
        store
            .delivery_claim(at(6), HOLD, &[], 9)
            .await
            .unwrap()
            .is_empty()
    );
    let later = store.delivery_claim(at(66), HOLD, &[], 9).await.unwrap();
    assert_eq!(later.len(), 1);
    assert_eq!(
        store.assignment_claim(at(66), HOLD, 9).await.unwrap().len(),
        2
    );
}

#[test]
fn the_copy_goes_on_where_the_original_stopped() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        let (mut first, mut between) = places.filled().await;
        run(&mut first, &mut between).await.unwrap();
        drop(between);
        let options = PostgresOptions::new(&places.url, "node-1");
        let node = PostgresStore::open(options, &SeededEntropy::new(3))
            .await
            .unwrap();
        node.start_audit(Arc::new(TestMac(1))).await.unwrap();
        goes_on(&node, 39).await;
        // A node that does nothing now may at any time.
        let mut beside = PostgresSource::open(&places.url).await.unwrap();
        assert!(!beside.stood_still().await.unwrap());
        drop(beside);
        drop(node);
        let mut over = PostgresSource::open(&places.url).await.unwrap();
        let mut second = to_file(&places.second, 2);
        run(&mut over, &mut second).await.unwrap();
        drop(second);
        let store = embedded(&places.second, 2).await;
        // Two chains that are finished, and its own.
        assert_eq!(store.key_list().await.unwrap().len(), 2);
        let mut unit = Unit::new(UnitName::AuditOnly);
        unit.audit
            .push(audit(&tenant("a"), 90, "sa:ci", Some("app/s1")));
        store.commit(unit).await.unwrap();
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (41, None));
        let page = store
            .audit_query(&AuditFilter::default(), None, 99)
            .await
            .unwrap();
        assert_eq!(page.rows.len(), 41);
        assert_eq!(page.rows[0].row.timestamp, at(90));
        assert_eq!(page.rows[1].row.timestamp, at(50));
    });
}

/// A destination that is killed before its `left`-th commit.
struct Killed<'a> {
    to: &'a mut dyn Destination,
    left: u32,
}

impl Killed<'_> {
    fn commit(&mut self) -> Moved<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(TransferError::Destination("killed".into())),
        }
    }
}

#[async_trait]
impl Holdings for Killed<'_> {
    async fn page(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        until: Option<&[Value]>,
        limit: usize,
    ) -> Moved<Vec<Row>> {
        self.to.page(table, after, until, limit).await
    }
    async fn find(&mut self, table: &'static Table, key: &[Value]) -> Moved<Option<Row>> {
        self.to.find(table, key).await
    }
    async fn count(&mut self, table: &'static Table) -> Moved<u64> {
        self.to.count(table).await
    }
    async fn numbers(&mut self) -> Moved<Numbers> {
        self.to.numbers().await
    }
    async fn chains(&mut self) -> Moved<Vec<ChainEnd>> {
        self.to.chains().await
    }
    async fn anchors(&mut self) -> Moved<Vec<AuditAnchor>> {
        self.to.anchors().await
    }
    async fn segments(
        &mut self,
        chain: &str,
        after: i64,
        limit: usize,
    ) -> Moved<Vec<StoredSegment>> {
        self.to.segments(chain, after, limit).await
    }
}

#[async_trait]
impl Destination for Killed<'_> {
    async fn standing(&mut self) -> Moved<Standing> {
        self.to.standing().await
    }
    async fn begin(&mut self, of: i64) -> Moved<()> {
        self.commit()?;
        self.to.begin(of).await
    }
    async fn replace(
        &mut self,
        table: &'static Table,
        gone: Vec<Row>,
        rows: Vec<Row>,
    ) -> Moved<()> {
        self.commit()?;
        self.to.replace(table, gone, rows).await
    }
    async fn put_anchor(&mut self, anchor: &AuditAnchor) -> Moved<()> {
        self.commit()?;
        self.to.put_anchor(anchor).await
    }
    async fn append(&mut self, chain: &str, segments: Vec<StoredSegment>) -> Moved<()> {
        self.commit()?;
        self.to.append(chain, segments).await
    }
    async fn set_numbers(&mut self, numbers: &Numbers) -> Moved<()> {
        self.commit()?;
        self.to.set_numbers(numbers).await
    }
    async fn finish(&mut self) -> Moved<()> {
        self.commit()?;
        self.to.finish().await
    }
}

/// At every commit once; what was written before is not written again.
async fn killed_everywhere(from: &mut dyn Source, to: &mut dyn Destination) {
    let mut kills = 0;
    let mut written = 0;
    loop {
        let mut killed = Killed { to, left: 1 };
        match run(from, &mut killed).await {
            Ok(copied) => {
                written += copied.written;
                break;
            }
            Err(error) => assert!(error.to_string().ends_with("killed"), "{error}"),
        }
        kills += 1;
        // Nobody else is let in, and it is not taken for finished.
        assert!(matches!(to.standing().await.unwrap(), Standing::Copying(_)));
        assert!(kills < 200, "it does not come to an end");
    }
    assert!(kills >= TABLES.len(), "{kills}");
    assert_eq!(written, 0, "the last run had only to finish");
}

#[test]
fn a_copy_killed_at_every_commit_goes_on() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        fill(&embedded(&places.first, 1).await).await;
        let mut first = SqliteSource::open(&places.first).unwrap();
        let original = dump(&mut first).await;
        let mut between = PostgresDestination::open(&places.url).await.unwrap();
        killed_everywhere(&mut first, &mut between).await;
        drop(between);
        let mut over = PostgresSource::open(&places.url).await.unwrap();
        assert_eq!(dump(&mut over).await, original);
        let mut second = to_file(&places.second, 2);
        killed_everywhere(&mut over, &mut second).await;
        drop(second);
        let mut back = SqliteSource::open(&places.second).unwrap();
        assert_eq!(dump(&mut back).await, original);
    });
}

/// While its server goes on, a store is copied twice; the second time brings what changed.
#[test]
fn a_second_run_brings_what_changed() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        let serving = embedded(&places.first, 1).await;
        fill(&serving).await;
        let mut view = SqliteSource::open(&places.first).unwrap();
        assert!(!view.is_alone());
        let mut to = PostgresDestination::open(&places.url).await.unwrap();
        let entropy = SeededEntropy::new(9);
        // It goes on before, while and after its view is copied.
        let (a, mut all) = (tenant("a"), Vec::new());
        for id in ["1", "2"] {
            all.push(
                serving
                    .policy_find(&a, &policy(&a, id).id)
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        // Two names change hands, over a third.
        for (at, name) in [(0, "spare"), (1, "policy 1"), (0, "policy 2")] {
            all[at].name = name.to_owned();
            all[at].revision += 1;
            let unit = Unit::new(UnitName::PolicyWrite).put(Record::Policy(all[at].clone()));
            serving.commit(unit).await.unwrap();
        }
        let copied = copy(&mut view, &mut to, &entropy, &mut |_| {})
            .await
            .unwrap();
        check(&mut view, &mut to, &copied, None).await.unwrap();
        assert!(!view.stood_still().await.unwrap());
        let mut unit = Unit::new(UnitName::SecretPurge)
            .op(Op::SecretErase(stored(&serving, "app/s1").await))
            .op(Op::Emit(event(&a, "8", None)))
            .op(Op::VersionInsert(sealed(&a, "app/s2", 3)));
        unit.audit.push(audit(&a, 60, "sa:ci", None));
        serving.commit(unit).await.unwrap();
        drop(serving);
        drop(view);
        let mut view = SqliteSource::open(&places.first).unwrap();
        assert!(view.is_alone() && view.stood_still().await.unwrap());
        // No server may begin while the last run is under way.
        let begun = SqliteStore::open(SqliteOptions::file(&places.first), &entropy);
        assert!(matches!(begun, Err(OpenError::Locked(_))));
        let copied = run(&mut view, &mut to).await.unwrap();
        assert!(copied.removed > 0 && copied.written > 0);
        assert!(copied.written < copied.rows / 2, "{copied:?}");
        let expect = dump(&mut view).await;
        drop(to);
        let mut over = PostgresSource::open(&places.url).await.unwrap();
        assert_eq!(dump(&mut over).await, expect);
    });
}

/// A secret as it is stored.
async fn stored(store: &SqliteStore, at_path: &str) -> SecretHead {
    let found = store.secret_find(&tenant("a"), &path(at_path)).await;
    found.unwrap().unwrap()
}

#[test]
fn an_unfinished_copy_is_not_served_and_a_vault_is_not_replaced() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        fill(&embedded(&places.first, 1).await).await;
        let mut first = SqliteSource::open(&places.first).unwrap();
        let entropy = SeededEntropy::new(4);
        let mut between = PostgresDestination::open(&places.url).await.unwrap();
        copy(&mut first, &mut between, &entropy, &mut |_| {})
            .await
            .unwrap();
        let options = PostgresOptions::new(&places.url, "node-1");
        let opened = PostgresStore::open(options.clone(), &entropy)
            .await
            .unwrap_err();
        assert!(
            opened.to_string().contains("has not been finished"),
            "{opened}"
        );
        assert!(PostgresSource::open(&places.url).await.is_err());
        // Nor do two copies go into one database.
        assert!(PostgresDestination::open(&places.url).await.is_err());
        between.finish().await.unwrap();
        let again = copy(&mut first, &mut between, &entropy, &mut |_| {}).await;
        assert!(matches!(again, Err(TransferError::NotEmpty)));
        drop(between);
        drop(PostgresStore::open(options, &entropy).await.unwrap());
        let mut second = to_file(&places.second, 2);
        copy(&mut first, &mut second, &entropy, &mut |_| {})
            .await
            .unwrap();
        drop(second);
        let opened = SqliteStore::open(SqliteOptions::file(&places.second), &entropy);
        assert!(matches!(opened, Err(OpenError::Unfinished)));
        // The beginning of one vault is not gone on with from another.
        let other = places.first.with_file_name("other.db");
        fill(&embedded(&other, 5).await).await;
        let mut other = SqliteSource::open(&other).unwrap();
        let mut second = to_file(&places.second, 2);
        let mixed = copy(&mut other, &mut second, &entropy, &mut |_| {}).await;
        assert!(matches!(mixed, Err(TransferError::OtherVault(_))));
    });
}

/// What was altered in the copy, or was altered in the original before, does not pass.
#[test]
fn a_copy_that_differs_is_not_finished() {
    let database = Database::new();
    let places = Places::new(&database);
    inside(async move {
        let (mut first, mut to) = places.filled().await;
        let entropy = SeededEntropy::new(9);
        for (change, expect) in [
            (
                "UPDATE version SET sealed = 'x' WHERE version = 2",
                "version 2 of app/s",
            ),
            (
                "DELETE FROM token WHERE id = 'tok_1'",
                "token has 1 rows instead of 2",
            ),
            (
                "UPDATE store_head SET last_seq = 38",
                "the audit chains end elsewhere",
            ),
            (
                "UPDATE audit_segment SET body = overlay(body PLACING 'X' FROM 60)",
                "broken at row",
            ),
            (
                "UPDATE meta SET value = 7 WHERE name = 'fan_out'",
                "numbers of the outbox",
            ),
        ] {
            database.sql("TRUNCATE audit_segment, store_head, audit_indexed, audit_key");
            let copied = copy(&mut first, &mut to, &entropy, &mut |_| {})
                .await
                .unwrap();
            check(&mut first, &mut to, &copied, Some(&TestMac(1)))
                .await
                .unwrap();
            database.sql(change);
            let found = check(&mut first, &mut to, &copied, None).await.unwrap_err();
            assert!(found.to_string().contains(expect), "{found}");
        }
        // Another key than the one the chain was written with.
        database.sql("TRUNCATE audit_segment, store_head, audit_indexed, audit_key");
        let copied = copy(&mut first, &mut to, &entropy, &mut |_| {})
            .await
            .unwrap();
        let found = check(&mut first, &mut to, &copied, Some(&TestMac(2))).await;
        assert!(found.unwrap_err().to_string().ends_with("mac"));
    });
}

/// A column that one engine gets and the copy does not know of would be lost without a word.
#[test]
fn every_column_of_both_engines_is_moved_or_derived() {
    const DERIVED: &[&str] = &[
        "meta",
        "claim_turn",
        "store_head",
        "audit_past",
        "audit_anchor",
        "audit_segment",
        "audit_key",
        "audit_indexed",
        "schema_revision",
        "store_change",
        "delivery_waiting",
        "delivery_ready",
        "sqlite_sequence",
    ];
    let database = Database::new();
    let places = Places::new(&database);
    let url = places.url.clone();
    inside(async move { drop(PostgresDestination::open(&url).await.unwrap()) });
    let there = database.sql(
        "SELECT string_agg(table_name || '.' || column_name, ' ')
         FROM information_schema.columns WHERE table_schema = current_schema()",
    );
    drop(to_file(&places.first, 1));
    let columns = scaivault_store::schema_columns(&places.first).unwrap();
    let embedded = columns.iter().map(String::as_str);
    for column in there.split_whitespace().chain(embedded) {
        let (table, name) = column.split_once('.').unwrap();
        if DERIVED.contains(&table) || column == "delivery.row_id" {
            continue;
        }
        let known = TABLES.iter().find(|known| known.name == table);
        let known = known.unwrap_or_else(|| panic!("table {table} is not moved"));
        assert!(
            known.names().any(|known| known == name),
            "{column} is not moved"
        );
    }
}
