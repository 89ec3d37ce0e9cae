//! Audit rows that have been kept for long enough. They go from the front of each chain, whole
//! segments at a time, one commit after another; what remains of them is an anchor that the rest of
//! the chain hangs on, and a row that says which went.

use std::sync::atomic::Ordering;
use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable, ExportedEnd, ExportedEnds};
use scaivault_core::ports::{AuditReads, Op, ReadError, Unit, UnitName};

use scaivault_crypto::detached::SigningKey;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::tally::Tally;
use crate::vault::{Vault, default_tenant};

/// Where no export is asked for.
const EVERYTHING: ExportedEnd = ExportedEnd {
    last_seq: u64::MAX,
    head: None,
};

impl Vault {
    /// The key that exports of the trail are signed with.
    ///
    /// # Errors
    /// None for a key of the chain.
    pub fn audit_signing_key(&self) -> Result<SigningKey, VaultError> {
        let key = self.keyring.audit_signing_key();
        key.map_err(|_| VaultError::Unavailable("the signing key cannot be made".to_owned()))
    }

    /// Removes the oldest rows, if they have been there for `keep` and, where it is said how far each
    /// chain was exported, are exported. One bounded commit; answers how many rows went. Call again
    /// soon when it is not 0.
    ///
    /// # Errors
    /// When the store cannot be read or written, and when the rows are not what was written, or hang
    /// on an anchor that nobody with the chain's key made: then they stay, for the verifier to name.
    /// Such a chain is told when no other has rows to remove.
    pub async fn audit_prune_run_once(
        &self,
        keep: Duration,
        exported: Option<&ExportedEnds>,
    ) -> Result<u64, VaultError> {
        let before = self.now().minus(keep);
        let mut ends = exported.cloned();
        let mut refused: Option<ReadError> = None;
        loop {
            let found = AuditReads::audit_prunable(&*self.store, before, ends.as_ref()).await;
            let found = match (found, &refused) {
                (Ok(Some(found)), _) => found,
                (_, Some(first)) => return Err(first.clone().into()),
                (Ok(None), None) => return Ok(0),
                (Err(error), None) => return Err(error.into()),
            };
            let Err(error) = self.is_genuine(&found) else {
                return self.audit_prune(found).await;
            };
            // The other chains have their turn without this one.
            let others = match ends.take() {
                Some(ends) => ends,
                None => self.all_rows().await?,
            };
            let chain = found.anchor.chain;
            tracing::warn!(chain, %error, "no rows of this chain of the audit trail are removed");
            ends = Some(
                others
                    .into_iter()
                    .filter(|(name, _)| *name != chain)
                    .collect(),
            );
            refused = refused.or(Some(error));
        }
    }

    /// Whether who wrote and who removed rows had the chain's key: a front that was rewritten with all
    /// its hashes, or cut with an anchor made up, must not become what the rest hangs on.
    fn is_genuine(&self, found: &AuditPrunable) -> Result<(), ReadError> {
        let code = |message: &[u8]| self.keyring.chain_mac(message);
        let broken = |table, column, row: &str| ReadError::Undecodable {
            table,
            column,
            row: row.to_owned(),
        };
        if found.front.as_ref().is_some_and(|front| !front.fits(code)) {
            return Err(broken("audit_anchor", "code", &found.anchor.chain));
        }
        if !found.anchor.head_fits(code) {
            return Err(broken("audit_segment", "mac", &found.last_id));
        }
        Ok(())
    }

    /// All chains, without an end to what may go of each.
    async fn all_rows(&self) -> Result<ExportedEnds, ReadError> {
        let heads = AuditReads::audit_heads(&*self.store).await?;
        Ok(heads
            .into_iter()
            .map(|head| (head.chain, EVERYTHING))
            .collect())
    }

    async fn audit_prune(&self, found: AuditPrunable) -> Result<u64, VaultError> {
        let now = self.now();
        let mut anchor = AuditAnchor {
            removed_at: now,
            ..found.anchor
        };
        anchor.code = self.keyring.chain_mac(&anchor.message());
        let extra = AuditExtra {
            count: Some(found.rows),
            first_row_id: Some(found.first_id),
            last_row_id: Some(found.last_id),
            chain_head: Some(hex(&anchor.head)),
            ..AuditExtra::default()
        };
        let caller = Caller::system(default_tenant(), "retention", now);
        let row = caller.row(Action::AuditPrune, None, now, extra);
        let op = Op::AuditPrune {
            anchor,
            after: found.after,
            index: found.index,
        };
        let unit = Unit::new(UnitName::AuditPrune).op(op).audited(row);
        self.commit(unit).await?;
        let removed = &self.tally.audit_rows_removed;
        removed.fetch_add(found.rows, Ordering::Relaxed);
        Tally::at(&self.tally.audit_removed_at_s, now);
        Ok(found.rows)
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
