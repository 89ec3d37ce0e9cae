//! Leases end with the token that they were made with.

use scaivault_core::dynamic::{Cause, Lease};
use scaivault_core::identity::Token;
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::{DynamicReads, LeaseToken, Record, TokenReads, Unit, UnitName};
use scaivault_core::time::Timestamp;

use crate::error::VaultError;
use crate::vault::Vault;

/// Tokens that are looked at together.
const TOKENS_MAX: usize = 500;

/// Whether a token still speaks for somebody, and until when.
pub(super) enum TokenLives {
    Until(Option<Timestamp>),
    No,
}

impl TokenLives {
    fn of(row: Option<&Token>, now: Timestamp) -> Self {
        match row {
            Some(row) if row.revoked_at.is_none() && row.expires_at.is_none_or(|at| now < at) => {
                Self::Until(row.expires_at)
            }
            _ => Self::No,
        }
    }
}

impl Vault {
    pub(super) async fn token_behind(&self, lease: &Lease) -> Result<TokenLives, VaultError> {
        match &lease.token_id {
            Some(token) => self.token_lives(&lease.tenant, token).await,
            // Of a foreign token nothing is stored: its end is the lease's.
            None => Ok(TokenLives::No),
        }
    }

    async fn token_lives(
        &self,
        tenant: &TenantId,
        token: &TokenId,
    ) -> Result<TokenLives, VaultError> {
        let found = TokenReads::token_find(&*self.store, tenant, token).await?;
        Ok(TokenLives::of(found.as_ref(), self.now()))
    }

    /// Ends the leases of tokens that were revoked or have ended. Answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or written; what is left is found by the next round.
    pub async fn leases_of_ended_tokens(&self) -> Result<usize, VaultError> {
        let (mut ended, mut after) = (0, None::<(TenantId, TokenId)>);
        loop {
            let behind = after.as_ref();
            let behind = behind.map(|(tenant, token)| (tenant.as_str(), token.as_str()));
            let tokens = DynamicReads::lease_tokens(&*self.store, behind, TOKENS_MAX).await?;
            let Some(last) = tokens.last() else {
                return Ok(ended);
            };
            after = Some((last.tenant.clone(), last.id.clone()));
            for LeaseToken { tenant, id, token } in tokens {
                if matches!(TokenLives::of(token.as_ref(), self.now()), TokenLives::No) {
                    ended += self.end_leases_of(&tenant, &id).await?;
                }
            }
        }
    }

    /// Puts leases of a token that has ended to their end, in the commit that sees to what follows
    /// from it: so many at most, `None` when there are none left.
    pub(crate) async fn leases_of_token_end(
        &self,
        mut unit: Unit,
        (tenant, token): (&TenantId, &TokenId),
        now: Timestamp,
    ) -> Result<(Unit, bool), VaultError> {
        let mut after = None::<String>;
        loop {
            let store = &*self.store;
            let page = DynamicReads::lease_of_token(store, tenant, token, after.as_deref(), 200);
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok((unit, false));
            };
            after = Some(last.id.as_str().to_owned());
            let ending: Vec<Lease> = page
                .iter()
                .filter(|lease| lease.may_be_used())
                .filter_map(|lease| lease.ending(Cause::Token, now))
                .collect();
            if !ending.is_empty() {
                for lease in ending {
                    unit = unit.put(Record::Lease(lease));
                }
                return Ok((unit, true));
            }
        }
    }

    async fn end_leases_of(&self, tenant: &TenantId, token: &TokenId) -> Result<usize, VaultError> {
        let (mut ended, mut after) = (0, None::<String>);
        loop {
            let store = &*self.store;
            let page = DynamicReads::lease_of_token(store, tenant, token, after.as_deref(), 200);
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(ended);
            };
            after = Some(last.id.as_str().to_owned());
            for lease in page {
                // What is ending already keeps its time.
                if lease.may_be_used()
                    && let Some(next) = lease.ending(Cause::Token, self.now())
                {
                    self.lease_put(UnitName::LeaseEnd, next).await?;
                    ended += 1;
                }
            }
        }
    }
}
