//! Opening stores, and places to put them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scaivault_store::{ChainMac, OpenError, SqliteOptions, SqliteStore};
use scaivault_testkit::SeededEntropy;
use tempfile::TempDir;

/// The store's file in its directory.
pub(crate) const FILE: &str = "store.db";

/// The index of the write-ahead log: shared memory that is a file. It is made anew when the store
/// is opened, and never on a disk for its own sake.
pub(crate) const INDEX: &str = "store.db-shm";

/// A keyed code that is no cryptography, but differs with the message.
struct TestMac;

impl ChainMac for TestMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut state = 0xcbf2_9ce4_8422_2325u64;
        let mut code = [0; 32];
        for (at, slot) in (0u8..).zip(code.iter_mut()) {
            for byte in message.iter().chain(&[at]) {
                state = (state ^ u64::from(*byte))
                    .wrapping_mul(0x100_0000_01b3)
                    .rotate_left(7);
            }
            *slot = state.to_le_bytes()[3];
        }
        code
    }
}

pub(crate) fn mac() -> Arc<dyn ChainMac> {
    Arc::new(TestMac)
}

/// As shipped, but for a write-ahead log that is short, so that its checkpoints come early. The
/// recorded process is slow: nobody is answered before the disk.
pub(crate) fn open(directory: &Path) -> Result<SqliteStore, OpenError> {
    let options = SqliteOptions {
        checkpoint_pages: 48,
        commit_timeout: Duration::from_secs(120),
        readers: 1,
        ..SqliteOptions::file(directory.join(FILE))
    };
    SqliteStore::open(options, &SeededEntropy::new(1))
}

/// A private directory in memory, where there is one: images need no disk.
pub(crate) fn scratch() -> TempDir {
    let made = tempfile::Builder::new()
        .prefix("scaivault-power-")
        .tempdir_in("/dev/shm");
    made.or_else(|_| tempfile::tempdir()).expect("a directory")
}
