//! What bounds a token beside its end: how often it may be used, from where, and with whom it ends.
//!
//! A token without bounds costs nothing of this. Of one with bounds:
//!
//! - **Uses** are counted in a commit of their own before the request has any effect. The row's
//!   revision decides, in the store and so over all nodes: of two requests for the last use one finds
//!   the row changed, reads it again and finds nothing left. A use is spent even when the request then
//!   fails, or when nobody knows what the commit came to.
//! - **Addresses** do not change, and what a bound token makes is bound at least as narrowly, so each
//!   token's own ranges are all that has to be asked.
//! - **Ancestry** is judged at every request: the record names the tokens above it, at most
//!   [`ANCESTORS_MAX`], and each is looked up as the token itself is, from a cache that hears of every
//!   change. So a whole tree ends in the commit that ends its root, however large it is; the worker in
//!   `ends` only makes the records say so. A child's end by the clock lies before its parent's, so an
//!   expired parent has no living children.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::access::Cidr;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Principal, Token, TokenBounds, TokenHash, Uses};
use scaivault_core::ports::{CommitError, Record, TokenReads, Unit, UnitName};
use scaivault_core::time::Timestamp;
use tokio::sync::Mutex;

use crate::access::AuthError;
use crate::cache::KnownToken;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Tokens above a token.
const ANCESTORS_MAX: usize = 8;

/// Whose turn it is to take a use of a token. It spares requests of one node the race that the row's
/// revision decides.
#[derive(Default)]
pub(crate) struct UseTurns([Mutex<()>; 16]);

impl UseTurns {
    pub(crate) fn of(&self, hash: &TokenHash) -> &Mutex<()> {
        &self.0[usize::from(hash.0[0]) % self.0.len()]
    }
}

/// What is to bound a new token.
#[derive(Debug, Clone, Default)]
pub struct TokenLimits {
    /// Requests it serves; `None` is any number.
    pub uses: Option<u64>,
    /// Where it may be used; empty is wherever the token that makes it may.
    pub allowed_addresses: Vec<Cidr>,
    /// It does not end with the token that makes it.
    pub no_parent: bool,
}

/// Who comes with a request.
pub struct Entered {
    /// Who.
    pub principal: Arc<Principal>,
    /// What else is to be asked of the token, when it has bounds.
    pub bound: Option<Bound>,
}

/// A token with bounds that somebody came with.
pub struct Bound(Arc<KnownToken>);

impl Bound {
    /// Whether it was made for an answer that waits: it is for nothing else.
    pub fn is_wrapping(&self) -> bool {
        self.0.token.is_wrapping()
    }

    fn bounds(&self) -> Option<&TokenBounds> {
        self.0.token.bounds.as_deref()
    }

    /// Whether it may come from there.
    ///
    /// # Errors
    /// [`AuthError::Address`].
    pub fn comes_from(&self, address: Option<IpAddr>) -> Result<(), AuthError> {
        match self.bounds().is_none_or(|bounds| bounds.admits(address)) {
            true => Ok(()),
            false => Err(AuthError::Address),
        }
    }

    /// Whether a use is left, as far as is known here.
    ///
    /// # Errors
    /// [`AuthError::UsedUp`].
    pub fn has_uses(&self) -> Result<(), AuthError> {
        match self.0.token.used_up_at() {
            None => Ok(()),
            Some(_) => Err(AuthError::UsedUp),
        }
    }
}

impl Vault {
    pub(crate) async fn enter_bound(
        &self,
        known: Arc<KnownToken>,
        now: Timestamp,
    ) -> Result<Entered, AuthError> {
        self.lineage_holds(&known.token, now).await?;
        Ok(Entered {
            principal: self.principal_now(&known, now).await?,
            bound: Some(Bound(known)),
        })
    }

    /// Whether no token above this one has ended.
    pub(crate) async fn lineage_holds(
        &self,
        token: &Token,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let Some(bounds) = &token.bounds else {
            return Ok(());
        };
        for hash in &bounds.ancestors {
            match self.token_known(*hash).await {
                Ok(above) if above.token.ended_at(now).is_none() => {}
                // Its record is removed a while after its end only.
                Ok(_) | Err(AuthError::Invalid) => return Err(AuthError::Revoked),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes one use, where they are counted. From the answer on it is spent, on every node.
    ///
    /// # Errors
    /// [`AuthError::UsedUp`] when none is left; [`AuthError::Unavailable`] when the store cannot say.
    pub async fn token_use(&self, bound: &Bound) -> Result<(), AuthError> {
        if bound.bounds().is_none_or(|bounds| bounds.uses.is_none()) {
            return Ok(());
        }
        let hash = bound.0.token.hash;
        let _turn = self.use_turns.of(&hash).lock().await;
        for _ in 0..RACES_MAX {
            let now = self.now();
            let found = TokenReads::token_by_hash(&*self.store, &hash).await;
            let token = found
                .map_err(|error| AuthError::Unavailable(error.to_string()))?
                .ok_or(AuthError::Invalid)?;
            let (spent, is_last) = spent(token, now)?;
            let unit = Unit::new(UnitName::TokenUse).put(Record::Token(spent));
            match self.commit(unit).await {
                Ok(_) => {
                    if is_last {
                        self.signals.token_ended();
                    }
                    return Ok(());
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(AuthError::Unavailable(error.to_string())),
            }
        }
        Err(AuthError::Unavailable(
            "the token is used by too many at once".into(),
        ))
    }

    /// Puts on the trail that a token came from where it may not be used.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn token_strayed(&self, caller: &Caller) -> Result<(), VaultError> {
        let extra = AuditExtra {
            token_id: caller.principal.token_id.clone(),
            ..AuditExtra::default()
        };
        let (now, code) = (self.now(), AuthError::Address.code());
        let row = caller.failed_row(Action::TokenUse, None, now, code, extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    /// The caller's own token's record, when it came with a local one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token_own(&self, caller: &Caller) -> Result<Option<Token>, VaultError> {
        let Some(id) = &caller.principal.token_id else {
            return Ok(None);
        };
        let home = caller.principal.home();
        Ok(TokenReads::token_find(&*self.store, home, id).await?)
    }

    /// A request may be held open between its beginning and its body: what lasts longer than the
    /// token it is made with is made only while that lives. One whose last use this request is
    /// lives for it.
    async fn still_lives(&self, maker: &Token, now: Timestamp) -> Result<(), VaultError> {
        let ended = maker.ended_at(now).is_some() && maker.used_up_at().is_none();
        let above = self.lineage_holds(maker, now).await;
        match (ended, above) {
            (false, Ok(())) => Ok(()),
            (_, Err(AuthError::Unavailable(why))) => Err(VaultError::Unavailable(why)),
            _ => Err(VaultError::Forbidden("the token has ended")),
        }
    }

    /// What the caller makes that gives tokens: only while its own token lives, and for no address
    /// that this one is not for. Answers the ranges that hold for it.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub(crate) async fn within_own_bounds(
        &self,
        caller: &Caller,
        ranges: &[Cidr],
    ) -> Result<Vec<Cidr>, VaultError> {
        let mut ranges = ranges.to_vec();
        if caller.principal.is_root || caller.principal.token_id.is_none() {
            return Ok(ranges);
        }
        let own = self.token_own(caller).await?;
        let own = own.ok_or(VaultError::NotFound(Missing::Token))?;
        self.still_lives(&own, self.now()).await?;
        let bounds = own.bounds.unwrap_or_default();
        narrow(&mut ranges, &bounds.allowed_addresses)?;
        Ok(ranges)
    }

    /// The bounds of a token that this caller makes, and the latest end it may have.
    pub(super) async fn bounds_of_new(
        &self,
        caller: &Caller,
        limits: TokenLimits,
        now: Timestamp,
    ) -> Result<(TokenBounds, Option<Timestamp>), VaultError> {
        let mut bounds = TokenBounds {
            uses: limits.uses.map(Uses::of),
            allowed_addresses: limits.allowed_addresses,
            ..TokenBounds::default()
        };
        if caller.principal.is_root {
            return Ok((bounds, None));
        }
        let Some(maker) = self.token_own(caller).await? else {
            return match caller.principal.token_id {
                None => Ok((bounds, None)), // it came with a foreign token
                Some(_) => Err(VaultError::NotFound(Missing::Token)),
            };
        };
        self.still_lives(&maker, now).await?;
        let of_maker = maker.bounds.clone().unwrap_or_default();
        narrow(&mut bounds.allowed_addresses, &of_maker.allowed_addresses)?;
        // A token of another tenant cannot be a parent: what ends there is not seen here.
        if limits.no_parent || caller.principal.seat.home.is_some() {
            return Ok((bounds, None));
        }
        if of_maker.uses.is_some() {
            return Err(VaultError::Forbidden(
                "a token with a number of uses has no children, since they would end with it: make \
                 this one with no_parent",
            ));
        }
        if of_maker.ancestors.len() >= ANCESTORS_MAX {
            return Err(VaultError::Forbidden(
                "this token stands at the end of a line of 9, which is the longest: make the new \
                 one with no_parent, or with a token further up",
            ));
        }
        bounds.parent = Some(maker.id);
        bounds.ancestors = Vec::with_capacity(of_maker.ancestors.len() + 1);
        bounds.ancestors.push(maker.hash);
        bounds.ancestors.extend(of_maker.ancestors);
        Ok((bounds, maker.expires_at))
    }

    /// The end of a token that is renewed now: no later than its bounds and its parent's end allow.
    pub(super) async fn renewed_end(
        &self,
        token: &Token,
        ttl_s: u64,
        now: Timestamp,
    ) -> Result<Timestamp, VaultError> {
        let after = |seconds| now.plus(Duration::from_secs(seconds));
        let Some(bounds) = &token.bounds else {
            return Ok(after(ttl_s));
        };
        if bounds.is_fixed {
            return Err(VaultError::Forbidden(
                "the token was made not to be renewed: make another one",
            ));
        }
        let mut end = after(bounds.period_s.unwrap_or(ttl_s));
        if let Some(most) = bounds.max_expires_at {
            end = end.min(most);
        }
        if let Some(parent) = &bounds.parent {
            let parent = TokenReads::token_find(&*self.store, &token.tenant, parent)
                .await?
                .filter(|parent| parent.ended_at(now).is_none())
                .ok_or(VaultError::Forbidden(
                    "the token it was made with has ended",
                ))?;
            end = parent.expires_at.map_or(end, |most| end.min(most));
        }
        Ok(end)
    }
}

/// The row with one use less, and whether that was the last.
fn spent(mut token: Token, now: Timestamp) -> Result<(Token, bool), AuthError> {
    if token.revoked_at.is_some() {
        return Err(AuthError::Revoked);
    }
    if token.expires_at.is_some_and(|end| end <= now) {
        return Err(AuthError::Expired);
    }
    let bounds = token.bounds.as_mut().ok_or(AuthError::Invalid)?;
    let uses = bounds.uses.ok_or(AuthError::Invalid)?;
    let left = uses.spend().ok_or(AuthError::UsedUp)?;
    let is_last = left.left == 0;
    bounds.uses = Some(left);
    if is_last {
        bounds.ended_at = Some(now);
        token.wake_at = Some(now);
    }
    token.revision += 1;
    Ok((token, is_last))
}

/// Within the maker's ranges: its own where none are given.
fn narrow(given: &mut Vec<Cidr>, of_maker: &[Cidr]) -> Result<(), VaultError> {
    if of_maker.is_empty() {
        return Ok(());
    }
    if given.is_empty() {
        given.extend_from_slice(of_maker);
        return Ok(());
    }
    let is_inside = |range: &Cidr| of_maker.iter().any(|wide| wide.covers(range));
    match given.iter().all(is_inside) {
        true => Ok(()),
        false => Err(VaultError::Forbidden(
            "a token bound to addresses makes tokens for these addresses only",
        )),
    }
}
