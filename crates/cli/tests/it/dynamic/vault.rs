//! Databases and leases by HashiCorp Vault's API, with the statements that its tutorials have.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Cache, Maria, Pg, Target, text};
use crate::harness::{Api, Reply, SOON, Server, eventually};

async fn list(api: &Api, path: &str) -> Reply {
    let method = Method::from_bytes(b"LIST").expect("a method");
    api.send(method, path, None).await
}

fn plugin(target: &dyn Target) -> String {
    format!("{}-database-plugin", target.plugin())
}

fn connection(target: &dyn Target, port: u16, (username, password): (&str, &str)) -> Value {
    let mut body = json!({
        "plugin_name": plugin(target), "allowed_roles": "reader,other-*",
        "username": username, "password": password,
    });
    match target.plugin() {
        "redis" => {
            body["host"] = "127.0.0.1".into();
            body["port"] = port.into();
        }
        _ => body["connection_url"] = target.url(port).into(),
    }
    body
}

/// As the tutorials have them: one text, quoted there.
fn creation(target: &dyn Target) -> Value {
    match target.plugin() {
        "postgresql" => json!(
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
             GRANT USAGE ON SCHEMA shop TO \"{{name}}\"; \
             GRANT SELECT ON ALL TABLES IN SCHEMA shop TO \"{{name}}\";"
        ),
        "mysql" => json!(
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';GRANT SELECT ON shop.* TO '{{name}}'@'%';"
        ),
        _ => json!("[\"~shop:*\", \"+@read\"]"),
    }
}

fn error(reply: &Reply) -> String {
    reply.body["errors"].to_string()
}

#[track_caller]
fn refused(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(error(reply).contains(why), "{why}: {}", reply.text);
}

/// A mount with a connection and a role.
async fn mounted(root: &Api, target: &dyn Target) {
    let body = json!({ "type": "database" });
    root.post("/v1/sys/mounts/database", body).await.ok(204);
    let body = connection(target, target.port(), target.manager());
    let made = root.post("/v1/database/config/mydb", body).await;
    assert_eq!(made.status, 204, "{}", made.text);
    role(root, "reader", target, json!({})).await;
}

async fn role(root: &Api, name: &str, target: &dyn Target, more: Value) {
    let mut body = json!({
        "db_name": "mydb", "creation_statements": creation(target),
        "default_ttl": "1h", "max_ttl": "2h",
    });
    for (field, value) in more.as_object().expect("an object") {
        body[field] = value.clone();
    }
    let made = root.post(&format!("/v1/database/roles/{name}"), body).await;
    assert!(matches!(made.status, 200 | 204), "{}", made.text);
}

async fn creds(api: &Api) -> Value {
    api.get("/v1/database/creds/reader").await.ok(200)
}

fn works(target: &dyn Target, made: &Value) -> bool {
    let data = &made["data"];
    target.works(text(data, "username"), text(data, "password"))
}

async fn is_gone(target: &Arc<dyn Target>, made: &Value) {
    eventually("the account is removed", SOON, async || {
        (!target.exists(text(&made["data"], "username"))).then_some(())
    })
    .await;
    assert!(!works(&**target, made));
}

async fn connections_are_tried(root: &Api, target: &dyn Target) {
    let body = json!({ "type": "database" });
    root.post("/v1/sys/mounts/database", body).await.ok(204);
    let (port, dead) = (target.port(), scaivault_peers::free_port());
    let route = "/v1/database/config/mydb";
    let (name, _) = target.manager();
    let stranger = connection(target, port, (name, "another-password"));
    let told = root.post(route, stranger).await;
    refused(&told, "manager");
    assert!(!told.text.contains("another-password"));
    assert_eq!(
        root.post(route, connection(target, dead, target.manager()))
            .await
            .status,
        400
    );
    let weak = connection(target, port, target.weak());
    refused(&root.post(route, weak).await, "lacks rights");
    for (field, value, why) in [
        (
            "plugin_name",
            "oracle-database-plugin",
            "plugin_name is one of",
        ),
        ("password_policy", "mine", "password_policy"),
        (
            "root_rotation_statements",
            "SELECT 1",
            "root_rotation_statements",
        ),
        ("username_template", "{{.Unknown}}", "username_template"),
        ("private_key", "x", "private_key"),
    ] {
        let mut body = connection(target, port, target.manager());
        body[field] = value.into();
        refused(&root.post(route, body).await, why);
    }
    // Nothing is left behind, and nothing is there.
    assert_eq!(root.get(route).await.status, 404);
    assert_eq!(list(root, "/v1/database/config").await.status, 404);
    let secrets = root.get("/v1/secrets?prefix=dynamic/").await.ok(200);
    assert!(
        !secrets.to_string().contains("dynamic/database"),
        "{secrets}"
    );
    let role = json!({ "db_name": "mydb", "creation_statements": creation(target) });
    let told = root.post("/v1/database/roles/reader", role).await;
    refused(&told, "database/config/mydb first");
    refused(&root.get("/v1/database/creds/reader").await, "is unknown");
    root.delete("/v1/sys/mounts/database").await.ok(204);
}

async fn life(target: Arc<dyn Target>) {
    let server = Server::dev().start().await;
    let root = server.root();
    connections_are_tried(root, &*target).await;
    mounted(root, &*target).await;

    // What was written is read again, but for the password.
    let read = root.get("/v1/database/config/mydb").await;
    assert!(!read.text.contains(target.manager().1), "{}", read.text);
    let data = read.ok(200)["data"].clone();
    assert_eq!(data["plugin_name"], plugin(&*target));
    assert_eq!(data["allowed_roles"], json!(["reader", "other-*"]));
    assert_eq!(data["connection_details"]["username"], target.manager().0);
    let keys = |reply: Reply| reply.ok(200)["data"]["keys"].clone();
    assert_eq!(
        keys(list(root, "/v1/database/config").await),
        json!(["mydb"])
    );
    assert_eq!(
        keys(list(root, "/v1/database/roles").await),
        json!(["reader"])
    );
    let read = root.get("/v1/database/roles/reader").await.ok(200)["data"].clone();
    assert_eq!(
        (&read["db_name"], &read["default_ttl"], &read["max_ttl"]),
        (&json!("mydb"), &json!(3_600), &json!(7_200))
    );
    root.post_empty("/v1/database/reset/mydb").await.ok(204);
    // The same again, as programs that describe what is to be do.
    let body = connection(&*target, target.port(), target.manager());
    root.put("/v1/database/config/mydb", body).await.ok(204);

    // A lease's life.
    let made = creds(root).await;
    assert!(works(&*target, &made), "{made}");
    let id = text(&made, "lease_id").to_owned();
    assert!(id.starts_with("database/creds/reader/lse_"), "{id}");
    assert_eq!(
        (&made["renewable"], &made["lease_duration"]),
        (&json!(true), &json!(3_600))
    );
    let named = json!({ "lease_id": id });
    let looked = root
        .put("/v1/sys/leases/lookup", named.clone())
        .await
        .ok(200);
    assert_eq!(looked["data"]["id"], json!(id));
    assert!(
        looked["data"]["ttl"]
            .as_u64()
            .is_some_and(|ttl| (3_500..=3_600).contains(&ttl))
    );
    let longer = json!({ "lease_id": id, "increment": 5_400 });
    let renewed = root.put("/v1/sys/leases/renew", longer).await.ok(200);
    assert_eq!(
        (&renewed["lease_id"], &renewed["data"]),
        (&json!(id), &Value::Null)
    );
    assert!(
        renewed["lease_duration"]
            .as_u64()
            .is_some_and(|ttl| ttl > 5_000)
    );
    let most = root
        .put(
            &format!("/v1/sys/renew/{id}"),
            json!({ "increment": "90h" }),
        )
        .await
        .ok(200);
    assert!(
        most["lease_duration"]
            .as_u64()
            .is_some_and(|ttl| (7_000..=7_200).contains(&ttl))
    );
    assert_eq!(most["renewable"], false, "no further");
    for (at, expect) in [
        ("", json!(["database/"])),
        ("/database", json!(["creds/"])),
        ("/database/creds/", json!(["reader/"])),
    ] {
        assert_eq!(
            keys(list(root, &format!("/v1/sys/leases/lookup{at}")).await),
            expect
        );
    }
    let ids = keys(list(root, "/v1/sys/leases/lookup/database/creds/reader").await);
    assert_eq!(ids, json!([id.rsplit('/').next()]));
    // What is there while a lease is stays.
    assert_eq!(root.delete("/v1/database/config/mydb").await.status, 400);
    assert_eq!(root.delete("/v1/sys/mounts/database").await.status, 400);
    let sync = json!({ "lease_id": id, "sync": true });
    root.put("/v1/sys/leases/revoke", sync).await.ok(204);
    assert!(
        !target.exists(text(&made["data"], "username")),
        "sync waits"
    );
    assert!(!works(&*target, &made));
    refused(
        &root.put("/v1/sys/leases/lookup", named.clone()).await,
        "invalid lease",
    );
    assert_eq!(root.put("/v1/sys/leases/renew", named).await.status, 400);
    for bad in [
        "database/creds/other/lse_01AAAAAAAAAAAAAAAAAAAAAAAA",
        "x",
        "secret/creds/reader/x",
    ] {
        let named = json!({ "lease_id": bad });
        refused(
            &root.put("/v1/sys/leases/lookup", named).await,
            "invalid lease",
        );
    }

    // By prefix, and no further.
    role(root, "other-one", &*target, json!({})).await;
    let (one, two) = (creds(root).await, creds(root).await);
    let other = root.get("/v1/database/creds/other-one").await.ok(200);
    root.put(
        "/v1/sys/leases/revoke-prefix/database/creds/reader",
        json!({ "sync": true }),
    )
    .await
    .ok(204);
    for made in [&one, &two] {
        assert!(!target.exists(text(&made["data"], "username")));
    }
    assert!(works(&*target, &other), "another role's stays");
    let forced = root
        .put("/v1/sys/leases/revoke-force/database", json!({}))
        .await
        .ok(200);
    assert!(
        forced["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("for ever"))
    );
    is_gone(&target, &other).await;

    // Which roles may.
    role(root, "stranger", &*target, json!({})).await;
    refused(
        &root.get("/v1/database/creds/stranger").await,
        "not an allowed role",
    );
    ends_with_its_token(root, &target).await;
    for name in ["reader", "other-one", "stranger"] {
        root.delete(&format!("/v1/database/roles/{name}"))
            .await
            .ok(204);
    }
    root.delete("/v1/database/config/mydb").await.ok(204);
    root.delete("/v1/database/config/mydb").await.ok(204);
    root.delete("/v1/sys/mounts/database").await.ok(204);
    let secrets = root.get("/v1/secrets?prefix=dynamic/").await.ok(200);
    assert!(
        !secrets.to_string().contains("dynamic/database"),
        "{secrets}"
    );
}

async fn policy(root: &Api, name: &str, text: &str) {
    let route = format!("/v1/sys/policies/acl/{name}");
    let put = root.put(&route, json!({ "policy": text })).await;
    assert!(matches!(put.status, 200 | 204), "{}", put.text);
}

async fn bearer(root: &Api, policies: &[&str]) -> Api {
    let body = json!({ "policies": policies, "ttl": "1h" });
    let made = root.post("/v1/auth/token/create", body).await.ok(200);
    root.with_token(text(&made["auth"], "client_token"))
}

async fn ends_with_its_token(root: &Api, target: &Arc<dyn Target>) {
    policy(
        root,
        "app",
        "path \"database/creds/reader\" { capabilities = [\"read\"] }",
    )
    .await;
    let app = bearer(root, &["app"]).await;
    let made = creds(&app).await;
    assert!(works(&**target, &made));
    let named = json!({ "lease_id": made["lease_id"] });
    app.put("/v1/sys/leases/renew", named).await.ok(200);
    app.post_empty("/v1/auth/token/revoke-self").await.ok(204);
    is_gone(target, &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_s_api_at_postgresql() {
    life(Arc::new(Pg::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_s_api_at_mariadb() {
    life(Arc::new(Maria::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_s_api_at_redis() {
    life(Arc::new(Cache::start())).await;
}

/// Each path by itself: who may one thing may no other.
#[tokio::test(flavor = "multi_thread")]
async fn vault_s_policies_decide_by_path() {
    let server = Server::dev().start().await;
    let (root, pg) = (server.root(), Pg::start());
    mounted(root, &pg).await;
    let again = || connection(&pg, pg.port(), pg.manager());
    let held = |path: &str, words: &str| format!("path \"{path}\" {{ capabilities = [{words}] }}");
    let all = "\"create\", \"read\", \"update\", \"delete\", \"list\"";
    for (name, text) in [
        ("user", held("database/creds/reader", "\"read\"")),
        ("dba", held("database/config/mydb", all)),
        (
            "author",
            held("database/roles/rep-*", all) + &held("database/roles", "\"list\""),
        ),
        ("rotator", held("database/rotate-root/mydb", "\"update\"")),
        (
            "ender",
            held(
                "sys/leases/revoke-prefix/database/creds/reader",
                "\"update\"",
            ),
        ),
        ("all", held("database/*", all)),
    ] {
        policy(root, name, &text).await;
    }
    let role = || json!({ "db_name": "mydb", "creation_statements": creation(&pg) });
    // Who, and which of: credentials, connection read and written, two roles written, end.
    for (name, expect) in [
        ("user", [true, false, false, false, false, false]),
        ("dba", [false, true, true, false, false, false]),
        ("author", [false, false, false, true, false, false]),
        ("ender", [false, false, false, false, false, true]),
        ("all", [true, true, true, true, true, false]),
    ] {
        let api = bearer(root, &[name]).await;
        let asked = [
            api.get("/v1/database/creds/reader").await,
            api.get("/v1/database/config/mydb").await,
            api.post("/v1/database/config/mydb", again()).await,
            api.post("/v1/database/roles/rep-x", role()).await,
            api.post("/v1/database/roles/mine", role()).await,
            api.put(
                "/v1/sys/leases/revoke-prefix/database/creds/reader",
                json!({}),
            )
            .await,
        ];
        for (reply, may) in asked.iter().zip(expect) {
            match may {
                true => assert!(matches!(reply.status, 200 | 204), "{name}: {}", reply.text),
                false => assert_eq!(reply.status, 403, "{name}: {}", reply.text),
            }
        }
        // The root credential is told to none of them, whichever API they use.
        let secret = api.get("/v1/secrets/dynamic/database/root/mydb").await;
        assert_eq!(secret.status, 403, "{name}: {}", secret.text);
        let health = api.get("/v1/dynamic/engines/database-mydb").await;
        assert_eq!(health.status, 403, "{name}: {}", health.text);
    }
    let author = bearer(root, &["author"]).await;
    let told = list(&author, "/v1/database/roles").await.ok(200);
    assert_eq!(told["data"]["keys"], json!(["mine", "reader", "rep-x"]));
    // Leases are their holders'.
    let made = creds(root).await;
    let user = bearer(root, &["user"]).await;
    let named = json!({ "lease_id": made["lease_id"] });
    for act in ["lookup", "renew", "revoke"] {
        let route = format!("/v1/sys/leases/{act}");
        refused(&user.put(&route, named.clone()).await, "invalid lease");
    }
    assert!(works(&pg, &made));
    let ender = bearer(root, &["ender"]).await;
    assert_eq!(
        ender
            .put("/v1/sys/leases/revoke-prefix/database", json!({}))
            .await
            .status,
        403
    );
    let capable =
        json!({ "paths": ["database/creds/reader", "database/config/mydb", "database/roles/x"] });
    let told = user
        .post("/v1/sys/capabilities-self", capable)
        .await
        .ok(200);
    assert_eq!(told["database/creds/reader"], json!(["read"]));
    assert_eq!(told["database/config/mydb"], json!(["deny"]));
    for name in ["user", "dba", "author", "rotator", "ender", "all"] {
        let read = root
            .get(&format!("/v1/sys/policies/acl/{name}"))
            .await
            .ok(200);
        let text = text(&read["data"], "policy").to_owned();
        assert!(!text.contains('#'), "{name} comes back in words: {text}");
    }
}

/// Another credential takes the place of one that works only when it works itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_s_credential_is_tried_before_it_is_used() {
    let server = Server::dev().start().await;
    let (root, pg) = (server.root(), Pg::start());
    mounted(root, &pg).await;
    let route = "/v1/database/config/mydb";
    let wrong = json!({ "password": "not-the-password" });
    refused(&root.post(route, wrong).await, "manager");
    assert!(
        works(&pg, &creds(root).await),
        "the one that works is there"
    );
    pg.0.sql("ALTER ROLE manager PASSWORD 'another-one'");
    let right = json!({ "password": "another-one" });
    root.post(route, right).await.ok(204);
    assert!(works(&pg, &creds(root).await));
    let left = root
        .get("/v1/secrets/dynamic/database/root/mydb/next")
        .await;
    assert_eq!(left.status, 404, "{}", left.text);

    // One in the URL is taken out of it.
    let body = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": ["*"],
        "connection_url": format!("postgresql://manager:another-one@127.0.0.1:{}/postgres?sslmode=disable", pg.port()),
    });
    let made = root.post("/v1/database/config/second", body).await.ok(200);
    assert!(
        made["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("taken out"))
    );
    let read = root.get("/v1/database/config/second").await;
    assert!(!read.text.contains("another-one"), "{}", read.text);
    // A role is of one connection: written for another it moves, and keeps what it had.
    let moved = json!({ "db_name": "second" });
    root.post("/v1/database/roles/reader", moved).await.ok(204);
    let read = root.get("/v1/database/roles/reader").await.ok(200);
    assert_eq!(
        (&read["data"]["db_name"], &read["data"]["default_ttl"]),
        (&json!("second"), &json!(3_600))
    );
    assert!(works(&pg, &creds(root).await));
}

/// The root password changes, and what depends on it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn vault_s_rotate_root() {
    let server = Server::dev().start().await;
    let (root, pg) = (server.root(), Pg::start());
    mounted(root, &pg).await;
    let before = creds(root).await;
    root.post_empty("/v1/database/rotate-root/mydb")
        .await
        .ok(204);
    let (name, old) = pg.manager();
    assert!(!pg.works(name, old), "nobody but the server knows it");
    assert!(works(&pg, &creds(root).await));
    let sync = json!({ "lease_id": before["lease_id"], "sync": true });
    root.put("/v1/sys/leases/revoke", sync).await.ok(204);
    // The script that made the connection, run again, changes nothing.
    let body = connection(&pg, pg.port(), pg.manager());
    assert_eq!(
        root.post("/v1/database/config/mydb", body).await.status,
        400
    );
    assert!(works(&pg, &creds(root).await));
}

/// What is filled in never becomes a part of the language, however a role quotes it.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_kind_are_only_names() {
    let server = Server::dev().start().await;
    let (root, pg) = (server.root(), Pg::start());
    mounted(root, &pg).await;
    let body = json!({ "allowed_roles": "*", "username_template": "V-{{.DisplayName}}-{{.RoleName}}-{{random 8}}" });
    root.post("/v1/database/config/mydb", body).await.ok(204);
    for name in ["It's.a\"Role;", "Über-role", "a b"] {
        let route = name;
        let body = json!({ "db_name": "mydb", "creation_statements": creation(&pg) });
        let put = root
            .post(&format!("/v1/database/roles/{route}"), body)
            .await;
        assert_eq!(put.status, 204, "{}", put.text);
        let made = root
            .get(&format!("/v1/database/creds/{route}"))
            .await
            .ok(200);
        assert!(works(&pg, &made), "{made}");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(text(&made["data"], "username").chars().all(plain), "{made}");
        assert!(text(&made, "lease_id").starts_with(&format!("database/creds/{name}/")));
        let sync = json!({ "lease_id": made["lease_id"], "sync": true });
        root.put("/v1/sys/leases/revoke", sync).await.ok(204);
    }
}

/// An account that is there: its name stays, its password is made anew, and nobody knows the one before.
async fn static_role(target: Arc<dyn Target>, period: Value) {
    let server = Server::dev().start().await;
    let root = server.root();
    mounted(root, &*target).await;
    let (name, old) = target.weak();
    let config = json!({ "allowed_roles": "*" });
    root.post("/v1/database/config/mydb", config).await.ok(204);
    let route = "/v1/database/static-roles/app";
    for (body, why) in [
        (
            json!({ "db_name": "mydb", "username": name }),
            "rotation_period",
        ),
        (
            json!({ "db_name": "none", "username": name, "rotation_period": 60 }),
            "is no connection",
        ),
        (
            json!({ "db_name": "mydb", "username": "nobody-there", "rotation_period": 60 }),
            "",
        ),
        (
            json!({ "db_name": "mydb", "username": name, "rotation_period": 60, "rotation_statements": ["SELECT 1"] }),
            "rotation_statements",
        ),
    ] {
        // Where accounts are made when they are not there, it is no mistake.
        if body["username"] == "nobody-there" && target.plugin() != "postgresql" {
            continue;
        }
        refused(&root.post(route, body).await, why);
        assert_eq!(root.get(route).await.status, 404, "nothing is left of it");
    }
    let mut body = json!({ "db_name": "mydb", "username": name });
    body[if period.is_string() {
        "rotation_schedule"
    } else {
        "rotation_period"
    }] = period.clone();
    root.post(route, body.clone()).await.ok(204);
    let read = async || root.get("/v1/database/static-creds/app").await.ok(200)["data"].clone();
    let logs_in = |data: &Value| target.logs_in(text(data, "username"), text(data, "password"));
    let first = read().await;
    assert_eq!(text(&first, "username"), name);
    assert!(logs_in(&first), "the new one works");
    assert!(first["ttl"].as_u64().is_some(), "{first}");
    assert!(first["last_vault_rotation"].is_string(), "{first}");
    eventually("the old one does not", SOON, async || {
        (!target.logs_in(name, old)).then_some(())
    })
    .await;
    // The same again changes nothing.
    root.post(route, body).await.ok(204);
    assert_eq!(read().await["password"], first["password"]);
    root.post_empty("/v1/database/rotate-role/app")
        .await
        .ok(204);
    let second = read().await;
    assert_ne!(second["password"], first["password"]);
    assert_eq!(second["username"], first["username"]);
    assert!(logs_in(&second));
    let shown = root.get(route).await.ok(200)["data"].clone();
    assert_eq!(
        (&shown["db_name"], &shown["username"]),
        (&json!("mydb"), &json!(name))
    );
    let field = if period.is_string() {
        "rotation_schedule"
    } else {
        "rotation_period"
    };
    assert_eq!(shown[field], period);
    let keys = list(root, "/v1/database/static-roles").await.ok(200)["data"]["keys"].clone();
    assert_eq!(keys, json!(["app"]));
    refused(
        &root.post(route, json!({ "username": "other" })).await,
        "stays what it is",
    );
    refused(
        &root.delete("/v1/database/config/mydb").await,
        "static roles",
    );
    // Policies decide by path, and the path is the secret's.
    policy(
        root,
        "static",
        "path \"database/static-creds/app\" { capabilities = [\"read\"] }",
    )
    .await;
    let app = bearer(root, &["static"]).await;
    let got = app.get("/v1/database/static-creds/app").await.ok(200);
    assert_eq!(got["data"]["password"], second["password"]);
    for (method, path) in [
        (Method::GET, "static-roles/app"),
        (Method::POST, "rotate-role/app"),
        (Method::GET, "static-creds/other"),
    ] {
        let denied = app
            .send(method, &format!("/v1/database/{path}"), None)
            .await;
        assert_eq!(denied.status, 403, "{path}: {}", denied.text);
    }
    static_role_goes(root).await;
}

async fn static_role_goes(root: &Api) {
    root.delete("/v1/database/static-roles/app").await.ok(204);
    let gone = root.get("/v1/database/static-creds/app").await;
    refused(&gone, "is unknown");
    let policies = root.get("/v1/rotation/policies").await.ok(200);
    assert!(
        !policies.to_string().contains("static database"),
        "{policies}"
    );
    root.delete("/v1/database/config/mydb").await.ok(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_s_static_role_at_postgresql() {
    static_role(Arc::new(Pg::start()), json!(86_400)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_s_static_role_at_mariadb() {
    static_role(Arc::new(Maria::start()), json!("0 3 * * 6")).await;
}
