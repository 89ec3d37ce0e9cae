//! What an operator says of one issuer.

use std::time::Duration;

use super::pattern::Pattern;
use crate::identity::ScopeSet;
use crate::ids::{PartnerId, TenantId};
use crate::tenancy::Roles;

/// Signature algorithms with a public key. There is no other kind here: a shared secret or no
/// signature at all cannot be named, so it cannot be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The word in a token's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads the word, exactly as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// The issuer's own `/.well-known/openid-configuration` names them.
    Discovery,
    /// A key set at this URL.
    Url(String),
    /// A key set given with the settings: never fetched, never too old.
    Given(Vec<u8>),
}

/// Which claims say what. A name beginning with `/` is a JSON pointer into the claims.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the claim of what it is called")]
pub struct ClaimNames {
    pub identity: String,
    pub display_name: String,
    pub tenant: String,
    pub partner: String,
    pub scopes: String,
    pub groups: String,
    pub roles: String,
    pub mfa_time: String,
    pub mfa_methods: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            identity: "sub".to_owned(),
            display_name: "name".to_owned(),
            tenant: "tenant_id".to_owned(),
            partner: "partner_id".to_owned(),
            scopes: "scope".to_owned(),
            groups: "groups".to_owned(),
            roles: "roles".to_owned(),
            mfa_time: "auth_time".to_owned(),
            mfa_methods: "amr".to_owned(),
        }
    }
}

/// An issuer whose tokens are believed, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What the operator calls it.
    pub name: String,
    /// The `iss` of its tokens, to the letter.
    pub url: String,
    /// A token names at least one of these in `aud`.
    pub audiences: Vec<String>,
    /// Its tokens are signed with one of these.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub keys_from: KeysFrom,
    /// How far its clock may be from ours.
    pub clock_skew: Duration,
    /// Whether its tokens are taken as bearer tokens. Otherwise they can only be exchanged.
    pub login: bool,
    /// Which claims say what.
    pub claims: ClaimNames,
    /// Stands before the claim that names the identity: `user:` or `sa:`, with more behind it if
    /// wanted. Empty when the claim is a typed name itself.
    pub identity_prefix: String,
    /// Claims that a bearer's token must have, beside the others.
    pub require: Vec<(String, Vec<Pattern>)>,
    /// What a token may ask for at most.
    pub scopes_allowed: ScopeSet,
    /// What a token that says nothing of scopes may ask for.
    pub scopes_default: ScopeSet,
    /// The tenants it may speak for; the first is meant when a token names none.
    pub tenants: Vec<TenantId>,
    /// The partner its tenants belong to.
    pub partner: PartnerId,
    /// The roles its tokens may give. Others that they claim are passed over.
    pub roles_allowed: Roles,
    /// Words of `amr` that mean a second factor.
    pub mfa_methods: Vec<String>,
    /// From one look at its keys to the next.
    pub refresh_every: Duration,
    /// The shortest time between two looks, whoever asks.
    pub refresh_pause: Duration,
    /// How long keys are believed that could not be looked at again.
    pub keys_max_age: Duration,
}
