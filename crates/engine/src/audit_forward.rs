//! Whose turn it is to hand the audit trail to a collector of logs, and how far it was handed over.
//! The server's loop sends; what is durable of it is here.

use std::time::Duration;

use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::audit_export::ExportHead;
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::ports::{AuditReads, CommitError, Record, Unit, UnitName};

use crate::error::VaultError;
use crate::vault::Vault;

/// For so long a node that went silent is waited for.
const HOLD: Duration = Duration::from_secs(20);

impl Vault {
    /// How far the trail was handed over to this destination.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn forward_find(&self, name: &str) -> Result<Option<AuditForward>, VaultError> {
        Ok(AuditReads::audit_forward_find(&*self.store, name).await?)
    }

    /// Takes the destination for this node, or keeps it; `None` while another has it. No audit row:
    /// it would be the next row to hand over, for ever.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn forward_claim(
        &self,
        name: &str,
        node: &str,
    ) -> Result<Option<AuditForward>, VaultError> {
        let found = self.forward_find(name).await?;
        let mut forward = found.unwrap_or_else(|| AuditForward::new(name));
        if !forward.is_free_for(node, self.now()) {
            return Ok(None);
        }
        match self.forward_put(&mut forward, Some(node)).await? {
            true => Ok(Some(forward)),
            false => Ok(None),
        }
    }

    /// Says how far it was handed over, and keeps the destination. `false` when another has it now:
    /// what was sent since is sent again by that one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forward_keep(
        &self,
        forward: &mut AuditForward,
        heads: Vec<ExportHead>,
    ) -> Result<bool, VaultError> {
        let node = forward.holder.clone();
        forward.heads = heads;
        self.forward_put(forward, node.as_deref()).await
    }

    /// Leaves the destination to whoever wants it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forward_release(&self, forward: &mut AuditForward) -> Result<bool, VaultError> {
        self.forward_put(forward, None).await
    }

    /// Whether what an anchor says of a chain's front was said with the chain's key.
    pub fn is_genuine_anchor(&self, anchor: &AuditAnchor) -> bool {
        anchor.fits(|message| self.keyring.chain_mac(message))
    }

    async fn forward_put(
        &self,
        forward: &mut AuditForward,
        node: Option<&str>,
    ) -> Result<bool, VaultError> {
        forward.holder = node.map(str::to_owned);
        forward.held_until = node.map(|_| self.now().plus(HOLD));
        forward.revision += 1;
        let record = Record::AuditForward(forward.clone());
        let unit = Unit::new(UnitName::AuditForward).put(record);
        match self.commit(unit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
