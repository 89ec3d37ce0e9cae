//! What bounds a token beside its end: how often, from where, and with whom it ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Identity, Token, TokenHash};
use crate::access::Cidr;
use crate::acl::{HOLDER, policy_of};
use crate::ids::TokenId;
use crate::time::Timestamp;

/// How often something may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// Made for so many.
    pub given: u64,
    /// So many are left.
    pub left: u64,
}

impl Uses {
    /// All of them are left.
    pub fn of(given: u64) -> Self {
        Self { given, left: given }
    }

    /// With one less; `None` when there is none left.
    pub fn spend(self) -> Option<Self> {
        let left = self.left.checked_sub(1)?;
        Some(Self { left, ..self })
    }
}

/// What bounds a token beside its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenBounds {
    /// Requests it serves; `None` is any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<Uses>,
    /// Where it may come from; empty is anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<Cidr>,
    /// The token it was made with, and ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TokenId>,
    /// That one's hash and those of the tokens above it, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<TokenHash>,
    /// When its last use was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// It was revoked because its parent had ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended_with_parent: bool,
    /// No renewal takes it beyond this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_expires_at: Option<Timestamp>,
    /// Each renewal is for so long, whatever its age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_s: Option<u64>,
    /// The role a machine got it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_role: Option<String>,
    /// It ends when it ends: nobody renews it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_fixed: bool,
    /// What its maker noted about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// It was made for an answer that waits, and opens that alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wraps: bool,
    /// Whose limits its requests spend, when not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_as: Option<Identity>,
}

impl TokenBounds {
    /// Nothing is bound: the record needs none of this.
    pub fn into_record(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// Whether it may come from there.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        admits(&self.allowed_addresses, address)
    }
}

/// Whether an address is in one of the ranges; without ranges, any is. An address that is not known
/// is in none.
pub fn admits(ranges: &[Cidr], address: Option<IpAddr>) -> bool {
    ranges.is_empty()
        || address.is_some_and(|address| ranges.iter().any(|range| range.contains(address)))
}

impl Token {
    /// The token it was made with.
    pub fn parent(&self) -> Option<&TokenId> {
        self.bounds.as_ref()?.parent.as_ref()
    }

    /// The token whose end has still to end it: the parent of one that is not over.
    pub fn living_parent(&self) -> Option<&TokenId> {
        let is_over =
            self.revoked_at.is_some() || self.settled_at.is_some() || self.used_up_at().is_some();
        self.parent().filter(|_| !is_over)
    }

    /// Revokes it, by a write of its own number.
    pub fn revoke(&mut self, now: Timestamp) {
        self.revision += 1;
        self.revoked_at = Some(now);
        self.wake_at = Some(now);
        self.settled_at = None;
    }

    /// When its last use was taken.
    pub fn used_up_at(&self) -> Option<Timestamp> {
        self.bounds.as_ref()?.ended_at
    }

    /// When it ended, if it has by `now`. That its parent ended is not seen here.
    pub fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        let expired = self.expires_at.filter(|end| *end <= now);
        [self.revoked_at, self.used_up_at(), expired]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether it holds policies by their names: what it may ask for follows from them as they are then.
    pub fn holds_policies(&self) -> bool {
        self.groups.iter().any(|group| policy_of(group).is_some())
    }

    /// Whether it was made for an answer that waits.
    pub fn is_wrapping(&self) -> bool {
        self.bounds.as_deref().is_some_and(|bounds| bounds.wraps)
    }

    /// Whose limits its requests spend, when not its own.
    pub fn limited_as(&self) -> Option<&Identity> {
        self.bounds.as_deref()?.limited_as.as_ref()
    }

    /// Whether it holds policies, and has a name of its own for that alone. Such are made by the
    /// thousand, too.
    pub fn is_holder(&self) -> bool {
        self.identity.as_str().starts_with(HOLDER)
    }

    /// Whether a machine got it by a role. Such are made by the thousand, and who they were is in the
    /// trail: their records are of use only for a while after their end.
    pub fn is_by_role(&self) -> bool {
        let by_role = |bounds: &TokenBounds| bounds.machine_role.is_some();
        self.bounds.as_deref().is_some_and(by_role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_run_out() {
        let uses = Uses::of(2).spend().unwrap();
        assert_eq!((uses.given, uses.left), (2, 1));
        assert_eq!(uses.spend().unwrap().spend(), None);
    }

    #[test]
    fn an_address_that_is_not_known_is_in_no_range() {
        let ranges = [Cidr::parse("10.0.0.0/8").unwrap()];
        assert!(admits(&[], None));
        assert!(!admits(&ranges, None));
        assert!(admits(&ranges, Some("10.1.2.3".parse().unwrap())));
        assert!(admits(&ranges, Some("::ffff:10.1.2.3".parse().unwrap())));
        assert!(!admits(&ranges, Some("11.1.2.3".parse().unwrap())));
    }

    #[test]
    fn what_is_not_bound_is_not_recorded() {
        assert_eq!(TokenBounds::default().into_record(), None);
        let bounds = TokenBounds {
            uses: Some(Uses::of(1)),
            ..TokenBounds::default()
        };
        assert_eq!(bounds.clone().into_record(), Some(Box::new(bounds)));
    }
}
