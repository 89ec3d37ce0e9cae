//! Exports of the audit trail, verified without the store: a manifest that is not the exported one
//! verifies only if it says the same, and no file outside the directory is read.

use std::sync::OnceLock;

use scaivault_server::commands::verify_export;
use scaivault_store::audit::{genesis, link};
use sha2::{Digest, Sha256};

use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "export",
    seeds: || vec![manifest().to_vec(), b"{}".to_vec()],
    words: &[
        "../",
        "/etc/passwd",
        "\"name\":",
        "\"rows\":",
        "18446744073709551615",
        "0",
        "null",
        "[]",
        "audit-1.jsonl",
        "\\u0000",
    ],
    run,
};

const NAME: &str = "audit-1.jsonl";
const LINES: &str = "{\"id\":\"log_abcdef_000000000001\"}\n{\"id\":\"log_abcdef_000000000002\"}\n";

fn manifest() -> &'static [u8] {
    static MANIFEST: OnceLock<Vec<u8>> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let begin = genesis("abcdef");
        let head = LINES
            .lines()
            .fold(begin, |hash, line| link(&hash, line.as_bytes()));
        let text = serde_json::json!({
            "format": "scaivault audit export 1", "exported_at": "2026-04-23T14:00:00Z", "rows": 2,
            "chains": [{ "chain": "abcdef", "last_seq": 2, "head": hex::encode(head) }],
            "files": [{
                "name": NAME, "chain": "abcdef", "first_seq": 1, "last_seq": 2, "rows": 2,
                "bytes": LINES.len(), "first_at": 1, "last_at": 2,
                "sha256": hex::encode(Sha256::digest(LINES)), "prev": hex::encode(begin),
                "head": hex::encode(head), "mac": "00",
            }],
        });
        text.to_string().into_bytes()
    })
}

fn run(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join(NAME), LINES).expect("room");
    std::fs::write(directory.path().join("manifest.json"), data).expect("room");
    let Ok(report) = verify_export(directory.path(), None) else {
        return;
    };
    assert_eq!(report.signed_by, None);
    let read: serde_json::Value = serde_json::from_slice(data).expect("it is JSON");
    let files = read["files"].as_array().expect("it has files");
    assert_eq!(report.files, files.len());
    // There is one file, and it begins its chain: no more than its rows can be told.
    assert!(report.rows <= 2 && files.len() <= 1, "{report:?}");
    assert!(files.iter().all(|file| file["name"] == NAME));
}
