//! Moving, backing up and restoring a vault by command, beside running servers.

use std::path::{Path, PathBuf};
use std::process::Output;

use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use serde_json::{Value, json};

use crate::harness::server::{ready, scaivault};
use crate::harness::{Api, Process, SOON, Server, eventually};

pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    let mut command = scaivault(home);
    command.args(args).output().expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it printed as JSON, once it ended with this code.
pub(crate) fn printed(output: &Output, code: i32) -> Value {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    serde_json::from_str(&out).expect("JSON")
}

/// It ended with this code, and said this.
fn refused(output: &Output, code: i32, why: &str) {
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(err.contains(why), "{err}");
}

pub(crate) struct Places {
    directory: tempfile::TempDir,
    pub(crate) data: PathBuf,
}

impl Places {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        Self { directory, data }
    }

    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn of(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        path.to_str().expect("text").to_owned()
    }

    pub(crate) fn data_file(&self, suffix: &str) -> String {
        let found = std::fs::read_dir(&self.data).expect("the data directory");
        let paths = found.map(|entry| entry.expect("an entry").path());
        let mut names = paths.filter_map(|path| path.to_str().map(str::to_owned));
        let name = names.find(|name| name.ends_with(suffix));
        name.unwrap_or_else(|| panic!("nothing ends with {suffix}"))
    }
}

async fn write(api: &Api, path: &str, value: &str) {
    let body = json!({ "data": { "k": value } });
    let reply = api.put(&format!("/v1/secrets/{path}"), body).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
}

async fn value(api: &Api, path: &str) -> Value {
    let read = api.get(&format!("/v1/secrets/{path}")).await.ok(200);
    read["data"]["k"].clone()
}

/// A production server over this store.
pub(crate) async fn serve(places: &Places, store: &str, key: &str, token: &str) -> (Process, Api) {
    let mut command = scaivault(places.home());
    command
        .arg("server")
        .env("DATABASE_URL", store)
        .env("KMS_PROVIDER", "local")
        .env("SCAIVAULT_SEAL_KEY_FILE", key)
        .env("SCAIVAULT_NODE_NAME", "node-1")
        .env("SCAIVAULT_TARGETS_ALLOW", "127.0.0.1")
        .env("BIND_ADDRESS", "127.0.0.1:0");
    let mut process = Process::start("scaivault server", command);
    let url = eventually("it says where it serves", SOON, async || {
        assert!(!process.is_gone(), "{}", process.stderr());
        let said = process.stderr() + &process.stdout().join("\n");
        let from = said.find("http://127.0.0.1:")?;
        let url: String = said[from..]
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '"')
            .collect();
        Some(url)
    })
    .await;
    let api = Api::new(&url, token);
    ready(&mut process, &api).await;
    (process, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_moves_to_postgresql_and_back_while_it_is_read() {
    let places = Places::new();
    let server = Server::dev().data(&places.data).start().await;
    let token = server.root_token().to_owned();
    for n in 0..40 {
        write(server.root(), &format!("app/s{n}"), &format!("v{n}")).await;
    }
    let (from, key) = (places.data_file(".db"), places.data_file(".key"));
    let peer = Postgresql::start();
    let url = format!(
        "postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres",
        peer.port()
    );
    let at = places.of("url");
    std::fs::write(&at, format!("{url}\n")).expect("a file");
    let at = format!("@{at}");
    let copy = |from: &str, to: &str| {
        run(
            places.home(),
            &[
                "store",
                "copy",
                "--from",
                from,
                "--to",
                to,
                "--key-file",
                &key,
                "--json",
            ],
        )
    };
    // Its server goes on: the copy is whole, and is not finished.
    assert_eq!(value(server.root(), "app/s1").await, "v1");
    let first = copy(&from, &at);
    assert!(
        text(&first.stderr).contains("100 %"),
        "{}",
        text(&first.stderr)
    );
    let told = text(&first.stdout) + &text(&first.stderr);
    assert!(!told.contains(PASSWORD), "no password is told");
    // Nothing is committed while nobody asks: the server's lock says that it may at any time.
    let done = printed(&first, 8);
    assert_eq!(done["finished"], false);
    assert_eq!(done["written"], done["rows"]);
    assert!(done["versions_opened"].as_u64().expect("a number") >= 16);
    write(server.root(), "app/s1", "later").await;
    let (_, _home) = server.stop().await;
    let done = printed(&copy(&from, &at), 0);
    assert_eq!(
        (&done["finished"], &done["codes_verified"]),
        (&json!(true), &json!(true))
    );
    let written = done["written"].as_u64().expect("a number");
    assert!((1..=20).contains(&written), "only what changed: {done}");
    refused(&copy(&from, &at), 1, "already holds a vault");
    let (process, api) = serve(&places, &url, &key, &token).await;
    assert_eq!(value(&api, "app/s1").await, "later");
    assert_eq!(value(&api, "app/s39").await, "v39");
    write(&api, "app/there", "written there").await;
    assert_eq!(api.get("/v1/audit/verify").await.ok(200)["valid"], true);
    process.terminate();
    let mut process = process;
    assert!(process.exited(SOON).await.success());
    // And back.
    let back = places.of("back.db");
    let done = printed(&copy(&at, &back), 0);
    assert_eq!(done["finished"], true);
    let checked = run(
        places.home(),
        &[
            "audit",
            "verify",
            "--database",
            &back,
            "--key-file",
            &key,
            "--json",
        ],
    );
    assert_eq!(printed(&checked, 0)["valid"], true);
    let (_process, api) = serve(&places, &format!("sqlite://{back}"), &key, &token).await;
    assert_eq!(value(&api, "app/there").await, "written there");
    assert_eq!(api.get("/v1/audit/verify").await.ok(200)["valid"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_backed_up_and_restored() {
    let places = Places::new();
    let server = Server::dev().data(&places.data).start().await;
    let token = server.root_token().to_owned();
    write(server.root(), "app/db", "before").await;
    let (from, key) = (places.data_file(".db"), places.data_file(".key"));
    let (copy, back) = (places.of("copy.db"), places.of("back.db"));
    let made = run(
        places.home(),
        &["store", "backup", "--from", &from, "--to", &copy, "--json"],
    );
    let sum = printed(&made, 0)["sha256"].clone();
    write(server.root(), "app/db", "after").await;
    let summed = std::process::Command::new("sha256sum")
        .args(["-c", "copy.db.sha256"])
        .current_dir(places.home())
        .output()
        .expect("sha256sum runs");
    assert!(summed.status.success(), "{}", text(&summed.stderr));
    let restore = |to: &str| {
        run(
            places.home(),
            &["store", "restore", "--from", &copy, "--to", to, "--json"],
        )
    };
    refused(&restore(&from), 1, "is there already");
    assert_eq!(printed(&restore(&back), 0)["sha256"], sum);
    let (process, api) = serve(&places, &format!("sqlite://{back}"), &key, &token).await;
    assert_eq!(value(&api, "app/db").await, "before");
    // It serves, and says what it does not do.
    let state = api.get("/v1/rotation/reconcile").await.ok(200);
    assert_eq!(state["reconcile_only"], true);
    let policy = json!({ "name": "p", "interval": "90d" });
    let policy = api.post("/v1/rotation/policies", policy).await.ok(201);
    let id = policy["id"].as_str().expect("an id");
    let secrets = format!("/v1/rotation/policies/{id}/secrets");
    api.post(&secrets, json!({ "secret_path": "app/db" }))
        .await
        .ok(201);
    api.post_empty("/v1/secrets/app/db/rotate")
        .await
        .refused(409, "store_restored");
    let ready = api.get("/v1/health/ready").await.ok(200);
    assert_eq!(ready["checks"]["rotation"], "reconcile_only");
    let command = |name: &str| {
        let mut command = scaivault(places.home());
        command
            .args(["store", name])
            .env("SCAIVAULT_URL", api_url(&process))
            .env("SCAIVAULT_TOKEN", &token);
        command.output().expect("the command runs")
    };
    let told = eventually("the targets were looked at", SOON, async || {
        let told = text(&command("reconcile").stdout);
        told.contains("targets looked at until").then_some(told)
    })
    .await;
    assert!(told.contains("nothing is changed at targets"), "{told}");
    let mut again = scaivault(places.home());
    again
        .args(["store", "reconcile", "--again", "--json"])
        .env("SCAIVAULT_URL", api_url(&process))
        .env("SCAIVAULT_TOKEN", &token);
    let again = printed(&again.output().expect("the command runs"), 0);
    assert_eq!(again["reconcile_only"], true);
    let resumed = command("resume");
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    assert!(text(&resumed.stdout).starts_with("rotations go on"));
    api.post_empty("/v1/secrets/app/db/rotate").await.ok(202);
    drop(process);
    // The original was never anything else.
    assert_eq!(value(server.root(), "app/db").await, "after");
    let state = server.root().get("/v1/rotation/reconcile").await.ok(200);
    assert_eq!(state["reconcile_only"], false);
}

fn api_url(process: &Process) -> String {
    let said = process.stderr() + &process.stdout().join("\n");
    let from = said.find("http://127.0.0.1:").expect("its address");
    said[from..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '"')
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_told() {
    let places = Places::new();
    let server = Server::dev().data(&places.data).start().await;
    write(server.root(), "app/db", "x").await;
    let (from, key) = (places.data_file(".db"), places.data_file(".key"));
    let none = places.of("none.db");
    let copy = |from: &str, to: &str| {
        run(
            places.home(),
            &["store", "copy", "--from", from, "--to", to],
        )
    };
    refused(&copy(&from, &from), 1, "name the same store");
    refused(
        &copy(&none, &places.of("x.db")),
        1,
        "the source does not open",
    );
    assert!(!Path::new(&none).exists() && !Path::new(&places.of("x.db")).exists());
    refused(
        &copy("mysql://u:hidden@h/d", &none),
        5,
        "a store's address: expected",
    );
    refused(
        &copy(&from, "postgresql://u:hidden@127.0.0.1:1/d"),
        1,
        "destination does not open",
    );
    let other = Server::dev()
        .data(&places.home().join("other"))
        .start()
        .await;
    write(other.root(), "app/db", "x").await;
    refused(&copy(&from, &key), 1, "destination does not open");
    // Into a vault that is served.
    let other = places.of("other");
    let file = std::fs::read_dir(&other)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "db"));
    let file = file.expect("a store");
    refused(
        &copy(&from, file.to_str().expect("text")),
        1,
        "has this store open",
    );
    let backup = run(
        places.home(),
        &[
            "store",
            "backup",
            "--from",
            "postgresql://u:hidden@h/d",
            "--to",
            "b",
        ],
    );
    refused(&backup, 1, "pg_dump");
    // A served store is not marked behind its server's back.
    let mark = run(places.home(), &["store", "mark-restored", "--store", &from]);
    refused(&mark, 1, "has this store open");
}
