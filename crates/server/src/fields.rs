//! From wire fields to domain values; each refusal names its field.

use scaivault_api::ErrorCode;
use scaivault_core::access::Cidr;
use scaivault_core::event::EventType;
use scaivault_core::expiry::NOTIFY_BEFORE_MAX;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Identity, IdentityKind, Scope, ScopeSet};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::receiver::Filters;
use scaivault_core::secret::{MAX_VERSIONS_LIMIT, Metadata, SecretType};
use scaivault_core::time::{Span, Timestamp};
use serde_json::json;

use crate::problem::Problem;

pub(crate) const NAME_CHARS_MAX: usize = 128;
pub(crate) const TEXT_CHARS_MAX: usize = 2_000;
pub(crate) const TAGS_MAX: usize = 50;
pub(crate) const TAG_CHARS_MAX: usize = 128;
pub(crate) const CUSTOM_KEYS_MAX: usize = 50;
const METADATA_BYTES_MAX: usize = 16 * 1024;
pub(crate) const LIST_MAX: usize = 100;
pub(crate) const USES_MAX: u64 = 1_000_000_000;
pub(crate) const SIGNING_SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=512;

pub(crate) fn path(text: &str) -> Result<SecretPath, Problem> {
    SecretPath::parse(text).map_err(|error| {
        Problem::new(ErrorCode::InvalidPath, error.to_string()).with(json!({ "path": shown(text) }))
    })
}

/// The offending path, cut: paths are not secret, but they are bounded.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

pub(crate) fn path_prefix(text: &str) -> Result<String, Problem> {
    scaivault_core::path::check_prefix(text)
        .map_err(|error| Problem::new(ErrorCode::InvalidPath, error.to_string()))?;
    Ok(text.to_owned())
}

pub(crate) fn pattern(text: &str, field: &str) -> Result<PathPattern, Problem> {
    PathPattern::parse(text).map_err(|error| {
        Problem::new(ErrorCode::InvalidGlob, error.to_string())
            .with(json!({ "field": field, "pattern": shown(text) }))
    })
}

pub(crate) fn span(text: &str, field: &str) -> Result<Span, Problem> {
    Span::parse(text).map_err(|error| {
        Problem::new(
            ErrorCode::InvalidDuration,
            format!("field '{field}': {error}"),
        )
        .with(json!({ "field": field }))
    })
}

pub(crate) fn time(text: &str, field: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| Problem::field(field, "is a time such as 2026-04-23T14:00:00Z"))
}

pub(crate) fn name(text: &str, field: &str) -> Result<String, Problem> {
    let chars = text.chars().count();
    if text.trim() != text || chars == 0 || chars > NAME_CHARS_MAX {
        let why = format!("has 1 to {NAME_CHARS_MAX} characters, no space at either end");
        return Err(Problem::field(field, why));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::field(field, "has no control characters"));
    }
    Ok(text.to_owned())
}

pub(crate) fn free_text(text: Option<String>, field: &str) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.chars().count() > TEXT_CHARS_MAX => Err(Problem::field(
            field,
            format!("has at most {TEXT_CHARS_MAX} characters"),
        )),
        other => Ok(other),
    }
}

pub(crate) fn secret_type(text: &str) -> Result<SecretType, Problem> {
    SecretType::parse(text).ok_or_else(|| {
        Problem::new(
            ErrorCode::InvalidSecretType,
            "secret_type is kv, json, certificate, ssh_key or api_key",
        )
    })
}

pub(crate) fn max_versions(number: u32, field: &str) -> Result<u32, Problem> {
    if (1..=MAX_VERSIONS_LIMIT).contains(&number) {
        Ok(number)
    } else {
        Err(Problem::field(
            field,
            format!("is 1 to {MAX_VERSIONS_LIMIT}"),
        ))
    }
}

pub(crate) fn tags(tags: Vec<String>, field: &str) -> Result<Vec<String>, Problem> {
    let fits = |tag: &String| {
        (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control)
    };
    if tags.len() > TAGS_MAX || !tags.iter().all(fits) {
        let why = format!("has at most {TAGS_MAX} tags of 1 to {TAG_CHARS_MAX} characters");
        return Err(Problem::field(field, why));
    }
    Ok(tags)
}

pub(crate) fn metadata(wire: scaivault_api::secret::SecretMetadata) -> Result<Metadata, Problem> {
    if wire.custom.len() > CUSTOM_KEYS_MAX {
        let why = format!("has at most {CUSTOM_KEYS_MAX} keys of its own");
        return Err(Problem::field("metadata", why));
    }
    let size = serde_json::to_vec(&wire).map_or(usize::MAX, |bytes| bytes.len());
    if size > METADATA_BYTES_MAX {
        let why = format!("has at most {METADATA_BYTES_MAX} bytes");
        return Err(Problem::field("metadata", why));
    }
    Ok(Metadata {
        description: free_text(wire.description, "metadata.description")?,
        tags: tags(wire.tags, "metadata.tags")?,
        owner: free_text(wire.owner, "metadata.owner")?,
        custom: wire.custom,
    })
}

pub(crate) fn identity(kind: &str, text: &str, groups: bool) -> Result<Identity, Problem> {
    let kind = IdentityKind::parse(kind)
        .filter(|kind| {
            matches!(kind, IdentityKind::User | IdentityKind::ServiceAccount)
                || (groups && *kind == IdentityKind::Group)
        })
        .ok_or_else(|| {
            let known = if groups {
                "user, service_account or group"
            } else {
                "user or service_account"
            };
            Problem::field("identity_type", format!("is {known}"))
        })?;
    Identity::parse_as(kind, text).map_err(|error| Problem::field("identity_id", error.to_string()))
}

pub(crate) fn scopes(words: &[String]) -> Result<ScopeSet, Problem> {
    if words.is_empty() {
        return Err(Problem::field("scopes", "has at least one scope"));
    }
    words
        .iter()
        .map(|word| {
            Scope::parse(word).ok_or_else(|| {
                let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
                Problem::field("scopes", format!("known scopes: {}", known.join(", ")))
            })
        })
        .collect()
}

/// How often something may be used, where that is counted.
pub(crate) fn uses(uses: Option<u64>, field: &str) -> Result<Option<u64>, Problem> {
    match uses {
        Some(0) => Err(Problem::field(field, "is 1 or more; left out, any number")),
        Some(uses) if uses > USES_MAX => {
            Err(Problem::field(field, format!("is at most {USES_MAX}")))
        }
        uses => Ok(uses),
    }
}

/// Address ranges.
pub(crate) fn addresses(texts: &[String], field: &str) -> Result<Vec<Cidr>, Problem> {
    if texts.len() > LIST_MAX {
        let why = format!("has at most {LIST_MAX} ranges");
        return Err(Problem::field(field, why));
    }
    let range = |text: &String| {
        Cidr::parse(text).ok_or_else(|| {
            let why = "are addresses and ranges such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32, \
                       with no bit set behind the prefix";
            Problem::field(field, why)
        })
    };
    texts.iter().map(range).collect()
}

pub(crate) fn events(words: &[String]) -> Result<Vec<EventType>, Problem> {
    if words.is_empty() || words.len() > LIST_MAX {
        return Err(Problem::field("events", "has at least one event type"));
    }
    words
        .iter()
        .map(|word| {
            EventType::parse(word)
                .filter(|kind| *kind != EventType::WebhookTest)
                .ok_or_else(|| {
                    Problem::field("events", "has an unknown event type: see docs/events.md")
                })
        })
        .collect()
}

pub(crate) fn patterns(words: &[String], field: &str) -> Result<Vec<PathPattern>, Problem> {
    if words.is_empty() || words.len() > LIST_MAX {
        return Err(Problem::field(
            field,
            format!("has 1 to {LIST_MAX} patterns"),
        ));
    }
    words.iter().map(|word| pattern(word, field)).collect()
}

pub(crate) fn filters(wire: Option<scaivault_api::receiver::Filters>) -> Result<Filters, Problem> {
    let wire = wire.unwrap_or_default();
    if let Some(kind) = &wire.secret_type {
        secret_type(kind)?;
    }
    Ok(Filters {
        path_prefix: wire
            .path_prefix
            .map(|prefix| path_prefix(&prefix))
            .transpose()?,
        secret_type: wire.secret_type,
        tags: tags(wire.tags.unwrap_or_default(), "filters.tags")?,
    })
}

pub(crate) fn signing_secret(text: String, field: &str) -> Result<Plaintext, Problem> {
    let fits = SIGNING_SECRET_CHARS.contains(&text.chars().count());
    let secret = Plaintext::new(text.into_bytes());
    if fits {
        Ok(secret)
    } else {
        Err(Problem::field(
            field,
            "has 16 to 512 characters; 32 random ones are recommended",
        ))
    }
}

/// `"7d,1d"` or `["7d","1d"]`.
pub(crate) fn warn_before(wire: scaivault_api::rotation::WarnBefore) -> Result<Vec<Span>, Problem> {
    thresholds(wire, "warn_before", NOTIFY_BEFORE_MAX)
}

/// The same for a secret's end.
pub(crate) fn notify_before(
    wire: scaivault_api::rotation::WarnBefore,
    field: &str,
) -> Result<Vec<Span>, Problem> {
    thresholds(wire, field, NOTIFY_BEFORE_MAX)
}

fn thresholds(
    wire: scaivault_api::rotation::WarnBefore,
    field: &str,
    most: usize,
) -> Result<Vec<Span>, Problem> {
    use scaivault_api::rotation::WarnBefore;
    let words: Vec<String> = match wire {
        WarnBefore::Text(text) if text.trim().is_empty() => Vec::new(),
        WarnBefore::Text(text) => text.split(',').map(|w| w.trim().to_owned()).collect(),
        WarnBefore::List(words) => words,
    };
    if words.len() > most {
        return Err(Problem::field(
            field,
            format!("has at most {most} thresholds"),
        ));
    }
    words.iter().map(|word| span(word, field)).collect()
}
