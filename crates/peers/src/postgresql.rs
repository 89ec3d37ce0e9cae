//! PostgreSQL, with everything it is told in its log.

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Server, free_port, program, run};
use crate::shared_memory::Segment;
use crate::small_disk::SmallDisk;

/// The superuser's name.
pub const SUPERUSER: &str = "postgres";
/// The superuser's password.
pub const PASSWORD: &str = "superuser-of-a-test";

/// How long it may take until it lets the superuser in.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end its sessions and itself when it is told to at once.
const QUIT_MAX: Duration = Duration::from_secs(15);

const DEBIAN: [&str; 5] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
];

/// Whether this process is root, whom PostgreSQL and PgBouncer refuse to run as.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `program` as a user without rights where this process is root. The process id stays that of the
/// program: `setpriv` is replaced by it.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

/// Gives a directory and what is in it to the user that [`unprivileged`] takes.
pub(crate) fn hand_over(dir: &Path) {
    if is_root() {
        let args: [&OsStr; 3] = ["-R".as_ref(), "postgres:postgres".as_ref(), dir.as_ref()];
        run(&program("chown", &[]), args);
    }
}

fn small_disk(dir: &Path, megabytes: Option<u32>) -> Option<SmallDisk> {
    let data = dir.join("data");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&data)
        .expect("a directory");
    SmallDisk::mount(&data, megabytes?)
}

fn output(mut command: Command) -> Result<String, String> {
    let out = command.output().expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout).trim_end().to_owned();
    match out.status.success() {
        true => Ok(text),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

/// A running PostgreSQL: TCP only, passwords by SCRAM, every statement and connection logged.
pub struct Postgresql {
    server: Server,
    settings: Vec<String>,
    disk: Option<SmallDisk>,
}

/// Nothing of it is left, in the kernel neither. The disk must be free before the directory that it
/// is mounted in goes.
impl Drop for Postgresql {
    fn drop(&mut self) {
        self.kill();
        self.free_memory();
        self.disk = None;
    }
}

impl Postgresql {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// Starts one with further settings (`name=value`), told the directory where files for it can
    /// be put.
    pub fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        Self::start_in(settings, None)
    }

    /// Starts one whose data is on a disk of so many megabytes, where mounting is permitted; on
    /// the common one otherwise.
    pub fn start_on_small_disk(megabytes: u32, settings: &[String]) -> Self {
        Self::start_in(|_| settings.to_vec(), Some(megabytes))
    }

    fn start_in(settings: impl FnOnce(&Path) -> Vec<String>, megabytes: Option<u32>) -> Self {
        let dir = Server::directory("postgresql").expect("a directory");
        let disk = small_disk(dir.path(), megabytes);
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a password file");
        let settings = settings(dir.path());
        hand_over(dir.path());
        let mut init = unprivileged(&program("initdb", &DEBIAN));
        init.current_dir(dir.path())
            .arg("-D")
            .arg(dir.path().join("data"))
            .args(["-U", SUPERUSER, "--auth=scram-sha-256", "-E", "UTF8"])
            .args(["--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()));
        if disk.is_some() {
            init.arg("--wal-segsize=1");
        }
        output(init).expect("initdb");
        Self::on_files(dir, settings, disk)
    }

    /// Starts a standby of `primary`, on a copy of its files, which follows it by a slot of this
    /// name. It goes by the name `standby` there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_standby(primary: &Self, slot: &str, megabytes: Option<u32>) -> Self {
        let dir = Server::directory("postgresql").expect("a directory");
        let disk = small_disk(dir.path(), megabytes);
        hand_over(dir.path());
        let mut copy = unprivileged(&program("pg_basebackup", &DEBIAN));
        copy.current_dir(dir.path())
            .env("PGPASSWORD", PASSWORD)
            .args(["-h", "127.0.0.1", "-U", SUPERUSER, "-w", "-R"])
            .args(["-p", &primary.port().to_string()])
            .args(["-X", "stream", "--checkpoint=fast", "--no-sync"])
            .args(["-C", "-S", slot, "-D"])
            .arg(dir.path().join("data"));
        output(copy).expect("pg_basebackup");
        Self::on_files(dir, primary.settings.clone(), disk)
    }

    fn on_files(dir: tempfile::TempDir, settings: Vec<String>, disk: Option<SmallDisk>) -> Self {
        let port = free_port();
        let command = Self::command(dir.path(), port, &settings);
        let started = Self {
            server: Server::start(command, dir, port),
            settings,
            disk,
        };
        started.await_ready();
        started
    }

    fn command(dir: &Path, port: u16, settings: &[String]) -> Command {
        let mut command = unprivileged(&program("postgres", &DEBIAN));
        command
            .current_dir(dir)
            .arg("-D")
            .arg(dir.join("data"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        let fixed = [
            "unix_socket_directories=",
            "fsync=off",
            "log_statement=all",
            "log_connections=on",
            "log_line_prefix=%u ",
            "shared_buffers=16MB",
            "cluster_name=standby",
            // Among its data, where it goes with them, also when it is killed.
            "dynamic_shared_memory_type=mmap",
        ];
        for setting in fixed.into_iter().chain(settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        command
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Runs statements as the superuser in the database `postgres`; rows come back, a line each.
    ///
    /// # Panics
    /// When they fail.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_as(SUPERUSER, PASSWORD, "postgres", statements)
            .unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Runs statements in a new login; what the server answered when it did not work.
    ///
    /// # Errors
    /// When the login or a statement fails.
    pub fn sql_as(
        &self,
        user: &str,
        password: &str,
        database: &str,
        statements: &str,
    ) -> Result<String, String> {
        psql(self.port(), user, password, database, statements)
    }

    /// Ends it at once, sessions included.
    pub fn kill(&mut self) {
        if !self.server.quit(QUIT_MAX) {
            self.kill_hard();
        }
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.server.dir().join("data")
    }

    /// What a server that was killed left in the kernel, and a power loss would not have.
    fn free_memory(&self) {
        if let Some(segment) = Segment::of(&self.data()) {
            segment.free();
        }
    }

    /// Ends all of its processes as a power loss would, without a word to anybody.
    pub fn kill_hard(&mut self) {
        // Paused, it starts no further process while those it has are looked up.
        self.server.pause(true);
        let of = |id: u32| {
            let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let children = children.unwrap_or_default();
            let ids = children.split_whitespace().map(str::to_owned);
            ids.collect::<Vec<_>>()
        };
        let children = self.server.id().map(of).unwrap_or_default();
        self.server.kill();
        for child in &children {
            let id = child.parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(id) = id {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
        let begun = Instant::now();
        let alive = |child: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while children.iter().any(alive) && begun.elapsed() < READY_MAX {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.free_memory();
    }

    /// The disk of its own, when it has one.
    pub fn disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// Whether its process has ended.
    pub fn is_gone(&mut self) -> bool {
        self.server.is_gone()
    }

    /// A standby becomes a server that takes writes.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn promote(&self) {
        let promoted = self.sql("SELECT pg_promote(true, 60)");
        assert_eq!(promoted, "t", "it was not promoted:\n{}", self.server.log());
    }

    /// Waits until it lets the superuser in, starting it again if it has ended; whether it had.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn revive(&mut self) -> bool {
        let (begun, mut ended) = (Instant::now(), false);
        loop {
            if self.is_gone() {
                ended = true;
                self.start_again();
            }
            match self.sql_as(SUPERUSER, PASSWORD, "postgres", "SELECT 1") {
                Ok(_) => return ended,
                Err(error) => assert!(begun.elapsed() < READY_MAX, "not ready: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it and starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Starts it again on the same port and data, after [`Postgresql::kill_hard`].
    pub fn start_again(&mut self) {
        let command = Self::command(self.server.dir(), self.port(), &self.settings);
        self.server.restart(command);
        self.await_ready();
    }

    /// It listens before it lets anybody in: after a crash its log is replayed first.
    fn await_ready(&self) {
        let begun = Instant::now();
        while let Err(error) = self.sql_as(SUPERUSER, PASSWORD, "postgres", "SELECT 1") {
            assert!(begun.elapsed() < READY_MAX, "not ready: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Runs statements with `psql`, at a server or a pooler.
///
/// # Errors
/// When the login or a statement fails.
pub fn psql(
    port: u16,
    user: &str,
    password: &str,
    database: &str,
    statements: &str,
) -> Result<String, String> {
    let psql: PathBuf = program("psql", &DEBIAN);
    let mut command = Command::new(psql);
    command
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "10")
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", port.to_string())
        .env("PGUSER", user)
        .env("PGDATABASE", database)
        .env("PGSSLMODE", "prefer")
        .args(["-X", "-q", "-At", "-w", "-v", "ON_ERROR_STOP=1", "-c"])
        .arg(statements);
    output(command)
}
