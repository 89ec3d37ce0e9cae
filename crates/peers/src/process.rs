//! A server process of our own.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(60);

/// A port of the loopback interface that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The program of that name: in `PATH`, or in one of the directories where Debian keeps servers.
///
/// # Panics
/// When it is not installed; `scripts/test` installs what the tests need.
pub fn program(name: &str, also_in: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).map(|dir| dir.to_string_lossy().into_owned());
    let all = dirs.chain(also_in.iter().map(|dir| (*dir).to_owned()));
    all.map(|dir| Path::new(&dir).join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: run scripts/test, which installs it"))
}

/// A running server with its private directory.
pub struct Server {
    child: Option<Child>,
    dir: TempDir,
    port: u16,
}

impl Server {
    /// A private directory below the temporary directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(name: &str) -> io::Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("scaivault-{name}-"))
            .tempdir()
    }

    /// Starts `command`, whose output goes to `log` in `dir`, and waits until `port` accepts.
    ///
    /// # Panics
    /// When the server ends or does not listen in time; its log is told.
    pub fn start(mut command: Command, dir: TempDir, port: u16) -> Self {
        let child = Self::spawn(&mut command, dir.path());
        let mut server = Self {
            child: Some(child),
            dir,
            port,
        };
        server.await_listening();
        server
    }

    fn spawn(command: &mut Command, dir: &Path) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .expect("a log file");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts")
    }

    fn await_listening(&mut self) {
        let begun = Instant::now();
        loop {
            if TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).is_ok() {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok());
            if ended.flatten().is_some() || begun.elapsed() > START_MAX {
                panic!("the server does not listen:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its private directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops it at once and waits for its end; its files stay.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end (SIGQUIT), which also wakes it when it is paused; whether it did within this
    /// time. Its files stay.
    pub(crate) fn quit(&mut self, within: Duration) -> bool {
        let begun = Instant::now();
        self.signal(Signal::QUIT);
        self.pause(false);
        while !self.is_gone() {
            if begun.elapsed() > within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child = None;
        true
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it has ended by itself, or was ended.
    pub fn is_gone(&mut self) -> bool {
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        self.child.as_mut().is_none_or(ended)
    }

    /// Starts it again on the same port and files.
    pub fn restart(&mut self, mut command: Command) {
        self.kill();
        self.child = Some(Self::spawn(&mut command, self.dir.path()));
        self.await_listening();
    }

    /// Pauses the process (a target that hangs) or lets it go on.
    pub fn pause(&self, paused: bool) {
        self.signal(if paused { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pause(false);
        self.kill();
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it fails; what it printed is told.
pub fn run<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> String {
    let out = Command::new(program)
        .args(args)
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{} failed:\n{text}{}",
        program.display(),
        String::from_utf8_lossy(&out.stderr)
    );
    text
}
