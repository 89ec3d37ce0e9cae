//! How many wrapped answers of somebody wait at once. Each is a token and a sealed text in the store,
//! for up to a month, and whoever has any token may make them: without a bound one of them fills the
//! store.
//!
//! Counted in memory, by each node for what it made: nothing is read for it below the bound. At the
//! bound some of those that are counted are looked up, since another node may have opened them.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use scaivault_core::identity::{Identity, Token};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::TokenReads;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Wrapped answers of one maker that may wait at once, for each node.
pub const WRAPPED_MAX: usize = 1_000;
/// Counted ones that are looked up when the bound is met.
const LOOKED_UP: usize = 32;

type Owner = (TenantId, Identity);

/// Those that wait, by who made them.
#[derive(Default)]
pub(crate) struct WrapCounts(Mutex<HashMap<Owner, VecDeque<(Timestamp, TokenId)>>>);

impl WrapCounts {
    /// One more.
    pub(crate) fn made(&self, token: &Token) {
        let end = token.expires_at.unwrap_or(token.created_at);
        let mut all = self.0.lock();
        let own = all.entry(owner(token)).or_default();
        own.push_back((end, token.id.clone()));
    }

    /// It waits no longer.
    pub(crate) fn gone(&self, token: &Token) {
        let (mut all, owner) = (self.0.lock(), owner(token));
        if let Some(own) = all.get_mut(&owner) {
            own.retain(|(_, id)| *id != token.id);
            if own.is_empty() {
                all.remove(&owner);
            }
        }
    }

    /// Some of those of an owner who has no room left; other ones each time.
    fn to_look_up(&self, owner: &Owner, now: Timestamp) -> Vec<TokenId> {
        let mut all = self.0.lock();
        let Some(own) = all.get_mut(owner) else {
            return Vec::new();
        };
        own.retain(|(end, _)| *end > now);
        match own.len() < WRAPPED_MAX {
            true => Vec::new(),
            false => {
                own.rotate_left(LOOKED_UP);
                let some = own.iter().rev().take(LOOKED_UP);
                some.map(|(_, id)| id.clone()).collect()
            }
        }
    }

    /// Without these; whether there is room then.
    fn ended(&self, owner: &Owner, gone: &[TokenId]) -> bool {
        let mut all = self.0.lock();
        let Some(own) = all.get_mut(owner) else {
            return true;
        };
        own.retain(|(_, id)| !gone.contains(id));
        own.len() < WRAPPED_MAX
    }
}

fn owner(token: &Token) -> Owner {
    let by = token.limited_as().unwrap_or(&token.created_by);
    (token.tenant.clone(), by.clone())
}

impl Vault {
    /// Whether the caller may have one more answer wait.
    pub(crate) async fn wrap_room(&self, caller: &Caller) -> Result<(), VaultError> {
        let principal = &caller.principal;
        let owner = (principal.acts_in().clone(), principal.payer().clone());
        let now = self.now();
        let some = self.wraps.to_look_up(&owner, now);
        if some.is_empty() {
            return Ok(());
        }
        let mut gone = Vec::new();
        for id in some {
            let token = TokenReads::token_find(&*self.store, &owner.0, &id).await?;
            if token.is_none_or(|token| token.ended_at(now).is_some()) {
                gone.push(id);
            }
        }
        match self.wraps.ended(&owner, &gone) {
            true => Ok(()),
            false => Err(VaultError::Validation(vec![(
                "X-Vault-Wrap-TTL".into(),
                format!(
                    "is refused: {WRAPPED_MAX} wrapped answers of this identity wait already; unwrap \
                     some, or give them a shorter time"
                ),
            )])),
        }
    }
}
