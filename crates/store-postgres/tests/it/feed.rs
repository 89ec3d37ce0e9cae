//! What one node hears of another's changes.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::ports::{ChangeFeed, Changes, Record, Store, Unit, UnitName};
use scaivault_store_postgres::PostgresStore;
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
        assert_eq!(heard, scheduled(&["s/1"]));
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
