//! One node: the real server as a process, told everything by its environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use scaivault_peers::free_port;

use crate::harness::server::{scaivault, unlimited};
use crate::harness::{Api, Process, SOON, eventually};

/// Where Debian's package puts the library that tells a process another time.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/// The library, where it is installed (`faketime` of Debian).
pub(crate) fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|file| Path::new(file).exists())
}

pub(crate) struct Node {
    pub(crate) name: String,
    home: PathBuf,
    env: Vec<(String, String)>,
    port: u16,
    process: Option<Process>,
    /// Standard error of the processes before this one.
    pub(crate) told: String,
}

impl Node {
    /// A node that is not running yet.
    pub(crate) fn new(name: &str, home: &Path, env: &[(String, String)]) -> Self {
        let home = home.join(name);
        std::fs::create_dir_all(&home).expect("a directory");
        let mut node = Self {
            name: name.to_owned(),
            home,
            env: env.to_vec(),
            port: free_port(),
            process: None,
            told: String::new(),
        };
        node.set_clock("+0");
        let port = node.port;
        let mut set = |name: &str, value: String| node.env.push((name.to_owned(), value));
        set("BIND_ADDRESS", format!("127.0.0.1:{port}"));
        set("BASE_URL", format!("http://127.0.0.1:{port}"));
        set("SCAIVAULT_NODE_NAME", name.to_owned());
        set("SCAIVAULT_TARGETS_ALLOW", "127.0.0.0/8".to_owned());
        set("LOG_LEVEL", "info".to_owned());
        node.env.extend(unlimited());
        node
    }

    /// A client of this node.
    pub(crate) fn api(&self, token: &str) -> Api {
        let http = crate::harness::http::client()
            .timeout(Duration::from_secs(40))
            .connect_timeout(Duration::from_secs(2))
            .build()
            .expect("a client");
        Api::with_client(http, &format!("http://127.0.0.1:{}", self.port), token)
    }

    fn clock_file(&self) -> PathBuf {
        self.home.join("clock")
    }

    /// The node's clock goes this much before or behind from now on (`+1h`, `-1y`, `+0`). Without
    /// the library nothing changes.
    pub(crate) fn set_clock(&self, offset: &str) {
        // In one move: the node reads it again and again.
        let fresh = self.home.join("clock.new");
        std::fs::write(&fresh, format!("{offset}\n")).expect("a file");
        std::fs::rename(&fresh, self.clock_file()).expect("a file");
    }

    /// Starts it, or starts it again; does not wait for it.
    pub(crate) fn start(&mut self) {
        self.note();
        let mut command: Command = scaivault(&self.home);
        command
            .arg("server")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(library) = faketime() {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        self.process = Some(Process::start(&self.name, command));
    }

    /// What the process before said, and what the library that told it the time left behind.
    fn note(&mut self) {
        let Some(process) = &self.process else { return };
        self.told.push_str(&process.stderr());
        self.told.push_str(&process.stdout().join("\n"));
        let id = process.pid();
        for left in [
            format!("faketime_shm_{id}"),
            format!("sem.faketime_sem_{id}"),
        ] {
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(left));
        }
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) {
        let api = self.api("").anonymous();
        let within = SOON * 3;
        eventually("the node is ready", within, async || {
            if self.is_gone() {
                let process = self.process.as_ref().expect("it was started");
                panic!("{} ended: {}", self.name, process.stderr());
            }
            let asked = api.attempt(reqwest::Method::GET, "/v1/health/ready", None);
            asked.await.ok().filter(|reply| reply.status == 200)
        })
        .await;
    }

    /// `kill -9`; whether it was running.
    pub(crate) fn kill(&mut self) -> bool {
        let running = !self.is_gone();
        self.pause(false);
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.note();
        self.process = None;
        running
    }

    /// Whether it is not running.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::is_gone)
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn pause(&self, paused: bool) {
        use rustix::process::{Pid, Signal, kill_process};
        let Some(process) = &self.process else { return };
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        let id = Pid::from_raw(process.pid().cast_signed()).expect("a process has an id");
        let _ = kill_process(id, signal);
    }

    /// What all its processes printed.
    pub(crate) fn log(&self) -> String {
        let now = self.process.as_ref().map(Process::stderr);
        format!("{}{}", self.told, now.unwrap_or_default())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
