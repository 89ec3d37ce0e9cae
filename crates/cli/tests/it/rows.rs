//! Rows of a real server's file, put back and changed with SQL: refused, or named by the verifier.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use scaivault_crypto::Keyring;
use scaivault_crypto::root::key_file;
use scaivault_store::rows::RowKey;
use scaivault_store::{ChainMac, OfflineStore};
use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::server::scaivault;

struct Mac(Keyring);

impl ChainMac for Mac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

/// The key of the rows of a store, which only the holder of its root key has.
pub(crate) fn row_key(data: &Path) -> RowKey {
    let root = key_file::load(&data.join("root.key")).expect("the root key");
    let store = OfflineStore::open(&data.join("scaivault.db")).expect("the store");
    let keyring = Keyring::unlock(&root, &store.keys().expect("its keys"));
    RowKey::of(&Mac(keyring.expect("they are unlocked")))
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("scaivault.db")).expect("the store's file")
}

async fn start(data: &Path) -> Server {
    Server::dev().data(data).start().await
}

/// What `audit verify` says of the file.
fn verified(data: &Path) -> (bool, String) {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = scaivault(home.path());
    command.args(["audit", "verify", "--database"]);
    command.arg(data.join("scaivault.db"));
    command.arg("--key-file").arg(data.join("root.key"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let said = [stdout, stderr].concat();
    (
        status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The rows of every table, as they are now.
fn keep(conn: &Connection, tables: &[&str]) {
    for table in tables {
        let sql = format!(
            "DROP TABLE IF EXISTS kept_{table}; CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}"
        );
        conn.execute_batch(&sql).expect("they are kept");
    }
}

/// Puts rows back to what was kept, and what they are now aside.
fn put_back(conn: &Connection, table: &str) {
    let sql = format!(
        "CREATE TEMP TABLE now AS SELECT * FROM {table};
         DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
    );
    conn.execute_batch(&sql).expect("they are put back");
}

fn undo(conn: &Connection, table: &str) {
    let sql = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM now; DROP TABLE now");
    conn.execute_batch(&sql).expect("as it was");
}

const TABLES: [&str; 7] = [
    "secret",
    "policy",
    "binding",
    "token",
    "rotation_policy",
    "secret_policy",
    "webhook",
];

/// What the trail says was changed, removed or revoked since cannot be put back unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_put_back_are_named() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    let root = server.root();
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v1" } }))
        .await
        .ok(201);
    let rules = |path: &str| json!([{ "path_pattern": path, "permissions": ["read"] }]);
    let policy = root
        .post(
            "/v1/policies",
            json!({ "name": "p", "rules": rules("app/**") }),
        )
        .await
        .ok(201);
    let policy = format!("/v1/policies/{}", id(&policy));
    let binding = root
        .post(
            &format!("{policy}/bindings"),
            json!({ "identity_id": "sa:mallory", "identity_type": "service_account" }),
        )
        .await;
    assert!(binding.status < 300, "{}", binding.text);
    let token = root
        .post("/v1/auth/tokens", json!({ "identity_type": "service_account", "identity_id": "sa:x", "scopes": ["secrets:read"] }))
        .await
        .ok(201);
    let rotates = root
        .post(
            "/v1/rotation/policies",
            json!({ "name": "r", "interval": "30d", "grace_period": "1h" }),
        )
        .await
        .ok(201);
    let webhook = root
        .post(
            "/v1/webhooks",
            json!({ "name": "w", "url": "http://127.0.0.1:9/", "events": ["secret.updated"],
                    "secret": "0123456789abcdef0123456789abcdef" }),
        )
        .await
        .ok(201);
    server.stop().await;
    assert!(verified(data.path()).0, "{}", verified(data.path()).1);

    let conn = open(data.path());
    keep(&conn, &TABLES);
    let server = start(data.path()).await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v2" } }))
        .await
        .ok(200);
    root.put(&policy, json!({ "name": "p", "rules": rules("app/other") }))
        .await
        .ok(200);
    let bound = binding.body["id"].as_str().expect("an id").to_owned();
    let unbound = root.delete(&format!("{policy}/bindings/{bound}")).await;
    assert!(unbound.status < 300, "{}", unbound.text);
    let revoked = root
        .delete(&format!("/v1/auth/tokens/{}", id(&token)))
        .await;
    assert!(revoked.status < 300, "{}", revoked.text);
    let changed = root
        .patch(
            &format!("/v1/rotation/policies/{}", id(&rotates)),
            json!({ "grace_period": "2h" }),
        )
        .await;
    assert!(changed.status < 300, "{}", changed.text);
    let gone = root.delete(&format!("/v1/webhooks/{}", id(&webhook))).await;
    assert!(gone.status < 300, "{}", gone.text);
    server.stop().await;
    let (whole, said) = verified(data.path());
    assert!(whole, "{said}");

    for (table, reason) in [
        ("secret", "older than the audit trail says"),
        ("policy", "older than the audit trail says"),
        ("binding", "removed according to the audit trail"),
        ("token", "older than the audit trail says"),
        ("rotation_policy", "older than the audit trail says"),
        ("webhook", "removed according to the audit trail"),
    ] {
        put_back(&conn, table);
        let (whole, said) = verified(data.path());
        assert!(!whole, "{table}: {said}");
        assert!(said.contains(&format!("row {table} ")), "{table}: {said}");
        assert!(said.contains(reason), "{table}: {said}");
        undo(&conn, table);
    }
    assert!(verified(data.path()).0);
}

/// A policy that was made to allow more opens nothing, and the answer says nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_edited_allows_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    let root = server.root();
    root.put(
        "/v1/secrets/app/db",
        json!({ "data": { "k": "kept-from-mallory" } }),
    )
    .await
    .ok(201);
    let policy = json!({ "name": "p", "rules": [{ "path_pattern": "mallory/**", "permissions": ["read"] }] });
    let policy = root.post("/v1/policies", policy).await.ok(201);
    let policy = format!("/v1/policies/{}", policy["id"].as_str().expect("an id"));
    let to = json!({ "identity_id": "sa:mallory", "identity_type": "service_account" });
    root.post(&format!("{policy}/bindings"), to).await;
    let made = json!({ "identity_type": "service_account", "identity_id": "sa:mallory", "scopes": ["secrets:read"] });
    let token = root.post("/v1/auth/tokens", made).await.ok(201);
    let token = token["token"].as_str().expect("a token").to_owned();
    server.stop().await;
    let conn = open(data.path());
    let sql = "UPDATE policy SET doc = replace(doc, 'mallory/**', 'app/**')";
    assert!(conn.execute(sql, []).expect("it is written") > 0);
    let server = start(data.path()).await;
    let mallory = server.root().with_token(&token);
    let reply = mallory.get("/v1/secrets/app/db").await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert!(!reply.text.contains("kept-from-mallory"));
    let metrics = server.root().get("/v1/metrics").await.text;
    let refused = metrics
        .lines()
        .find(|line| line.starts_with("scaivault_store_rows_refused "));
    assert!(
        refused.is_some_and(|line| !line.ends_with(" 0")),
        "{metrics}"
    );
    // Taking all codes away is no way around: the trail says that all rows have theirs.
    server.stop().await;
    let sql = "UPDATE policy SET doc = substr(doc, 1, length(doc) - 40) || '}'";
    conn.execute(sql, []).expect("it is written");
    let server = start(data.path()).await;
    let reply = server
        .root()
        .with_token(&token)
        .get("/v1/secrets/app/db")
        .await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    server.stop().await;
    let (whole, said) = verified(data.path());
    assert!(!whole && said.contains("no code"), "{said}");
}
