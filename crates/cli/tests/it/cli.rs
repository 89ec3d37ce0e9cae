//! The command line against a running server: what it prints, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::first_integration::grant;
use crate::harness::Server;
use crate::harness::server::scaivault;

/// The exit codes of the documentation.
pub(crate) const OK: i32 = 0;
pub(crate) const GENERAL: i32 = 1;
const AUTHENTICATION: i32 = 2;
pub(crate) const AUTHORIZATION: i32 = 3;
pub(crate) const NOT_FOUND: i32 = 4;
pub(crate) const VALIDATION: i32 = 5;

/// Someone at a terminal, with a token in the environment.
pub(crate) struct Terminal<'a> {
    server: &'a Server,
    token: String,
    home: tempfile::TempDir,
}

impl<'a> Terminal<'a> {
    pub(crate) fn new(server: &'a Server, token: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self {
            server,
            token: token.to_owned(),
            home,
        }
    }

    /// Where its files are.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = scaivault(self.home.path());
        command
            .args(line.split_whitespace())
            .env("SCAIVAULT_URL", self.server.url())
            .env("SCAIVAULT_TOKEN", &self.token);
        command
    }

    /// Runs it, with the exit code it must have; answers with standard output.
    #[track_caller]
    pub(crate) fn run(&self, line: &str, expect: i32) -> String {
        check(self.command(line).output().expect("it runs"), line, expect)
    }

    /// The same with something on standard input.
    #[track_caller]
    pub(crate) fn run_with(&self, line: &str, input: &str, expect: i32) -> String {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        check(child.wait_with_output().expect("it ends"), line, expect)
    }

    /// The server's JSON, by `--json`.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.run(&format!("{line} --json"), OK);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{line}: not JSON: {text}"))
    }
}

#[track_caller]
fn check(output: Output, line: &str, expect: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(expect),
        "{line}:\n{stdout}\n{stderr}"
    );
    if expect == OK {
        assert!(!stderr.contains("error"), "{line}: {stderr}");
    } else {
        assert!(
            !stderr.trim().is_empty(),
            "{line}: an error says what happened"
        );
        assert!(
            !stdout.contains("error"),
            "{line}: errors go to standard error: {stdout}"
        );
    }
    stdout.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());

    me.run("secrets write app/db username=alice password=one", OK);
    assert_eq!(me.run("secrets read app/db --field password", OK), "one");
    let read = me.json("secrets read app/db");
    assert_eq!(
        read["data"],
        json!({ "username": "alice", "password": "one" })
    );
    assert_eq!(read["version"], 1);
    let file = me.home.path().join("value.json");
    std::fs::write(&file, r#"{"username":"alice","password":"two"}"#).expect("a file");
    let written = format!(
        "secrets write app/db --type json --json-file {} --expires-in 30d",
        file.display()
    );
    let written = me.json(&written);
    assert_eq!(written["version"], 2);
    assert!(written["expires_at"].is_string());
    assert_eq!(
        me.run("secrets read app/db --version 1 --field password", OK),
        "one"
    );
    assert_eq!(me.run("secrets read app/db --field password", OK), "two");
    let plain = me.run("secrets read app/db", OK);
    assert!(plain.contains("two") && plain.contains("alice"), "{plain}");
    // A value that should not be in the process list.
    me.run_with("secrets write app/key key=-", "from standard input\n", OK);
    assert_eq!(
        me.run("secrets read app/key --field key", OK),
        "from standard input"
    );

    let listed = me.json("secrets list --prefix app/");
    let paths: Vec<_> = listed["secrets"]
        .as_array()
        .expect("secrets")
        .iter()
        .map(|secret| secret["path"].as_str())
        .collect();
    assert_eq!(paths, [Some("app/db"), Some("app/key")]);
    assert!(!listed.to_string().contains("two"), "no values");
    assert_eq!(
        me.json("secrets list --limit 1")["secrets"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let plain = me.run("secrets list", OK);
    assert!(
        plain.contains("app/db") && plain.contains("app/key"),
        "{plain}"
    );
    let versions = me.json("secrets versions app/db");
    assert_eq!(versions["versions"][0]["version"], 2);
    assert_eq!(versions["versions"][1]["is_current"], false);

    let policy = json!({ "name": "p", "interval": "90d", "auto_generate": false });
    let policy = server
        .root()
        .post("/v1/rotation/policies", policy)
        .await
        .ok(201);
    crate::first_integration::attach(server.root(), &policy, "app/db").await;
    let rotation = me.json("secrets rotate app/db");
    assert_eq!(rotation["phase"], "generating");

    me.run("secrets delete app/key", OK);
    me.run("secrets read app/key", NOT_FOUND);
    me.run("secrets delete app/db --hard", OK);
    me.run("secrets write app/db password=again", OK);
    assert_eq!(me.json("secrets read app/db")["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes() {
    let server = Server::dev().start().await;
    let root = Terminal::new(&server, server.root_token());
    root.run("secrets write app/db password=one", OK);
    grant(server.root(), "sa:app", "app/*", &["read"]).await;
    let token =
        root.json("token create --identity sa:app --scope secrets:read --ttl 1h --description t");
    let app = Terminal::new(&server, token["token"].as_str().expect("a token"));
    assert_eq!(app.run("secrets read app/db --field password", OK), "one");

    app.run("secrets read other/db", AUTHORIZATION);
    app.run("secrets write app/db password=forged", AUTHORIZATION);
    app.run("token list", AUTHORIZATION);
    root.run("secrets read app/nothing", NOT_FOUND);
    root.run("secrets read app/db --version 9", NOT_FOUND);
    root.run("secrets read app/db --field nothing", NOT_FOUND);
    root.run("secrets read App/DB", VALIDATION);
    root.run(
        "secrets write app/db password=x --expires-in soon",
        VALIDATION,
    );
    root.run("secrets write app/db novalue", VALIDATION);
    root.run("secrets read", VALIDATION);
    root.run("secrets levitate", VALIDATION);
    root.run("secrets write app/db password=x --cas 7", GENERAL);
    Terminal::new(&server, "").run("secrets read app/db", AUTHENTICATION);
    Terminal::new(&server, "skt_garbage").run("secrets read app/db", AUTHENTICATION);
    let mut nowhere = root.command("secrets read app/db");
    nowhere.env("SCAIVAULT_URL", "http://127.0.0.1:9");
    check(
        nowhere.output().expect("it runs"),
        "nobody listens",
        GENERAL,
    );

    // Errors hold neither token nor value.
    let mut command = root.command("secrets write App/DB password=hunter2-canary --debug");
    let output = command.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("hunter2-canary"), "{stderr}");
    assert!(!stderr.contains(server.root_token()));
    assert!(
        stderr.contains("req_"),
        "the request id helps to find it in the log: {stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let server = Server::dev().start().await;
    let root = Terminal::new(&server, server.root_token());
    let made =
        root.json("token create --identity sa:ci --scope secrets:read,secrets:list --ttl 1h");
    let token = made["token"].as_str().expect("a token").to_owned();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(made["scopes"], json!(["secrets:read", "secrets:list"]));
    let ci = Terminal::new(&server, &token);
    let me = ci.json("auth whoami");
    assert_eq!(me["identity_id"], "sa:ci");

    // Shown this once.
    let listed = root.json("token list");
    assert!(!listed.to_string().contains(&token));
    let item = listed["tokens"]
        .as_array()
        .expect("tokens")
        .iter()
        .find(|item| item["id"] == id);
    assert_eq!(item.expect("the new one")["status"], "active");
    root.run(&format!("token revoke {id}"), OK);
    ci.run("auth whoami", AUTHENTICATION);
    root.run("token revoke tok_none", NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit() {
    let server = Server::dev().start().await;
    let root = Terminal::new(&server, server.root_token());
    root.run("secrets write app/db password=one", OK);
    root.run("secrets read app/db --field password", OK);
    let verified = root.json("audit verify");
    assert_eq!(verified["valid"], true);
    assert!(verified["rows"].as_u64().is_some_and(|rows| rows >= 2));
    root.run("audit verify", OK);
    let plain = root.run("audit logs --path app/ --action read", OK);
    assert!(
        plain.contains("app/db") && plain.contains("user:root"),
        "{plain}"
    );
    let app = root.json("token create --identity sa:app --scope secrets:read --ttl 1h");
    let app = Terminal::new(&server, app["token"].as_str().expect("a token"));
    app.run("audit verify", AUTHORIZATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_for_later() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let plain = |line: &str| {
        let mut command = scaivault(me.home.path());
        command.args(line.split_whitespace());
        command
    };
    let set = format!("config set base_url {}", server.url());
    check(plain(&set).output().expect("it runs"), &set, OK);
    let mut login = plain("auth login --token -")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = login.stdin.take().expect("it is piped");
    stdin
        .write_all(server.root_token().as_bytes())
        .expect("it reads");
    drop(stdin);
    check(login.wait_with_output().expect("it ends"), "auth login", OK);
    let config = me.home.path().join(".scaivault/config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&config)
            .expect("the config file")
            .permissions(),
    );
    assert_eq!(mode & 0o077, 0, "others may not read it: {mode:o}");
    let whoami = check(
        plain("auth whoami").output().expect("it runs"),
        "auth whoami",
        OK,
    );
    assert!(whoami.contains("user:root"), "{whoami}");
}
