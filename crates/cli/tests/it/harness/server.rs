//! The server as a process, started by a builder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Api, Process, SOON, eventually};

/// The binary under test.
pub(crate) const SCAIVAULT: &str = env!("CARGO_BIN_EXE_scaivault");

/// The binary with nothing of our own environment but the search path, a home of its own and a
/// directory for temporary files of its own, both in `home`.
pub(crate) fn scaivault(home: &Path) -> Command {
    let mut command = Command::new(SCAIVAULT);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("TMPDIR", home)
        .current_dir(home);
    command
}

/// A running server.
pub(crate) struct Server {
    process: Process,
    url: String,
    root: Api,
    root_token: String,
    ready_after: Duration,
    home: tempfile::TempDir,
}

/// A server that is about to start.
pub(crate) struct ServerBuilder {
    root_token: String,
    data: Option<PathBuf>,
    env: Vec<(String, String)>,
    rate_limited: bool,
}

impl Server {
    /// A development server on a free port of the loopback.
    pub(crate) fn dev() -> ServerBuilder {
        ServerBuilder {
            root_token: "skt_root_of_one_test_0123456789abcdef".to_owned(),
            data: None,
            env: Vec::new(),
            rate_limited: false,
        }
    }

    /// Everything, with the root token.
    pub(crate) fn root(&self) -> &Api {
        &self.root
    }

    pub(crate) fn root_token(&self) -> &str {
        &self.root_token
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From the start of the process to the first `ready`.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The directory its temporary files go to.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits for the end, which must be a good one. Answers with standard error,
    /// and the home directory as it was left.
    pub(crate) async fn stop(mut self) -> (String, tempfile::TempDir) {
        self.process.terminate();
        let status = self.process.exited(SOON).await;
        let stderr = self.process.stderr();
        assert!(
            status.success(),
            "SIGTERM ended it with {status}:\n{stderr}"
        );
        (stderr, self.home)
    }
}

impl ServerBuilder {
    /// Keeps its data in `dir`.
    pub(crate) fn data(mut self, dir: &Path) -> Self {
        self.data = Some(dir.to_owned());
        self
    }

    pub(crate) fn root_token(mut self, token: &str) -> Self {
        self.root_token = token.to_owned();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the documented rate limits. Without this there are none: tests ask again and again
    /// while they wait.
    pub(crate) fn rate_limited(mut self) -> Self {
        self.rate_limited = true;
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(self) -> impl Future<Output = Server> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut command = scaivault(home.path());
        command.args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--root-token",
            &self.root_token,
        ]);
        if let Some(data) = &self.data {
            command.arg("--data").arg(data);
        }
        if !self.rate_limited {
            command.envs(unlimited());
        }
        command.envs(self.env);
        let began = Instant::now();
        let mut process = Process::start("scaivault dev", command);
        let root_token = self.root_token;
        async move {
            let url = printed_url(&mut process, "ScaiVault dev server: http://").await;
            let root = Api::new(&url, &root_token);
            ready(&mut process, &root).await;
            Server {
                process,
                url,
                root,
                root_token,
                ready_after: began.elapsed(),
                home,
            }
        }
    }
}

/// The URL a server prints on standard output, behind `before`.
pub(crate) async fn printed_url(process: &mut Process, before: &str) -> String {
    let scheme = before.rsplit(' ').next().unwrap_or(before);
    eventually("the server prints its URL", SOON, async || {
        let lines = process.stdout();
        let found = lines.iter().find_map(|line| {
            let address = line.split_once(before)?.1.split_whitespace().next()?;
            Some(format!("{scheme}{}", address.trim_end_matches('/')))
        });
        assert!(
            found.is_some() || !process.is_gone(),
            "the server ended instead of serving: {}",
            process.stderr()
        );
        found
    })
    .await
}

/// Waits until the server says that it is ready.
pub(crate) async fn ready(process: &mut Process, api: &Api) {
    let api = api.anonymous();
    eventually("the server is ready", SOON, async || {
        assert!(!process.is_gone(), "the server ended: {}", process.stderr());
        let asked = api
            .attempt(reqwest::Method::GET, "/v1/health/ready", None)
            .await;
        asked.ok().filter(|reply| reply.status == 200)
    })
    .await;
}

/// The environment in which no test runs into a limit.
pub(crate) fn unlimited() -> impl Iterator<Item = (String, String)> {
    let name = |category| format!("SCAIVAULT_RATE_LIMITS_{category}");
    let all = RATE_CATEGORIES.into_iter();
    all.map(move |category| (name(category), "1000000".to_owned()))
}

const RATE_CATEGORIES: [&str; 19] = [
    "READ",
    "WRITE",
    "DELETE",
    "LIST",
    "BATCH_READ",
    "BATCH_METADATA",
    "AUDIT",
    "AUDIT_EXPORT",
    "POLICY",
    "POLICY_TEST",
    "IDENTITY_READ",
    "AUTH",
    "WEBHOOK",
    "SUBSCRIPTION",
    "POLL",
    "ROTATION",
    "DYNAMIC_ADMIN",
    "DYNAMIC_GENERATE",
    "LEASE",
];
