//! Who is asking: typed identity names, token scopes, and the principal made of both.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{TenantId, TokenId};
use crate::tenancy::{Roles, Seat};
use crate::time::Timestamp;

/// The longest identity name.
pub const IDENTITY_CHARS_MAX: usize = 256;

/// Stands between a name and the tenant it is of in a ledger. No name has a space.
const OF_TENANT: &str = " @";

/// The kind of an identity, fixed by the prefix of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// `user:alice@acme.example`
    User,
    /// `sa:reporting-service`
    ServiceAccount,
    /// `group:sre`; only in bindings, never the caller.
    Group,
    /// `system:rotation-scheduler`: our own workers. No token can carry it.
    System,
}

impl IdentityKind {
    /// The name's prefix, colon included.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::User => "user:",
            Self::ServiceAccount => "sa:",
            Self::Group => "group:",
            Self::System => "system:",
        }
    }

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Group => "group",
            Self::System => "system",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "service_account" => Some(Self::ServiceAccount),
            "group" => Some(Self::Group),
            "system" => Some(Self::System),
            _ => None,
        }
    }
}

/// A typed identity name such as `sa:reporting-service`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    kind: IdentityKind,
    name: Arc<str>,
}

/// Why an identity was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No known prefix.
    #[error("an identity is a typed name: user:…, sa:… or group:…")]
    Prefix,
    /// The prefix names another type than the one given.
    #[error(
        "the identity's prefix does not fit its type: user → user:, service_account → sa:, group → group:"
    )]
    Mismatch,
    /// Empty, too long, or characters outside printable ASCII without spaces.
    #[error("an identity name has 1 to {IDENTITY_CHARS_MAX} printable characters without spaces")]
    Name,
}

impl Identity {
    /// Reads a name of a ledger: [`Identity::parse`], or what [`Identity::of_tenant`] makes.
    ///
    /// # Errors
    /// [`IdentityError`] names the broken rule.
    pub fn parse_in_ledger(text: &str) -> Result<Self, IdentityError> {
        let Some((name, home)) = text.split_once(OF_TENANT) else {
            return Self::parse(text);
        };
        let home = TenantId::parse(home).map_err(|_| IdentityError::Name)?;
        Ok(Self::parse(name)?.of_tenant(&home))
    }

    /// The name it has in the ledger of another tenant than its own. No identity can be called so,
    /// so that two never have one name.
    #[must_use]
    pub fn of_tenant(&self, home: &TenantId) -> Self {
        Self {
            kind: self.kind,
            name: format!("{}{OF_TENANT}{home}", self.name).into(),
        }
    }

    /// Reads a typed name; the kind follows from the prefix.
    ///
    /// # Errors
    /// [`IdentityError`] names the broken rule.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let kinds = [
            IdentityKind::User,
            IdentityKind::ServiceAccount,
            IdentityKind::Group,
            IdentityKind::System,
        ];
        let (kind, rest) = kinds
            .into_iter()
            .find_map(|kind| text.strip_prefix(kind.prefix()).map(|rest| (kind, rest)))
            .ok_or(IdentityError::Prefix)?;
        let printable = rest.bytes().all(|byte| byte.is_ascii_graphic());
        if rest.is_empty() || text.len() > IDENTITY_CHARS_MAX || !printable {
            return Err(IdentityError::Name);
        }
        Ok(Self {
            kind,
            name: text.into(),
        })
    }

    /// Reads a name that must be of `kind`. `system:` names are refused: they are ours.
    ///
    /// # Errors
    /// [`IdentityError`] names the broken rule.
    pub fn parse_as(kind: IdentityKind, text: &str) -> Result<Self, IdentityError> {
        let identity = Self::parse(text)?;
        if identity.kind == kind && kind != IdentityKind::System {
            Ok(identity)
        } else {
            Err(IdentityError::Mismatch)
        }
    }

    /// One of our own workers.
    pub fn system(worker: &'static str) -> Self {
        Self {
            kind: IdentityKind::System,
            name: format!("system:{worker}").into(),
        }
    }

    /// The kind.
    pub fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// The typed name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_in_ledger(&text).map_err(serde::de::Error::custom)
    }
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a token may ask for at all. The effective right is scope ∩ policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Scope { $($(#[$doc])* $name,)* }

        impl Scope {
            /// Every scope, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the wire word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

scopes! {
    /// Read values.
    SecretsRead = "secrets:read";
    /// Write values and metadata.
    SecretsWrite = "secrets:write";
    /// Delete secrets.
    SecretsDelete = "secrets:delete";
    /// List secrets and read metadata.
    SecretsList = "secrets:list";
    /// Trigger and answer rotations.
    SecretsRotate = "secrets:rotate";
    /// Read access policies.
    PoliciesRead = "policies:read";
    /// Change access policies and bindings.
    PoliciesWrite = "policies:write";
    /// Read the audit trail.
    AuditRead = "audit:read";
    /// Export the audit trail.
    AuditExport = "audit:export";
    /// Issue and sign certificates.
    PkiIssue = "pki:issue";
    /// Manage certificate authorities.
    PkiAdmin = "pki:admin";
    /// See dynamic engines, roles and leases.
    DynamicRead = "dynamic:read";
    /// Manage dynamic engines and roles.
    DynamicManage = "dynamic:manage";
    /// Generate dynamic credentials.
    DynamicGenerate = "dynamic:generate";
    /// Use and manage keys of transit mounts, as rules allow.
    TransitUse = "transit:use";
    /// Read subscriptions.
    SubscriptionsRead = "subscriptions:read";
    /// Change subscriptions.
    SubscriptionsWrite = "subscriptions:write";
    /// Read federation backends.
    FederationRead = "federation:read";
    /// Change federation backends.
    FederationWrite = "federation:write";
    /// Read the identity cache.
    IdentityRead = "identity:read";
    /// Synchronise the identity cache.
    IdentityAdmin = "identity:admin";
    /// Rotation policies, webhooks, tokens and the server itself.
    Admin = "admin";
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScopeSet(u32);

impl ScopeSet {
    /// No scope.
    pub const EMPTY: Self = Self(0);

    /// Every scope.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether `scope` is in the set.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether every scope of `other` is in this set.
    pub fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The scopes, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(
            scopes
                .into_iter()
                .fold(0, |set, scope| set | (1 << scope as u8)),
        )
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        words
            .iter()
            .map(|word| Scope::parse(word).ok_or_else(|| serde::de::Error::custom("unknown scope")))
            .collect()
    }
}

/// The authenticated caller of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant the request acts in.
    pub tenant: TenantId,
    /// Where it stands among partners and tenants.
    pub seat: Seat,
    /// The caller's typed name.
    pub identity: Identity,
    /// What the token may ask for.
    pub scopes: ScopeSet,
    /// The caller's groups (`group:…`).
    pub groups: Vec<Identity>,
    /// The local token it came with, if it was one.
    pub token_id: Option<TokenId>,
    /// The root token: every scope, no policy needed. Audited like anyone.
    pub is_root: bool,
    /// When the caller last proved a second factor.
    pub mfa_at: Option<Timestamp>,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// Who vouched for the identity, if it was somebody outside.
    pub foreign: Option<Arc<Foreign>>,
    /// Whose limits its requests spend, when not its own: whoever makes tokens with names of their
    /// own gets no more requests by that.
    pub limited_as: Option<Identity>,
}

/// What somebody outside says of an identity, beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// The issuer's URL; `client_certificate` where a certificate gave the identity.
    pub issuer: Box<str>,
    /// SHA-256 of the client certificate it came with, hex.
    pub certificate: Option<Box<str>>,
    /// A name for people.
    pub display_name: Option<String>,
    /// When the token was issued.
    pub issued_at: Option<Timestamp>,
}

impl Principal {
    /// The tenant it speaks for: whose policies decide and whose audit trail has the row. Another
    /// than [`Self::tenant`] only where that is a partner's own space.
    pub fn acts_in(&self) -> &TenantId {
        self.seat.asking.as_ref().unwrap_or(&self.tenant)
    }

    /// Whose limits its requests spend.
    pub fn payer(&self) -> &Identity {
        self.limited_as.as_ref().unwrap_or(&self.identity)
    }

    /// The tenant its credential belongs to.
    pub fn home(&self) -> &TenantId {
        self.seat.home.as_ref().unwrap_or_else(|| self.acts_in())
    }
}

/// A local token's record. The token itself is never stored: only its keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The record's id.
    pub id: TokenId,
    /// Keyed hash of the token.
    pub hash: TokenHash,
    /// Tenant it acts in.
    pub tenant: TenantId,
    /// Who it speaks for.
    pub identity: Identity,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// Root tokens bypass policies.
    pub is_root: bool,
    /// What it may do to tenants and partners; absent: nothing.
    #[serde(default, skip_serializing_if = "Roles::is_empty")]
    pub roles: Roles,
    /// Free text of whoever made it.
    pub description: Option<String>,
    /// Lifetime it was made with; a renewal counts it again from now. `None` never ends.
    pub ttl_s: Option<u64>,
    /// End, if any.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Identity,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The issuer's URL, when it was given for a foreign token. Such a token is not renewed: its
    /// bearer shows a fresh foreign one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The groups it speaks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Identity>,
    /// What bounds it beside its end; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Box<TokenBounds>>,
    /// When somebody has to look at it next: at its end, and until what follows from it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// When what follows from its end was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

mod bounds;

pub use bounds::{TokenBounds, Uses, admits};

/// The keyed hash under which a token is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_kind() {
        let sa = Identity::parse("sa:reporting-service").unwrap();
        assert_eq!(sa.kind(), IdentityKind::ServiceAccount);
        assert_eq!(Identity::parse("alice"), Err(IdentityError::Prefix));
        assert_eq!(Identity::parse("sa:"), Err(IdentityError::Name));
        assert_eq!(Identity::parse("sa:a b"), Err(IdentityError::Name));
        let longest = Identity::parse(&format!("sa:{}", "x".repeat(253))).unwrap();
        let home = TenantId::parse(&format!("tnt_{}", "y".repeat(64))).unwrap();
        let there = longest.of_tenant(&home);
        assert_eq!(Identity::parse_in_ledger(there.as_str()), Ok(there.clone()));
        assert_eq!(Identity::parse(there.as_str()), Err(IdentityError::Name));
        let stored = serde_json::to_string(&there).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&stored).unwrap(), there);
        assert_eq!(
            Identity::parse_as(IdentityKind::User, "sa:x"),
            Err(IdentityError::Mismatch)
        );
        assert_eq!(
            Identity::parse_as(IdentityKind::System, "system:rotation-scheduler"),
            Err(IdentityError::Mismatch)
        );
    }

    #[test]
    fn scope_sets() {
        let set: ScopeSet = [Scope::Admin, Scope::SecretsRead].into_iter().collect();
        assert!(set.contains(Scope::Admin) && !set.contains(Scope::SecretsWrite));
        assert!(ScopeSet::all().covers(set) && !set.covers(ScopeSet::all()));
        let words: Vec<_> = set.iter().map(Scope::as_str).collect();
        assert_eq!(words, ["secrets:read", "admin"]);
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(*scope));
        }
    }
}
