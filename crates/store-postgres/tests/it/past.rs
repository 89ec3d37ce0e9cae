//! A store that went back in time: restored from a backup, or on a standby that had not all of it.

use scaivault_core::ports::{
    AuditReads, ChangeFeed, CommitError, MarkReads, Op, Store, StoreMarks, Unit, UnitName,
};
use scaivault_store_postgres::PostgresStore;
use scaivault_testkit::store_conformance::samples::{T0, audit, tenant};

use crate::database::{Database, RUNTIME};

async fn write(store: &PostgresStore) -> Result<(), CommitError> {
    let unit = Unit::new(UnitName::SecretWrite);
    let unit = unit.audited(audit(&tenant("a"), 0, "user:x", Some("app/x")));
    store.commit(unit).await.map(drop)
}

/// From here on the database can be taken back to how it is now.
fn back_up(database: &Database) {
    database.sql("CREATE TABLE backup AS SELECT * FROM store_head");
}

fn take_back(database: &Database) {
    database.sql(
        "UPDATE store_head h SET batch = b.batch, first_seq = b.first_seq, last_seq = b.last_seq,
             head = b.head, mac = b.mac, moved_by = b.moved_by
         FROM backup b WHERE b.chain = h.chain;
         DELETE FROM audit_segment s USING store_head h
         WHERE s.chain = h.chain AND s.first_seq > h.last_seq",
    );
    database.end_sessions();
}

async fn is_marked(store: &PostgresStore) -> bool {
    store.marks().await.unwrap().restored_at.is_some()
}

#[test]
fn a_node_whose_own_writes_are_gone_marks_the_store() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        write(&store).await.unwrap();
        back_up(&database);
        write(&store).await.unwrap();
        database.end_sessions();
        write(&store).await.unwrap();
        assert!(!is_marked(&store).await, "nothing is gone yet");
        take_back(&database);
        // One that was sent on the old connection may have been there before the store was put
        // back: nobody knows, and that is its answer.
        match write(&store).await {
            Err(CommitError::Unknown) => write(&store).await.unwrap(),
            first => first.unwrap(),
        }
        assert!(is_marked(&store).await);
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (2, None));
        // Once: an operator has the last word.
        let resumed = StoreMarks {
            restored_at: None,
            resumed_at: Some(T0),
        };
        let resume = Unit::new(UnitName::Housekeeping).op(Op::Mark(resumed));
        store.commit(resume).await.unwrap();
        database.end_sessions();
        write(&store).await.unwrap();
        assert_eq!(store.marks().await.unwrap(), resumed);
    });
}

/// As many transactions as were lost, by a process of the same name, do not hide it.
#[test]
fn a_fork_is_noticed() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        write(&store).await.unwrap();
        back_up(&database);
        write(&store).await.unwrap();
        take_back(&database);
        let other = database.open("node-1").await;
        write(&other).await.unwrap();
        assert!(!is_marked(&other).await);
        write(&store).await.unwrap();
        assert!(is_marked(&store).await);
        assert_eq!(store.audit_verify().await.unwrap().first_bad, None);
    });
}

/// Nothing is written to a store that went back before that is marked, whosever writes are gone.
#[test]
fn a_node_that_saw_what_is_gone_writes_nothing_before_it_is_marked() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let two = database.open("node-2").await;
        back_up(&database);
        write(&one).await.unwrap();
        two.look().await.unwrap();
        database.sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN RAISE 'not now'; END$$;
             CREATE TRIGGER refuse BEFORE INSERT ON meta FOR EACH ROW
                 WHEN (new.name = 'restored_at') EXECUTE FUNCTION refuse()",
        );
        drop(one);
        take_back(&database);
        let refused = write(&two).await;
        assert!(
            matches!(&refused, Err(CommitError::Unavailable(why)) if why.contains("back in time")),
            "{refused:?}"
        );
        assert!(two.look().await.is_err());
        assert!(!is_marked(&two).await);
        database.sql("DROP TRIGGER refuse ON meta");
        write(&two).await.unwrap();
        assert!(is_marked(&two).await);
    });
}

/// A node that writes nothing marks it as well.
#[test]
fn a_look_notices() {
    for gone in [
        "UPDATE store_head SET batch = 0 WHERE node = 'node-1'",
        "DELETE FROM store_head WHERE node = 'node-1'",
    ] {
        RUNTIME.block_on(async {
            let database = Database::new();
            let one = database.open("node-1").await;
            let two = database.open("node-2").await;
            write(&one).await.unwrap();
            assert!(two.look().await.unwrap().everything);
            assert!(!is_marked(&two).await);
            drop(one);
            database.sql(gone);
            assert!(two.look().await.unwrap().everything);
            assert!(is_marked(&two).await, "{gone}");
            assert!(two.look().await.unwrap().is_empty(), "told once");
        });
    }
}
