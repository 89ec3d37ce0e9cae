//! The one place where the end of a token is noticed durably.
//!
//! Requests are refused by the records as they are; nothing here is needed for that. What *follows*
//! from an end is done here: every token has `wake_at`, which its end sets (a revocation, its last use)
//! or the clock reaches, and keeps until all that follows is done. Each step is one commit that leaves
//! less to do, so a crash loses nothing, and of two nodes at one token one finds the row changed.
//!
//! What follows now: leases of credentials made with it end, some at a time, and tokens made with it are revoked, a page at a time, the youngest generation first
//! in line being woken by that very write, so that a tree of any size and depth goes down in bounded
//! commits. Whatever else is to end with a token belongs into [`Vault::token_settle`], before the row
//! is settled.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Scope, Token};
use scaivault_core::ports::{CommitError, MountReads, Op, Record, TokenReads, Unit, UnitName};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Tokens looked at in one run.
const DUE_MAX: usize = 100;
/// Children revoked in one commit.
const CHILDREN_MAX: usize = 100;
/// A request that came before the end may make a child after it: the children are looked for once
/// more when no such request can be under way any longer.
const MAKING: Duration = Duration::from_secs(300);
/// How long the record of a token that a machine got by a role, or that only holds policies, is kept
/// after its end.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Vault {
    /// Sees to what follows from the end of tokens. Answers how many steps were made; call again
    /// soon when it is not 0.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tokens_ended_run_once(&self) -> Result<usize, VaultError> {
        let now = self.now();
        let due = TokenReads::token_due(&*self.store, now, DUE_MAX).await?;
        let mut steps = 0;
        for token in due {
            let unit = self.token_settle(token, now).await?;
            match self.commit(unit).await {
                Ok(_) => steps += 1,
                // Renewed, revoked, or another node was faster: the next run sees.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(steps)
    }

    /// The next step for one token.
    async fn token_settle(&self, mut token: Token, now: Timestamp) -> Result<Unit, VaultError> {
        let unit = Unit::new(UnitName::TokenSettle);
        if token.settled_at.is_some() {
            return Ok(unit.op(Op::Delete(Record::Token(token))));
        }
        let Some(ended) = token.ended_at(now) else {
            // It was renewed; or its row is of a release that did not say.
            token.wake_at = token.expires_at;
            return Ok(unit.put(Record::Token(next(token))));
        };
        let children =
            TokenReads::token_children(&*self.store, &token.tenant, &token.id, None, CHILDREN_MAX)
                .await?;
        if !children.is_empty() {
            let caller = Caller::system(token.tenant.clone(), "token-keeper", now);
            return Ok(children.into_iter().fold(unit, |unit, child| {
                let extra = AuditExtra {
                    token_id: Some(child.id.clone()),
                    subject: Some(child.identity.as_str().to_owned()),
                    reason: Some(format!("made with {}, which has ended", token.id)),
                    ..AuditExtra::default()
                };
                unit.put(Record::Token(with_parent(child, now)))
                    .audited(caller.row(Action::TokenRevoke, None, now, extra))
            }));
        }
        let of = (&token.tenant, &token.id);
        let (unit, more) = self.leases_of_token_end(unit, of, now).await?;
        if more {
            self.signals.leases_end();
            return Ok(unit);
        }
        // What it kept for itself, an answer that nobody unwrapped among it.
        let kept = MountReads::cubby_list(&*self.store, &token.tenant, &token.id, CHILDREN_MAX);
        let kept = kept.await?;
        if !kept.is_empty() {
            let gone = kept.into_iter().map(Record::Cubby).map(Op::Delete);
            return Ok(gone.fold(unit, Unit::op));
        }
        // Only tokens with the scope admin, or with policies that let them, make others.
        let makes = token.scopes.contains(Scope::Admin) || token.holds_policies();
        let looked_again = !makes || now.since(ended) >= MAKING;
        if looked_again {
            token.settled_at = Some(now);
            let by_the_thousand = token.is_by_role() || token.is_wrapping() || token.is_holder();
            token.wake_at = by_the_thousand.then(|| now.plus(KEPT));
        } else {
            token.wake_at = Some(ended.plus(MAKING));
        }
        Ok(unit.put(Record::Token(next(token))))
    }
}

fn with_parent(mut child: Token, now: Timestamp) -> Token {
    child.revoke(now);
    if let Some(bounds) = &mut child.bounds {
        bounds.ended_with_parent = true;
    }
    child
}

fn next(mut token: Token) -> Token {
    token.revision += 1;
    token
}
