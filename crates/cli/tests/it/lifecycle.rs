//! Starting, ending, starting again; the development form and the production form.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::first_integration::attach;
use crate::harness::server::{ready, scaivault};
use crate::harness::{Api, Process, Receiver, SOON, Server, eventually};

const SECRET: &str = "signing-secret-of-the-lifecycle-tests";

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_is_and_what_makes_it_unsafe() {
    let chosen = "skt_chosen_by_the_developer_0123456789";
    let server = Server::dev().root_token(chosen).start().await;
    let lines = server.process().stdout().join("\n");
    assert!(lines.contains(server.url()), "{lines}");
    assert!(lines.contains(chosen), "the root token is shown: {lines}");
    assert!(
        lines.contains("curl") || lines.contains("scaivault secrets"),
        "a first command: {lines}"
    );
    let all = (lines + &server.process().stderr()).to_lowercase();
    assert!(
        all.contains("production"),
        "it says that it is not for production: {all}"
    );
    let version = server.root().anonymous().get("/v1/version").await.ok(200);
    assert!(version["version"].is_string() && version["api_version"].is_string());
    let metrics = server.root().anonymous().get("/v1/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("scaivault_requests_total"));
    assert!(
        metrics.header("content-type").contains("text"),
        "{:?}",
        metrics.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_token_of_its_own_when_none_is_given() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = scaivault(home.path());
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    let mut process = Process::start("scaivault dev", command);
    let url = crate::harness::server::printed_url(&mut process, "ScaiVault dev server: http://");
    let url = url.await;
    let token = eventually("it prints a root token", SOON, async || {
        let lines = process.stdout().join(" ");
        let token = lines
            .split_whitespace()
            .find(|word| word.starts_with("skt_"));
        token.map(str::to_owned)
    })
    .await;
    let me = Api::new(&url, &token).get("/v1/auth/whoami").await.ok(200);
    assert_eq!(me["identity_id"], "user:root");

    // And from the environment.
    let mut command = scaivault(home.path());
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    command.env(
        "SCAIVAULT_DEV_ROOT_TOKEN",
        "skt_from_the_environment_0123456789",
    );
    let mut process = Process::start("scaivault dev", command);
    let url = crate::harness::server::printed_url(&mut process, "ScaiVault dev server: http://");
    let api = Api::new(&url.await, "skt_from_the_environment_0123456789");
    assert_eq!(
        api.get("/v1/auth/whoami").await.ok(200)["identity_id"],
        "user:root"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_the_loopback_only() {
    for address in ["0.0.0.0:8200", "[::]:8200", "192.0.2.1:8200"] {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut command = scaivault(home.path());
        command.args(["dev", "--listen", address]);
        let mut process = Process::start("scaivault dev", command);
        let status = process.exited(SOON).await;
        assert!(!status.success(), "{address}");
        let stderr = process.stderr();
        assert!(
            stderr.to_lowercase().contains("loopback"),
            "{address}: {stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_data_nothing_is_left() {
    let server = Server::dev().start().await;
    server
        .root()
        .put("/v1/secrets/a/b", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    for path in everything_in(server.home()) {
        let mode = std::fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        let parent = path.parent().expect("it is in the home");
        let closed = parent != server.home()
            && std::fs::metadata(parent)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o077
                == 0;
        assert!(
            mode & 0o077 == 0 || closed,
            "{} is open to others: {mode:o}",
            path.display()
        );
    }
    let (_, home) = server.stop().await;
    assert_eq!(everything_in(home.path()), Vec::<PathBuf>::new());
}

fn everything_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory).expect("a directory");
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(everything_in(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_goes_on() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let receiver = Receiver::start().await;
    let server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    let webhook = json!({
        "name": "events", "url": receiver.url(), "secret": SECRET,
        "events": ["rotation.due", "rotation.overdue", "secret.created"],
    });
    let webhook = root.post("/v1/webhooks", webhook).await.ok(201);
    let policy = json!({
        "name": "slow", "interval": "90d", "grace_period": "6s", "webhook_ids": [webhook["id"]],
    });
    let policy = root.post("/v1/rotation/policies", policy).await.ok(201);
    root.put(
        "/v1/secrets/app/db",
        json!({ "data": { "password": "one" } }),
    )
    .await
    .ok(201);
    attach(root, &policy, "app/db").await;
    let rotation = root.post_empty("/v1/secrets/app/db/rotate").await.ok(202);
    // Its event may be on its way, or not yet, when the server ends.
    root.put("/v1/secrets/app/last", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    server.stop().await;

    let server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    assert_eq!(
        root.get("/v1/secrets/app/db").await.ok(200)["data"]["password"],
        "one"
    );
    let rotation = format!("/v1/rotations/{}", rotation["id"].as_str().expect("an id"));
    let phase = root.get(&rotation).await.ok(200)["phase"].clone();
    assert!(phase == "generating" || phase == "parked", "{phase}");
    let created = eventually("every event arrives", SOON, async || {
        receiver.of_type("rotation.due").first()?;
        receiver
            .of_type("secret.created")
            .into_iter()
            .find(|one| one.event["path"] == "app/last")
    })
    .await;
    created.check_webhook_signature(SECRET);
    receiver.event("rotation.overdue", &json!({})).await;
    assert_eq!(root.get(&rotation).await.ok(200)["phase"], "parked");
    let answered = root
        .put(
            "/v1/secrets/app/db",
            json!({ "data": { "password": "two" } }),
        )
        .await;
    assert_eq!(answered.ok(200)["is_rotation"], true);
    assert_eq!(root.get("/v1/audit/verify").await.ok(200)["valid"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_is_still_there_after_a_restart() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let receiver = Receiver::start().await;
    receiver.answer_with(503);
    let mut server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    let webhook = json!({
        "name": "events", "url": receiver.url(), "secret": SECRET, "events": ["secret.created"],
    });
    let webhook = root.post("/v1/webhooks", webhook).await.ok(201);
    let webhook = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let deliveries = format!("{webhook}/deliveries?status=pending");
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let waiting = eventually("the failed attempt is on record", SOON, async || {
        let list = root.get(&deliveries).await.ok(200);
        let first = list["deliveries"][0].clone();
        (first["attempts"] == 1).then_some(first)
    })
    .await;
    server.kill();

    let server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    let list = root.get(&deliveries).await.ok(200);
    assert_eq!(
        list["deliveries"],
        json!([waiting]),
        "the same, with the same next attempt"
    );
    receiver.answer_with(200);
    let id = waiting["id"].as_str().expect("an id");
    root.post_empty(&format!("{webhook}/deliveries/{id}/redeliver"))
        .await
        .ok(202);
    eventually("it arrives", SOON, async || {
        (receiver.received().len() == 2).then_some(())
    })
    .await;
    let received = receiver.received();
    assert_eq!(
        received[1].text(),
        received[0].text(),
        "the same event, to the byte"
    );
    received[1].check_webhook_signature(SECRET);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_share_a_directory() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let first = Server::dev().data(data.path()).start().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = scaivault(home.path());
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path());
    let mut second = Process::start("a second server", command);
    let status = second.exited(SOON).await;
    assert!(!status.success(), "both would write the same files");
    assert!(!second.stderr().trim().is_empty(), "it says why");
    first.root().get("/v1/health/ready").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_in_hand() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::dev().data(data.path()).start().await;
    let root = server.root().clone();
    // Writers that go on until they are told to go away.
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let root = root.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let path = format!("drain/w{writer}/n{number}");
                let target = format!("/v1/secrets/{path}");
                let body = json!({ "data": { "path": path } });
                match root
                    .attempt(reqwest::Method::PUT, &target, Some(body))
                    .await
                {
                    Ok(reply) if reply.status == 201 => acknowledged.push(path),
                    Ok(reply) => {
                        reply.refused(503, "service_unavailable");
                        break;
                    }
                    Err(_) => break,
                }
            }
            acknowledged
        });
    }
    eventually("the writers are at work", SOON, async || {
        let read = root.get("/v1/secrets/drain/w3/n3").await;
        (read.status == 200).then_some(())
    })
    .await;
    let (stderr, _home) = server.stop().await;
    assert!(!stderr.contains("panicked"), "{stderr}");

    let server = Server::dev().data(data.path()).start().await;
    for path in writers.join_all().await.into_iter().flatten() {
        let read = server
            .root()
            .get(&format!("/v1/secrets/{path}"))
            .await
            .ok(200);
        assert_eq!(read["data"]["path"], path);
    }
    assert_eq!(
        server.root().get("/v1/audit/verify").await.ok(200)["valid"],
        true
    );
    server.stop().await;
}

/// Somebody always polls; were each restart to wait for it, none would be quick.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_does_not_hold_the_exit() {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    let subscription = json!({
        "name": "s", "paths": ["app/**"], "events": ["secret.created"],
        "delivery": { "type": "polling" },
    });
    let subscription = root.post("/v1/subscriptions", subscription).await.ok(201);
    let id = subscription["id"].as_str().expect("an id").to_owned();
    let poll = format!("/v1/subscriptions/{id}/poll?timeout=60");
    let polling = root.attempt(reqwest::Method::GET, &poll, None);
    let polling = tokio::spawn(polling);
    // The poll is being served: the server counts it.
    eventually("the poll is in flight", SOON, async || {
        let metrics = root.get("/v1/metrics").await.text;
        let active = metrics.lines().any(|line| {
            line.starts_with("scaivault_active_requests{")
                && line.contains("subscription")
                && !line.ends_with(" 0")
        });
        active.then_some(())
    })
    .await;
    let began = Instant::now();
    server.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let answer = polling
        .await
        .expect("the poll ends")
        .expect("with an answer");
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text);
}

/// The production form, in one directory.
pub(crate) struct Production {
    pub(crate) home: tempfile::TempDir,
    pub(crate) token: String,
}

impl Production {
    /// `scaivault init` into a directory of its own, with `env`.
    pub(crate) fn init(env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let output = init(home.path(), env);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "init: {stdout}\n{stderr}");
        let tokens: Vec<_> = stdout
            .split_whitespace()
            .filter(|word| word.starts_with("skt_"))
            .collect();
        assert_eq!(tokens.len(), 1, "the admin token is shown once: {stdout}");
        assert!(!stderr.contains("skt_"), "{stderr}");
        let token = tokens[0].to_owned();
        Self { home, token }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The command that serves it on a free port, told everything by the environment.
    pub(crate) fn server(&self) -> Command {
        let mut command = scaivault(self.home.path());
        let database = format!("sqlite://{}", self.data().join("scaivault.db").display());
        command
            .arg("server")
            .env("DATABASE_URL", database)
            .env("SCAIVAULT_SEAL_KEY_FILE", self.key_file())
            .env("BIND_ADDRESS", "127.0.0.1:0")
            .env("BASE_URL", "http://127.0.0.1");
        command
    }

    /// The same, told by the file that `init` wrote.
    fn server_by_file(&self) -> Command {
        let mut command = scaivault(self.home.path());
        command
            .args(["server", "--config"])
            .arg(self.data().join("scaivault.toml"));
        command.env("BIND_ADDRESS", "127.0.0.1:0");
        command
    }

    fn key_file(&self) -> PathBuf {
        self.data().join("root.key")
    }
}

fn init(home: &Path, env: &[(&str, &str)]) -> Output {
    let mut command = scaivault(home);
    command
        .arg("init")
        .arg("--data")
        .arg(home.join("data"))
        .envs(env.iter().copied());
    command.output().expect("init runs")
}

/// A started production server and a client of it.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) api: Api,
}

impl Served {
    pub(crate) async fn start(
        command: Command,
        token: &str,
        http: reqwest::Client,
        scheme: &str,
    ) -> Self {
        let mut process = Process::start("scaivault server", command);
        let port = eventually("the server tells its address", SOON, async || {
            assert!(!process.is_gone(), "the server ended: {}", process.stderr());
            let told = process.stdout().join("\n") + "\n" + &process.stderr();
            port_in(&told)
        })
        .await;
        let api = Api::with_client(http, &format!("{scheme}://127.0.0.1:{port}"), token);
        ready(&mut process, &api).await;
        Self { process, api }
    }

    async fn stop(mut self) {
        self.process.terminate();
        let status = self.process.exited(SOON).await;
        assert!(status.success(), "{status}: {}", self.process.stderr());
    }
}

/// The first `127.0.0.1:<port>` that is not the one that was asked for.
fn port_in(text: &str) -> Option<u16> {
    text.split("127.0.0.1:").skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|port| *port != 0)
    })
}

pub(crate) fn plain_http() -> reqwest::Client {
    crate::harness::http::client().build().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_production_form() {
    let production = Production::init(&[]);
    for private in [production.key_file(), production.data()] {
        let mode = std::fs::metadata(&private)
            .expect("it is there")
            .permissions()
            .mode();
        let expect = if private.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, expect, "{}: {mode:o}", private.display());
    }

    // Once.
    let again = init(production.home.path(), &[]);
    assert!(
        !again.status.success(),
        "a second init would replace the root key"
    );
    assert!(!String::from_utf8_lossy(&again.stdout).contains("skt_"));
    assert!(!again.stderr.is_empty(), "it says why");

    let token = production.token.clone();
    let served = Served::start(production.server(), &token, plain_http(), "http").await;
    let me = served.api.get("/v1/auth/whoami").await.ok(200);
    assert!(
        me["scopes"]
            .as_array()
            .expect("scopes")
            .contains(&json!("admin")),
        "{me}"
    );
    // The administrator writes what a policy allows, or everything; either way can be had.
    let policy = json!({
        "name": "all", "rules": [{ "path_pattern": "app/**", "permissions": ["admin"] }],
    });
    let policy = served.api.post("/v1/policies", policy).await.ok(201);
    let binding = json!({ "identity_type": me["identity_type"], "identity_id": me["identity_id"] });
    let bindings = format!(
        "/v1/policies/{}/bindings",
        policy["id"].as_str().expect("an id")
    );
    served.api.post(&bindings, binding).await.ok(201);
    served
        .api
        .put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    // No receiver on the loopback here, and none without TLS.
    let webhook = |url: &str| json!({ "name": url, "url": url, "secret": SECRET, "events": ["secret.created"] });
    let refused = served
        .api
        .post("/v1/webhooks", webhook("http://127.0.0.1:9/"))
        .await;
    assert!(matches!(refused.status, 400 | 422), "{}", refused.text);
    let refused = served
        .api
        .post("/v1/webhooks", webhook("https://127.0.0.1/"))
        .await;
    assert!(matches!(refused.status, 400 | 422), "{}", refused.text);
    let log = served.process.stdout().join("\n") + &served.process.stderr();
    assert!(!log.contains(&token), "the log holds the token");
    let lines = log.lines().filter(|line| line.starts_with('{'));
    for line in lines.clone() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    }
    assert!(
        lines.count() > 0,
        "structured JSON logs are the default: {log}"
    );
    served.stop().await;

    // The second start continues.
    let by_file = production.server_by_file();
    let served = Served::start(by_file, &token, plain_http(), "http").await;
    assert_eq!(
        served.api.get("/v1/secrets/app/db").await.ok(200)["data"]["k"],
        "v"
    );
    assert_eq!(
        served.api.get("/v1/audit/verify").await.ok(200)["valid"],
        true
    );
    served.stop().await;

    // Another key does not open it, and it says so.
    let other = Production::init(&[]);
    std::fs::copy(other.key_file(), production.key_file()).expect("the key is replaced");
    let mut wrong = Process::start("scaivault server", production.server());
    let status = wrong.exited(SOON).await;
    assert!(!status.success());
    let told = wrong.stdout().join("\n") + &wrong.stderr();
    assert!(told.contains("key"), "it says what is wrong: {told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_instead_of_a_key_file() {
    let files = tempfile::tempdir().expect("a temporary directory");
    let file = files.path().join("passphrase");
    std::fs::write(&file, "correct horse battery staple\n").expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let name = file.to_str().expect("a plain name");
    let env = [
        ("KMS_PROVIDER", "passphrase"),
        ("SCAIVAULT_SEAL_PASSPHRASE_FILE", name),
    ];
    let production = Production::init(&env);
    assert!(
        !production.key_file().exists(),
        "the key is derived, not kept"
    );
    let mut command = production.server();
    command.envs(env);
    let served = Served::start(command, &production.token, plain_http(), "http").await;
    served.api.get("/v1/auth/whoami").await.ok(200);
    served.stop().await;

    std::fs::write(&file, "wrong horse\n").expect("a file");
    let mut command = production.server();
    command.envs(env);
    let mut wrong = Process::start("scaivault server", command);
    assert!(!wrong.exited(SOON).await.success());
    let told = wrong.stdout().join("\n") + &wrong.stderr();
    assert!(
        told.to_lowercase().contains("passphrase"),
        "it says what is wrong: {told}"
    );
    assert!(!told.contains("wrong horse"), "and does not repeat it");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_by_the_binary() {
    let files = tempfile::tempdir().expect("a temporary directory");
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext"])
        .arg("subjectAltName=IP:127.0.0.1,DNS:localhost")
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let production = Production::init(&[]);
    let mut command = production.server();
    command
        .env("TLS_CERT_FILE", &cert)
        .env("TLS_KEY_FILE", &key)
        .env("BASE_URL", "https://127.0.0.1");
    let pem = std::fs::read(&cert).expect("the certificate");
    let trusted = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let https = crate::harness::http::client()
        .tls_certs_only([trusted])
        .build()
        .expect("a client that trusts it");
    let served = Served::start(command, &production.token, https, "https").await;
    served.api.get("/v1/auth/whoami").await.ok(200);
    served.stop().await;

    // One without the other is a mistake, and is told.
    let mut half = production.server();
    half.env("TLS_CERT_FILE", &cert);
    let mut half = Process::start("scaivault server", half);
    assert!(!half.exited(SOON).await.success());
    let told = half.stdout().join("\n") + &half.stderr();
    assert!(
        told.contains("TLS_KEY_FILE") || told.contains("tls"),
        "{told}"
    );
}
