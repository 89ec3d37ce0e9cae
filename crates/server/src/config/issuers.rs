//! The file of issuers: `[[issuer]]` says whose tokens are believed, `[[exchange]]` which foreign
//! workloads are given one of ours, `[[client_certificate]]` whom certificates speak for. A file of its own, because it is reviewed by other people than
//! the server's settings, and stateless on purpose: who may enter is not changed over the network.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scaivault_core::identity::{Identity, IdentityKind, Scope, ScopeSet};
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::issuer::{Algorithm, ClaimNames, ExchangeRule, Issuer, KeysFrom, Pattern};
use scaivault_core::tenancy::{Role, Roles, default_partner};
use scaivault_core::time::Span;
use scaivault_engine::default_tenant;
use serde::Deserialize;

use super::certificate_rules::CertificateText;
use super::layers::{ConfigError, Source};
use crate::egress::EgressPolicy;

/// Words of `amr` (RFC 8176) that mean a second factor, unless told otherwise.
const MFA_METHODS: &[&str] = &[
    "mfa", "otp", "hwk", "swk", "sms", "sc", "fpt", "face", "iris",
];
const ALGORITHMS: &[&str] = &["RS256", "PS256", "ES256", "ES384", "EdDSA"];
const SKEW_MAX: Duration = Duration::from_secs(300);
const TTL_MAX: Duration = Duration::from_secs(86_400);

/// Issuers and rules, read and checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) rules: Vec<ExchangeRule>,
    /// For client certificates.
    pub(crate) certificates: Vec<ExchangeRule>,
    /// By issuer: certificates, PEM, that its documents are believed by besides the system's.
    pub(crate) authorities: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuer: Vec<IssuerText>,
    #[serde(default)]
    exchange: Vec<RuleText>,
    #[serde(default)]
    client_certificate: Vec<CertificateText>,
}

type Wanted = BTreeMap<String, OneOrMore>;

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerText {
    name: String,
    url: String,
    audiences: Vec<String>,
    algorithms: Option<Vec<String>>,
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    clock_skew: Option<String>,
    #[serde(default = "yes")]
    login: bool,
    #[serde(default)]
    claims: ClaimsText,
    #[serde(default)]
    identity_prefix: String,
    #[serde(default)]
    require: Wanted,
    scopes_allowed: Option<Vec<String>>,
    #[serde(default)]
    scopes_default: Vec<String>,
    tenants: Option<Vec<String>>,
    partner: Option<String>,
    #[serde(default)]
    roles_allowed: Vec<String>,
    mfa_methods: Option<Vec<String>>,
    refresh_every: Option<String>,
    refresh_pause: Option<String>,
    keys_max_age: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ClaimsText {
    identity: Option<String>,
    display_name: Option<String>,
    tenant: Option<String>,
    partner: Option<String>,
    scopes: Option<String>,
    groups: Option<String>,
    roles: Option<String>,
    mfa_time: Option<String>,
    mfa_methods: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    issuer: String,
    subject: String,
    #[serde(default)]
    claims: Wanted,
    identity: String,
    #[serde(default)]
    groups: Vec<String>,
    scopes: Vec<String>,
    ttl: Option<String>,
    tenant: Option<String>,
}

impl Outside {
    /// Reads the file and what it names. `egress` is the rule for where documents may be.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub(crate) fn load(file: &Path, egress: &EgressPolicy) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| ConfigError::unreadable(file, error))?;
        Self::from_text(file, &text, egress)
    }

    pub(crate) fn from_text(
        file: &Path,
        text: &str,
        egress: &EgressPolicy,
    ) -> Result<Self, ConfigError> {
        let read: File = toml::from_str(text).map_err(|error| unread(file, text, &error))?;
        let mut outside = Self::default();
        for (at, issuer) in read.issuer.into_iter().enumerate() {
            let table = Table {
                file,
                kind: "issuer",
                at,
            };
            outside.add_issuer(&table, issuer, egress)?;
        }
        for (at, rule) in read.exchange.into_iter().enumerate() {
            let table = Table {
                file,
                kind: "exchange",
                at,
            };
            outside.add_rule(&table, rule)?;
        }
        for (at, rule) in read.client_certificate.into_iter().enumerate() {
            let table = Table {
                file,
                kind: "client_certificate",
                at,
            };
            outside.add_certificate(&table, rule)?;
        }
        Ok(outside)
    }

    fn add_issuer(
        &mut self,
        table: &Table<'_>,
        text: IssuerText,
        egress: &EgressPolicy,
    ) -> Result<(), ConfigError> {
        let name = table.name(text.name, self.issuers.iter().map(|other| &other.name))?;
        if text.url.is_empty() || self.issuers.iter().any(|other| other.url == text.url) {
            return Err(table.refuse("url", "expected the 'iss' of its tokens, once in the file"));
        }
        let keys_from = match (text.jwks_url, &text.jwks_file) {
            (Some(_), Some(_)) => {
                return Err(table.refuse("jwks_file", "give jwks_url or jwks_file, not both"));
            }
            (None, Some(path)) => KeysFrom::Given(table.file_of("jwks_file", path)?),
            (Some(url), None) => {
                let judged = egress
                    .check_url(&url)
                    .map_err(|why| table.refuse("jwks_url", why));
                judged.map(|_| KeysFrom::Url(url))?
            }
            (None, None) => {
                let judged = egress
                    .check_url(&text.url)
                    .map_err(|why| table.refuse("url", why));
                judged.map(|_| KeysFrom::Discovery)?
            }
        };
        let algorithms = text.algorithms.unwrap_or_else(|| owned(ALGORITHMS));
        let algorithms = table.each("algorithms", &algorithms, Algorithm::parse, || {
            format!(
                "expected some of {}",
                words(&Algorithm::ALL.map(Algorithm::as_str))
            )
        })?;
        let prefix = text.identity_prefix;
        if !prefix.is_empty() && !is_person(&prefix) {
            return Err(table.refuse(
                "identity_prefix",
                "expected user: or sa:, or more behind it",
            ));
        }
        let scopes_allowed = match text.scopes_allowed {
            Some(words) => table.scopes("scopes_allowed", &words)?,
            // What may change who enters is allowed by name alone.
            None => ScopeSet::all()
                .iter()
                .filter(|scope| *scope != Scope::Admin)
                .collect(),
        };
        let scopes_default = table.scopes("scopes_default", &text.scopes_default)?;
        if !scopes_allowed.covers(scopes_default) {
            return Err(table.refuse("scopes_default", "expected scopes that are allowed"));
        }
        let tenants = text.tenants.map_or_else(
            || Ok(vec![default_tenant()]),
            |texts| {
                table.each(
                    "tenants",
                    &texts,
                    |text| TenantId::parse(text).ok(),
                    tenant_text,
                )
            },
        )?;
        let partner = match text.partner {
            None => default_partner(),
            Some(text) => PartnerId::parse(&text)
                .map_err(|_| table.refuse("partner", "expected a partner's id: ptn_…"))?,
        };
        // Who stands above all partners has a token of this server.
        let role = |text: &str| Role::parse(text).filter(|role| *role != Role::SuperAdmin);
        let roles: Option<Roles> = text.roles_allowed.iter().map(|text| role(text)).collect();
        let roles_allowed = roles.ok_or_else(|| {
            let problem = "expected some of tenant_admin and partner_admin";
            table.refuse("roles_allowed", problem)
        })?;
        let spans = Spans {
            skew: table.span(
                "clock_skew",
                text.clock_skew,
                "60s",
                Duration::ZERO..=SKEW_MAX,
            )?,
            every: table.span("refresh_every", text.refresh_every, "5m", secs(1)..=TTL_MAX)?,
            pause: table.span(
                "refresh_pause",
                text.refresh_pause,
                "5s",
                secs(1)..=secs(20),
            )?,
            age: table.span("keys_max_age", text.keys_max_age, "1h", secs(1)..=TTL_MAX)?,
        };
        if spans.age < spans.every {
            return Err(table.refuse("keys_max_age", "expected no less than refresh_every"));
        }
        if text.audiences.is_empty() || text.audiences.iter().any(String::is_empty) {
            return Err(table.refuse("audiences", "expected at least one, none of them empty"));
        }
        let ca = text
            .ca_file
            .map(|path| table.file_of("ca_file", &path))
            .transpose()?;
        self.authorities.push((name.clone(), ca));
        self.issuers.push(Issuer {
            name,
            url: text.url,
            audiences: text.audiences,
            algorithms,
            keys_from,
            clock_skew: spans.skew,
            login: text.login,
            claims: claim_names(text.claims),
            identity_prefix: prefix,
            require: table.wanted("require", text.require)?,
            scopes_allowed,
            scopes_default,
            tenants,
            partner,
            roles_allowed,
            mfa_methods: text.mfa_methods.unwrap_or_else(|| owned(MFA_METHODS)),
            refresh_every: spans.every,
            refresh_pause: spans.pause,
            keys_max_age: spans.age,
        });
        Ok(())
    }

    fn add_rule(&mut self, table: &Table<'_>, text: RuleText) -> Result<(), ConfigError> {
        let name = table.name(text.name, self.rules.iter().map(|other| &other.name))?;
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.name == text.issuer);
        let issuer = issuer.ok_or_else(|| table.refuse("issuer", "expected an issuer's name"))?;
        let subject =
            Pattern::parse(&text.subject).ok_or_else(|| table.refuse("subject", PATTERN))?;
        let claims = table.wanted("claims", text.claims)?;
        if subject.is_anything() && claims.is_empty() {
            let why = "expected less than everybody: narrow it, or add claims";
            return Err(table.refuse("subject", why));
        }
        let gift = table.gift(&text.identity, &text.groups, &text.scopes, text.ttl)?;
        let tenant = match text.tenant {
            None => issuer.tenants.first().cloned(),
            Some(text) => issuer
                .tenants
                .iter()
                .find(|one| one.as_str() == text)
                .cloned(),
        };
        let tenant =
            tenant.ok_or_else(|| table.refuse("tenant", "expected one of the issuer's tenants"))?;
        self.rules.push(ExchangeRule {
            name,
            issuer: text.issuer,
            subject,
            claims,
            identity: text.identity,
            groups: gift.groups,
            scopes: gift.scopes,
            ttl: gift.ttl,
            tenant,
        });
        Ok(())
    }
}

const PATTERN: &str = "expected text in which * is a part without colons and ** anything";

struct Spans {
    skew: Duration,
    every: Duration,
    pause: Duration,
    age: Duration,
}

fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn words(all: &[&str]) -> String {
    all.join(", ")
}

fn tenant_text() -> String {
    "expected tenant ids, tnt_…".to_owned()
}

fn is_person(name: &str) -> bool {
    let kinds = [IdentityKind::User, IdentityKind::ServiceAccount];
    kinds.iter().any(|kind| name.starts_with(kind.prefix()))
}

/// Whether its braces fit and hold names.
fn is_template(text: &str) -> bool {
    let mut left = text;
    while let Some((before, rest)) = left.split_once('{') {
        match rest.split_once('}') {
            Some((claim, after))
                if !claim.is_empty() && !claim.contains('{') && !before.contains('}') =>
            {
                left = after;
            }
            _ => return false,
        }
    }
    !left.contains('}')
}

fn claim_names(text: ClaimsText) -> ClaimNames {
    let own = ClaimNames::default();
    ClaimNames {
        identity: text.identity.unwrap_or(own.identity),
        display_name: text.display_name.unwrap_or(own.display_name),
        tenant: text.tenant.unwrap_or(own.tenant),
        partner: text.partner.unwrap_or(own.partner),
        scopes: text.scopes.unwrap_or(own.scopes),
        groups: text.groups.unwrap_or(own.groups),
        roles: text.roles.unwrap_or(own.roles),
        mfa_time: text.mfa_time.unwrap_or(own.mfa_time),
        mfa_methods: text.mfa_methods.unwrap_or(own.mfa_methods),
    }
}

/// What a rule gives.
pub(super) struct Gift {
    pub(super) groups: Vec<Identity>,
    pub(super) scopes: ScopeSet,
    pub(super) ttl: Span,
}

/// One table of the file, for what is said of it.
pub(super) struct Table<'a> {
    file: &'a Path,
    kind: &'static str,
    at: usize,
}

impl Table<'_> {
    pub(super) fn refuse(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            from: Source::File(self.file.to_owned()),
            section: format!("{} {}", self.kind, self.at + 1),
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    pub(super) fn name<'n>(
        &self,
        name: String,
        mut others: impl Iterator<Item = &'n String>,
    ) -> Result<String, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain);
        match fits && !others.any(|other| *other == name) {
            true => Ok(name),
            false => Err(self.refuse(
                "name",
                "expected letters, digits and -_. , once in the file",
            )),
        }
    }

    pub(super) fn each<T>(
        &self,
        field: &str,
        texts: &[String],
        read: impl Fn(&str) -> Option<T>,
        expected: impl Fn() -> String,
    ) -> Result<Vec<T>, ConfigError> {
        let all: Option<Vec<T>> = texts.iter().map(|text| read(text)).collect();
        all.filter(|all| !all.is_empty())
            .ok_or_else(|| self.refuse(field, expected()))
    }

    /// What a rule gives, beside a tenant.
    pub(super) fn gift(
        &self,
        identity: &str,
        groups: &[String],
        scopes: &[String],
        ttl: Option<String>,
    ) -> Result<Gift, ConfigError> {
        if !is_person(identity) || !is_template(identity) {
            let why = "expected user:… or sa:…, with {claim} where a claim's text is to stand";
            return Err(self.refuse("identity", why));
        }
        let group = |text: &str| Identity::parse_as(IdentityKind::Group, text).ok();
        let groups = match groups.is_empty() {
            true => Vec::new(),
            false => self.each("groups", groups, group, || "expected group:…".to_owned())?,
        };
        let ttl = ttl.unwrap_or_else(|| "1h".to_owned());
        let ttl = Span::parse(&ttl)
            .ok()
            .filter(|span| span.duration() <= TTL_MAX);
        let ttl = ttl.ok_or_else(|| self.refuse("ttl", "expected a duration of at most 24h"))?;
        if scopes.is_empty() {
            return Err(self.refuse("scopes", "expected at least one"));
        }
        Ok(Gift {
            groups,
            scopes: self.scopes("scopes", scopes)?,
            ttl,
        })
    }

    fn scopes(&self, field: &str, words: &[String]) -> Result<ScopeSet, ConfigError> {
        let all: Option<ScopeSet> = words.iter().map(|word| Scope::parse(word)).collect();
        let known = || {
            Scope::ALL
                .iter()
                .map(|scope| scope.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        all.ok_or_else(|| self.refuse(field, format!("expected some of {}", known())))
    }

    fn wanted(
        &self,
        field: &str,
        wanted: Wanted,
    ) -> Result<Vec<(String, Vec<Pattern>)>, ConfigError> {
        let read = |(claim, texts): (String, OneOrMore)| {
            let patterns = self.each(field, &texts.into_list(), Pattern::parse, || {
                PATTERN.to_owned()
            })?;
            Ok((claim, patterns))
        };
        wanted.into_iter().map(read).collect()
    }

    fn span(
        &self,
        field: &str,
        text: Option<String>,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let text = text.as_deref().unwrap_or(default);
        let read = match text {
            "0s" => Some(Duration::ZERO),
            text => Span::parse(text).ok().map(|span| span.duration()),
        };
        read.filter(|span| range.contains(span)).ok_or_else(|| {
            let (least, most) = (range.start().as_secs(), range.end().as_secs());
            self.refuse(
                field,
                format!("expected a duration from {least}s to {most}s"),
            )
        })
    }

    fn file_of(&self, field: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
        std::fs::read(path).map_err(|_| self.refuse(field, "the file could not be read"))
    }
}

/// What is wrong with the file's form, without a word of its values.
fn unread(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let from = Source::File(file.to_owned());
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.unwrap_or("").matches('\n').count() + 1;
    let named = error.message();
    if !named.starts_with("unknown field") && !named.starts_with("missing field") {
        return ConfigError::Syntax { from, line };
    }
    ConfigError::Value {
        from,
        section: "issuers".to_owned(),
        field: format!("line {line}"),
        problem: named.to_owned(),
    }
}

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
