//! What one node hears of another's changes.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::ports::{ChangeFeed, Changes, CommitError, Record, Store, Unit, UnitName};
use scaivault_store_postgres::{PostgresOptions, PostgresStore};
use scaivault_testkit::store_conformance::samples::{
    T0, assignment, audit, path, policy, rotation_policy, tenant, token,
};

use crate::database::{Database, RUNTIME};

async fn put(store: &PostgresStore, row: Record) {
    let unit = Unit::new(UnitName::SecretWrite).put(row);
    store.commit(unit).await.unwrap();
}

fn schedule(of: &str) -> Record {
    let policy = rotation_policy(&tenant("a"), "1");
    Record::Assignment(assignment(&policy, of, Some(T0)))
}

/// What putting [`schedule`]s tells.
fn scheduled(of: &[&str]) -> Changes {
    Changes {
        secrets: of.iter().map(|of| (tenant("a"), path(of))).collect(),
        work: true,
        ..Changes::default()
    }
}

#[test]
fn a_change_is_told_once_to_every_other_node() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let two = database.open("node-2").await;
        let three = database.open("node-3").await;
        for node in [&one, &two, &three] {
            assert!(node.look().await.unwrap().everything, "nothing is known");
            assert!(node.look().await.unwrap().is_empty());
        }
        put(&one, schedule("s/1")).await;
        put(&two, schedule("s/2")).await;
        put(&one, schedule("s/3")).await;
        assert_eq!(one.look().await.unwrap(), scheduled(&["s/2"]));
        assert_eq!(two.look().await.unwrap(), scheduled(&["s/1", "s/3"]));
        assert_eq!(
            three.look().await.unwrap(),
            scheduled(&["s/1", "s/2", "s/3"])
        );
        for node in [&one, &two, &three] {
            assert!(node.look().await.unwrap().is_empty(), "told already");
        }
        // A read changes nothing that anybody holds.
        let read = Unit::audit_only(audit(&tenant("a"), 1, "sa:app", Some("s/1")));
        one.commit(read).await.unwrap();
        assert!(two.look().await.unwrap().is_empty());
        let held = token(&tenant("a"), "1");
        put(&one, Record::Token(held.clone())).await;
        let tokens = Changes {
            tokens: BTreeSet::from([held.hash]),
            ..Changes::default()
        };
        assert_eq!(two.look().await.unwrap(), tokens);
        put(&two, Record::Policy(policy(&tenant("a"), "1"))).await;
        assert!(one.look().await.unwrap().grants);
    });
}

/// Two processes of one name, be it by mistake or while one replaces the other.
#[test]
fn a_process_hears_another_of_its_own_name() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let same = database.open("node-1").await;
        for node in [&one, &same] {
            node.look().await.unwrap();
        }
        put(&one, schedule("s/1")).await;
        assert!(one.look().await.unwrap().is_empty());
        assert_eq!(same.look().await.unwrap(), scheduled(&["s/1"]));
    });
}

#[test]
fn a_node_that_missed_something_forgets_everything() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let two = database.open("node-2").await;
        two.look().await.unwrap();
        put(&one, schedule("s/1")).await;
        put(&one, schedule("s/2")).await;
        // As if the first had been removed for its age.
        database.sql("DELETE FROM store_change WHERE batch = 1");
        database.sql("UPDATE store_head SET pruned = 1 WHERE node = 'node-1'");
        assert!(two.look().await.unwrap().everything);
        assert!(two.look().await.unwrap().is_empty());
        // A standby that had not all of it was promoted.
        database.sql("UPDATE store_head SET batch = 1 WHERE node = 'node-1'");
        assert!(two.look().await.unwrap().everything);
        // A document that a later release writes and nobody here can read.
        database.sql("UPDATE store_head SET batch = 9 WHERE node = 'node-1'");
        database.sql(
            "INSERT INTO store_change SELECT chain, 9, 'm', 'later' FROM store_head
             WHERE node = 'node-1'",
        );
        assert!(two.look().await.unwrap().everything);
    });
}

/// A node that begins tells what it does from its first number on: nobody has to forget anything.
#[test]
fn a_new_node_is_heard_from_its_first_change() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        one.look().await.unwrap();
        let two = database.open("node-2").await;
        put(&two, schedule("s/1")).await;
        put(&two, schedule("s/2")).await;
        assert_eq!(one.look().await.unwrap(), scheduled(&["s/1", "s/2"]));
        // Unless it does not tell all of it any more.
        let three = database.open("node-3").await;
        put(&three, schedule("s/3")).await;
        database.sql("UPDATE store_head SET pruned = 1 WHERE node = 'node-3'");
        assert!(one.look().await.unwrap().everything);
        assert!(one.look().await.unwrap().is_empty());
    });
}

/// What a node that stands still leaves is looked after by any other.
#[test]
fn a_chain_that_stands_still_is_tidied_up() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let still = database.open("node-1").await;
        let knows = database.open("node-2").await;
        let late = database.open("node-3").await;
        late.look().await.unwrap();
        for name in ["s/1", "s/2"] {
            let told = Unit::new(UnitName::SecretWrite)
                .put(schedule(name))
                .audited(audit(&tenant("a"), 1, "sa:app", Some(name)));
            still.commit(told).await.unwrap();
        }
        knows.look().await.unwrap();
        let tidy = PostgresOptions {
            tidy_every: Duration::from_millis(20),
            ..PostgresOptions::new(database.url(Database::port()), "node-4")
        };
        let _tidy = Database::open_with(tidy).await;
        database.await_value("SELECT count(*) FROM store_change", "0");
        database.await_value(
            "SELECT h.pruned = h.batch AND i.upto = h.last_seq FROM store_head h
             JOIN audit_indexed i USING (chain) WHERE node = 'node-1'",
            "t",
        );
        assert_eq!(database.sql("SELECT count(*) > 0 FROM audit_key"), "t");
        assert!(knows.look().await.unwrap().is_empty());
        assert!(late.look().await.unwrap().everything);
        // It was not gone.
        put(&still, schedule("s/3")).await;
        assert_eq!(knows.look().await.unwrap(), scheduled(&["s/3"]));
        assert_eq!(late.look().await.unwrap(), scheduled(&["s/3"]));
    });
}

#[test]
fn a_program_that_became_too_old_stops() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        store.look().await.unwrap();
        database.sql("UPDATE schema_revision SET needs = 99 WHERE revision = 1");
        let told = store.look().await.unwrap_err().to_string();
        assert!(told.contains("run the newer program"), "{told}");
        let unit = Unit::new(UnitName::SecretWrite).put(schedule("s/1"));
        let refused = store.commit(unit).await;
        assert!(
            matches!(&refused, Err(CommitError::Unavailable(why)) if told.contains(why)),
            "{refused:?}"
        );
        let trouble = store.health().await.trouble.unwrap();
        assert!(told.contains(&trouble), "{trouble}");
        assert!(store.look().await.is_err(), "as long as it is so");
        database.sql("UPDATE schema_revision SET needs = 1 WHERE revision = 1");
        store.look().await.unwrap();
        put(&store, schedule("s/1")).await;
        assert_eq!(store.health().await.trouble, None);
    });
}

/// What was read in the meantime may be of transactions that are gone.
#[test]
fn nothing_is_lost_with_the_connection() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let two = database.open("node-2").await;
        two.look().await.unwrap();
        put(&one, schedule("s/1")).await;
        assert!(database.end_sessions() > 0);
        let mut looks = 0;
        let heard = loop {
            looks += 1;
            assert!(looks < 10, "it goes on by itself");
            if let Ok(heard) = two.look().await {
                break heard;
            }
        };
        assert!(heard.everything);
        assert!(two.look().await.unwrap().is_empty());
    });
}

#[test]
fn news_come_without_looking() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let one = database.open("node-1").await;
        let two = database.open("node-2").await;
        two.look().await.unwrap();
        put(&one, schedule("s/1")).await;
        let heard = tokio::time::timeout(Duration::from_secs(30), two.news()).await;
        assert!(heard.is_ok(), "no notification");
        assert_eq!(two.look().await.unwrap(), scheduled(&["s/1"]));
    });
}
