//! Machines that log in by a role id and a secret id: what a role says, and who gets in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::access::Cidr;
use crate::identity::{Identity, ScopeSet, TokenHash, Uses, admits};
use crate::ids::{MachineRoleId, SecretIdAccessor, TenantId};
use crate::time::{Span, Timestamp};

/// A role: what a machine becomes that logs in by it, and what it has to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRole {
    /// Tells it from an earlier role of the same name.
    pub id: MachineRoleId,
    /// Owner.
    pub tenant: TenantId,
    /// Its name, which does not change.
    pub name: String,
    /// What machines name; unique among all roles of the store.
    pub role_id: String,
    /// Free text.
    pub description: Option<String>,
    /// Whom its tokens speak for.
    pub identity: Identity,
    /// What they may ask for.
    pub scopes: ScopeSet,
    /// Their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Identity>,
    /// Whether a secret id has to be shown.
    pub bind_secret_id: bool,
    /// The hash of the password that is shown in place of a role id and a secret id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How long secret ids live, unless one is made for less; `None` is for ever.
    pub secret_id_ttl: Option<Span>,
    /// How often one may be used, unless it is made for less; `None` is any number.
    pub secret_id_num_uses: Option<u64>,
    /// Where logins may come from; empty is anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_id_bound_cidrs: Vec<Cidr>,
    /// How long its tokens live.
    pub token_ttl: Span,
    /// How long renewals may make them live.
    pub token_max_ttl: Option<Span>,
    /// Its tokens are renewed for so long each time, without a last end.
    pub token_period: Option<Span>,
    /// Requests that a token serves.
    pub token_num_uses: Option<u64>,
    /// Where its tokens may be used; empty is anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_bound_cidrs: Vec<Cidr>,
    /// Nobody logs in by it while it is not.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Identity,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// A secret id's record. The secret id itself is never stored: only its keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretId {
    /// The record's id, which gets nobody in.
    pub id: SecretIdAccessor,
    /// Keyed hash of the secret id.
    pub hash: TokenHash,
    /// Owner.
    pub tenant: TenantId,
    /// The role's name.
    pub role: String,
    /// The role itself: a later one of the same name does not know this secret id.
    pub role_uid: MachineRoleId,
    /// What its maker noted about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Logins it serves; `None` is any number. The last one removes the record.
    pub uses: Option<Uses>,
    /// Where it may be used; empty is wherever the role says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<Cidr>,
    /// Where tokens got by it may be used; empty is wherever the role says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_bound_cidrs: Vec<Cidr>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Identity,
    /// End, if any.
    pub expires_at: Option<Timestamp>,
    /// The last login by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

/// Why a machine was not let in. It is told to the trail; who asked hears nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum LoginRefusal {
    RoleInactive,
    Address,
    SecretIdMissing,
    SecretIdUnknown,
    SecretIdExpired,
    SecretIdAddress,
    Password,
}

impl LoginRefusal {
    /// For the trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoleInactive => "role_inactive",
            Self::Address => "address",
            Self::SecretIdMissing => "secret_id_missing",
            Self::SecretIdUnknown => "secret_id_unknown",
            Self::SecretIdExpired => "secret_id_expired",
            Self::SecretIdAddress => "secret_id_address",
            Self::Password => "password",
        }
    }
}

impl SecretId {
    /// Whether it has ended by `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
            || self.uses.is_some_and(|uses| uses.left == 0)
    }

    /// Whether this is the record of that hash. In constant time: every byte is looked at.
    pub fn is_of(&self, hash: &TokenHash) -> bool {
        let differing = self.hash.0.iter().zip(hash.0);
        differing.fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
    }
}

impl MachineRole {
    /// Whether whoever shows this may log in. `shown` is whether there was a secret id at all,
    /// `found` its record, if there is one.
    ///
    /// # Errors
    /// [`LoginRefusal`].
    pub fn admits(
        &self,
        shown: Option<&TokenHash>,
        found: Option<&SecretId>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), LoginRefusal> {
        self.admits_from(address)?;
        if !self.bind_secret_id {
            return Ok(());
        }
        let hash = shown.ok_or(LoginRefusal::SecretIdMissing)?;
        let secret_id = found
            .filter(|row| row.tenant == self.tenant && row.role_uid == self.id && row.is_of(hash))
            .ok_or(LoginRefusal::SecretIdUnknown)?;
        if secret_id.has_ended(now) {
            return Err(LoginRefusal::SecretIdExpired);
        }
        if !admits(&secret_id.bound_cidrs, address) {
            return Err(LoginRefusal::SecretIdAddress);
        }
        Ok(())
    }

    /// The same for somebody who shows a password, which was found right or not.
    ///
    /// # Errors
    /// [`LoginRefusal`].
    pub fn admits_user(&self, is_right: bool, address: Option<IpAddr>) -> Result<(), LoginRefusal> {
        self.admits_from(address)?;
        match is_right && self.password.is_some() {
            true => Ok(()),
            false => Err(LoginRefusal::Password),
        }
    }

    fn admits_from(&self, address: Option<IpAddr>) -> Result<(), LoginRefusal> {
        if !self.is_active {
            return Err(LoginRefusal::RoleInactive);
        }
        match admits(&self.secret_id_bound_cidrs, address) {
            true => Ok(()),
            false => Err(LoginRefusal::Address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scope;

    fn role() -> MachineRole {
        MachineRole {
            id: MachineRoleId::parse("rol_1").unwrap(),
            tenant: TenantId::parse("tnt_a").unwrap(),
            name: "build".into(),
            role_id: "rol_1".into(),
            description: None,
            identity: Identity::parse("sa:build").unwrap(),
            scopes: [Scope::SecretsRead].into_iter().collect(),
            groups: Vec::new(),
            bind_secret_id: true,
            password: None,
            secret_id_ttl: None,
            secret_id_num_uses: None,
            secret_id_bound_cidrs: vec![Cidr::parse("10.0.0.0/8").unwrap()],
            token_ttl: Span::parse("1m").unwrap(),
            token_max_ttl: None,
            token_period: None,
            token_num_uses: None,
            token_bound_cidrs: Vec::new(),
            is_active: true,
            created_at: Timestamp::from_secs(0),
            created_by: Identity::parse("user:root").unwrap(),
            updated_at: Timestamp::from_secs(0),
            revision: 1,
        }
    }

    fn secret_id(role: &MachineRole) -> SecretId {
        SecretId {
            id: SecretIdAccessor::parse("sia_1").unwrap(),
            hash: TokenHash([7; 32]),
            tenant: role.tenant.clone(),
            role: role.name.clone(),
            role_uid: role.id.clone(),
            metadata: BTreeMap::new(),
            uses: Some(Uses::of(1)),
            bound_cidrs: vec![Cidr::parse("10.1.0.0/16").unwrap()],
            token_bound_cidrs: Vec::new(),
            created_at: Timestamp::from_secs(0),
            created_by: role.created_by.clone(),
            expires_at: Some(Timestamp::from_secs(100)),
            last_used_at: None,
            revision: 1,
        }
    }

    #[test]
    fn everything_has_to_fit() {
        let (role, now) = (role(), Timestamp::from_secs(50));
        let (good, hash) = (secret_id(&role), TokenHash([7; 32]));
        let home: Option<IpAddr> = Some("10.1.2.3".parse().unwrap());
        let ask = |role: &MachineRole, row: &SecretId, from: Option<IpAddr>, now| {
            role.admits(Some(&hash), Some(row), from, now)
        };
        assert_eq!(ask(&role, &good, home, now), Ok(()));
        assert_eq!(
            ask(&role, &good, home, Timestamp::from_secs(100)),
            Err(LoginRefusal::SecretIdExpired)
        );
        let far = Some("10.2.0.1".parse().unwrap());
        assert_eq!(
            ask(&role, &good, far, now),
            Err(LoginRefusal::SecretIdAddress)
        );
        let out = Some("192.0.2.1".parse().unwrap());
        assert_eq!(ask(&role, &good, out, now), Err(LoginRefusal::Address));
        assert_eq!(ask(&role, &good, None, now), Err(LoginRefusal::Address));

        let mut other = good.clone();
        other.role_uid = MachineRoleId::parse("rol_2").unwrap();
        assert_eq!(
            ask(&role, &other, home, now),
            Err(LoginRefusal::SecretIdUnknown),
            "of an earlier role of this name"
        );
        let mut other = good.clone();
        other.hash.0[31] = 8;
        assert_eq!(
            ask(&role, &other, home, now),
            Err(LoginRefusal::SecretIdUnknown)
        );
        let mut spent = good.clone();
        spent.uses = Some(Uses { given: 1, left: 0 });
        assert_eq!(
            ask(&role, &spent, home, now),
            Err(LoginRefusal::SecretIdExpired)
        );
        assert_eq!(
            role.admits(None, None, home, now),
            Err(LoginRefusal::SecretIdMissing)
        );
        assert_eq!(
            role.admits(Some(&hash), None, home, now),
            Err(LoginRefusal::SecretIdUnknown)
        );

        let mut off = role.clone();
        off.is_active = false;
        assert_eq!(ask(&off, &good, home, now), Err(LoginRefusal::RoleInactive));
        let mut bare = role;
        bare.bind_secret_id = false;
        assert_eq!(bare.admits(None, None, home, now), Ok(()));
        assert_eq!(
            bare.admits(None, None, out, now),
            Err(LoginRefusal::Address)
        );
    }
}
