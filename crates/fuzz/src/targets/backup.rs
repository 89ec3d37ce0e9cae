//! Backups: a restored store is of the very bytes that were backed up; others are refused, also where
//! the sum beside them is theirs and they are no sound store. The first byte says which sum is there.

use std::path::Path;
use std::sync::OnceLock;

use scaivault_store::{OfflineStore, SqliteOptions, SqliteStore, backup};
use scaivault_testkit::SeededEntropy;
use sha2::{Digest, Sha256};

use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "backup",
    // Whole stores are long: what is changed is a piece at a place, `which sum`, `where`, `bytes`.
    seeds: || {
        vec![
            b"\0\0\0".to_vec(),
            b"\x01\0\x10AAAA".to_vec(),
            b"\x01\0\0SQLite format 3\0".to_vec(),
            b"\x01\x10\0\0\0\0\0".to_vec(),
        ]
    },
    words: &[
        "SQLite format 3",
        "\0\0",
        "CREATE TABLE",
        "version",
        "\x7f\x7f",
    ],
    run,
};

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let home = tempfile::tempdir().expect("a directory");
        let (store, to) = (home.path().join("v.db"), home.path().join("b.db"));
        drop(
            SqliteStore::open(SqliteOptions::file(&store), &SeededEntropy::new(1))
                .expect("a store"),
        );
        backup::backup(&store, &to, &mut |_, _| ()).expect("a backup");
        std::fs::read(&to).expect("the backup")
    })
}

fn run(data: &[u8]) {
    let [which, high, low, piece @ ..] = data else {
        return;
    };
    let mut bytes = good().to_vec();
    let at = (usize::from(*high) << 12 | usize::from(*low) << 4) % bytes.len();
    for (byte, with) in bytes[at..].iter_mut().zip(piece) {
        *byte = *with;
    }
    let is_good = bytes == good();
    let home = tempfile::tempdir().expect("a directory");
    let (from, to) = (home.path().join("b.db"), home.path().join("v.db"));
    std::fs::write(&from, &bytes).expect("room");
    let of = if which % 2 == 0 { good() } else { &bytes };
    let sum = format!("{}  b.db\n", hex::encode(Sha256::digest(of)));
    std::fs::write(backup::checksum_file(&from), sum).expect("room");
    match backup::restore(&from, &to, 1, &mut |_, _| ()) {
        Ok(_) => {
            assert!(is_good || which % 2 == 1, "altered, and restored");
            look(&to);
        }
        Err(_) => {
            assert!(!is_good, "refused, though as it was");
            assert!(!to.exists(), "refused, and there");
        }
    }
}

/// Whatever passed the checks can be looked at without harm.
fn look(store: &Path) {
    if let Ok(store) = OfflineStore::open(store) {
        let _ = store.keys();
        let _ = store.audit_verify(None);
        let _ = store.audit_heads();
    }
}
