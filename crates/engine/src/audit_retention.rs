//! Audit rows that have been kept for long enough. They go from the front of each chain, whole
//! segments at a time, one commit after another; what remains of them is an anchor that the rest of
//! the chain hangs on, and a row that says which went.

use std::collections::BTreeMap;
use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::{AuditReads, Op, ReadError, Unit, UnitName};

use scaivault_crypto::detached::SigningKey;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::{Vault, default_tenant};

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
    /// When the store cannot be read or written, and when the rows are not what was written: then
    /// they stay, for the verifier to name.
    pub async fn audit_prune_run_once(
        &self,
        keep: Duration,
        exported: Option<&BTreeMap<String, u64>>,
    ) -> Result<u64, VaultError> {
        let now = self.now();
        let before = now.minus(keep);
        let found = AuditReads::audit_prunable(&*self.store, before, exported).await?;
        let Some(found) = found else {
            return Ok(0);
        };
        let code = |message: &[u8]| self.keyring.chain_mac(message);
        // A front that was rewritten with all its hashes must not become what the rest hangs on.
        if code(&found.anchor.head_message()) != found.anchor.mac {
            let broken = ReadError::Undecodable {
                table: "audit_segment",
                column: "mac",
                row: found.last_id,
            };
            return Err(broken.into());
        }
        let mut anchor = AuditAnchor {
            removed_at: now,
            ..found.anchor
        };
        anchor.code = code(&anchor.message());
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
        Ok(found.rows)
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
