//! The tutorials, run as written: every `sh` block, in order, in one shell, as a reader would
//! paste them. `<!-- expect: text -->` behind a block is text its output must hold.
//!
//! The reader starts the server and exports nothing; here the server is on a free port, so its
//! URL and root token are in the environment, where the tutorials look first, like the place and
//! port of a database that they start.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::{Process, SCAIVAULT, Server};

const PATIENCE: Duration = Duration::from_secs(120);

/// One `sh` block, and what its output must hold.
pub(crate) struct Block {
    line: usize,
    pub(crate) script: String,
    pub(crate) expect: Vec<String>,
}

pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => block.script.extend([line, "\n"]),
            None if line == "```sh" => {
                open = Some(Block {
                    line: number + 1,
                    script: String::new(),
                    expect: Vec::new(),
                });
            }
            None => {
                let comment = line.strip_prefix("<!-- expect: ");
                if let Some(expect) = comment.and_then(|rest| rest.strip_suffix(" -->")) {
                    let block = blocks.last_mut().expect("an expectation follows a block");
                    block.expect.push(expect.to_owned());
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// All blocks as one script that says where each begins, and takes what it started with it.
fn script(blocks: &[Block]) -> String {
    let mut script = String::from(
        "set -eu -o pipefail\n\
         trap 'for job in $(jobs -p); do kill \"$job\" 2>/dev/null || true; done' EXIT\n",
    );
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '@@ {number}'\n{}", block.script));
    }
    script
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("our own repository")
}

async fn run(tutorial: &str) {
    let path = repository().join("docs/tutorials").join(tutorial);
    let text = std::fs::read_to_string(&path).expect("the tutorial");
    let blocks = blocks(&text);
    assert!(
        blocks.len() >= 5,
        "{tutorial} has only {} blocks",
        blocks.len()
    );

    let server = Server::dev().rate_limited().start().await;
    let database = tempfile::tempdir().expect("a directory for a database");
    let program = Path::new(SCAIVAULT).parent().expect("its directory");
    let mut command = Command::new("bash");
    command
        .args(["-c", &script(&blocks)])
        .current_dir(repository())
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", server.root_token())
        .env("RECEIVER_PORT", "0")
        .env("SCAIVAULT_BIN", program)
        .env("DATABASE_DIR", database.path())
        .env("DATABASE_PORT", scaivault_peers::free_port().to_string())
        .env("HOME", server.home())
        .env("TMPDIR", server.home())
        // So that what it started ends with it, however it ends.
        .process_group(0);
    let mut process = Process::start(tutorial, command);
    let status = process.exited(PATIENCE).await;
    let output = process.stdout().join("\n");
    assert!(
        status.success(),
        "{tutorial}: {status}\n{}\n---- standard error\n{}",
        tail(&output),
        process.stderr()
    );
    let mut parts = output.split("@@ ").skip(1);
    for block in &blocks {
        let part = parts.next().unwrap_or_default();
        for expect in &block.expect {
            assert!(
                part.contains(expect.as_str()),
                "{tutorial}:{}: {expect:?} is not in the output of this block:\n{part}",
                block.line
            );
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn first_integration() {
    run("first-integration.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_oauth_credentials() {
    run("rotate-oauth-credentials.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_a_database() {
    run("rotate-a-database.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamic_postgres_credentials() {
    run("dynamic-postgres-credentials.md").await;
}

/// A tutorial that no test runs rots.
#[test]
fn every_tutorial_is_run() {
    let mut names: Vec<_> = std::fs::read_dir(repository().join("docs/tutorials"))
        .expect("the tutorials")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "dynamic-postgres-credentials.md",
            "first-integration.md",
            "rotate-a-database.md",
            "rotate-oauth-credentials.md"
        ]
    );
}
