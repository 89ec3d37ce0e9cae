//! MariaDB.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::process::{Server, free_port, program};

const SBIN: &[&str] = &["/usr/sbin", "/usr/local/sbin"];
/// The superuser that every server has, and its password.
pub const SUPERUSER: (&str, &str) = ("scai_root", "r00t-of-the-test");

/// A running MariaDB whose general log is on.
pub struct MariaDb {
    server: Server,
    user: Option<&'static str>,
}

impl MariaDb {
    /// Installs and starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let dir = Server::directory("mariadb").expect("a directory");
        // The server refuses to run as root; its directory must be its own then.
        let is_root = std::fs::metadata(dir.path()).is_ok_and(|meta| meta.uid() == 0);
        let user = is_root.then_some("mysql");
        if let Some(user) = user {
            crate::run(
                &program("chown", &[]),
                [user.as_ref(), dir.path().as_os_str()],
            );
        }
        let data = dir.path().join("data");
        let mut install = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            "--auth-root-authentication-method=normal".to_owned(),
            "--skip-test-db".to_owned(),
            // A server that starts removes what others have in a shared one.
            format!("--tmpdir={}", dir.path().display()),
            "--skip-name-resolve".to_owned(),
            // Many of these run side by side in tests.
            "--innodb-log-file-size=8M".to_owned(),
            "--innodb-buffer-pool-size=16M".to_owned(),
        ];
        install.extend(user.map(|user| format!("--user={user}")));
        crate::run(&program("mariadb-install-db", &[]), install);
        let port = free_port();
        let command = command(dir.path(), port, user);
        let this = Self {
            server: Server::start(command, dir, port),
            user,
        };
        this.first_sql();
        this
    }

    /// Makes the superuser and drops what an installation brings: root without a password.
    fn first_sql(&self) {
        let (name, password) = SUPERUSER;
        let sql = format!(
            "CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'; \
             GRANT ALL PRIVILEGES ON *.* TO '{name}'@'%' WITH GRANT OPTION; \
             SELECT CONCAT('DROP USER ', QUOTE(User), '@', QUOTE(Host)) FROM mysql.user \
             WHERE User IN ('', 'root')"
        );
        let begun = Instant::now();
        let drops = loop {
            // The port listens a moment before accounts are served.
            let socket = format!("--socket={}", self.socket().display());
            match client(&[&socket, "--user=root"], &sql) {
                Ok(drops) => break drops,
                Err(told) if begun.elapsed().as_secs() > 20 => panic!("{told}"),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
            }
        };
        self.sql(
            &drops
                .lines()
                .map(|drop| format!("{drop};"))
                .collect::<String>(),
        );
    }

    fn socket(&self) -> PathBuf {
        self.server.dir().join("socket")
    }

    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Runs SQL as the superuser; rows come back as lines, columns parted by tabs.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn sql(&self, sql: &str) -> String {
        let (name, password) = SUPERUSER;
        self.try_sql(name, password, sql).expect("SQL that runs")
    }

    /// Logs in over TCP with this credential and runs SQL.
    ///
    /// # Errors
    /// What the client printed.
    pub fn try_sql(&self, name: &str, password: &str, sql: &str) -> Result<String, String> {
        let port = format!("--port={}", self.port());
        let user = format!("--user={name}");
        let password = format!("--password={password}");
        client(
            &["--host=127.0.0.1", "--skip-ssl", &port, &user, &password],
            sql,
        )
    }

    /// All that the general log holds.
    pub fn general_log(&self) -> String {
        let bytes = std::fs::read(self.server.dir().join("data/general.log"));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// Stops it at once.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same files.
    pub fn restart(&mut self) {
        let command = command(self.server.dir(), self.port(), self.user);
        self.server.restart(command);
    }

    /// Pauses it, or lets it go on.
    pub fn pause(&self, paused: bool) {
        self.server.pause(paused);
    }
}

fn client(args: &[&str], sql: &str) -> Result<String, String> {
    let out = Command::new(program("mariadb", &[]))
        .args(["--no-defaults", "--batch", "--raw", "--skip-column-names"])
        .args(["--default-character-set=utf8mb4"])
        .args(args)
        .args(["--execute", sql])
        .output()
        .expect("the client runs");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

fn command(dir: &Path, port: u16, user: Option<&str>) -> Command {
    let mut command = Command::new(program("mariadbd", SBIN));
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", dir.join("data").display()))
        .arg(format!("--socket={}", dir.join("socket").display()))
        .arg(format!("--pid-file={}", dir.join("pid").display()))
        .arg(format!("--tmpdir={}", dir.display()))
        .arg(format!("--port={port}"))
        .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
        .args(["--general-log=1", "--general-log-file=general.log"])
        .args([
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0",
        ])
        .args(user.map(|user| format!("--user={user}")));
    command
}
