//! Which foreign workloads are given a token of ours. The operator's rules are read in their order,
//! and the first that fits decides: what is given never depends on a second one further down.

use super::claims::{Claims, Refused, claim_at, claim_fits, named, text_of};
use super::pattern::Pattern;
use crate::identity::{Identity, ScopeSet};
use crate::ids::TenantId;
use crate::time::Span;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRule {
    /// What the operator calls it.
    pub name: String,
    /// Whose tokens: an issuer's name.
    pub issuer: String,
    /// What their `sub` looks like.
    pub subject: Pattern,
    /// Claims they have, beside it.
    pub claims: Vec<(String, Vec<Pattern>)>,
    /// Whom the token given speaks for. `{claim}` stands for a claim's text.
    pub identity: String,
    /// Its groups.
    pub groups: Vec<Identity>,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// How long it lives.
    pub ttl: Span,
    /// In which tenant.
    pub tenant: TenantId,
}

/// What is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange<'a> {
    /// By which rule.
    pub rule: &'a ExchangeRule,
    /// To whom.
    pub identity: Identity,
    /// The foreign subject.
    pub subject: &'a str,
}

/// The first rule that fits a token of the issuer of this name; of those called `wanted` alone, if a
/// caller asks for one.
///
/// # Errors
/// [`Refused::NoRule`] when none fits; [`Refused::NoIdentity`] without a subject.
pub fn exchange<'a>(
    rules: &'a [ExchangeRule],
    issuer: &str,
    claims: &'a Claims,
    wanted: Option<&str>,
) -> Result<Exchange<'a>, Refused> {
    let subject = text_of(claims.get("sub")).ok_or(Refused::NoIdentity)?;
    let fits = |rule: &&ExchangeRule| {
        let claimed =
            |(name, patterns): &(String, Vec<Pattern>)| claim_fits(claims, name, patterns);
        rule.issuer == issuer
            && wanted.is_none_or(|name| name == rule.name)
            && rule.subject.matches(subject)
            && rule.claims.iter().all(claimed)
    };
    let rule = rules.iter().find(fits).ok_or(Refused::NoRule)?;
    let identity = filled(&rule.identity, claims)
        .and_then(|name| named(&name))
        .ok_or(Refused::Identity)?;
    Ok(Exchange {
        rule,
        identity,
        subject,
    })
}

/// The name with claims in their places.
fn filled(template: &str, claims: &Claims) -> Option<String> {
    let mut name = String::new();
    let mut left = template;
    while let Some((before, rest)) = left.split_once('{') {
        let (claim, after) = rest.split_once('}')?;
        name.push_str(before);
        name.push_str(text_of(claim_at(claims, claim))?);
        left = after;
    }
    name.push_str(left);
    Some(name)
}
