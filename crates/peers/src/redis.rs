//! Redis with its users in an ACL file.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::{Server, free_port, program, run};

/// Where a server keeps its users.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    /// In an ACL file.
    AclFile,
    /// In its configuration file.
    ConfigFile,
    /// In memory alone.
    Memory,
}

/// A running Redis. Its user `default` may do everything and has a password.
pub struct Redis {
    server: Server,
    users: Users,
    tls: bool,
}

impl Redis {
    /// The password of the user `default`.
    pub const PASSWORD: &'static str = "default-password-of-tests";

    /// One whose users lie in an ACL file.
    pub fn start() -> Self {
        Self::with(Users::AclFile, false)
    }

    /// One whose users lie in its configuration file.
    pub fn start_with_config_file() -> Self {
        Self::with(Users::ConfigFile, false)
    }

    /// One that forgets its users at its end.
    pub fn start_volatile() -> Self {
        Self::with(Users::Memory, false)
    }

    /// One that takes TLS connections alone, for the name `localhost`.
    pub fn start_tls() -> Self {
        Self::with(Users::AclFile, true)
    }

    /// Two servers, as the nodes of a set.
    pub fn start_two() -> [Self; 2] {
        [Self::start(), Self::start()]
    }

    fn with(users: Users, tls: bool) -> Self {
        let dir = Server::directory("redis").expect("a directory");
        let port = free_port();
        write_files(&dir, users, tls);
        let command = command(dir.path(), port, users, tls);
        let server = Server::start(command, dir, port);
        Self { server, users, tls }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The certificate authority of [`Redis::start_tls`], as PEM.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.server.dir().join("cert.pem")).expect("a certificate")
    }

    /// The ACL file's text.
    pub fn acl_file(&self) -> String {
        fs::read_to_string(self.acl_path()).expect("an ACL file")
    }

    /// The configuration file's text.
    pub fn config_file(&self) -> String {
        fs::read_to_string(self.server.dir().join("redis.conf")).expect("a configuration file")
    }

    /// Where the ACL file lies. A directory in its place makes saving fail.
    pub fn acl_path(&self) -> PathBuf {
        self.server.dir().join("users.acl")
    }

    /// Runs one statement by `redis-cli` as the user `default` and gives what it prints.
    ///
    /// # Panics
    /// When the client fails or the server answers with an error.
    pub fn cli(&self, statement: &str) -> String {
        let text = self.cli_as("default", Self::PASSWORD, statement);
        assert!(!is_error(&text), "{statement}: {text}");
        text
    }

    /// Runs one statement by `redis-cli` as a user; errors of the server are in the text.
    ///
    /// # Panics
    /// When the client fails.
    pub fn cli_as(&self, user: &str, password: &str, statement: &str) -> String {
        let mut child = self
            .client(user, password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("redis-cli runs");
        let mut stdin = child.stdin.take().expect("its input");
        writeln!(stdin, "{statement}").expect("it reads");
        drop(stdin);
        let out = child.wait_with_output().expect("it ends");
        let mut text = String::from_utf8_lossy(&out.stderr).into_owned();
        text.push_str(&String::from_utf8_lossy(&out.stdout));
        text.trim_end().to_owned()
    }

    fn client(&self, user: &str, password: &str) -> Command {
        let mut command = Command::new(program("redis-cli", &[]));
        command.args(["-h", "localhost", "-p", &self.port().to_string()]);
        command.args(["--user", user, "--pass", password, "--no-auth-warning"]);
        if self.tls {
            command.arg("--tls").arg("--cacert");
            command.arg(self.server.dir().join("cert.pem"));
        }
        command
    }

    /// Stops it at once.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same files.
    pub fn restart(&mut self) {
        let port = self.port();
        let command = command(self.server.dir(), port, self.users, self.tls);
        self.server.restart(command);
    }

    /// Makes it hang, or go on.
    pub fn pause(&self, paused: bool) {
        self.server.pause(paused);
    }
}

fn is_error(text: &str) -> bool {
    let code = text.split(' ').next().unwrap_or_default();
    ["ERR", "NOPERM", "NOAUTH", "WRONGPASS", "AUTH"].contains(&code)
}

fn write_files(dir: &TempDir, users: Users, tls: bool) {
    let default = format!("user default on >{} ~* &* +@all\n", Redis::PASSWORD);
    let config = match users {
        Users::AclFile => {
            fs::write(dir.path().join("users.acl"), default).expect("an ACL file");
            String::new()
        }
        Users::ConfigFile | Users::Memory => default,
    };
    fs::write(dir.path().join("redis.conf"), config).expect("a configuration file");
    if tls {
        certificate(dir.path());
    }
}

/// A server's certificate that vouches for itself. The configuration is our own: that of the
/// system makes every such certificate an authority, which no client takes as a server's.
fn certificate(dir: &Path) {
    let config = dir.join("openssl.conf");
    fs::write(&config, "[req]\ndistinguished_name = dn\n[dn]\n").expect("a configuration file");
    let fixed = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost \
         -addext basicConstraints=critical,CA:FALSE -config";
    let mut args: Vec<OsString> = fixed.split_whitespace().map(OsString::from).collect();
    args.extend([config.into(), "-keyout".into(), dir.join("key.pem").into()]);
    args.extend(["-out".into(), dir.join("cert.pem").into()]);
    run(&program("openssl", &[]), args);
}

fn command(dir: &Path, port: u16, users: Users, tls: bool) -> Command {
    let mut command = Command::new(program("redis-server", &["/usr/sbin"]));
    command.current_dir(dir);
    match users {
        Users::AclFile => {
            command.arg("redis.conf").args(["--aclfile", "users.acl"]);
        }
        Users::ConfigFile => {
            command.arg("redis.conf");
        }
        Users::Memory => {
            // Without a file there is nothing to write to: the one user comes by arguments.
            command.args(["--user", "default", "on", "~*", "&*", "+@all"]);
            command.arg(format!(">{}", Redis::PASSWORD));
        }
    }
    let port = port.to_string();
    if tls {
        command.args([
            "--port",
            "0",
            "--tls-port",
            &port,
            "--tls-auth-clients",
            "no",
        ]);
        command.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
    } else {
        command.args(["--port", &port]);
    }
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--daemonize", "no", "--dir", "."]);
    command
}
