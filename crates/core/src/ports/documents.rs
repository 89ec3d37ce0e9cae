//! Documents that issuers of tokens publish: discovery and key sets.

use async_trait::async_trait;

/// Why a document was not had. For the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL, or every address of its name, is one that may not be reached.
    #[error("its address may not be reached: see [identity] in the configuration")]
    Forbidden,
    /// No connection, or it broke.
    #[error("it could not be reached")]
    Unreachable,
    /// Not within the time there is.
    #[error("it took too long")]
    Timeout,
    /// Another answer than the document.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Larger than such documents are.
    #[error("the document is too large")]
    TooLarge,
}

/// Fetches documents of issuers that the operator configured.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The document at this URL, bounded in time and size; follows no redirect. `issuer` is the name
    /// of the issuer it belongs to, whose settings say whom to trust on the way.
    ///
    /// # Errors
    /// [`FetchError`] says what came instead.
    async fn fetch(&self, issuer: &str, url: &str) -> Result<Vec<u8>, FetchError>;
}
