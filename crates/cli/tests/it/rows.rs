//! Rows of a real server's file, put back and changed with SQL: refused, or named by the verifier.

use std::path::Path;
use std::process::Output;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use scaivault_crypto::root::key_file;
use scaivault_crypto::{Keyring, RootKey};
use scaivault_store::audit::mac_message;
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
    RowKey::of(&chain_key(data, &root))
}

fn chain_key(data: &Path, root: &RootKey) -> Mac {
    let store = OfflineStore::open(&data.join("scaivault.db")).expect("the store");
    let keyring = Keyring::unlock(root, &store.keys().expect("its keys"));
    Mac(keyring.expect("they are unlocked"))
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

/// As a release before codes left it: documents without them, and heads that do not speak of them.
fn as_an_earlier_release(data: &Path) {
    let root = key_file::load(&data.join("root.key")).expect("the root key");
    let mac = chain_key(data, &root);
    let conn = open(data);
    let tables = "SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                  WHERE t.type = 'table' AND c.name = 'doc' AND t.name <> 'keyring'";
    let mut tables = conn.prepare(tables).expect("the tables");
    let tables = tables.query_map([], |row| row.get::<_, String>(0));
    for table in tables
        .expect("the tables")
        .map(|name| name.expect("a name"))
    {
        let plain = format!("UPDATE {table} SET doc = substr(doc, 1, length(doc) - 40) || '}}'");
        conn.execute(&plain, []).expect("it is written");
    }
    let ends = "SELECT chain, first_seq, first_seq + rows - 1, head FROM audit_segment";
    let mut ends = conn.prepare(ends).expect("the segments");
    let ends = ends.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let ends: Vec<(String, i64, i64, [u8; 32])> = ends
        .expect("the segments")
        .map(|end| end.expect("an end"))
        .collect();
    for (chain, first, last, head) in ends {
        let code = mac.mac(&mac_message(
            &chain,
            first.unsigned_abs(),
            last.unsigned_abs(),
            &head,
        ));
        for table in ["audit_segment", "store_head"] {
            let sql = format!("UPDATE {table} SET mac = ?1 WHERE first_seq = ?2");
            conn.execute(&sql, (&code[..], first))
                .expect("it is written");
        }
    }
}

/// The upgrade is one step of the operator's, which the refused start names, and the trail tells of.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_earlier_release_is_signed_by_a_word() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    let made = server
        .root()
        .put("/v1/secrets/app/db", json!({ "data": { "k": "kept" } }))
        .await;
    made.ok(201);
    server.stop().await;
    as_an_earlier_release(data.path());
    let home = tempfile::tempdir().expect("a directory");
    let ran = |arguments: &[&str]| {
        let mut command = scaivault(home.path());
        command.args(arguments).arg("--data").arg(data.path());
        let pipe = std::process::Stdio::piped;
        let child = command.stdout(pipe()).stderr(pipe()).spawn();
        let child = child.expect("it runs");
        let (id, (done, answer)) = (child.id().to_string(), mpsc::channel());
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(done) = answer.recv_timeout(Duration::from_secs(120)) else {
            // A server that serves such a store.
            let _ = std::process::Command::new("kill").arg(id).status();
            panic!("it goes on: {arguments:?}");
        };
        let done = done.expect("it ends");
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (started, said) = ran(&["dev", "--listen", "127.0.0.1:0"]);
    assert!(
        !started && said.contains("scaivault store sign-rows"),
        "{said}"
    );
    let (signed, said) = ran(&["store", "sign-rows"]);
    assert!(
        signed && said.contains("rows were given their codes"),
        "{said}"
    );
    let (signed, said) = ran(&["store", "sign-rows"]);
    assert!(signed && said.contains("nothing was done"), "{said}");
    let server = start(data.path()).await;
    let read = server.root().get("/v1/secrets/app/db").await.ok(200);
    assert_eq!(read["data"]["k"], "kept");
    let told = server.root().get("/v1/audit/logs?action=store_sign").await;
    let told = told.ok(200);
    let rows = told["logs"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{told}");
    assert_eq!(rows[0]["identity_id"], "system:operator");
    server.stop().await;
    assert!(verified(data.path()).0, "{}", verified(data.path()).1);
}
