//! What the operating system would give away of a running server.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::server::printed_url;
use crate::harness::{Process, SCAIVAULT};
use crate::lifecycle::{Production, Served, plain_http};

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

/// A page that nothing was written to.
const EMPTY: [u8; 4_096] = [0; 4_096];

/// All of a process's memory that can be read; `None` where even root may not look.
fn image(pid: u32) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut image = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        // What was written, not the code that was read from files.
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-')?;
        let (from, to) = (
            u64::from_str_radix(from, 16).ok()?,
            u64::from_str_radix(to, 16).ok()?,
        );
        let mut at = from;
        while at < to {
            let mut page = vec![0; 4_096];
            // Most of what is set aside was never used.
            if memory.read_exact_at(&mut page, at).is_ok() && page != EMPTY {
                image.append(&mut page);
            }
            at += 4_096;
        }
    }
    Some(image)
}

/// How often the bytes are in it.
fn times(image: &[u8], needle: &[u8]) -> usize {
    memchr::memmem::find_iter(image, needle).count()
}

/// What a core image would hold after the server has read its root key and served values: the root
/// key is in it neither as its bytes nor as the text of its file.
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_server_at_work_does_not_hold_its_root_key() {
    let production = Production::init(&[]);
    let file = std::fs::read_to_string(production.home.path().join("data/root.key"));
    let file = file.expect("the key file");
    let text = file
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("the key");
    let key = STANDARD.decode(text).expect("base64");
    let served = Served::start(production.server(), &production.token, plain_http(), "http").await;
    let value = json!({ "data": { "k": "v" } });
    served.api.put("/v1/secrets/app/db", value).await.ok(201);
    served.api.get("/v1/secrets/app/db").await.ok(200);
    let Some(image) = image(served.process.pid()) else {
        println!("nobody may look into a process here: not checked");
        return;
    };
    // It is the memory of that server, and all of it.
    assert!(times(&image, b"scaivault.db") > 0, "{} bytes", image.len());
    assert_eq!(times(&image, &key), 0, "the root key's bytes");
    assert_eq!(times(&image, text.as_bytes()), 0, "the root key's text");
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
