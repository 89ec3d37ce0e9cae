//! Two services of other people's making that speak S3's API: moto (PyPI), which keeps checksums and
//! object locks, and s3rver (npm), which judges signatures. Each is installed once, beside what is
//! built, so the first run needs the network.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Server, free_port, program};

const MOTO: &str = "5.2.5";
const S3RVER: &str = "3.7.1";

/// A running service.
pub struct S3Service {
    server: Server,
}

impl S3Service {
    /// The id of the access key that s3rver knows.
    pub const ACCESS_KEY: &'static str = "S3RVER";
    /// Its secret.
    pub const SECRET_KEY: &'static str = "S3RVER";

    /// moto: believes any key.
    pub fn moto() -> Self {
        let home = installed(&format!("moto-{MOTO}"), |home| {
            run(Command::new(program("python3", &[]))
                .args(["-m", "venv"])
                .arg(home));
            let mut pip = Command::new(home.join("bin/pip"));
            run(pip.args(["install", "--quiet", &format!("moto[server,s3]=={MOTO}")]));
        });
        let mut command = Command::new(home.join("bin/moto_server"));
        let (dir, port) = begin();
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Self {
            server: Server::start(command, dir, port),
        }
    }

    /// s3rver with these buckets: believes its own key alone.
    pub fn s3rver(buckets: &[&str]) -> Self {
        let home = installed(&format!("s3rver-{S3RVER}"), |home| {
            let mut npm = Command::new(program("npm", &[]));
            npm.args([
                "install",
                "--silent",
                "--no-fund",
                "--no-audit",
                "--ignore-scripts",
            ]);
            run(npm
                .arg("--prefix")
                .arg(home)
                .arg(format!("s3rver@{S3RVER}")));
        });
        let mut command = Command::new(program("node", &[]));
        let (dir, port) = begin();
        command.arg(home.join("node_modules/s3rver/bin/s3rver.js"));
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "--no-vhost-buckets",
        ]);
        command.arg("-d").arg(dir.path().join("data"));
        std::fs::create_dir(dir.path().join("data")).expect("a directory");
        for bucket in buckets {
            command.args(["--configure-bucket", bucket]);
        }
        Self {
            server: Server::start(command, dir, port),
        }
    }

    /// Its port on the loopback.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn begin() -> (tempfile::TempDir, u16) {
    (Server::directory("s3").expect("a directory"), free_port())
}

/// The directory of a tool. One process installs it; others wait.
fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let tools = target.join("tools");
    std::fs::create_dir_all(&tools).expect("a directory of tools");
    let lock = File::create(tools.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");
    let (home, done) = (tools.join(name), tools.join(format!("{name}.installed")));
    if !done.exists() {
        install(&home);
        File::create(done).expect("a mark");
    }
    home
}

fn run(command: &mut Command) {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
