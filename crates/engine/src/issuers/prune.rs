//! Records of exchanged tokens are made by the thousand and end within a day: who they were is in the
//! trail, so the records go a while after their end.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::identity::Token;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{CommitError, Op, Record, TokenReads, Unit, UnitName};
use scaivault_core::time::Timestamp;

use crate::error::VaultError;
use crate::vault::Vault;

/// How long after its end a record is kept.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Rows looked at together, and pages looked at in one run: those made first come first, and what
/// was made later than [`KEPT`] ago cannot be due.
const PAGE: usize = 500;
const PAGES_MAX: usize = 40;

impl Vault {
    /// Removes them; answers how many.
    pub(crate) async fn exchanged_tokens_prune(&self) -> Result<usize, VaultError> {
        let Some(issuers) = self.issuers_now() else {
            return Ok(0);
        };
        let before = self.now().minus(KEPT);
        let tenants: BTreeSet<&TenantId> = issuers.rules.iter().map(|rule| &rule.tenant).collect();
        let mut removed = 0;
        for tenant in tenants {
            let mut after: Option<String> = None;
            for _ in 0..PAGES_MAX {
                let rows = TokenReads::token_list(&*self.store, tenant, after.as_deref(), PAGE);
                let rows = rows.await?;
                let due = rows.iter().filter(|token| is_due(token, before));
                let unit = due.fold(Unit::new(UnitName::Housekeeping), |unit, token| {
                    unit.op(Op::Delete(Record::Token(token.clone())))
                });
                let count = unit.ops.len();
                if count > 0 {
                    match self.commit(unit).await {
                        Ok(_) => removed += count,
                        // Somebody revoked one, or another node was faster: the next run sees.
                        Err(CommitError::Conflict(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE && last.created_at < before => {
                        after = Some(last.id.as_str().to_owned());
                    }
                    _ => break,
                }
            }
        }
        Ok(removed)
    }
}

fn is_due(token: &Token, before: Timestamp) -> bool {
    token.issuer.is_some() && token.expires_at.is_some_and(|end| end < before)
}
