//! What the operating system would give away of a running server.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::server::printed_url;
use crate::harness::{Process, SCAIVAULT};

/// Nobody in particular: root may look at anything, so the server must be somebody else's.
const SOMEBODY: u32 = 65_534;

/// The binary, about to run as a user that is not root, whoever runs the tests.
fn as_somebody(home: &Path, program: &Path) -> Command {
    let data = home.join("data");
    std::fs::create_dir(&data).expect("a directory of ours");
    let mut command = Command::new(program);
    command.env_clear().env("TMPDIR", &data).current_dir(&data);
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o755)).expect("root may");
        chown(&data, Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    command
}

/// The binary where such a user can reach it.
fn within_reach(home: &Path) -> PathBuf {
    let binary = home.join("scaivault");
    if std::fs::hard_link(SCAIVAULT, &binary).is_err() {
        std::fs::copy(SCAIVAULT, &binary).expect("room for a copy");
    }
    binary
}

#[tokio::test]
async fn a_server_leaves_no_core_file_and_its_memory_is_closed_to_its_own_user() {
    let home = tempfile::tempdir().unwrap();
    let mut command = as_somebody(home.path(), &within_reach(home.path()));
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    let mut server = Process::start("scaivault dev", command);
    printed_url(&mut server, "ScaiVault dev server: http://").await;
    let of = |file: &str| format!("/proc/{}/{file}", server.pid());

    let limits = std::fs::read_to_string(of("limits")).unwrap();
    let core: Vec<&str> = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(core, ["0", "0", "bytes"]);

    // The process is its user's; what shows its memory belongs to root, which is how the kernel
    // keeps that user from it.
    let status = std::fs::read_to_string(of("status")).unwrap();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().next())
        .unwrap();
    assert_ne!(uid, "0");
    for file in ["mem", "maps", "environ"] {
        assert_eq!(std::fs::metadata(of(file)).unwrap().uid(), 0, "{file}");
    }
}

#[test]
fn a_server_that_may_not_lock_its_memory_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let ended = as_somebody(home.path(), Path::new("prlimit"))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .arg("--memlock=65536")
        .arg(within_reach(home.path()))
        .arg("server")
        .env("SCAIVAULT_SERVER_LOCK_MEMORY", "true")
        .env("DATABASE_URL", "sqlite:vault.db")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(said.contains("LimitMEMLOCK=infinity"), "{said}");
    assert!(!home.path().join("data/vault.db").exists());
}
