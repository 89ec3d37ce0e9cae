//! Opening stores for tests.

use std::path::Path;
use std::sync::Arc;

use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};
use scaivault_testkit::SeededEntropy;

/// A keyed code that is no cryptography, but differs with key and message.
pub(crate) struct TestMac(pub(crate) u64);

impl ChainMac for TestMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut state = self.0 ^ 0xcbf2_9ce4_8422_2325;
        let mut code = [0; 32];
        for (at, slot) in code.iter_mut().enumerate() {
            for byte in message.iter().chain(&[at.to_le_bytes()[0]]) {
                state = (state ^ u64::from(*byte))
                    .wrapping_mul(0x100_0000_01b3)
                    .rotate_left(7);
            }
            *slot = state.to_le_bytes()[3];
        }
        code
    }
}

/// The key most tests use.
pub(crate) fn mac() -> Arc<dyn ChainMac> {
    Arc::new(TestMac(1))
}

/// Opens with these options and starts the chain.
pub(crate) async fn open(options: SqliteOptions) -> SqliteStore {
    let store = SqliteStore::open(options, &SeededEntropy::new(1)).expect("the store opens");
    store.start_audit(mac()).await.expect("the chain starts");
    store
}

/// A store that goes away with its test.
pub(crate) async fn temporary() -> SqliteStore {
    open(SqliteOptions::temporary()).await
}

/// A store in this file.
pub(crate) async fn at(path: &Path) -> SqliteStore {
    open(SqliteOptions::file(path)).await
}
