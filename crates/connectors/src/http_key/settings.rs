//! A target's settings: which service, where, and how long to wait for it.

use std::net::IpAddr;
use std::time::Duration;

use scaivault_core::target::{Trouble, TroubleKind};
use serde_json::{Map, Value};
use url::{Host, Url};

use super::description::{Description, Problem, problem};
use super::{label, sound};
use crate::value;

const KNOWN: [&str; 7] = [
    "service",
    "description",
    "base_url",
    "allow_http",
    "ca_pem",
    "timeout_s",
    "fields",
];

/// Seconds for one request, unless the target says otherwise.
const TIMEOUT_S: u64 = 6;
const TIMEOUT_MAX_S: u64 = 15;

/// Settings that were found to be sound.
pub(super) struct Settings {
    pub(super) description: Description,
    pub(super) base: Url,
    pub(super) ca_pem: Option<String>,
    pub(super) timeout: Duration,
    /// For keys made on request: what the description names as an attachment's fields.
    pub(super) fields: Map<String, Value>,
}

impl Settings {
    /// Reads a target's settings.
    pub(super) fn read(settings: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut found = Vec::new();
        for name in settings
            .keys()
            .filter(|name| !KNOWN.contains(&name.as_str()))
        {
            found.push(problem(name, unknown(name)));
        }
        let allow_http = flag(settings, "allow_http", &mut found);
        let ca_pem = text(settings, "ca_pem", &mut found);
        let timeout = timeout(settings, &mut found);
        let given = text(settings, "base_url", &mut found);
        let fields = fields(settings, &mut found);
        let description = Description::of(settings);
        let base = match &description {
            Ok(description) => {
                found.extend(sound::problems(description));
                base(given.or(description.service.base_url.clone()), allow_http)
            }
            Err(problems) => {
                found.extend(problems.clone());
                given.map_or(Err("is needed"), |given| base(Some(given), allow_http))
            }
        };
        match (description, base) {
            (Ok(description), Ok(base)) if found.is_empty() => Ok(Self {
                description,
                base,
                ca_pem,
                timeout,
                fields,
            }),
            (Ok(_), Err(what)) => {
                found.push(problem("base_url", what));
                Err(found)
            }
            (Err(_), Err(what)) if settings.contains_key("base_url") => {
                found.push(problem("base_url", what));
                Err(found)
            }
            _ => Err(found),
        }
    }

    /// The same, for a call: the settings were checked when they were stored.
    pub(super) fn of(settings: &Map<String, Value>) -> Result<Self, Trouble> {
        Self::read(settings).map_err(|_| TroubleKind::Settings.into())
    }
}

/// What is wrong with an attachment's settings: `fields` holds the texts, numbers and lists of
/// texts that the description's templates name.
pub(super) fn account_problems(account: &Map<String, Value>) -> Vec<Problem> {
    let mut found = Vec::new();
    for (name, value) in account {
        match (name.as_str(), value) {
            ("fields", _) => drop(fields(account, &mut found)),
            (label::REHEARSAL_FIELD, Value::String(text)) if label::is_rehearsal(text) => {}
            (label::REHEARSAL_FIELD, _) => {
                let what = format!("is a name that begins with `{}`", label::REHEARSAL);
                found.push(problem(name, what));
            }
            _ => found.push(problem(name, unknown(name))),
        }
    }
    found
}

fn fields(of: &Map<String, Value>, found: &mut Vec<Problem>) -> Map<String, Value> {
    let Some(value) = of.get("fields") else {
        return Map::new();
    };
    let Value::Object(fields) = value else {
        found.push(problem("fields", "is an object"));
        return Map::new();
    };
    for (name, value) in fields {
        account_field(name, value, found);
    }
    fields.clone()
}

fn account_field(name: &str, value: &Value, found: &mut Vec<Problem>) {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let fits = match value {
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(is_text),
        _ => false,
    };
    let field = format!("fields.{name}");
    if secret(name) {
        found.push(problem(&field, unknown(name)));
    }
    if !fits {
        found.push(problem(field, "is a text, a number or a list of texts"));
    }
}

fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "api_key",
        "apikey",
        "credential",
    ]
    .iter()
    .any(|word| name.contains(word))
}

fn unknown(name: &str) -> &'static str {
    if secret(name) {
        "no credential lies in settings: put it into the manager secret"
    } else {
        "no such field"
    }
}

fn text(settings: &Map<String, Value>, name: &str, found: &mut Vec<Problem>) -> Option<String> {
    if settings.contains_key(name) && value::setting(settings, name).is_none() {
        found.push(problem(name, "is a text"));
    }
    value::setting(settings, name).map(str::to_owned)
}

fn flag(settings: &Map<String, Value>, name: &str, found: &mut Vec<Problem>) -> bool {
    match settings.get(name) {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            found.push(problem(name, "is true or false"));
            false
        }
    }
}

fn timeout(settings: &Map<String, Value>, found: &mut Vec<Problem>) -> Duration {
    let given = settings.get("timeout_s");
    let seconds = given.map_or(Some(TIMEOUT_S), Value::as_u64);
    match seconds {
        Some(seconds @ 1..=TIMEOUT_MAX_S) => Duration::from_secs(seconds),
        _ => {
            let what = format!("is a number from 1 to {TIMEOUT_MAX_S}");
            found.push(problem("timeout_s", what));
            Duration::from_secs(TIMEOUT_S)
        }
    }
}

fn base(url: Option<String>, allow_http: bool) -> Result<Url, &'static str> {
    let url = url.ok_or("is needed: this service's description has none")?;
    let url = Url::parse(&url).map_err(|_| "is not a URL")?;
    let encrypted = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err("begins with https://"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds no credential");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has no query and no fragment");
    }
    if !encrypted && !allow_http && !is_loopback(&url) {
        return Err("begins with https://, or `allow_http` is true");
    }
    if url.host().is_none() {
        return Err("names a host");
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
