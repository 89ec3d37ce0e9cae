//! Targets, from the first description to a clean check, on a real PostgreSQL; and what must not
//! be said, done or reached on the way.

use std::io::ErrorKind;
use std::net::TcpListener;

use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use serde_json::{Value, json};

use crate::cli::{GENERAL, NOT_FOUND, OK, Terminal, VALIDATION};
use crate::first_integration::{grant, service};
use crate::harness::Server;

/// The manager's password, looked for wherever it must not be.
const CANARY: &str = "canary-manager-71c0f2";

/// Statements below the line that says to run them.
fn statements(text: &str) -> Vec<String> {
    let (_, below) = text
        .split_once("Run there, as somebody who may:\n")
        .unwrap_or_else(|| panic!("no statements: {text}"));
    let lines = below.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Nobody came: a connection on loopback waits in the queue as soon as it was made.
#[track_caller]
fn silent(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("our own socket");
    let kind = listener.accept().expect_err("nobody comes").kind();
    assert_eq!(kind, ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_gets_its_rights_by_the_statements_of_the_check() {
    let database = Postgresql::start();
    database.sql(&format!("CREATE ROLE keeper LOGIN PASSWORD '{CANARY}'"));
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    me.run_with(
        "secrets write db/manager username=keeper password=-",
        CANARY,
        OK,
    );
    let create = format!(
        "target create orders --connector postgresql --setting host=127.0.0.1 \
         --setting port={} --manager db/manager --description shop",
        database.port()
    );
    let created = me.run(&create, OK);
    assert!(created.contains("tgt_"), "{created}");
    let list = me.json("target list");
    assert_eq!(list["data"][0]["settings"]["port"], json!(database.port()));

    let account = "target check orders --overlap two_users \
                   --account accounts=[\"app_a\",\"app_b\"] --account group=app";
    let mut shown = String::new();
    for line in ["target check orders", account] {
        let text = me.run(line, GENERAL);
        assert!(text.contains("manager    keeper\n"), "{text}");
        assert!(text.contains("ready      no\n"), "{text}");
        shown.push_str(&text);
        let cure = statements(&text);
        assert!(!cure.is_empty(), "{text}");
        for statement in &cure {
            database.sql(statement);
        }
        let text = me.run(line, OK);
        assert!(text.contains("ready      yes\n"), "{text}");
        assert!(text.contains("PostgreSQL 1"), "{text}");
        assert!(text.contains("overlaps   two_users\n"), "{text}");
        assert!(!text.contains("missing"), "{text}");
        shown.push_str(&text);
    }
    let checked = me.json("target check orders");
    assert_eq!(checked["ready"], json!(true));
    assert_eq!(checked["missing"], json!([]));

    // Every look is on the trail with its read of the manager secret, and nobody became a
    // consumer of it by looking.
    let looks = "/v1/audit/logs?action=target_check&success=true";
    let looks = server.root().get(looks).await.ok(200);
    assert_eq!(looks["logs"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        looks["logs"][0]["extra_data"]["target_id"],
        list["data"][0]["id"]
    );
    let reads = server
        .root()
        .get("/v1/audit/logs?action=read&path=db/manager")
        .await
        .ok(200);
    assert_eq!(reads["logs"].as_array().map(Vec::len), Some(5));
    let consumers = server
        .root()
        .get("/v1/secrets/db/manager/consumers")
        .await
        .ok(200);
    assert_eq!(consumers["consumers"], json!([]), "{consumers}");
    shown.push_str(&looks.to_string());
    shown.push_str(&checked.to_string());
    shown.push_str(&server.process().stderr());
    assert!(!shown.contains(CANARY));

    // What is wrong later is an answer that tells what to do.
    database.sql("ALTER ROLE keeper PASSWORD 'another'");
    let text = me.run("target check orders", GENERAL);
    assert!(text.contains("manager_refused (code 28P01)"), "{text}");
    me.run("secrets delete db/manager", GENERAL);
    let refused = server.root().delete("/v1/secrets/db/manager").await;
    refused.refused(409, "target_in_use");
    me.run("secrets write db/manager username=keeper", OK);
    let text = me.run("target check orders", GENERAL);
    assert!(text.contains("manager_missing"), "{text}");
    me.run("target delete orders", OK);
    me.run("target check orders", NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_by_command() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    me.run("secrets write db/manager username=m password=p", OK);
    let connectors = me.run("target connectors", OK);
    for name in ["http_key", "mysql", "postgresql", "redis"] {
        assert!(connectors.contains(name), "{connectors}");
    }
    let create = |rest: &str| format!("target create orders --manager db/manager {rest}");
    me.run(&create("--connector oracle"), VALIDATION);
    me.run(
        &create("--connector redis --setting host=h --setting user=x"),
        VALIDATION,
    );
    me.run(
        "target create orders --connector redis --setting host=h",
        VALIDATION,
    );
    me.run_with(
        &create("--connector redis --settings-file -"),
        r#"{"host":"cache.internal"}"#,
        OK,
    );
    me.run(&create("--connector redis --setting host=h"), GENERAL);
    let update = "target update orders --setting port=6380 --setting tls=off --name cache";
    me.run(update, OK);
    me.run("target update cache --remove-setting tls", OK);
    let shown = me.json("target show cache");
    assert_eq!(
        shown["settings"],
        json!({ "host": "cache.internal", "port": 6380 })
    );
    me.run("target update cache", VALIDATION);
    me.run("target show orders", NOT_FOUND);
    let id = shown["id"].as_str().expect("an id");
    me.run(&format!("target delete {id}"), OK);
    assert_eq!(me.json("target list")["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_by_field() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put(
        "/v1/secrets/db/manager",
        json!({ "data": { "username": "m", "password": "p" } }),
    )
    .await
    .ok(201);
    let body = |change: Value| {
        let mut body = json!({
            "name": "orders", "connector": "postgresql", "settings": { "host": "db" },
            "manager_path": "db/manager",
        });
        for (field, value) in change.as_object().expect("an object") {
            body[field] = value.clone();
        }
        body
    };
    let all = "/v1/rotation/targets";
    for (change, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "tgt_1" }), "name"),
        (json!({ "connector": "oracle" }), "connector"),
        (json!({ "settings": {} }), "settings.host"),
        (
            json!({ "settings": { "host": "db", "password": CANARY } }),
            "settings.password",
        ),
        (json!({ "manager_path": null }), "manager_path"),
        (json!({ "manager_path": "db/none" }), "manager_path"),
        (
            json!({ "settings": { "host": "x".repeat(140_000) } }),
            "settings",
        ),
    ] {
        let reply = root.post(all, body(change)).await;
        let error = reply.refused(422, "validation_error");
        assert!(error["details"]["fields"][field].is_string(), "{error}");
        assert!(!error.to_string().contains(CANARY));
    }
    root.post(all, body(json!({ "manager_path": "../x" })))
        .await
        .refused(400, "invalid_path");
    root.post(all, body(json!({ "credential": CANARY })))
        .await
        .refused(400, "invalid_request");
    assert!(!server.process().stderr().contains(CANARY));
    let made = root.post(all, body(json!({}))).await.ok(201);
    root.post(all, body(json!({})))
        .await
        .refused(409, "name_exists");
    let one = format!("{all}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(root.get(&one).await.ok(200), made);
    assert_eq!(root.get(&format!("{all}/orders")).await.ok(200), made);
    let patch = json!({ "settings": { "port": 70_000 } });
    let error = root
        .patch(&one, patch)
        .await
        .refused(422, "validation_error");
    assert!(error["details"]["fields"]["settings.port"].is_string());
    for (body, field) in [
        (json!({ "overlap": "trust_set" }), "overlap"),
        (json!({ "overlap": "none" }), "account"),
        (json!({ "account": { "account": "app" } }), "overlap"),
        (
            json!({ "account": { "user": "app" }, "overlap": "none" }),
            "account.user",
        ),
    ] {
        let reply = root.post(&format!("{one}/check"), body).await;
        let error = reply.refused(422, "validation_error");
        assert!(error["details"]["fields"][field].is_string(), "{error}");
    }
    let page = root.get(&format!("{all}?limit=1")).await.ok(200);
    assert_eq!((&page["data"][0], &page["cursor"]), (&made, &Value::Null));
    assert_eq!(root.delete(&one).await.status, 204);
    root.get(&one).await.refused(404, "target_not_found");
}

/// To administer is not to read: else a host of one's own would be told the credential.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_cannot_send_a_credential_he_may_not_read() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put(
        "/v1/secrets/db/manager",
        json!({ "data": { "username": "m", "password": CANARY } }),
    )
    .await
    .ok(201);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let body = json!({
        "name": "mine", "connector": "redis", "manager_path": "db/manager",
        "settings": { "host": "127.0.0.1", "port": port },
    });
    let admin = service(root, "sa:admin", &["admin", "secrets:read"]).await;
    admin
        .post("/v1/rotation/targets", body.clone())
        .await
        .refused(403, "access_denied");
    let honest = json!({
        "name": "honest", "connector": "redis", "manager_path": "db/manager",
        "settings": { "host": "cache.internal" },
    });
    root.post("/v1/rotation/targets", honest).await.ok(201);
    let moved = json!({ "settings": { "host": "127.0.0.1", "port": port } });
    admin
        .patch("/v1/rotation/targets/honest", moved)
        .await
        .refused(403, "access_denied");
    silent(&listener);
    grant(root, "sa:admin", "db/**", &["read"]).await;
    admin.post("/v1/rotation/targets", body).await.ok(201);
    // Nor may he attach what he may not read to a target of his own.
    let other = json!({ "data": { "username": "app", "password": CANARY } });
    root.put("/v1/secrets/app/key", other).await.ok(201);
    let policy = json!({ "name": "all", "interval": "90d", "grace_period": "1h" });
    let policy = root.post("/v1/rotation/policies", policy).await.ok(201);
    let attached = format!(
        "/v1/rotation/policies/{}/secrets",
        policy["id"].as_str().expect("an id")
    );
    let attach = json!({
        "secret_path": "app/key", "target": "mine", "strategy": "two_passwords",
        "account": { "account": "app" },
    });
    admin
        .post(&attached, attach)
        .await
        .refused(403, "access_denied");
    silent(&listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_range_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = Server::dev()
        .env("SCAIVAULT_TARGETS_DENY", "127.0.0.1")
        .start()
        .await;
    let root = server.root();
    let manager = json!({ "data": { "username": SUPERUSER, "password": PASSWORD } });
    root.put("/v1/secrets/db/manager", manager).await.ok(201);
    for connector in ["postgresql", "mysql", "redis"] {
        for host in ["127.0.0.1", "169.254.169.254"] {
            let name = format!("{connector}-{host}");
            let body = json!({
                "name": name, "connector": connector, "manager_path": "db/manager",
                "settings": { "host": host, "port": port },
            });
            root.post("/v1/rotation/targets", body).await.ok(201);
            let path = format!("/v1/rotation/targets/{name}/check");
            let checked = root.post(&path, json!({})).await.ok(200);
            assert_eq!(checked["trouble"]["kind"], "not_permitted", "{checked}");
            let advice = checked["trouble"]["advice"].as_str();
            assert!(advice.is_some_and(|advice| advice.contains("[targets]")));
            assert_eq!(checked["ready"], false);
        }
    }
    silent(&listener);
}

/// A target that hangs takes one of the places there are, whatever is asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_a_target_waits_for_a_place() {
    let server = Server::dev()
        .env("SCAIVAULT_TARGETS_MAX_CONCURRENT", "1")
        .start()
        .await;
    let root = server.root();
    for at in ["db/manager", "app/key"] {
        let data = json!({ "data": { "username": "m", "password": "p" } });
        let at = format!("/v1/secrets/{at}");
        root.put(&at, data).await.ok(201);
    }
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (hangs, closed) = (bind(), bind());
    for (name, listener) in [("hangs", &hangs), ("closed", &closed)] {
        let port = listener.local_addr().expect("an address").port();
        let body = json!({
            "name": name, "connector": "redis", "manager_path": "db/manager",
            "settings": { "host": "127.0.0.1", "port": port },
        });
        root.post("/v1/rotation/targets", body).await.ok(201);
    }
    drop(closed); // refuses at once
    let policy = json!({ "name": "all", "interval": "90d", "grace_period": "1h" });
    let policy = root.post("/v1/rotation/policies", policy).await.ok(201);
    let policy = policy["id"].as_str().expect("an id").to_owned();

    let check = root.post("/v1/rotation/targets/hangs/check", json!({}));
    let others = async {
        let accepted = tokio::task::spawn_blocking(move || hangs.accept());
        let held = accepted.await.expect("it ends").expect("it comes");
        let attach = json!({
            "secret_path": "app/key", "target": "closed", "account": { "account": "app" },
        });
        let at = format!("/v1/rotation/policies/{policy}/secrets");
        let (attached, rehearsed) = tokio::join!(
            root.post(&at, attach),
            root.post("/v1/rotation/targets/closed/rehearse", json!({})),
        );
        attached.refused(409, "credential_not_verified");
        assert_eq!(rehearsed.ok(200)["passed"], false);
        held
    };
    let (checked, _held) = tokio::join!(check, others);
    assert_eq!(checked.ok(200)["trouble"]["kind"], "timed_out");
    let trail = root.get("/v1/audit/logs?limit=100").await.ok(200);
    let rows = trail["logs"].as_array().expect("rows").iter();
    let order: Vec<&str> = rows
        .rev()
        .filter_map(|row| row["action"].as_str())
        .skip_while(|action| *action != "rotation_policy_create")
        .filter(|action| *action != "read")
        .skip(1)
        .collect();
    assert_eq!(order[0], "target_check", "{order:?}");
    assert!(order.contains(&"rotation_assign"), "{order:?}");
    assert!(order.contains(&"rotation_rehearse"), "{order:?}");
}
