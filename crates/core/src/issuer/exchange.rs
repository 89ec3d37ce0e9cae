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
    /// Whom the token given speaks for. `{claim}` stands for a claim's text; of a list, for the one
    /// member that the rule's patterns for that claim fit.
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
    let identity = filled(rule, claims)
        .and_then(|name| named(&name))
        .ok_or(Refused::Identity)?;
    Ok(Exchange {
        rule,
        identity,
        subject,
    })
}

/// The name with claims in their places.
fn filled(rule: &ExchangeRule, claims: &Claims) -> Option<String> {
    let mut name = String::new();
    let mut left = rule.identity.as_str();
    while let Some((before, rest)) = left.split_once('{') {
        let (claim, after) = rest.split_once('}')?;
        name.push_str(before);
        name.push_str(meant(rule, claims, claim)?);
        left = after;
    }
    name.push_str(left);
    Some(name)
}

/// A claim's text. Of a list the rule has to say which member is meant; where it fits several, none
/// is: whoever may add a member would choose the name.
fn meant<'a>(rule: &ExchangeRule, claims: &'a Claims, name: &str) -> Option<&'a str> {
    let claim = claim_at(claims, name)?;
    let Some(list) = claim.as_array() else {
        return text_of(Some(claim));
    };
    let (_, patterns) = rule.claims.iter().find(|(wanted, _)| wanted == name)?;
    let mut fit = list
        .iter()
        .filter_map(|member| text_of(Some(member)))
        .filter(|text| patterns.iter().any(|pattern| pattern.matches(text)));
    let one = fit.next()?;
    fit.all(|other| other == one).then_some(one)
}
