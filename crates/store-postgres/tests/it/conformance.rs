//! PostgreSQL does what every storage engine must do.

use std::sync::Arc;

use scaivault_core::ports::Store;

use crate::database::Database;

async fn open() -> Arc<dyn Store> {
    Arc::new(Database::new().open("node-1").await)
}

scaivault_testkit::store_conformance!(open);
