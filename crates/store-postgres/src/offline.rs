//! A look into a database without being one of its nodes: for verifying the audit chains by hand.
//! It writes nothing; the nodes may go on.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::audit::AuditReport;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;
use scaivault_core::seal::KeyRecord;
use scaivault_store::ChainMac;
use scaivault_store::audit::{ChainHead, TakenSegment};
use tokio::runtime::Handle;

use crate::conn::{Connector, Purpose};
use crate::options::{Address, OpenError};
use crate::pool::Pool;
use crate::refusal::text;
use crate::sql::{audit_anchor, audit_verify, keyring, migrate};

/// For one page of a chain, or the search for rows of none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that is read only.
pub struct OfflinePostgres(Arc<Pool>);

impl OfflinePostgres {
    /// Opens a database. To be called inside a runtime that can reach the network.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] when it needs a migration first.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, None).await
    }

    /// The same with the password that the address does not hold.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, password: Option<&str>) -> Result<Self, OpenError> {
        let handle = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let connector = Connector::new(Address::parse(url, password)?)?;
        let conn = connector.connect(Purpose::Serve).await;
        let conn = conn.map_err(|error| OpenError::Unavailable(text(&error)))?;
        migrate::look(&conn).await?;
        Ok(Self(Arc::new(Pool::new(connector, handle, 1, PATIENCE))))
    }

    /// The keyring's wrapped keys, by id.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, ReadError> {
        keyring::list(&self.0).await
    }

    /// Walks the chains of all nodes. Without `mac` hashes are checked, codes are not: then someone
    /// who rewrote a whole chain goes unnoticed.
    ///
    /// # Errors
    /// [`ReadError`]; a chain that does not hold is a report, not an error.
    pub async fn audit_verify(&self, mac: Option<&dyn ChainMac>) -> Result<AuditReport, ReadError> {
        audit_verify::verify(&self.0, mac).await
    }

    /// The ends of its chains, by name.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn audit_heads(&self) -> Result<Vec<ChainHead>, ReadError> {
        audit_verify::ends(&self.0).await
    }

    /// The name of a chain that has rows and no end, if there is one.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn audit_stray(&self) -> Result<Option<String>, ReadError> {
        audit_verify::stray(&self.0).await
    }

    /// What remains of rows that retention removed, by chain.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn audit_anchors(&self) -> Result<Vec<AuditAnchor>, ReadError> {
        audit_anchor::list(&self.0, None).await
    }

    /// The next segments of a chain behind the row at `after`; none at its end.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn audit_segments(
        &self,
        chain: &str,
        after: u64,
    ) -> Result<Vec<TakenSegment>, ReadError> {
        audit_verify::taken(&self.0, chain, after).await
    }
}
