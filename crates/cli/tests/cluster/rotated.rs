//! Secrets whose values are rotated all the time: at a service that mints keys, at a PostgreSQL,
//! and by the vault alone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::client::{Client, PAUSE};
use crate::harness::key_service::{KeyService, MANAGER};
use crate::record::Read;

/// Ids of the rotations somebody was told of.
pub(crate) type Told = Arc<Mutex<BTreeSet<String>>>;

/// Secrets and what their values are for.
pub(crate) struct Rotated {
    pub(crate) keys: Arc<KeyService>,
    pub(crate) database: Arc<Postgresql>,
    pub(crate) key_paths: Vec<String>,
    pub(crate) login_paths: Vec<String>,
    pub(crate) generated_paths: Vec<String>,
    pub(crate) told: Told,
}

impl Rotated {
    /// Makes targets, policies and secrets.
    pub(crate) async fn prepare(root: &mut Client) -> Self {
        let keys = Arc::new(KeyService::start().await);
        let database = Arc::new(Postgresql::start_with(|_| {
            vec!["log_statement=none".into()]
        }));
        let put = async |root: &mut Client, path: &str, data: Value| {
            let body = json!({ "data": data, "options": { "max_versions": 1000 } });
            let to = format!("/v1/secrets/{path}");
            root.insist(Method::PUT, &to, Some(body)).await.ok(201);
        };
        put(root, "manager/keys", json!({ "api_key": MANAGER })).await;
        let manager = json!({ "username": "manager", "password": "manager-0" });
        put(root, "manager/database", manager).await;
        let service = json!({ "service": "sendgrid", "base_url": keys.url() });
        target(root, "keys", "http_key", service).await;
        let place = json!({ "host": "127.0.0.1", "port": database.port() });
        target(root, "database", "postgresql", place).await;
        let quick = rules_policy(root).await;
        let mut key_paths = Vec::new();
        for number in 0..3 {
            let path = format!("rotated/key{number}");
            put(root, &path, keys.plant()).await;
            let account = json!({ "fields": { "scopes": ["mail.send"] } });
            let attached = json!({
                "secret_path": path, "target": "keys", "strategy": "n_keys", "account": account,
            });
            attach(root, &quick, attached).await;
            key_paths.push(path);
        }
        database.sql(
            "CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manager-0';
             GRANT pg_signal_backend, pg_read_all_stats TO manager;",
        );
        let mut login_paths = Vec::new();
        for number in 0..2 {
            let (a, b, group) = (
                format!("app{number}_a"),
                format!("app{number}_b"),
                format!("app{number}"),
            );
            database.sql(&format!(
                "CREATE ROLE {group} NOLOGIN; GRANT {group} TO manager WITH ADMIN OPTION;
                 CREATE ROLE {a} LOGIN PASSWORD 'first-0' IN ROLE {group};"
            ));
            let path = format!("rotated/login{number}");
            let first = json!({ "username": a, "password": "first-0", "database": "postgres" });
            put(root, &path, first).await;
            let account = json!({ "accounts": [a, b], "group": group });
            let attached = json!({
                "secret_path": path, "target": "database", "strategy": "two_users",
                "account": account,
            });
            attach(root, &quick, attached).await;
            login_paths.push(path);
        }
        let policy = json!({
            "name": "generated", "interval": "90d", "grace_period": "1s", "auto_generate": true,
        });
        let generated = make_policy(root, policy).await;
        let mut generated_paths = Vec::new();
        for number in 0..3 {
            let path = format!("rotated/generated{number}");
            put(root, &path, json!({ "value": "first" })).await;
            attach(root, &generated, json!({ "secret_path": path })).await;
            generated_paths.push(path);
        }
        Self {
            keys,
            database,
            key_paths,
            login_paths,
            generated_paths,
            told: Told::default(),
        }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        let all = [&self.key_paths, &self.login_paths, &self.generated_paths];
        all.into_iter().flatten().cloned().collect()
    }

    /// Whether this value is let in.
    pub(crate) async fn lets_in(&self, path: &str, value: &Value) -> bool {
        lets_in(&self.keys, &self.database, path, value).await
    }
}

async fn target(root: &mut Client, name: &str, connector: &str, settings: Value) {
    let body = json!({
        "name": name, "connector": connector, "settings": settings,
        "manager_path": format!("manager/{name}"),
    });
    let made = root.insist(Method::POST, "/v1/rotation/targets", Some(body));
    made.await.ok(201);
}

async fn rules_policy(root: &mut Client) -> String {
    let policy = json!({
        "name": "quick", "interval": "90d", "drift_check": "1m",
        "rules": {
            "quiet_period": "1s", "poll": "1s", "deadline": "365d",
            "consumers": { "live": "1m" }, "ignore": ["user:root"],
        },
    });
    make_policy(root, policy).await
}

async fn make_policy(root: &mut Client, policy: Value) -> String {
    let made = root.insist(Method::POST, "/v1/rotation/policies", Some(policy));
    let made = made.await.ok(201);
    made["id"].as_str().expect("an id").to_owned()
}

async fn attach(root: &mut Client, policy: &str, body: Value) {
    let to = format!("/v1/rotation/policies/{policy}/secrets");
    root.insist(Method::POST, &to, Some(body)).await.ok(201);
}

/// How long a rotation may take that goes on where a dead worker had begun one before it.
const COMPLETES_MAX: Duration = Duration::from_secs(180);

/// Opens a rotation and follows it until it is completed; what happened when it is not.
pub(crate) async fn complete(root: &mut Client, path: &str, told: &Told) -> Result<(), String> {
    let rotate = format!("/v1/secrets/{path}/rotate");
    let (began, mut last, mut own) = (Instant::now(), None, None);
    while began.elapsed() < COMPLETES_MAX {
        let Some(id) = &own else {
            // Another one may still be under way.
            last = root.ask(Method::POST, &rotate, None).await;
            let opened = last.as_ref().filter(|reply| reply.status < 300);
            own = opened.and_then(|reply| reply.body["id"].as_str().map(str::to_owned));
            if let Some(id) = &own {
                let mut told = told.lock().expect("nobody panics holding it");
                told.insert(id.clone());
            }
            tokio::time::sleep(PAUSE * 5).await;
            continue;
        };
        last = root.get(&format!("/v1/rotations/{id}")).await;
        let phase = last.as_ref().and_then(|reply| reply.body["phase"].as_str());
        match phase {
            Some("completed") => return Ok(()),
            Some("rolled_back" | "failed" | "abandoned") => break,
            _ => tokio::time::sleep(PAUSE * 5).await,
        }
    }
    Err(format!("{path}: no rotation completes: {last:?}"))
}

/// Opens a rotation whenever the one before has ended.
pub(crate) async fn rotate(mut root: Client, path: String, told: Told) {
    let rotate = format!("/v1/secrets/{path}/rotate");
    loop {
        let Some(reply) = root.ask(Method::POST, &rotate, None).await else {
            continue;
        };
        let body = &reply.body;
        let id = [
            &body["id"],
            &body["rotation_id"],
            &body["error"]["details"]["rotation_id"],
        ];
        let id = id.into_iter().find_map(Value::as_str).map(str::to_owned);
        let Some(id) = id else {
            tokio::time::sleep(PAUSE * 10).await;
            continue;
        };
        if reply.status < 300 {
            let mut told = told.lock().expect("nobody panics holding it");
            told.insert(id.clone());
        }
        let of = format!("/v1/rotations/{id}");
        loop {
            tokio::time::sleep(PAUSE * 10).await;
            let Some(reply) = root.get(&of).await else {
                continue;
            };
            match reply.body["phase"].as_str() {
                Some("completed" | "rolled_back" | "failed" | "abandoned") => break,
                // What an operator would do.
                Some("parked") => {
                    let resume = format!("{of}/resume");
                    root.ask(Method::POST, &resume, None).await;
                }
                Some(_) => {}
                None if reply.status == 404 => {
                    root.record.broken(format!("{id} of {path} is gone"));
                    break;
                }
                None => {}
            }
        }
    }
}

/// Follows the protocol: fetches, logs in with what it fetched, says so, and fetches again when it
/// is refused. What is refused after that has failed.
pub(crate) async fn consume(mut client: Client, path: String, at: Arc<Rotated>) {
    let (of, ack) = (
        format!("/v1/secrets/{path}"),
        format!("/v1/secrets/{path}/ack"),
    );
    let mut held: Option<u64> = None;
    loop {
        tokio::time::sleep(PAUSE * 8).await;
        let Some((version, value)) = fetch(&mut client, &of, &path).await else {
            continue;
        };
        if !at.lets_in(&path, &value).await {
            // Superseded between the two, or it should have let in.
            let (then, value) = loop {
                match fetch(&mut client, &of, &path).await {
                    Some(found) => break found,
                    None => tokio::time::sleep(PAUSE).await,
                }
            };
            if !at.lets_in(&path, &value).await {
                let what = format!("{path}: v{version} and v{then} are refused by the target");
                client.record.broken(what);
            }
            continue;
        }
        client.record.logins.fetch_add(1, Ordering::Relaxed);
        if held != Some(version) {
            let body = json!({ "version": version, "status": "applied" });
            let told = client.ask(Method::POST, &ack, Some(body)).await;
            if told.is_some_and(|reply| reply.status < 300) {
                held = Some(version);
            }
        }
    }
}

async fn fetch(client: &mut Client, of: &str, path: &str) -> Option<(u64, Value)> {
    let reply = client.get(of).await?;
    if reply.status != 200 {
        if reply.status != 503 {
            client.record.broken(format!("{of}: {}", reply.text));
        }
        return None;
    }
    let version = reply.body["version"].as_u64().expect("a version");
    let value = reply.body["data"].clone();
    client.record.read(Read {
        path: path.to_owned(),
        version,
        value: value.to_string(),
        request_id: reply.header("x-request-id").to_owned(),
    });
    Some((version, value))
}

async fn lets_in(keys: &KeyService, database: &Postgresql, path: &str, value: &Value) -> bool {
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    if path.contains("/key") {
        return keys.accepts(text("api_key"));
    }
    if path.contains("/generated") {
        return true;
    }
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(database.port())
        .dbname("postgres")
        .user(text("username"))
        .password(text("password"));
    match config.connect(NoTls).await {
        Ok((client, connection)) => {
            let driver = tokio::spawn(connection);
            let answered = client.simple_query("SELECT 1").await.is_ok();
            driver.abort();
            answered
        }
        Err(_) => false,
    }
}

/// The token of a service that may read this path.
pub(crate) async fn consumer(root: &mut Client, path: &str) -> String {
    let name = path.replace('/', "-");
    let who = format!("sa:{name}");
    let rules = json!([{ "path_pattern": path, "permissions": ["read"] }]);
    let policy = json!({ "name": name, "rules": rules });
    let policy = root
        .insist(Method::POST, "/v1/policies", Some(policy))
        .await;
    let policy = policy.ok(201);
    let id = policy["id"].as_str().expect("an id");
    let binding = json!({ "identity_type": "service_account", "identity_id": who });
    let to = format!("/v1/policies/{id}/bindings");
    root.insist(Method::POST, &to, Some(binding)).await.ok(201);
    let token = json!({
        "identity_type": "service_account", "identity_id": who,
        "scopes": ["secrets:read"], "ttl": "3650d",
    });
    let token = root
        .insist(Method::POST, "/v1/auth/tokens", Some(token))
        .await;
    let token = token.ok(201);
    token["token"].as_str().expect("a token").to_owned()
}
