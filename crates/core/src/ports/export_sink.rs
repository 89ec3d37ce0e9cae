//! Where exports are written to.

use async_trait::async_trait;

use crate::ids::ExportId;

/// A destination that the operator configured. Errors are texts for its log.
#[async_trait]
pub trait ExportSink: Send + Sync {
    /// Puts a file of an export, whole and durable, in the place of one of its name.
    async fn put(&self, export: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String>;
    /// Removes what was put for an export. Nothing being there is success.
    async fn discard(&self, export: &ExportId) -> Result<(), String>;
}
