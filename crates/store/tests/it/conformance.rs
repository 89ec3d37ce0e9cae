//! SQLite does what every storage engine must do.

use std::sync::Arc;

use scaivault_core::ports::Store;

use crate::support::temporary;

async fn open() -> Arc<dyn Store> {
    Arc::new(temporary().await)
}

scaivault_testkit::store_conformance!(open);
