//! Processes that are killed, and disks that refuse: what was answered is there. The child is this
//! test program itself, started again with one ignored test and a file in its environment.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scaivault_core::ports::{
    AuditReads, CommitError, EventReads, Record, SecretReads, Store, Unit, UnitName,
};
use scaivault_testkit::store_conformance::samples::{audit, event, path, secret, tenant};

use crate::support::at;

const ROLE: &str = "SCAIVAULT_TEST_ROLE";
const FILE: &str = "SCAIVAULT_TEST_FILE";

/// This program as a child in that role. A write past its file size limit is an error to it, not
/// its end.
pub(crate) fn child(role: &str, file: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::as_child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Reads the child's output up to this line.
pub(crate) fn wait_for_line(child: &mut Child, line: &str) {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    assert!(
        output.lines().any(|read| read.unwrap().ends_with(line)),
        "the child did not say {line}"
    );
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the body of the child processes"]
fn as_child() {
    let (Ok(role), Ok(file)) = (std::env::var(ROLE), std::env::var(FILE)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "hold" => hold(&PathBuf::from(file)).await,
            "write" => write_for_ever(&PathBuf::from(file)).await,
            "limit" => write_against_a_limit(&PathBuf::from(file)).await,
            other => panic!("no role {other}"),
        }
    });
}

/// Opens the store and keeps it.
async fn hold(file: &Path) {
    let _store = at(file).await;
    say("open");
    std::future::pending::<()>().await;
}

fn numbered(task: u64, n: u64) -> Unit {
    let a = tenant("a");
    let name = format!("app/{task}/{n}");
    Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&a, &name)))
        .emit(event(&a, &format!("{task}-{n}"), Some("app/all")))
        .audited(audit(&a, 0, "user:x", Some(&name)))
}

/// Writes from several tasks, saying each unit that was answered.
async fn write_for_ever(file: &Path) {
    let store = Arc::new(at(file).await);
    let round: u64 = store.audit_verify().await.unwrap().rows;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for n in 0.. {
                store
                    .commit(numbered(task, round * 1_000 + n))
                    .await
                    .unwrap();
                say(&format!("{task} {}", round * 1_000 + n));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Killed at any instant, under load, again and again: everything answered is there, sequences
/// have no gap, the chain verifies.
#[tokio::test]
async fn a_killed_process_loses_nothing_it_answered() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let mut answered = Vec::new();
    for lines in [3, 40, 150] {
        let mut running = child("write", &file).spawn().unwrap();
        let output = BufReader::new(running.stdout.take().unwrap());
        let mut lines_left = lines;
        for line in output.lines() {
            let line = line.unwrap();
            let mut words = line.split(' ').map(str::parse::<u64>);
            if let (Some(Ok(task)), Some(Ok(n)), None) = (words.next(), words.next(), words.next())
            {
                answered.push((task, n));
                lines_left -= 1;
            }
            if lines_left == 0 {
                running.kill().unwrap();
                lines_left = u64::MAX; // what it still said before it died counts, too
            }
        }
        running.wait().unwrap();
        let store = at(&file).await;
        let a = tenant("a");
        for (task, n) in &answered {
            let name = path(&format!("app/{task}/{n}"));
            assert!(
                store.secret_find(&a, &name).await.unwrap().is_some(),
                "{name} was answered"
            );
        }
        let there = store.secret_counts().await.unwrap()[&a];
        assert!(there >= answered.len() as u64);
        let (_, events) = store.fan_out_pending(100_000).await.unwrap();
        let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=there).collect::<Vec<_>>());
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (there, None));
    }
    assert!(answered.len() >= 193);
}

/// Writes until the kernel refuses to let the files grow, then lets them grow again.
async fn write_against_a_limit(file: &Path) {
    let store = at(file).await;
    let a = tenant("a");
    let mut fate = Vec::new();
    let free = getrlimit(Resource::Fsize);
    let limit = |bytes| Rlimit {
        current: bytes,
        maximum: free.maximum,
    };
    for n in 0..600 {
        if n == 20 {
            setrlimit(Resource::Fsize, limit(Some(400_000))).unwrap();
        }
        if n == 500 {
            setrlimit(Resource::Fsize, limit(free.current)).unwrap();
        }
        fate.push(store.commit(numbered(0, n)).await);
    }
    assert!(fate[..20].iter().all(Result::is_ok));
    let failed = fate.iter().filter(|answer| answer.is_err()).count();
    assert!(failed > 100, "the limit was met: {failed}");
    assert!(fate[499].is_err());
    let unknown = fate
        .iter()
        .filter(|answer| **answer == Err(CommitError::Unknown))
        .count();
    assert!(
        unknown <= 1,
        "only the first that failed may be in doubt: {unknown}"
    );
    assert!(
        fate[500..].iter().all(Result::is_ok),
        "it serves again without a hand"
    );
    let mut there = 0;
    for (n, answer) in fate.iter().enumerate() {
        let found = store
            .secret_find(&a, &path(&format!("app/0/{n}")))
            .await
            .unwrap()
            .is_some();
        there += u64::from(found);
        match answer {
            Ok(_) => assert!(found, "{n} was answered"),
            Err(CommitError::Unknown) => {}
            Err(_) => assert!(!found, "{n} was refused"),
        }
    }
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (there, None));
    assert_eq!(store.health().await.trouble, None);
    drop(store);
    let store = at(file).await;
    assert_eq!(store.audit_verify().await.unwrap().rows, there);
    say("recovered");
}

#[test]
fn a_disk_that_refuses_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let output = child("limit", &file)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.lines().any(|line| line.ends_with("recovered")),
        "{said}\n{error}"
    );
}
