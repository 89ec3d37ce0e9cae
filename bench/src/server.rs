//! Processes under measurement: started, watched, stopped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use crate::wire::{Connection, Endpoint, request};

/// The token the server under measurement is started with.
pub(crate) const ROOT_TOKEN: &str = "benchmark-root-token";

/// Where things are.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The server's binary; by default `scaivault` beside this program.
    #[arg(long)]
    pub(crate) server: Option<PathBuf>,
    /// Data goes into a new directory in here. What disk it is on matters: every read is synced.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) dir: PathBuf,
}

impl Place {
    pub(crate) fn data(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new()
            .prefix("scaivault-bench-")
            .tempdir_in(&self.dir);
        made.with_context(|| format!("no directory can be made in {}", self.dir.display()))
    }

    pub(crate) fn binary(&self) -> Result<PathBuf> {
        let binary = match &self.server {
            Some(given) => given.clone(),
            None => std::env::current_exe()?.with_file_name("scaivault"),
        };
        if !binary.is_file() {
            bail!(
                "{} is not there: run 'cargo build --release -p scaivault', or give --server",
                binary.display()
            );
        }
        Ok(binary)
    }
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) endpoint: Endpoint,
    pub(crate) started: Instant,
    /// How long its start took, where whoever started it waited.
    pub(crate) ready_after: Duration,
    _stdout: Option<BufReader<ChildStdout>>,
}

/// Categories of requests whose limits would be measured instead of the server.
pub(crate) const UNLIMITED: [&str; 11] = [
    "READ",
    "WRITE",
    "LIST",
    "POLICY",
    "AUTH",
    "SUBSCRIPTION",
    "POLL",
    "ROTATION",
    "DYNAMIC_ADMIN",
    "DYNAMIC_GENERATE",
    "LEASE",
];

/// Memory in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

impl Server {
    /// The real one, without request limits.
    pub(crate) fn scaivault(place: &Place, data: &Path) -> Result<Self> {
        let mut command = Command::new(place.binary()?);
        command
            .args([
                "dev",
                "--listen",
                "127.0.0.1:0",
                "--root-token",
                ROOT_TOKEN,
                "--data",
            ])
            .arg(data)
            .envs(UNLIMITED.map(|category| (format!("SCAIVAULT_RATE_LIMITS_{category}"), "0")))
            .env("SCAIVAULT_LOG_LEVEL", "warn");
        Self::start(command)
    }

    /// The one it is compared with.
    pub(crate) fn constant(body_bytes: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["constant", "--body-bytes", &body_bytes.to_string()]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self> {
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line
            .trim()
            .rsplit("http://")
            .next()
            .and_then(|text| text.parse::<SocketAddr>().ok());
        let Some(address) = address else {
            let _ = child.kill();
            bail!("the server did not start");
        };
        Ok(Self {
            child,
            endpoint: Endpoint::from(address),
            started,
            ready_after: Duration::ZERO,
            _stdout: Some(stdout),
        })
    }

    /// One that listens where it was told to, and says nothing that is needed.
    pub(crate) fn at(mut command: Command, endpoint: Endpoint) -> Result<Self> {
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            endpoint,
            started,
            ready_after: Duration::ZERO,
            _stdout: None,
        })
    }

    /// Waits until a request to this path is answered with 200, and how long that took.
    pub(crate) async fn answers(&self, path: &str) -> Result<Duration> {
        let probe = request("GET", path, ROOT_TOKEN, "");
        loop {
            if let Ok(mut connection) = Connection::open(&self.endpoint).await
                && connection.ask(&probe).await?.status == 200
            {
                return Ok(self.started.elapsed());
            }
            if self.started.elapsed() > Duration::from_secs(60) {
                bail!("the server is not ready");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until it says that it serves, and tells how long that took from its start.
    pub(crate) async fn ready(&self) -> Result<Duration> {
        self.answers("/v1/health/ready").await
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            kib.map(|kib| kib / 1_024.0)
                .with_context(|| format!("no {name} in the status"))
        };
        Ok(Memory {
            resident: mib("VmRSS:")?,
            peak: mib("VmHWM:")?,
        })
    }

    /// Processor time it took so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the program's name, which may hold anything but ends so.
        let (_, fields) = stat.rsplit_once(") ").context("an odd stat line")?;
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .flat_map(str::parse::<u64>)
            .sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Waits until it rests, at most some seconds.
    pub(crate) async fn settle(&self) -> Result<()> {
        let mut before = self.cpu()?;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.cpu()?;
            if now.saturating_sub(before) <= Duration::from_millis(10) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    /// The same, where its place is taken by another.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
