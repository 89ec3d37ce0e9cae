//! Kinds of fields, as JSON Schema says what the code that reads them allows. A number here is the
//! constant that is enforced.
//!
//! What a pattern cannot say has a format of our own: `scaivault-duration` (with its bounds behind
//! a colon), `cron`, `time-zone`, `receiver-url`, `cidr`.

use scaivault_core::event::EventType;
use scaivault_core::glob::PATTERN_CHARS_MAX;
use scaivault_core::identity::IDENTITY_CHARS_MAX;
use scaivault_core::path::{PATH_CHARS_MAX, PATH_SEGMENTS_MAX, RESERVED_ALONE, RESERVED_LAST};
use scaivault_core::secret::SecretType;
use serde_json::{Value, json};

use crate::fields::{
    LIST_MAX, NAME_CHARS_MAX, SIGNING_SECRET_CHARS, TAG_CHARS_MAX, TAGS_MAX, TEXT_CHARS_MAX,
};

/// Control characters, inside brackets.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
/// White space beside those.
const SPACE: &str = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// A length of time as it should be written, such as `1d12h`; longest part first.
pub(super) const DURATION: &str = "(?=[1-9])(?:[1-9][0-9]{0,2}w)?(?:[1-9][0-9]{0,3}d)?\
     (?:[1-9][0-9]{0,4}h)?(?:[1-9][0-9]{0,6}(?:m|min))?(?:[1-9][0-9]{0,7}s)?";
/// A path's segment.
const SEGMENT: &str = "[a-z0-9_-]+";

/// A word of a list.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>() })
}

/// Words of a list between commas, or nothing.
pub(super) fn comma_separated<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let words: Vec<_> = words
        .into_iter()
        .map(|word| word.replace('.', r"\."))
        .collect();
    let word = words.join("|");
    json!({ "pattern": format!("^(?:(?:{word})(?:,(?:{word}))*)?$") })
}

pub(super) fn list(least: usize, most: usize, items: Value) -> Value {
    json!({ "minItems": least, "maxItems": most, "items": items })
}

/// A name for people.
pub(super) fn name() -> Value {
    name_of(NAME_CHARS_MAX)
}

/// The same of another length.
pub(super) fn name_of(most: usize) -> Value {
    let edge = format!("[^{CONTROL}{SPACE}]");
    json!({
        "minLength": 1,
        "maxLength": most,
        "pattern": format!("^{edge}(?:[^{CONTROL}]*{edge})?$"),
        "example": "payments",
    })
}

pub(super) fn text() -> Value {
    json!({ "maxLength": TEXT_CHARS_MAX, "example": "for people" })
}

pub(super) fn at_most(most: usize) -> Value {
    json!({ "maxLength": most })
}

/// A path of a secret.
pub(super) fn path() -> Value {
    let more = PATH_SEGMENTS_MAX - 1;
    let last = RESERVED_LAST.join("|");
    let alone = RESERVED_ALONE.join("|");
    json!({
        "minLength": 1,
        "maxLength": PATH_CHARS_MAX,
        "pattern": format!(
            "^(?!(?:.*/)?(?:{last})$)(?!(?:{alone})$){SEGMENT}(?:/{SEGMENT}){{0,{more}}}$"
        ),
        "example": "app/db",
    })
}

/// The beginning of paths; an empty one begins all.
pub(super) fn path_prefix() -> Value {
    let more = PATH_SEGMENTS_MAX - 1;
    json!({
        "maxLength": PATH_CHARS_MAX,
        "pattern": format!("^(?:{SEGMENT}(?:/{SEGMENT}){{0,{more}}}/?)?$"),
        "example": "app/",
    })
}

/// A glob over paths.
pub(super) fn pattern() -> Value {
    // No two stars in one segment but alone.
    let segment = r"(?:\*\*|(?:\*?[a-z0-9._?-]+)+\*?|\*)";
    json!({
        "minLength": 1,
        "maxLength": PATTERN_CHARS_MAX,
        "pattern": format!("^{segment}(?:/{segment})*$"),
        "example": "app/**",
    })
}

pub(super) fn patterns() -> Value {
    list(1, LIST_MAX, typed("string", pattern()))
}

/// A typed name of one of these kinds.
pub(super) fn identity(prefixes: &[&str]) -> Value {
    let prefix = prefixes.join("|");
    json!({
        "maxLength": IDENTITY_CHARS_MAX,
        "pattern": format!("^(?:{prefix})[!-~]+$"),
        "example": "sa:reporting-service",
    })
}

pub(super) fn any_identity() -> Value {
    identity(&["user:", "sa:", "group:", "system:"])
}

/// An id of one kind.
pub(super) fn id(prefix: &str) -> Value {
    json!({
        "pattern": format!("^{prefix}[A-Za-z0-9_-]{{1,64}}$"),
        "example": format!("{prefix}01M7Y3MCNCPWDRSZPE1GBCMGEB"),
    })
}

/// A length of time; `bounds` as in `1m..30d`.
pub(super) fn duration(bounds: &str) -> Value {
    let format = match bounds {
        "" => "scaivault-duration".to_owned(),
        bounds => format!("scaivault-duration:{bounds}"),
    };
    let pattern = match bounds {
        "" => DURATION.to_owned(),
        bounds => format!("(?:{})", within(bounds)),
    };
    json!({ "pattern": format!("^{pattern}$"), "format": format })
}

/// Single parts that are within the bounds, whatever their digits.
fn within(bounds: &str) -> &'static str {
    match bounds {
        "1s..1h" => "[1-9][0-9]{0,2}s|[12][0-9]{3}s|(?:[1-9]|[1-5][0-9]|60)(?:m|min)|1h",
        "1s..7d" => {
            "[1-9][0-9]{0,4}s|[1-9][0-9]{0,3}(?:m|min)|(?:[1-9][0-9]?|1[0-5][0-9])h|[1-7]d|1w"
        }
        "1m..30d" => {
            "[6-9][0-9]s|[1-9][0-9]{2,5}s|[1-9][0-9]{0,3}(?:m|min)|(?:[1-9][0-9]?|[1-6][0-9]{2})h|\
             (?:[1-9]|[12][0-9]|30)d|[1-4]w"
        }
        "1h.." => {
            "(?:3[6-9][0-9]{2}|[4-9][0-9]{3}|[1-9][0-9]{4,7})s|(?:[6-9][0-9]|[1-9][0-9]{2,6})(?:m|min)|\
             [1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|[1-9][0-9]{0,2}w"
        }
        // 1s or 2s to 365d
        _ => {
            "[2-9]s|[1-9][0-9]{1,6}s|[1-9][0-9]{0,4}(?:m|min)|[1-9][0-9]{0,2}h|\
             (?:[1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])d|(?:[1-9]|[1-4][0-9]|5[0-2])w"
        }
    }
}

pub(super) fn time() -> Value {
    json!({ "format": "date-time", "example": "2026-04-23T14:00:00Z" })
}

/// `HH:MM`
pub(super) fn clock() -> Value {
    json!({ "pattern": "^(?:[01][0-9]|2[0-3]):[0-5][0-9]$", "example": "22:00" })
}

pub(super) fn zone() -> Value {
    json!({ "format": "time-zone", "example": "Europe/Berlin" })
}

pub(super) fn tags() -> Value {
    list(0, TAGS_MAX, tag())
}

pub(super) fn tag() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": TAG_CHARS_MAX,
        "pattern": format!("^[^{CONTROL}]+$"),
        "example": "prod",
    })
}

pub(super) fn secret_type() -> Value {
    words(SecretType::ALL.map(SecretType::as_str))
}

/// What can be asked for; tests are sent without.
pub(super) fn event_types() -> Value {
    let all = EventType::ALL.iter().copied();
    let asked = all.filter(|kind| *kind != EventType::WebhookTest);
    let mut items = words(asked.map(EventType::as_str));
    items["type"] = "string".into();
    list(1, LIST_MAX, items)
}

pub(super) fn whole(least: u64, most: u64) -> Value {
    json!({ "minimum": least, "maximum": most })
}

/// Where a receiver is.
pub(super) fn url() -> Value {
    let most = crate::egress::URL_BYTES_MAX;
    json!({
        "pattern": format!("^(?=.{{9,{most}}}$)https?://[!-~]+$"),
        "format": "receiver-url",
        "example": "https://hooks.example.com/scaivault",
    })
}

/// What a receiver's deliveries are signed with.
pub(super) fn signing_secret() -> Value {
    json!({
        "minLength": SIGNING_SECRET_CHARS.start(),
        "maxLength": SIGNING_SECRET_CHARS.end(),
        "example": "a-signing-secret-of-32-characters",
    })
}

/// With its type, for items.
pub(super) fn typed(kind: &str, mut schema: Value) -> Value {
    schema["type"] = kind.into();
    schema
}
