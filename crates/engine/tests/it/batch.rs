//! Many secrets in one call: each as if asked for alone, all of it in one commit.

use std::collections::BTreeMap;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{ConsumerReads, UnitName};
use scaivault_engine::{
    BATCH_BYTES_MAX, BatchRead, BatchRefusal, Caller, SecretQuery, SecretWrite, Vault, VaultError,
    default_tenant,
};
use scaivault_testkit::{Fault, SeededEntropy, When};

use crate::world::{
    DAY, RECEIVER, World, caller, object, password, path, root, scoped, span, write_of,
};

fn asking(paths: &[&str]) -> BatchRead {
    BatchRead {
        paths: paths.iter().map(|at| path(at)).collect(),
        ..BatchRead::default()
    }
}

type Outcome = (String, Result<String, String>);

/// What a batch that everybody admits answers.
async fn read(vault: &Vault, who: &Caller, batch: &BatchRead) -> Vec<Outcome> {
    let admit = |_| Ok::<_, ()>(());
    let outcomes = vault.secret_read_batch(who, batch, admit).await.unwrap();
    let text = |(path, outcome): (SecretPath, Result<scaivault_engine::ReadSecret, VaultError>)| {
        let outcome = outcome.map(|secret| password(secret.value()));
        let outcome = outcome.map_err(|error| error.code().to_owned());
        (path.as_str().to_owned(), outcome)
    };
    outcomes.into_iter().map(text).collect()
}

fn ok(at: &str, value: &str) -> Outcome {
    (at.to_owned(), Ok(value.to_owned()))
}

fn err(at: &str, code: &str) -> Outcome {
    (at.to_owned(), Err(code.to_owned()))
}

/// Four secrets of which the reader may read two.
async fn world() -> (World, Caller) {
    let w = World::new().await;
    for at in ["app/a", "app/b", "other/c", "app/gone"] {
        w.put(at, at).await;
    }
    w.vault
        .secret_delete(&root(), &path("app/gone"), false)
        .await
        .unwrap();
    w.grant("sa:reader", "app/*", &[Permission::Read, Permission::List])
        .await;
    (w, caller("sa:reader"))
}

#[tokio::test]
async fn each_path_is_answered_by_itself_in_one_commit() {
    let (w, reader) = world().await;
    w.hear_all().await;
    let rows_before = w.audit().await.len();
    let commits_before = w.store.commits(UnitName::AuditOnly);
    let batch = asking(&["app/b", "other/c", "app/none", "app/a", "app/gone"]);
    let answer = read(&w.vault, &reader, &batch).await;
    assert_eq!(
        answer,
        [
            ok("app/b", "app/b"),
            err("other/c", "access_denied"),
            err("app/none", "secret_not_found"),
            ok("app/a", "app/a"),
            err("app/gone", "secret_not_found"),
        ]
    );
    assert_eq!(w.store.commits(UnitName::AuditOnly), commits_before + 1);
    let rows = w.audit().await.split_off(rows_before);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.action, Action::Read);
            let at = row.secret_path.as_ref().unwrap().as_str();
            (
                at,
                row.success,
                row.extra_data.version,
                row.extra_data.error.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("app/b", true, Some(1), None),
            ("other/c", false, None, Some("access_denied")),
            ("app/none", false, None, Some("secret_not_found")),
            ("app/a", true, Some(1), None),
            ("app/gone", false, None, Some("secret_not_found")),
        ]
    );
    for (at, readers) in [("app/a", 1), ("app/b", 1), ("other/c", 0)] {
        let of = path(at);
        let ledger = ConsumerReads::consumer_list(&*w.sqlite, &default_tenant(), &of).await;
        assert_eq!(ledger.unwrap().len(), readers, "{at}");
    }
    w.work().await;
    assert_eq!(w.told_of(RECEIVER, EventType::SecretAccessed).len(), 2);
    assert_eq!(w.told_of(RECEIVER, EventType::PolicyViolation).len(), 1);
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn who_is_not_admitted_gets_nothing_and_only_refusals_are_noted() {
    let (w, reader) = world().await;
    let rows_before = w.audit().await.len();
    let batch = asking(&["app/a", "other/c", "app/b"]);
    let mut asked = None;
    let admit = |reads| {
        asked = Some(reads);
        Err("too many")
    };
    let refused = w
        .vault
        .secret_read_batch(&reader, &batch, admit)
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, BatchRefusal::NotAdmitted("too many")));
    assert_eq!(asked, Some(2), "one for each value that would leave");
    let rows = w.audit().await.split_off(rows_before);
    let noted: Vec<_> = rows.iter().map(|row| row.success).collect();
    assert_eq!(noted, [false]);
    let ledger = ConsumerReads::consumer_list(&*w.sqlite, &default_tenant(), &path("app/a")).await;
    assert!(ledger.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_leaves_before_the_trail_has_it() {
    let (w, reader) = world().await;
    w.store.arm(UnitName::AuditOnly, When::Every, Fault::Unit);
    let admit = |_| Ok::<_, ()>(());
    let batch = asking(&["app/a", "app/b"]);
    let refused = w
        .vault
        .secret_read_batch(&reader, &batch, admit)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(refused, BatchRefusal::Whole(VaultError::Unavailable(_))),
        "{refused:?}"
    );
    w.store.disarm();
    assert_eq!(read(&w.vault, &reader, &batch).await.len(), 2);
}

#[tokio::test]
async fn the_first_failure_can_end_it() {
    let (w, reader) = world().await;
    let rows_before = w.audit().await.len();
    let batch = BatchRead {
        fail_fast: true,
        ..asking(&["app/a", "other/c", "app/none"])
    };
    let admit = |_| -> Result<(), ()> { panic!("nothing leaves") };
    let refused = w
        .vault
        .secret_read_batch(&reader, &batch, admit)
        .await
        .err()
        .unwrap();
    let BatchRefusal::At(at, VaultError::Denied(_)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(at.as_str(), "other/c");
    let rows = w.audit().await.split_off(rows_before);
    assert_eq!(rows.len(), 1, "the value before it did not leave");
    assert_eq!(rows[0].extra_data.error.as_deref(), Some("access_denied"));
    // Without the scope it is refused as a whole, and nothing is looked at.
    let lister = scoped("sa:reader", &[Scope::SecretsList]);
    let refused = w
        .vault
        .secret_read_batch(&lister, &batch, |_| Ok::<_, ()>(()))
        .await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(refused, BatchRefusal::Whole(VaultError::Scope(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn one_version_of_each() {
    let (w, reader) = world().await;
    w.put("app/a", "second").await;
    let batch = BatchRead {
        version: Some(2),
        ..asking(&["app/a", "app/b"])
    };
    let answer = read(&w.vault, &reader, &batch).await;
    assert_eq!(
        answer,
        [ok("app/a", "second"), err("app/b", "version_not_found")]
    );
    let batch = BatchRead {
        version: Some(1),
        ..batch
    };
    let answer = read(&w.vault, &reader, &batch).await;
    assert_eq!(answer, [ok("app/a", "app/a"), ok("app/b", "app/b")]);
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let (w, reader) = world().await;
    let large = "x".repeat(BATCH_BYTES_MAX / 3);
    for at in ["app/l1", "app/l2", "app/l3"] {
        w.put(at, &large).await;
    }
    let batch = asking(&["app/l1", "app/l2", "app/l3", "app/a"]);
    let answer = read(&w.vault, &reader, &batch).await;
    let short: Vec<_> = answer
        .iter()
        .map(|(_, outcome)| outcome.as_ref().map(String::len))
        .collect();
    let full = "payload_too_large".to_owned();
    assert_eq!(short, [Ok(large.len()), Ok(large.len()), Err(&full), Ok(5)]);
    // What did not leave is no read of anybody.
    let ledger = ConsumerReads::consumer_list(&*w.sqlite, &default_tenant(), &path("app/l3")).await;
    assert!(ledger.unwrap().is_empty());
    assert_eq!(w.read(&reader, "app/l3", None).await.unwrap(), large);
}

#[tokio::test]
async fn metadata_by_name_and_by_pattern() {
    let (w, _) = world().await;
    w.read(&root(), "app/a", None).await.unwrap();
    let lister = scoped("sa:reader", &[Scope::SecretsList]);
    let paths = ["app/a", "other/c", "app/none"].map(path);
    let commits_before = w.store.commits(UnitName::AuditOnly);
    let outcomes = w
        .vault
        .secret_details_batch(&lister, &paths, false)
        .await
        .unwrap();
    assert_eq!(w.store.commits(UnitName::AuditOnly), commits_before + 1);
    for (at, outcome) in outcomes {
        let alone = w.vault.secret_details(&lister, &at).await;
        match (outcome, alone) {
            (Ok(one), Ok(other)) => assert_eq!(
                (one.head, one.version_count, one.last_accessed_at),
                (other.head, other.version_count, other.last_accessed_at)
            ),
            (one, other) => assert_eq!(one.err(), other.err()),
        }
    }
    for n in 0..7 {
        w.put(&format!("app/n{n}"), "v").await;
        w.put(&format!("hidden/n{n}"), "v").await;
    }
    let patterns = ["app/n?", "*/b", "hidden/*"].map(|text| PathPattern::parse(text).unwrap());
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = w
            .vault
            .secret_details_matching(&lister, &patterns, after.as_deref(), 3);
        let page = page.await.unwrap();
        assert!(page.secrets.len() <= 3);
        found.extend(
            page.secrets
                .into_iter()
                .map(|details| details.head.path.as_str().to_owned()),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expect = [
        "app/b", "app/n0", "app/n1", "app/n2", "app/n3", "app/n4", "app/n5", "app/n6",
    ];
    assert_eq!(found, expect);
    let reads_only = scoped("sa:reader", &[Scope::SecretsRead]);
    let refused = w
        .vault
        .secret_details_matching(&reads_only, &patterns, None, 3)
        .await;
    assert_eq!(refused.err(), Some(VaultError::Scope(Scope::SecretsList)));
}

const SEGMENTS: [&str; 3] = ["a", "b", "c"];

fn random_path(random: &SeededEntropy) -> String {
    let depth = 1 + random.below(3);
    let word = |_| SEGMENTS[usize::try_from(random.below(3)).unwrap()];
    (0..depth).map(word).collect::<Vec<_>>().join("/")
}

fn random_pattern(random: &SeededEntropy) -> String {
    let depth = 1 + random.below(3);
    let word = |_| ["a", "b", "c", "*", "**", "?"][usize::try_from(random.below(6)).unwrap()];
    (0..depth).map(word).collect::<Vec<_>>().join("/")
}

/// Whatever the policies, the versions and the deletions: a batch answers what calls for each path
/// alone do, values, metadata and codes; and lists show what may be listed, no more.
#[tokio::test]
async fn a_batch_is_its_singles() {
    let mut values = 0;
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..24 {
        let w = World::seeded(seed).await;
        let random = SeededEntropy::new(seed ^ 0xba7c);
        let all: Vec<String> = (0..60).map(|_| random_path(&random)).collect();
        for at in &all {
            let ends = random.below(6) == 0;
            let write = SecretWrite {
                data: object(&format!("{at} {}", random.below(100))),
                expires_in: ends.then(|| span("1d")),
                ..write_of(at, "")
            };
            w.vault.secret_write(&root(), write).await.unwrap();
        }
        for at in &all {
            if random.below(7) == 0 {
                let _ = w
                    .vault
                    .secret_delete(&root(), &path(at), random.below(2) == 0)
                    .await;
            }
        }
        for _ in 0..2 + random.below(4) {
            let permissions = match random.below(3) {
                0 => vec![Permission::Read],
                1 => vec![Permission::List],
                _ => vec![Permission::Read, Permission::List],
            };
            w.grant("sa:random", &random_pattern(&random), &permissions)
                .await;
        }
        w.clock.advance(DAY);
        let who = caller("sa:random");
        let mut paths: Vec<SecretPath> = Vec::new();
        for at in (0..40).map(|_| path(&random_path(&random))) {
            if !paths.contains(&at) {
                paths.push(at);
            }
        }
        let version = [None, None, Some(1), Some(2)][usize::try_from(random.below(4)).unwrap()];
        let batch = BatchRead {
            paths: paths.clone(),
            version,
            fail_fast: false,
        };
        for (at, outcome) in read(&w.vault, &who, &batch).await {
            let alone = w.read(&who, &at, version).await;
            let alone = alone.map_err(|error| error.code().to_owned());
            assert_eq!(outcome, alone, "seed {seed}, {at}, version {version:?}");
            match outcome {
                Ok(_) => values += 1,
                Err(code) => *codes.entry(code).or_default() += 1,
            }
        }
        let details = w
            .vault
            .secret_details_batch(&who, &paths, false)
            .await
            .unwrap();
        let mut listable: Vec<String> = Vec::new();
        for (at, outcome) in details {
            let alone = w.vault.secret_details(&who, &at).await;
            if outcome.is_ok() {
                listable.push(at.as_str().to_owned());
            }
            let key =
                |details: scaivault_engine::SecretDetails| (details.head, details.version_count);
            assert_eq!(outcome.map(key), alone.map(key), "seed {seed}, {at}");
        }
        listable.sort();
        let page = w
            .vault
            .secret_list(&who, &SecretQuery::default(), None, 1_000)
            .await
            .unwrap();
        let listed: Vec<String> = page
            .secrets
            .iter()
            .map(|(head, _)| head.path.as_str().to_owned())
            .filter(|at| paths.contains(&path(at)))
            .collect();
        assert_eq!(listed, listable, "seed {seed}");
    }
    assert!(values > 50, "{values}");
    for code in ["access_denied", "secret_not_found", "secret_expired"] {
        assert!(
            codes.get(code).is_some_and(|times| *times > 10),
            "{codes:?}"
        );
    }
}
