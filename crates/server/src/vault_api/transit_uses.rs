//! Encrypting, decrypting, keys for data, random bytes and hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_api::ErrorCode;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::transit::TransitRefusal;
use scaivault_crypto::transit;
use scaivault_engine::{TransitEncrypt, TransitOpen, TransitOutcome, TransitSeal};
use serde_json::{Value, json};

use super::fields::{Fields, wrong};
use super::reply::Reply;
use super::transit::{Call, draft};
use super::transit_items::{Item, Items};
use super::transit_sign::hash_named;
use crate::problem::Problem;

/// The most random bytes of one answer.
const RANDOM_MAX: u64 = 128 * 1_024;
const RANDOM_USUAL: u64 = 32;

/// What is not heeded is told, but for fields that all of these may have.
const KNOWN: [&str; 13] = [
    "plaintext",
    "ciphertext",
    "context",
    "nonce",
    "key_version",
    "associated_data",
    "type",
    "convergent_encryption",
    "batch_input",
    "partial_failure_response_code",
    "bits",
    "name",
    "reference",
];
const OWN: [&str; 6] = [
    "plaintext",
    "ciphertext",
    "context",
    "nonce",
    "key_version",
    "associated_data",
];

fn no_nonce(item: &Item) -> TransitOutcome<()> {
    match item.text("nonce").unwrap_or_default().is_empty() {
        true => Ok(()),
        false => Err(TransitRefusal::GivenNonce),
    }
}

fn associated(item: &Item) -> TransitOutcome<Vec<u8>> {
    item.bytes("associated_data", "associated_data is not base64")
}

fn seal(item: &Item) -> TransitOutcome<TransitSeal> {
    no_nonce(item)?;
    if !item.has("plaintext") {
        return Err(TransitRefusal::Input("missing plaintext to encrypt"));
    }
    let plaintext = item.bytes("plaintext", "failed to base64-decode plaintext")?;
    Ok(TransitSeal {
        plaintext: Plaintext::new(plaintext),
        context: item.context()?,
        associated: associated(item)?,
        version: item.version()?,
    })
}

fn open(item: &Item) -> TransitOutcome<TransitOpen> {
    no_nonce(item)?;
    let ciphertext = item.text("ciphertext").filter(|text| !text.is_empty());
    Ok(TransitOpen {
        ciphertext: ciphertext
            .ok_or(TransitRefusal::Input("missing ciphertext to decrypt"))?
            .to_owned(),
        context: item.context()?,
        associated: associated(item)?,
        version: item.version()?,
    })
}

fn answered<T>(
    fields: &Fields,
    items: &Items,
    outcomes: Vec<TransitOutcome<T>>,
    part: impl Fn(T) -> Value,
) -> Result<Reply, Problem> {
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let status = items.status(fields, failed)?;
    let reply = items.answered(outcomes, part)?.warn(fields.unknown(&KNOWN));
    Ok(match status {
        Some(status) => reply.status(status),
        None => reply,
    })
}

fn sealed(made: TransitEncrypt) -> Value {
    json!({ "ciphertext": made.ciphertext, "key_version": made.version })
}

pub(super) async fn encrypt(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let items = Items::of(&fields, &OWN)?;
    let has_context = |item: &Item| !item.text("context").unwrap_or_default().is_empty();
    let with_context = items.all.iter().filter(|item| has_context(item)).count();
    if with_context != 0 && with_context != items.all.len() {
        let why = "context should be set either in all the request blocks or in none";
        return Err(Problem::new(ErrorCode::InvalidRequest, why));
    }
    // For a key that this makes.
    let mut draft = draft(&fields)?;
    draft.derived = with_context > 0;
    let outcomes = call
        .app
        .vault
        .transit_encrypt(
            &call.caller,
            call.at(name, None),
            &draft,
            items.all.iter().map(seal).collect(),
        )
        .await?;
    answered(&fields, &items, outcomes, sealed)
}

pub(super) async fn decrypt(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let items = Items::of(&fields, &OWN)?;
    let asked = items.all.iter().map(open).collect();
    let outcomes = call
        .app
        .vault
        .transit_decrypt(&call.caller, call.at(name, None), asked)
        .await?;
    answered(
        &fields,
        &items,
        outcomes,
        |plain| json!({ "plaintext": STANDARD.encode(plain.expose()) }),
    )
}

pub(super) async fn rewrap(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let items = Items::of(&fields, &OWN)?;
    let asked = items.all.iter().map(open).collect();
    let outcomes = call
        .app
        .vault
        .transit_rewrap(&call.caller, call.at(name, None), asked)
        .await?;
    answered(&fields, &items, outcomes, sealed)
}

pub(super) async fn data_key(call: &Call<'_>, form: &str, name: &str) -> Result<Reply, Problem> {
    let in_the_clear = match form {
        "plaintext" => true,
        "wrapped" => false,
        _ => {
            let why = "Invalid path, must be 'plaintext' or 'wrapped'";
            return Err(Problem::new(ErrorCode::InvalidRequest, why));
        }
    };
    let fields = call.asked.fields(call.app).await?;
    let bytes = match fields.number("bits")? {
        Some(128) => 16,
        None | Some(256) => 32,
        Some(512) => 64,
        Some(_) => return Err(wrong("bits", "are 128, 256 or 512")),
    };
    let items = Items::of(&fields, &OWN)?;
    let item = items.all.first().map(|item| {
        no_nonce(item)?;
        Ok(TransitSeal {
            plaintext: Plaintext::new(Vec::new()),
            context: item.context()?,
            associated: associated(item)?,
            version: item.version()?,
        })
    });
    let item = item.unwrap_or(Err(TransitRefusal::Failed));
    let made = call
        .app
        .vault
        .transit_data_key(&call.caller, call.at(name, None), in_the_clear, bytes, item)
        .await?;
    let mut told = sealed(made.wrapped);
    if let Some(plain) = made.plaintext {
        told["plaintext"] = STANDARD.encode(plain.expose()).into();
    }
    Ok(Reply::data(&told)?.warn(fields.unknown(&KNOWN)))
}

/// `random`, `random/32`, `random/platform`, `random/platform/32`.
pub(super) async fn random(call: &Call<'_>, rest: &str, given: &[&str]) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (source, count) = match given {
        [one] if is_number(one) => (None, Some(*one)),
        [source] => (Some(*source), None),
        [source, count] => (Some(*source), Some(*count)),
        _ => (None, None),
    };
    let source = match source {
        Some(source) => source.to_owned(),
        None => fields.text("source")?.unwrap_or_else(|| "platform".into()),
    };
    let told = match source.as_str() {
        "" | "platform" => Vec::new(),
        "seal" | "all" => vec!["there is no other source than the platform's: it was used".into()],
        _ => return Err(wrong("source", "is platform, seal or all")),
    };
    let bytes = match count {
        Some(count) => count.parse().ok(),
        None => Some(fields.number("bytes")?.unwrap_or(RANDOM_USUAL)),
    };
    let bytes = bytes.filter(|bytes| (1..=RANDOM_MAX).contains(bytes));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| wrong("bytes", "is 1 to 131072"))?;
    let format = Format::of(&fields, Format::Base64)?;
    let made = call
        .app
        .vault
        .transit_random(&call.caller, call.mount, rest, bytes)
        .await?;
    Ok(Reply::data(&json!({ "random_bytes": format.write(made.expose()) }))?.warn(told))
}

pub(super) async fn hash(
    call: &Call<'_>,
    rest: &str,
    named: Option<&str>,
) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let hash = hash_named(&fields, named)?;
    let format = Format::of(&fields, Format::Hex)?;
    let input = fields.text("input")?.unwrap_or_default();
    let input =
        super::transit_items::base64_of(&input).ok_or_else(|| wrong("input", "is base64"))?;
    call.app
        .vault
        .transit_keyless(&call.caller, call.mount, rest)
        .await?;
    let sum = format.write(&transit::hash(hash, &input));
    Reply::data(&json!({ "sum": sum }))
}

#[derive(Clone, Copy)]
enum Format {
    Base64,
    Hex,
}

impl Format {
    fn of(fields: &Fields, usual: Self) -> Result<Self, Problem> {
        match fields.text("format")?.as_deref() {
            None | Some("") => Ok(usual),
            Some("base64") => Ok(Self::Base64),
            Some("hex") => Ok(Self::Hex),
            Some(_) => Err(wrong("format", "is base64 or hex")),
        }
    }

    fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
