//! A breach of each promise, planted: in the record of what was answered, in what is said to be
//! there, or at the service. Each must be told of, in words of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::checker::{self, Stored};
use crate::client::Client;
use crate::clients;
use crate::harness::{Api, Reply, SOON, eventually};
use crate::load;
use crate::random::Random;
use crate::record::{HOLDS_AFTER, Outcome, Read, Record, Write};
use crate::rights;
use crate::rotated::{self, Rotated};

/// What was told, all of which must contain these.
#[track_caller]
fn told(lies: &Record, breaches: &[&str]) {
    let told = lies.all_broken().join("\n");
    for breach in breaches {
        assert!(told.contains(breach), "{breach} was not seen: {told:?}");
    }
}

/// All of them, in a vault where nothing else happens any more and this was written.
pub(crate) async fn each_is_seen(roots: &[Api], real: &Write, rotated: &Arc<Rotated>) {
    of_the_record(roots, real, rotated).await;
    of_what_is_there();
    of_versions_of_rotations();
    of_the_trail();
    of_a_panic().await;
    of_an_error();
    of_a_stale_read(roots, real).await;
    of_a_right_that_stays(roots, real).await;
    // From here on the service is not what it was.
    of_a_rotation_without_end(&roots[0], rotated).await;
    of_keys(roots, rotated).await;
    of_a_refused_consumer(roots, rotated).await;
}

fn client(roots: &[Api], lies: &Arc<Record>) -> Client {
    Client::new(roots.to_vec(), Random::new(1), Arc::clone(lies))
}

/// Answers that were never given, against the real vault.
async fn of_the_record(roots: &[Api], real: &Write, rotated: &Rotated) {
    let lies = Record::default();
    let lie = |value: &str, outcome, version| {
        lies.wrote(lies.writes(&real.path, value), outcome, version);
    };
    lie("never", Outcome::Acknowledged, Some(1));
    lie(&real.value, Outcome::Refused, None);
    lies.read(Read {
        path: real.path.clone(),
        version: 1,
        value: "never".to_owned(),
        request_id: "req_never".to_owned(),
    });
    {
        let mut told = rotated.told.lock().expect("nobody panics holding it");
        told.insert("rtn_never".to_owned());
    }
    checker::faithful(roots, &lies, rotated).await;
    {
        let mut told = rotated.told.lock().expect("nobody panics holding it");
        told.remove("rtn_never");
    }
    told(
        &lies,
        &[
            "\"never\" was Acknowledged as Some(1), is at []",
            "was Refused as None, is at [1]",
            "value: \"never\"",
            "nobody wrote",
            "1 values without a row",
            "rotation rtn_never is lost",
        ],
    );
}

/// What was answered, and another state of the vault.
fn of_what_is_there() {
    let lies = Record::default();
    let write = |value: &str, outcome, version| Write {
        path: "p".to_owned(),
        value: value.to_owned(),
        outcome,
        version,
    };
    let writes = [
        write("a", Outcome::Acknowledged, Some(1)),
        write("b", Outcome::Acknowledged, Some(1)),
        write("c", Outcome::Unknown, None),
    ];
    let versions = [(1, "a"), (3, "c"), (4, "c")];
    let versions: BTreeMap<u64, String> = versions.map(|(at, one)| (at, one.to_owned())).into();
    let stored = Stored::from([("p".to_owned(), versions)]);
    checker::of_writes(&lies, &writes, &stored);
    // Two who read one version of a value that the vault made.
    let read = |value: &str| Read {
        path: "rotated".to_owned(),
        version: 2,
        value: value.to_owned(),
        request_id: String::new(),
    };
    checker::of_reads(&lies, &[read("one"), read("another")], &stored);
    load::follows(&lies, "p", 3, 5);
    told(
        &lies,
        &[
            "\"b\" was Acknowledged as Some(1), is at []",
            "\"c\" was Unknown as None, is at [3, 4]",
            "p: not all of [1, 3, 4]",
            "Some(\"one\") is there",
            "p: written on 3, became 5",
        ],
    );
    assert_eq!(lies.all_broken().len(), 5, "{:?}", lies.all_broken());
}

fn of_versions_of_rotations() {
    let of = |version: u64, promoted: Value| json!({ "secret_path": "p", "new_version": version, "promoted_at": promoted });
    let right = [
        of(2, json!("then")),
        of(3, json!("now")),
        of(3, Value::Null),
    ];
    let truth = Record::default();
    checker::of_versions(&truth, "p", &right, 3);
    assert_eq!(truth.all_broken(), [""; 0]);
    let lies = Record::default();
    let twice = [of(2, json!("then")), of(2, json!("now"))];
    checker::of_versions(&lies, "p", &twice, 4);
    told(
        &lies,
        &[
            "p: two rotations made one version",
            "p: v4 is of no rotation",
        ],
    );
}

fn of_the_trail() {
    let lies = Record::default();
    checker::of_trail(&lies, &json!({ "valid": true, "rows": 7 }));
    assert_eq!(lies.all_broken(), [""; 0]);
    checker::of_trail(&lies, &json!({ "valid": false, "rows": 7 }));
    told(&lies, &["the audit trail"]);
}

async fn of_a_panic() {
    let lies = Record::default();
    let mut some = JoinSet::new();
    let panics = some.spawn(async { panic!("{} of the test itself", "on purpose") });
    some.spawn(std::future::pending());
    eventually("it panics", SOON, async || {
        panics.is_finished().then_some(())
    })
    .await;
    clients::stop(&mut some, &lies).await;
    told(&lies, &["a client panicked: on purpose of the test itself"]);
}

fn of_an_error() {
    let lies = Record::default();
    let reply = |status: u16, code: &str| {
        let body = json!({ "error": { "code": code, "message": "why" } });
        Reply::new(String::new(), status, Default::default(), body.to_string())
    };
    lies.refused(&reply(503, "service_unavailable"));
    lies.refused(&reply(409, "version_conflict"));
    assert_eq!(lies.all_broken(), [""; 0]);
    lies.refused(&reply(500, "internal_error"));
    told(&lies, &["answered 500"]);
}

/// Versions that were never written count as acknowledged.
async fn of_a_stale_read(roots: &[Api], real: &Write) {
    let lies = Arc::new(Record::default());
    for path in [real.path.as_str(), "load/never"] {
        let number = lies.writes(path, "never");
        lies.wrote(number, Outcome::Acknowledged, Some(1_000_000));
    }
    let mut client = client(roots, &lies);
    // The promise is about a time: nothing is owed before.
    load::get(&mut client, &real.path).await;
    assert_eq!(lies.all_broken(), [""; 0]);
    tokio::time::sleep(HOLDS_AFTER).await;
    load::get(&mut client, &real.path).await;
    load::get(&mut client, "load/never").await;
    told(
        &lies,
        &[
            &format!("{}: v1000000 was acknowledged, v", real.path),
            "load/never: v1000000 was acknowledged, v0 was read",
        ],
    );
}

/// Somebody whose right was not taken reads on.
async fn of_a_right_that_stays(roots: &[Api], real: &Write) {
    let lies = Arc::new(Record::default());
    let mut reader = client(roots, &lies);
    let of = format!("/v1/secrets/{}", real.path);
    rights::holds(&mut reader, &of, &[200], "granted").await;
    assert_eq!(lies.all_broken(), [""; 0]);
    rights::holds(&mut reader, &of, &[401], "revoked").await;
    rights::holds(&mut reader, &of, &[403], "unbound").await;
    told(
        &lies,
        &[
            "revoked a second ago, answered 200",
            "unbound a second ago, answered 200",
        ],
    );
}

/// The service does not answer.
async fn of_a_rotation_without_end(root: &Api, rotated: &Rotated) {
    let lies = Record::default();
    rotated.keys.hold(true);
    let rotate = format!("/v1/secrets/{}/rotate", rotated.key_paths[0]);
    root.post_empty(&rotate).await.ok(202);
    checker::rest(root, &lies, Duration::ZERO).await;
    rotated.keys.hold(false);
    rotated.keys.release();
    told(&lies, &["1 rotations never end"]);
}

/// A step was done twice at the service, which leaves a key that nobody has.
async fn of_keys(roots: &[Api], rotated: &Rotated) {
    let lies = Record::default();
    rotated.keys.mint_again();
    checker::nothing_left(&roots[0], &lies, rotated, Duration::ZERO).await;
    checker::faithful(roots, &lies, rotated).await;
    told(&lies, &["are held, {", "minted twice: ["]);
}

/// What readers are given lets nobody in.
async fn of_a_refused_consumer(roots: &[Api], rotated: &Arc<Rotated>) {
    let lies = Arc::new(Record::default());
    rotated.keys.revoke_all();
    let path = rotated.key_paths[1].clone();
    let consumer = rotated::consume(client(roots, &lies), path.clone(), Arc::clone(rotated));
    let mut consuming = JoinSet::new();
    consuming.spawn(consumer);
    eventually("the consumer tells", SOON, async || {
        let told = lies.all_broken().join("\n");
        told.contains("are refused by the target").then_some(())
    })
    .await;
    clients::stop(&mut consuming, &lies).await;
    checker::faithful(roots, &lies, rotated).await;
    told(&lies, &[&format!("{path}: v"), "is not let in"]);
}
