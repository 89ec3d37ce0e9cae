//! Sealed fields of a real server's file, exchanged, altered and put back with SQL: nothing of them
//! comes out. The fields are found by their form in every column of every table, so one that is
//! added without a case here fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use scaivault_store::rows::{Place, RowKey};
use serde_json::{Value, json};

use crate::harness::{Receiver, SOON, Server, eventually};
use crate::rows::row_key;

/// Where sealed values are, by table, column and place in its document.
const KNOWN: [&str; 4] = [
    "subscription.doc/delivery/signing_secret",
    "version.sealed",
    "webhook.doc/previous_secret/0",
    "webhook.doc/signing_secret",
];

/// Columns of bytes that are not sealed: hashes, codes and links.
const BYTES: [&str; 14] = [
    "audit_anchor.code",
    "audit_anchor.head",
    "audit_anchor.mac",
    "secret_id.hash",
    "audit_segment.body",
    "audit_segment.head",
    "audit_segment.links",
    "audit_segment.mac",
    "audit_segment.prev",
    "store_head.head",
    "store_head.mac",
    "token.hash",
    "audit_past.head",
    "audit_past.mac",
];

const CANARY: &str = "opened-although-it-was-altered";

/// One sealed value: the row it is in, and where.
#[derive(Debug, Clone)]
struct Field {
    table: String,
    column: String,
    rowid: i64,
    /// Empty for a column of bytes, else a JSON pointer.
    pointer: String,
    bytes: Vec<u8>,
}

impl Field {
    fn place(&self) -> String {
        format!("{}.{}{}", self.table, self.column, self.pointer)
    }
}

/// An envelope as `docs/sealing.md` describes it.
fn is_sealed(bytes: &[u8]) -> bool {
    let [1, length, rest @ ..] = bytes else {
        return false;
    };
    let key = rest.get(..usize::from(*length)).unwrap_or_default();
    key.starts_with(b"key_") && bytes.len() >= 122 + key.len()
}

fn within(value: &Value, pointer: &str, found: &mut Vec<(String, Vec<u8>)>) {
    match value {
        Value::Array(all) => {
            let bytes = all.iter().map(|one| u8::try_from(one.as_u64()?).ok());
            match bytes.collect::<Option<Vec<u8>>>() {
                Some(bytes) if is_sealed(&bytes) => found.push((pointer.to_owned(), bytes)),
                _ => {
                    for (at, one) in all.iter().enumerate() {
                        within(one, &format!("{pointer}/{at}"), found);
                    }
                }
            }
        }
        Value::Object(all) => {
            for (name, one) in all {
                within(one, &format!("{pointer}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("scaivault.db")).expect("the store's file")
}

/// Every column of every table, with what it is declared as.
fn columns(conn: &Connection) -> Vec<(String, String, String)> {
    let sql = "SELECT t.name, c.name, c.type FROM sqlite_schema t JOIN pragma_table_info(t.name) c
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1, 2";
    let mut asked = conn.prepare(sql).expect("a statement");
    let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn fields(conn: &Connection) -> Vec<Field> {
    let mut fields = Vec::new();
    for (table, column, _) in columns(conn) {
        if table == "keyring" {
            continue; // keys, wrapped: another format, with cases of their own
        }
        let Ok(mut asked) = conn.prepare(&format!("SELECT rowid, {column} FROM {table}")) else {
            continue; // without rows of its own number: no documents in such tables
        };
        let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(i64, Cell)> = rows.expect("rows").map(|row| row.expect("a row")).collect();
        for (rowid, cell) in rows {
            let mut found = Vec::new();
            match cell {
                Cell::Blob(bytes) if is_sealed(&bytes) => found.push((String::new(), bytes)),
                Cell::Text(text) => {
                    if let Ok(document) = serde_json::from_str::<Value>(&text) {
                        within(&document, "", &mut found);
                    }
                }
                _ => {}
            }
            fields.extend(found.into_iter().map(|(pointer, bytes)| Field {
                table: table.clone(),
                column: column.clone(),
                rowid,
                pointer,
                bytes,
            }));
        }
    }
    fields
}

/// With a code for the document that is changed: it is the sealed value that is to refuse.
fn put(conn: &Connection, key: &RowKey, field: &Field, bytes: &[u8]) {
    let (table, column) = (&field.table, &field.column);
    if field.pointer.is_empty() {
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE rowid = ?2");
        conn.execute(&sql, (bytes, field.rowid))
            .expect("it is written");
        return;
    }
    let sql = format!("SELECT {column} FROM {table} WHERE rowid = ?1");
    let text: String = conn
        .query_row(&sql, [field.rowid], |row| row.get(0))
        .expect("a row");
    let mut document: Value = serde_json::from_str(&text).expect("a document");
    *document.pointer_mut(&field.pointer).expect("it is there") = json!(bytes);
    let sql = format!("UPDATE {table} SET {column} = ?1 WHERE rowid = ?2");
    document
        .as_object_mut()
        .and_then(|all| all.remove("~"))
        .expect("it has a code");
    let named = |name: &str| document[name].as_str().expect("a text").to_owned();
    let table = ["webhook", "subscription"]
        .into_iter()
        .find(|known| known == table)
        .expect("a table with sealed fields in its documents");
    let place = Place::new(table, named("tenant"), named("id"));
    let text = key.sealed(&place, document.to_string());
    conn.execute(&sql, (text.expect("an object"), field.rowid))
        .expect("it is written");
}

/// Secrets with several versions in two tenants, and receivers of both kinds.
struct Furnished {
    receiver: Receiver,
    /// Paths of the API at which a version is read.
    reads: Vec<(Option<String>, String)>,
    tests: Vec<String>,
}

async fn furnish(server: &Server) -> Furnished {
    let root = server.root();
    let receiver = Receiver::start().await;
    let partner = root
        .post("/v1/identity/partners", json!({ "name": "P" }))
        .await
        .ok(201);
    let body = json!({ "name": "T", "partner_id": partner["id"] });
    let tenant = root.post("/v1/identity/tenants", body).await.ok(201);
    let tenant = tenant["id"].as_str().expect("an id").to_owned();
    let mut reads = Vec::new();
    for owner in [None, Some(tenant)] {
        let api = owner
            .as_deref()
            .map_or(root.clone(), |tenant| root.in_tenant(tenant));
        for path in ["app/one", "app/two"] {
            for version in 1..=2 {
                let value = json!({ "data": { "k": CANARY, "v": version } });
                let put = api.put(&format!("/v1/secrets/{path}"), value).await;
                assert!(matches!(put.status, 200 | 201), "{}", put.text);
                reads.push((
                    owner.clone(),
                    format!("/v1/secrets/{path}?version={version}"),
                ));
            }
        }
    }
    let mut tests = Vec::new();
    for name in ["one", "two"] {
        let secret = format!("{name}-0123456789abcdef0123456789abcdef");
        let body = json!({ "name": name, "url": receiver.url(), "events": ["secret.updated"], "secret": secret });
        let made = root.post("/v1/webhooks", body).await.ok(201);
        let at = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
        root.patch(&at, json!({ "secret": format!("new-{secret}") }))
            .await
            .ok(200);
        tests.push(format!("{at}/test"));
        let body = json!({ "name": name, "paths": ["app/**"], "events": ["secret.updated"],
                           "delivery": { "type": "webhook", "url": receiver.url(), "secret": secret } });
        root.post("/v1/subscriptions", body).await.ok(201);
    }
    Furnished {
        receiver,
        reads,
        tests,
    }
}

async fn start(data: &Path) -> Server {
    Server::dev().data(data).start().await
}

/// How many of the values can be had; those that are not are refused as what they are.
async fn readable(server: &Server, reads: &[(Option<String>, String)]) -> usize {
    let mut had = 0;
    for (tenant, path) in reads {
        let api = tenant.as_deref().map_or(server.root().clone(), |tenant| {
            server.root().in_tenant(tenant)
        });
        let reply = api.get(path).await;
        if reply.status == 200 {
            assert_eq!(reply.body["data"]["k"], CANARY, "{path}");
            had += 1;
        } else {
            reply.clone().refused(500, "internal_error");
            assert!(!reply.text.contains(CANARY), "{}", reply.text);
        }
    }
    had
}

/// Runs a server over the file as it was altered: no value and no signature comes of it.
async fn nothing_opens(data: &Path, home: &Furnished, what: &str) {
    let server = start(data).await;
    assert_eq!(readable(&server, &home.reads).await, 0, "{what}");
    let before = home.receiver.received().len();
    for test in &home.tests {
        let tested = server.root().post(test, json!({})).await;
        assert!(
            tested.status >= 400 || tested.body["success"] == false,
            "{what}: {}",
            tested.text
        );
    }
    server.stop().await;
    assert_eq!(
        home.receiver.received().len(),
        before,
        "{what}: something was signed and sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_fields_open_only_where_they_were_sealed() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    let home = furnish(&server).await;
    assert_eq!(readable(&server, &home.reads).await, home.reads.len());
    eventually("deliveries are over", SOON, async || {
        let metrics = server.root().get("/v1/metrics").await;
        let pending = metrics.text.lines().any(|line| {
            line.contains("deliver") && line.contains("pending") && !line.ends_with(" 0")
        });
        (!pending).then_some(())
    })
    .await;
    server.stop().await;

    let (conn, key) = (open(data.path()), row_key(data.path()));
    let fields = fields(&conn);
    let places: BTreeSet<String> = fields.iter().map(Field::place).collect();
    assert_eq!(
        places.into_iter().collect::<Vec<_>>(),
        KNOWN,
        "a sealed field without a case, or a case without its field"
    );
    let bytes = columns(&conn)
        .into_iter()
        .filter(|(_, _, kind)| kind == "BLOB");
    let bytes: BTreeSet<String> = bytes
        .map(|(table, column, _)| format!("{table}.{column}"))
        .collect();
    let mut expect: BTreeSet<String> = BYTES.map(str::to_owned).into();
    expect.insert("version.sealed".to_owned());
    expect.retain(|name| bytes.contains(name) || !name.starts_with("audit_past"));
    assert_eq!(
        bytes, expect,
        "a column of bytes that is neither known nor looked at"
    );
    assert!(fields.len() >= 12, "{}", fields.len());
    drop(conn);

    // Every field with the bytes of every other: by turns, all are exchanged at once.
    for turn in 1..fields.len() {
        let conn = open(data.path());
        for (at, field) in fields.iter().enumerate() {
            put(
                &conn,
                &key,
                field,
                &fields[(at + turn) % fields.len()].bytes,
            );
        }
        drop(conn);
        nothing_opens(data.path(), &home, &format!("exchanged by {turn}")).await;
    }
    // A bit of every part of the envelope, another one in every field.
    let mut flipped: BTreeMap<usize, usize> = BTreeMap::new();
    for round in 0..8 {
        let conn = open(data.path());
        for (at, field) in fields.iter().enumerate() {
            let mut bytes = field.bytes.clone();
            let place = (round * bytes.len() / 8 + at * 7) % bytes.len();
            bytes[place] ^= 1 << ((round + at) % 8);
            *flipped.entry(place).or_default() += 1;
            put(&conn, &key, field, &bytes);
        }
        drop(conn);
        nothing_opens(data.path(), &home, &format!("flipped, round {round}")).await;
    }
    assert!(flipped.len() > 60, "{}", flipped.len());
    // Cut, lengthened and empty.
    for (number, change) in [
        |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec(),
        |bytes: &[u8]| [bytes, b"\0"].concat(),
        |_: &[u8]| Vec::new(),
    ]
    .iter()
    .enumerate()
    {
        let conn = open(data.path());
        for field in &fields {
            put(&conn, &key, field, &change(&field.bytes));
        }
        drop(conn);
        nothing_opens(data.path(), &home, &format!("change of length {number}")).await;
    }
    // As they were, all open again: it was the bytes that were refused.
    let conn = open(data.path());
    for field in &fields {
        put(&conn, &key, field, &field.bytes);
    }
    drop(conn);
    let server = start(data.path()).await;
    assert_eq!(readable(&server, &home.reads).await, home.reads.len());
    for test in &home.tests {
        let tested = server.root().post(test, json!({})).await;
        assert!(tested.status < 300, "{}", tested.text);
    }
    server.stop().await;
}

/// An older row of a version in the place of a newer one, numbers and all: the value knows which
/// version it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_row_in_the_place_of_a_newer_one_is_refused() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    for k in ["old", "new"] {
        server
            .root()
            .put("/v1/secrets/app/db", json!({ "data": { "k": k } }))
            .await;
    }
    server.stop().await;
    let conn = open(data.path());
    let sql = "UPDATE version SET (doc, sealed) = (SELECT replace(doc, '\"version\":1,', '\"version\":2,'), sealed FROM version WHERE version = 1)
               WHERE version = 2";
    assert_eq!(conn.execute(sql, []).expect("it is written"), 1);
    drop(conn);
    let server = start(data.path()).await;
    let reply = server.root().get("/v1/secrets/app/db").await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert!(!reply.text.contains("old"));
    assert_eq!(
        server
            .root()
            .get("/v1/secrets/app/db?version=1")
            .await
            .ok(200)["data"]["k"],
        "old"
    );
    server.stop().await;
}

/// Keys of the ring, exchanged or altered: the server does not start, and says which.
#[tokio::test(flavor = "multi_thread")]
async fn an_altered_key_stops_the_start() {
    let data = tempfile::tempdir().expect("a directory");
    let server = start(data.path()).await;
    server
        .root()
        .put("/v1/secrets/app/db", json!({ "data": { "k": CANARY } }))
        .await
        .ok(201);
    server.stop().await;
    let conn = open(data.path());
    let mut asked = conn
        .prepare("SELECT id, doc FROM keyring ORDER BY id")
        .expect("a statement");
    let rows = asked
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    let keys: Vec<(String, String)> = rows.map(|row| row.expect("a row")).collect();
    drop(asked);
    let wrapped =
        |doc: &str| serde_json::from_str::<Value>(doc).expect("a document")["wrapped"].clone();
    let keys: Vec<_> = keys
        .into_iter()
        .filter(|(_, doc)| !wrapped(doc)[0].is_null())
        .collect();
    assert!(keys.len() >= 3, "{}", keys.len());
    for at in 0..keys.len() {
        let (id, doc) = &keys[at];
        let mut altered: Value = serde_json::from_str(doc).expect("a document");
        altered["wrapped"] = wrapped(&keys[(at + 1) % keys.len()].1);
        let write = |doc: &str| {
            let sql = "UPDATE keyring SET doc = ?1 WHERE id = ?2";
            conn.execute(sql, (doc, id)).expect("it is written");
        };
        write(&altered.to_string());
        let home = tempfile::tempdir().expect("a directory");
        let mut command = crate::harness::server::scaivault(home.path());
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path());
        let ended = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(id.as_str()), "{said}");
        assert!(!said.contains(CANARY));
        write(doc);
    }
    drop(conn);
    let server = start(data.path()).await;
    assert_eq!(
        server.root().get("/v1/secrets/app/db").await.ok(200)["data"]["k"],
        CANARY
    );
    server.stop().await;
}
