//! OpenSSH's server, which lets in the user that runs it, by certificates alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Server, free_port, program, run};

/// A running server.
pub struct Sshd {
    server: Server,
}

impl Sshd {
    /// One that trusts the authority of this public key, for certificates of this principal.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(authority: &str, principal: &str) -> Self {
        let dir = Server::directory("sshd").expect("a directory");
        write(&dir, "authority.pub", authority);
        write(&dir, "principals", principal);
        fs::write(dir.path().join("revoked"), "").expect("a file");
        let host_key = dir.path().join("host");
        run(
            &program("ssh-keygen", &[]),
            [
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                &host_key.to_string_lossy(),
            ],
        );
        // Where it locks its unprivileged half in; a service makes it at the start of a machine.
        let is_root = fs::metadata(dir.path()).is_ok_and(|meta| meta.uid() == 0);
        if is_root {
            fs::create_dir_all("/run/sshd").expect("a directory");
        }
        let port = free_port();
        let command = command(dir.path(), port, false);
        let server = Server::start(command, dir, port);
        Self { server }
    }

    /// The public key of this host.
    pub fn host_key(&self) -> String {
        fs::read_to_string(self.server.dir().join("host.pub")).expect("a key")
    }

    /// Starts again and shows this certificate of its host key.
    pub fn restart_with(&mut self, certificate: &str) {
        let path = self.server.dir().join("host-cert.pub");
        fs::write(path, certificate).expect("a certificate");
        self.server.kill();
        let command = command(self.server.dir(), self.server.port(), true);
        self.server.restart(command);
    }

    /// From now on it refuses what is in this list.
    pub fn revoke(&self, list: &[u8]) {
        fs::write(self.server.dir().join("revoked"), list).expect("a file");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Runs a command through `ssh` with a private key and a certificate of it; `authority` is who
    /// has to vouch for the host, if anybody.
    ///
    /// # Errors
    /// What the client printed.
    pub fn run(
        &self,
        (private, certificate): (&str, &str),
        authority: Option<&str>,
        command: &str,
    ) -> Result<String, String> {
        let dir = Server::directory("ssh").expect("a directory");
        let key = write(&dir, "key", private);
        let certificate = write(&dir, "key-cert.pub", certificate);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
        let known = authority.map(|key| format!("@cert-authority * {key}\n"));
        let known = write(&dir, "known", &known.unwrap_or_default());
        let strict = if authority.is_some() { "yes" } else { "no" };
        let out = Command::new(program("ssh", &[]))
            .args(["-F", "none", "-p", &self.port().to_string(), "-i"])
            .arg(&key)
            .args(["-o", &format!("CertificateFile={}", certificate.display())])
            .args(["-o", &format!("UserKnownHostsFile={}", known.display())])
            .args(["-o", &format!("StrictHostKeyChecking={strict}")])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
            .args(["127.0.0.1", command])
            .output()
            .expect("ssh runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match out.status.success() {
            true => Ok(text(&out.stdout)),
            false => Err(text(&out.stderr)),
        }
    }
}

/// What `ssh-keygen -L` prints of a certificate.
///
/// # Panics
/// When it is none.
pub fn describe(certificate: &str) -> String {
    let dir = Server::directory("ssh").expect("a directory");
    let path = write(&dir, "x-cert.pub", certificate);
    let path = path.to_string_lossy().into_owned();
    run(&program("ssh-keygen", &[]), ["-L", "-f", &path])
}

/// What `ssh-keygen -Q -l` prints of a list of revoked keys.
///
/// # Panics
/// When it is none.
pub fn describe_revoked(list: &[u8]) -> String {
    let dir = Server::directory("ssh").expect("a directory");
    let path = dir.path().join("revoked");
    fs::write(&path, list).expect("a file");
    let path = path.to_string_lossy().into_owned();
    run(&program("ssh-keygen", &[]), ["-Q", "-l", "-f", &path])
}

/// A new pair by `ssh-keygen`: the private key's text and the public key's line. `args` are its
/// kind and form.
///
/// # Panics
/// When it cannot be made.
pub fn keygen(args: &[&str]) -> (String, String) {
    let dir = Server::directory("ssh").expect("a directory");
    let path = dir.path().join("key");
    let path = path.to_string_lossy().into_owned();
    let all = ["-q", "-N", "", "-C", "of-a-test", "-f", &path];
    run(&program("ssh-keygen", &[]), all.iter().chain(args));
    let read = |path: &str| fs::read_to_string(path).expect("a key");
    (read(&path), read(&format!("{path}.pub")))
}

fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, format!("{}\n", text.trim_end())).expect("a file");
    path
}

fn command(dir: &Path, port: u16, certificate: bool) -> Command {
    let file = |name: &str| dir.join(name).display().to_string();
    // It starts itself again for each connection, which needs its whole path.
    let mut command = Command::new(program("sshd", &["/usr/sbin", "/usr/local/sbin"]));
    command.args(["-D", "-e", "-f", "/dev/null"]);
    let mut options = vec![
        format!("Port={port}"),
        "ListenAddress=127.0.0.1".to_owned(),
        format!("HostKey={}", file("host")),
        format!("TrustedUserCAKeys={}", file("authority.pub")),
        format!("AuthorizedPrincipalsFile={}", file("principals")),
        format!("RevokedKeys={}", file("revoked")),
        "AuthorizedKeysFile=none".to_owned(),
        "PasswordAuthentication=no".to_owned(),
        "KbdInteractiveAuthentication=no".to_owned(),
        "PermitRootLogin=prohibit-password".to_owned(),
        "StrictModes=no".to_owned(),
        "PidFile=none".to_owned(),
        "LogLevel=VERBOSE".to_owned(),
    ];
    if certificate {
        options.push(format!("HostCertificate={}", file("host-cert.pub")));
    }
    for option in options {
        command.args(["-o", &option]);
    }
    command
}
