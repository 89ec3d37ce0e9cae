//! Databases that are named to the operator's tools, by mistake or not.

use scaivault_core::ports::{MarkReads, Record, Store, Unit, UnitName};
use scaivault_store::transfer::{Destination, Source, TransferError, copy};
use scaivault_store_postgres::{
    OpenError, PostgresDestination, PostgresSource, PostgresStore, mark_restored,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::key;

use crate::database::{Database, RUNTIME};

async fn fill(store: &PostgresStore) {
    let unit = Unit::new(UnitName::Housekeeping).put(Record::Key(key("1")));
    store.commit(unit).await.unwrap();
}

/// As if it had been made by the release before.
fn age(database: &Database) {
    database.sql(
        "DROP TABLE mount, cubby, transit_key;
         DROP TABLE engine, engine_role, lease, audit_anchor, audit_export, audit_forward;
         ALTER TABLE delivery DROP COLUMN lane;
         DROP INDEX delivery_dead;
         DROP TABLE machine_role;
         DROP TABLE secret_id;
         ALTER TABLE token DROP COLUMN parent, DROP COLUMN wake_at;
         DROP TABLE secret_policy;
         DROP TABLE partner;
         DROP TABLE tenant;
         ALTER TABLE secret DROP COLUMN secret_policy_id, DROP COLUMN notice_at;
         ALTER TABLE rotation_policy DROP COLUMN secret_policy_id;
         ALTER TABLE store_head DROP COLUMN moved_by;
         ALTER TABLE secret DROP CONSTRAINT secret_doc_code;
         ALTER TABLE version DROP CONSTRAINT version_doc_code;
         ALTER TABLE policy DROP CONSTRAINT policy_doc_code;
         ALTER TABLE binding DROP CONSTRAINT binding_doc_code;
         ALTER TABLE token DROP CONSTRAINT token_doc_code;
         ALTER TABLE rotation_policy DROP CONSTRAINT rotation_policy_doc_code;
         ALTER TABLE target DROP CONSTRAINT target_doc_code;
         ALTER TABLE assignment DROP CONSTRAINT assignment_doc_code;
         ALTER TABLE rotation DROP CONSTRAINT rotation_doc_code;
         ALTER TABLE group_turn DROP CONSTRAINT group_turn_doc_code;
         ALTER TABLE campaign DROP CONSTRAINT campaign_doc_code;
         ALTER TABLE debt DROP CONSTRAINT debt_doc_code;
         ALTER TABLE webhook DROP CONSTRAINT webhook_doc_code;
         ALTER TABLE subscription DROP CONSTRAINT subscription_doc_code;
         ALTER TABLE event DROP CONSTRAINT event_doc_code;
         ALTER TABLE delivery DROP CONSTRAINT delivery_doc_code;
         DELETE FROM schema_revision WHERE revision > 2",
    );
}

fn revision(database: &Database) -> String {
    database.sql("SELECT max(revision) FROM schema_revision")
}

/// Two schemas of one database, reached by addresses that name no program.
#[test]
fn a_copy_is_not_its_own_node() {
    let (from, to) = (Database::new(), Database::new());
    RUNTIME.block_on(async {
        let store = from.open("node-1").await;
        fill(&store).await;
        drop(store);
        let plain = |database: &Database| {
            let url = database.url(Database::port());
            url.split_once("&application_name").unwrap().0.to_owned()
        };
        let mut source = PostgresSource::open(&plain(&from)).await.unwrap();
        let mut between = PostgresDestination::open(&plain(&to)).await.unwrap();
        let entropy = SeededEntropy::new(4);
        copy(&mut source, &mut between, &entropy, &mut |_| {})
            .await
            .unwrap();
        assert!(source.stood_still().await.unwrap());
    });
}

#[test]
fn an_older_vault_named_by_mistake_stays_as_it_is() {
    let (from, to) = (Database::new(), Database::new());
    RUNTIME.block_on(async {
        for database in [&from, &to] {
            let store = database.open("node-1").await;
            fill(&store).await;
            drop(store);
        }
        age(&to);
        let mut source = PostgresSource::open(&from.url(Database::port())).await;
        let source = source.as_mut().unwrap();
        let mut named = PostgresDestination::open(&to.url(Database::port())).await;
        let named = named.as_mut().unwrap();
        let entropy = SeededEntropy::new(4);
        let refused = copy(source, named, &entropy, &mut |_| {}).await;
        assert!(matches!(refused, Err(TransferError::NotEmpty)));
        assert_eq!(revision(&to), "2");
        // One that was begun by the release before is gone on with.
        to.sql("INSERT INTO meta (name, value) VALUES ('copying', 1)");
        assert!(named.standing().await.is_ok());
        drop(PostgresDestination::open(&to.url(Database::port())).await);
        assert_eq!(revision(&to), revision(&from));
    });
}

/// By the clock that judges it, before a node starts, and again for each restore.
#[test]
fn a_restore_is_marked_by_the_clock_of_the_database() {
    let database = Database::new();
    let url = database.url(Database::port());
    RUNTIME.block_on(async {
        let nothing = mark_restored(&url).await;
        assert!(matches!(nothing, Err(OpenError::Older { found: 0, .. })));
        let tables = "SELECT count(*) FROM information_schema.tables
                      WHERE table_schema = current_schema()";
        assert_eq!(database.sql(tables), "0");
        drop(database.open("node-1").await);
        age(&database);
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let mut last = database.sql(now).parse::<i64>().unwrap();
        for _ in 0..2 {
            mark_restored(&url).await.unwrap();
            assert_eq!(revision(&database), "2");
            let marked = database.sql("SELECT value FROM meta WHERE name = 'restored_at'");
            let marked = marked.parse().unwrap();
            let after = database.sql(now).parse().unwrap();
            assert!(
                (last + 1..after).contains(&marked),
                "{last} {marked} {after}"
            );
            last = marked;
        }
        let store = database.open("node-1").await;
        let marks = store.marks().await.unwrap();
        assert_eq!(marks.restored_at.unwrap().as_micros(), last);
    });
}
