//! From the claims of a token whose signature held to the principal it speaks for.

use std::time::Duration;

use serde_json::{Map, Value};

use super::settings::Issuer;
use crate::acl::is_policy_group;
use crate::identity::{Foreign, Identity, IdentityKind, Principal, Scope, ScopeSet};
use crate::ids::TenantId;
use crate::tenancy::{Role, Seat};
use crate::time::Timestamp;

/// Claims, each name once.
pub type Claims = Map<String, Value>;

/// Groups of one bearer; a directory that sends more has to be told to send fewer.
const GROUPS_MAX: usize = 256;
/// The root token's own name: no claim makes it.
const ROOT: &str = "user:root";
/// Longest display name or role kept.
const WORDS_CHARS_MAX: usize = 128;

/// Why a token whose signature held was refused. For the log; a caller is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Refused {
    #[error("it has expired")]
    Expired,
    #[error("it has no 'exp', or one that is not a time")]
    NoEnd,
    #[error("it is not valid yet ('nbf'), beyond the clock skew allowed")]
    TooEarly,
    #[error("it was issued in the future ('iat'), beyond the clock skew allowed")]
    FromTheFuture,
    #[error("'nbf' or 'iat' is not a time")]
    NoTime,
    #[error("'iss' is not the issuer's")]
    Issuer,
    #[error("'aud' names none of the audiences configured")]
    Audience,
    #[error("the claim that names the identity is missing or not a text")]
    NoIdentity,
    #[error("the claim that names the identity makes no typed name (user:… or sa:…)")]
    Identity,
    #[error("a claim required of bearers is missing or another")]
    Required,
    #[error("the tenant claimed is not one that the issuer may speak for")]
    Tenant,
    #[error("the partner claimed is not the one that the issuer belongs to")]
    Partner,
    #[error("it names more than 256 groups")]
    Groups,
    #[error("the issuer's tokens are not taken as bearer tokens, only for an exchange")]
    NoLogin,
    #[error("no rule of an exchange fits its subject and claims")]
    NoRule,
}

/// From when until when a token counts, skew included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The `exp` it carries.
    pub expires_at: Timestamp,
    /// When it ceases to be taken: `exp` and the skew allowed.
    pub ends_at: Timestamp,
    /// Its `iat`.
    pub issued_at: Option<Timestamp>,
}

/// What a bearer's token came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The caller.
    pub principal: Principal,
    /// How long.
    pub window: Window,
}

impl Issuer {
    /// Whether the token is for us and counts now: issuer, audience, times.
    ///
    /// # Errors
    /// The first check that failed; what is asked of every token of the issuer comes before
    /// whether this one has ended.
    pub fn admits(&self, claims: &Claims, now: Timestamp) -> Result<Window, Refused> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.url.as_str()) {
            return Err(Refused::Issuer);
        }
        if !self.is_meant(claims.get("aud")) {
            return Err(Refused::Audience);
        }
        let expires_at = date(claims, "exp")
            .ok_or(Refused::NoEnd)?
            .ok_or(Refused::NoEnd)?;
        let not_before = date(claims, "nbf").ok_or(Refused::NoTime)?;
        let issued_at = date(claims, "iat").ok_or(Refused::NoTime)?;
        let latest = now.plus(self.clock_skew);
        if not_before.is_some_and(|at| at > latest) {
            return Err(Refused::TooEarly);
        }
        if issued_at.is_some_and(|at| at > latest) {
            return Err(Refused::FromTheFuture);
        }
        let window = Window {
            expires_at,
            ends_at: expires_at.plus(self.clock_skew),
            issued_at,
        };
        if window.ends_at <= now {
            return Err(Refused::Expired);
        }
        Ok(window)
    }

    /// The principal a bearer's token speaks for.
    ///
    /// # Errors
    /// As [`Self::admits`], and what its claims lack.
    pub fn login(&self, claims: &Claims, now: Timestamp) -> Result<Login, Refused> {
        if !self.login {
            return Err(Refused::NoLogin);
        }
        let window = self.admits(claims, now)?;
        for (name, patterns) in &self.require {
            if !claim_fits(claims, name, patterns) {
                return Err(Refused::Required);
            }
        }
        let names = &self.claims;
        let (tenant, identity) = (self.tenant(claims)?, self.identity(claims)?);
        let foreign = Foreign {
            issuer: self.url.as_str().into(),
            certificate: None,
            display_name: text_of(claim_at(claims, &names.display_name)).and_then(shown),
            issued_at: window.issued_at,
        };
        let roles = words(claim_at(claims, &names.roles));
        let roles = roles.filter_map(Role::parse);
        let roles = roles.filter(|role| self.roles_allowed.contains(*role));
        let seat = Seat {
            roles: roles.collect(),
            ..Seat::of(self.partner.clone())
        };
        let principal = Principal {
            tenant,
            seat,
            identity,
            scopes: self.scopes(claims),
            groups: self.groups(claims)?,
            token_id: None,
            is_root: false,
            mfa_at: self.mfa_at(claims, now),
            expires_at: Some(window.expires_at),
            foreign: Some(foreign.into()),
            limited_as: None,
        };
        Ok(Login { principal, window })
    }

    fn is_meant(&self, audience: Option<&Value>) -> bool {
        let ours = |text: &str| self.audiences.iter().any(|one| one == text);
        match audience {
            Some(Value::String(text)) => ours(text),
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string) && all.iter().filter_map(Value::as_str).any(ours)
            }
            _ => false,
        }
    }

    /// Whether what a token says of tenant and partner, if anything, does not speak against being
    /// served in this tenant.
    ///
    /// # Errors
    /// Which of the two does.
    pub fn agrees(&self, claims: &Claims, tenant: &TenantId) -> Result<(), Refused> {
        self.agrees_on_partner(claims)?;
        match claim_at(claims, &self.claims.tenant) {
            Some(claimed) if claimed.as_str() != Some(tenant.as_str()) => Err(Refused::Tenant),
            _ => Ok(()),
        }
    }

    fn agrees_on_partner(&self, claims: &Claims) -> Result<(), Refused> {
        match claim_at(claims, &self.claims.partner) {
            Some(claimed) if claimed.as_str() != Some(self.partner.as_str()) => {
                Err(Refused::Partner)
            }
            _ => Ok(()),
        }
    }

    fn tenant(&self, claims: &Claims) -> Result<TenantId, Refused> {
        self.agrees_on_partner(claims)?;
        let found = match claim_at(claims, &self.claims.tenant) {
            None => self.tenants.first(),
            Some(claimed) => self
                .tenants
                .iter()
                .find(|tenant| claimed.as_str() == Some(tenant.as_str())),
        };
        found.cloned().ok_or(Refused::Tenant)
    }

    fn identity(&self, claims: &Claims) -> Result<Identity, Refused> {
        let claimed =
            text_of(claim_at(claims, &self.claims.identity)).ok_or(Refused::NoIdentity)?;
        named(&format!("{}{claimed}", self.identity_prefix)).ok_or(Refused::Identity)
    }

    fn scopes(&self, claims: &Claims) -> ScopeSet {
        let Some(claimed) = claim_at(claims, &self.claims.scopes) else {
            return self.scopes_default;
        };
        words(Some(claimed))
            .filter_map(Scope::parse)
            .filter(|scope| self.scopes_allowed.contains(*scope))
            .collect()
    }

    /// Groups that a binding could not name are left out: they can give nothing. So are those whose
    /// members hold a policy by its name: these are given here, not by somebody outside.
    fn groups(&self, claims: &Claims) -> Result<Vec<Identity>, Refused> {
        let prefix = IdentityKind::Group.prefix();
        let mut groups: Vec<Identity> = match claim_at(claims, &self.claims.groups) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        }
        .into_iter()
        .map(|name| name.strip_prefix(prefix).unwrap_or(name))
        .filter_map(|name| Identity::parse(&format!("{prefix}{name}")).ok())
        .filter(|group| !is_policy_group(group))
        .collect();
        groups.sort_unstable();
        groups.dedup();
        match groups.len() <= GROUPS_MAX {
            true => Ok(groups),
            false => Err(Refused::Groups),
        }
    }

    /// When a second factor was proven: told only where the methods name one. A time ahead of our
    /// clock by no more than the skew counts as now.
    fn mfa_at(&self, claims: &Claims, now: Timestamp) -> Option<Timestamp> {
        let mut methods = words(claim_at(claims, &self.claims.mfa_methods));
        methods
            .any(|method| self.mfa_methods.iter().any(|known| known == method))
            .then(|| instant(claim_at(claims, &self.claims.mfa_time)?))
            .flatten()
            .filter(|at| *at <= now.plus(self.clock_skew))
            .map(|at| at.min(now))
    }
}

/// A typed name that a foreign token may carry: a user or a service account, never the root token's.
pub(super) fn named(text: &str) -> Option<Identity> {
    Identity::parse(text).ok().filter(|identity| {
        let kind = identity.kind();
        matches!(kind, IdentityKind::User | IdentityKind::ServiceAccount) && text != ROOT
    })
}

/// The claim of this name; one beginning with `/` is a JSON pointer.
pub fn claim_at<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(rest) => {
            let mut parts = rest
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"));
            let first = claims.get(&parts.next().unwrap_or_default());
            parts.fold(first, |value, part| value?.as_object()?.get(&part))
        }
    };
    found.filter(|value| !value.is_null())
}

/// A claim as one text; an empty one is none.
pub fn text_of(claim: Option<&Value>) -> Option<&str> {
    claim?.as_str().filter(|text| !text.is_empty())
}

/// Whether a claim, or one of those in a list, is meant by one of the patterns.
pub(super) fn claim_fits(claims: &Claims, name: &str, patterns: &[super::Pattern]) -> bool {
    let fits = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            _ => return false,
        };
        patterns.iter().any(|pattern| pattern.matches(&text))
    };
    match claim_at(claims, name) {
        Some(Value::Array(all)) => all.iter().any(fits),
        Some(one) => fits(one),
        None => false,
    }
}

/// A list of words, or one text of words between spaces.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (text, list) = match claim {
        Some(Value::String(text)) => (text.as_str(), [].as_slice()),
        Some(Value::Array(all)) => ("", all.as_slice()),
        _ => ("", [].as_slice()),
    };
    let listed = list.iter().filter_map(Value::as_str);
    text.split(' ')
        .filter(|word| !word.is_empty())
        .chain(listed)
}

/// What of a foreign word is shown: no control characters, bounded.
fn shown(text: &str) -> Option<String> {
    let shown: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(WORDS_CHARS_MAX)
        .collect();
    (!shown.is_empty()).then_some(shown)
}

/// A claim that is a time: absent, a time, or (`None` outside) something else.
#[expect(
    clippy::option_option,
    reason = "absent and unreadable are not the same"
)]
fn date(claims: &Claims, name: &str) -> Option<Option<Timestamp>> {
    match claims.get(name) {
        None => Some(None),
        Some(value) => instant(value).map(Some),
    }
}

/// Seconds since the epoch, with a fraction if it must be; within what can be calculated with.
fn instant(value: &Value) -> Option<Timestamp> {
    const LATEST_S: u64 = 253_402_300_799; // the year 9999
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    (whole.as_secs() <= LATEST_S).then(|| Timestamp::from_secs(0).plus(whole))
}
