//! Old audit rows go, and what is left still proves itself.

use std::path::Path;

use rusqlite::Connection;
use scaivault_core::audit::Action;
use scaivault_core::audit_anchor::{ExportedEnd, ExportedEnds};
use scaivault_core::ports::{AuditReads, UnitName};
use scaivault_engine::VaultError;
use scaivault_store::SqliteOptions;
use scaivault_testkit::{Fault, When};

use crate::world::{DAY, World, path, root};

/// Runs to rest; answers how many rows went, and in how many commits.
async fn prune(world: &World, exported: Option<&ExportedEnds>) -> (u64, u64) {
    let (mut rows, mut commits) = (0, 0);
    loop {
        match world
            .vault
            .audit_prune_run_once(400 * DAY, exported)
            .await
            .unwrap()
        {
            0 => return (rows, commits),
            gone => (rows, commits) = (rows + gone, commits + 1),
        }
    }
}

#[tokio::test]
async fn rows_go_after_their_time_and_what_is_left_verifies() {
    let world = World::new().await;
    for n in 0..20 {
        world.put(&format!("app/n{n}"), "old").await;
    }
    world.read(&root(), "app/n1", None).await.unwrap();
    let old = world.audit().await.len() as u64;
    world.clock.advance(399 * DAY);
    assert_eq!(prune(&world, None).await, (0, 0));
    assert_eq!(
        world.audit().await.len() as u64,
        old,
        "nothing is told where nothing went"
    );
    world.clock.advance(2 * DAY);
    world.put("app/young", "new").await;
    // Not what is not exported.
    assert_eq!(prune(&world, Some(&ExportedEnds::new())).await, (0, 0));
    let (rows, commits) = prune(&world, None).await;
    assert_eq!((rows, commits), (old, 1));
    let left = world.audit().await;
    let actions: Vec<Action> = left.iter().map(|row| row.action).collect();
    assert_eq!(actions, [Action::Write, Action::AuditPrune]);
    let told = &left[1];
    assert_eq!(told.identity_id, "system:retention");
    assert_eq!(told.extra_data.count, Some(old));
    let report = AuditReads::audit_verify(&*world.sqlite).await.unwrap();
    assert_eq!((report.rows, report.first_bad), (2, None));
    let [removed] = report.removed.as_slice() else {
        panic!("{:?}", report.removed)
    };
    assert_eq!(removed.rows, old);
    assert_eq!(Some(&removed.last_id), told.extra_data.last_row_id.as_ref());
    assert_eq!(Some(&removed.head), told.extra_data.chain_head.as_ref());
    // Who holds what is known without the trail.
    let (_, consumers) = world
        .vault
        .secret_consumers(&root(), &path("app/n1"))
        .await
        .unwrap();
    assert_eq!(consumers.len(), 1);
    // It goes on: what says so goes in its turn.
    world.clock.advance(401 * DAY);
    world.put("app/younger", "new").await;
    assert_eq!(prune(&world, None).await, (3, 1));
    world.assert_chain_verifies().await;
}

#[tokio::test]
async fn a_row_that_others_removed_meanwhile_is_not_removed_twice() {
    let world = World::new().await;
    for n in 0..5 {
        world.put(&format!("app/n{n}"), "old").await;
    }
    world.clock.advance(401 * DAY);
    world.put("app/young", "new").await;
    let others = world.another_vault();
    let (one, two) = tokio::join!(
        world.vault.audit_prune_run_once(400 * DAY, None),
        others.audit_prune_run_once(400 * DAY, None),
    );
    let gone = |outcome: Result<u64, VaultError>| match outcome {
        Ok(rows) => rows,
        Err(VaultError::Unavailable(_)) => 0,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(gone(one) + gone(two), 5);
    world.assert_chain_verifies().await;
}

/// The commit is lost, or its answer: the rows go once, and one row says so.
#[tokio::test]
async fn a_lost_commit_removes_nothing_twice() {
    for fault in [Fault::Unit, Fault::Answer] {
        let world = World::new().await;
        for n in 0..5 {
            world.put(&format!("app/n{n}"), "old").await;
        }
        world.clock.advance(401 * DAY);
        world.put("app/young", "new").await;
        world.store.arm(UnitName::AuditPrune, When::Nth(1), fault);
        assert!(
            world
                .vault
                .audit_prune_run_once(400 * DAY, None)
                .await
                .is_err()
        );
        world.assert_chain_verifies().await;
        let (rows, _) = prune(&world, None).await;
        assert_eq!(rows, if fault == Fault::Unit { 5 } else { 0 });
        let left = world.audit().await;
        let told: Vec<_> = left
            .iter()
            .filter(|row| row.action == Action::AuditPrune)
            .collect();
        assert_eq!((left.len(), told.len()), (2, 1), "{fault:?}");
        world.assert_chain_verifies().await;
    }
}

/// Rows that are old enough to go, and one that is not, in a file that somebody else writes too.
async fn old_rows(directory: &Path, seed: u64) -> (World, Connection) {
    let file = directory.join(format!("{seed}.db"));
    let world = World::open(SqliteOptions::file(&file), seed).await;
    for n in 0..5 {
        world.put(&format!("app/n{n}"), "old").await;
    }
    world.clock.advance(401 * DAY);
    world.put("app/young", "new").await;
    (world, Connection::open(&file).unwrap())
}

/// What retention changes.
fn trail(conn: &Connection) -> Vec<(String, i64, Vec<u8>)> {
    let sql = "SELECT chain, first_seq, head FROM audit_segment
               UNION ALL SELECT chain, last_seq, code FROM audit_anchor ORDER BY 1, 2";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

async fn refused(world: &World) -> String {
    let outcome = world.vault.audit_prune_run_once(400 * DAY, None).await;
    outcome.unwrap_err().to_string()
}

/// The front cut by somebody without the key must not get the key's word for it.
#[tokio::test]
async fn a_made_up_anchor_is_not_made_genuine() {
    let cut = "INSERT INTO audit_anchor
                   SELECT chain, first_seq, first_seq + rows - 1, head, mac, 0, zeroblob(32)
                   FROM audit_segment WHERE first_seq = 1;
               DELETE FROM audit_segment WHERE first_seq = 1";
    let directory = tempfile::tempdir().unwrap();
    let (world, conn) = old_rows(directory.path(), 1).await;
    conn.execute_batch(cut).unwrap();
    let before = trail(&conn);
    let why = refused(&world).await;
    assert!(why.contains("audit_anchor"), "{why}");
    assert_eq!(trail(&conn), before);
    let report = AuditReads::audit_verify(&*world.sqlite).await.unwrap();
    assert_eq!(report.first_bad.unwrap().reason, "mac");
    // One that was genuine, and was moved along or changed.
    for (seed, tamper) in [
        (2, "UPDATE audit_anchor SET mac = zeroblob(32)"),
        (3, "UPDATE audit_anchor SET removed_at = removed_at + 1"),
        (
            4,
            "UPDATE audit_anchor SET (first_seq, last_seq, head, mac) =
                 (SELECT first_seq, first_seq + rows - 1, head, mac FROM audit_segment
                  ORDER BY first_seq LIMIT 1);
             DELETE FROM audit_segment
             WHERE first_seq = (SELECT first_seq FROM audit_anchor)",
        ),
    ] {
        let (world, conn) = old_rows(directory.path(), seed).await;
        assert_eq!(prune(&world, None).await, (5, 1));
        world.clock.advance(401 * DAY);
        world.put("app/younger", "new").await;
        conn.execute_batch(tamper).unwrap();
        let before = trail(&conn);
        let why = refused(&world).await;
        assert!(why.contains("audit_anchor"), "{tamper}: {why}");
        assert_eq!(trail(&conn), before, "{tamper}");
    }
}

/// How old a row is says the row.
#[tokio::test]
async fn rows_are_as_old_as_they_say_themselves() {
    for (seed, tamper) in [
        (1, "UPDATE audit_segment SET last_at = 0"),
        (2, "UPDATE audit_segment SET first_at = 0, last_at = 0"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (world, conn) = old_rows(directory.path(), seed).await;
        assert_eq!(prune(&world, None).await, (5, 1));
        world.put("app/younger", "new").await;
        conn.execute_batch(tamper).unwrap();
        let before = trail(&conn);
        let why = refused(&world).await;
        assert!(why.contains("audit_segment"), "{tamper}: {why}");
        assert_eq!(trail(&conn), before, "{tamper}");
    }
}

/// A chain that another key made codes for, beside this store's own.
#[tokio::test]
async fn a_chain_that_is_refused_keeps_no_other_from_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let (_, foreign) = old_rows(directory.path(), 1).await;
    drop(foreign);
    let (world, conn) = old_rows(directory.path(), 2).await;
    let file = directory.path().join("1.db");
    conn.execute("ATTACH ?1 AS other", [file.to_str().unwrap()])
        .unwrap();
    conn.execute_batch(
        "INSERT INTO audit_past SELECT chain, first_seq, last_seq, head, mac FROM other.store_head;
         INSERT INTO audit_segment (chain, first_seq, rows, first_at, last_at, prev, head, mac, links,
                                    body, place)
             SELECT chain, first_seq, rows, first_at, last_at, prev, head, mac, links, body, first_seq
             FROM other.audit_segment",
    )
    .unwrap();
    let foreign: String = conn
        .query_row("SELECT chain FROM audit_past", [], |row| row.get(0))
        .unwrap();
    let own: String = conn
        .query_row("SELECT chain FROM store_head", [], |row| row.get(0))
        .unwrap();
    assert!(
        foreign < own,
        "of two that are as old, the first by name is looked at first"
    );
    let of = |name: &str| -> usize {
        let rows = trail(&conn);
        rows.iter().filter(|row| row.0 == *name).count()
    };
    let kept = of(&foreign);
    let outcome = world.vault.audit_prune_run_once(400 * DAY, None).await;
    assert_eq!(outcome.unwrap(), 5);
    // With nothing left to remove it is said, and also where it is said how far each was exported.
    let why = refused(&world).await;
    assert!(why.contains(&foreign) && why.contains("mac"), "{why}");
    let end = ExportedEnd {
        last_seq: 99,
        head: None,
    };
    let ends = ExportedEnds::from([(foreign.clone(), end), (own, end)]);
    let outcome = world.vault.audit_prune_run_once(400 * DAY, Some(&ends));
    assert_eq!(outcome.await.unwrap_err().to_string(), why);
    assert_eq!(of(&foreign), kept);
}
