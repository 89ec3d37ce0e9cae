//! Signatures and HMACs.

use scaivault_api::ErrorCode;
use scaivault_core::transit::{TransitHash, TransitRefusal};
use scaivault_crypto::transit::{Marshaling, RsaPadding, Salt, SignHow};
use scaivault_engine::{TransitCheck, TransitInput, TransitOutcome};
use serde_json::json;

use super::fields::{Fields, wrong};
use super::reply::Reply;
use super::transit::{Call, number};
use super::transit_items::{Item, Items};
use crate::problem::Problem;

const KNOWN: [&str; 14] = [
    "name",
    "input",
    "context",
    "hash_algorithm",
    "algorithm",
    "urlalgorithm",
    "prehashed",
    "signature_algorithm",
    "marshaling_algorithm",
    "salt_length",
    "key_version",
    "batch_input",
    "signature",
    "hmac",
];
const OWN: [&str; 4] = ["input", "context", "signature", "hmac"];

/// The hash that the path names, or the body, or else SHA-256.
pub(super) fn hash_named(fields: &Fields, named: Option<&str>) -> Result<TransitHash, Problem> {
    let mut word = named.map(str::to_owned);
    for name in ["hash_algorithm", "algorithm"] {
        if word.is_none() {
            word = fields.text(name)?.filter(|text| !text.is_empty());
        }
    }
    let Some(word) = word else {
        return Ok(TransitHash::Sha2_256);
    };
    TransitHash::parse(&word).ok_or_else(|| {
        let known: Vec<&str> = TransitHash::ALL.iter().map(|hash| hash.as_str()).collect();
        wrong("hash_algorithm", &format!("is one of {}", known.join(", ")))
    })
}

fn how(fields: &Fields, named: Option<&str>) -> Result<SignHow, Problem> {
    let text = |name: &str| fields.text(name).map(|text| text.unwrap_or_default());
    Ok(SignHow {
        hash: hash_named(fields, named)?,
        prehashed: fields.flag("prehashed")?.unwrap_or(false),
        marshaling: match text("marshaling_algorithm")?.as_str() {
            "" | "asn1" => Marshaling::Asn1,
            "jws" => Marshaling::Jws,
            _ => return Err(wrong("marshaling_algorithm", "is asn1 or jws")),
        },
        padding: match text("signature_algorithm")?.as_str() {
            "" | "pss" => RsaPadding::Pss,
            "pkcs1v15" => RsaPadding::Pkcs1,
            _ => return Err(wrong("signature_algorithm", "is pss or pkcs1v15")),
        },
        salt: match text("salt_length")?.to_ascii_lowercase().as_str() {
            "" | "auto" | "0" => Salt::Auto,
            "hash" | "-1" => Salt::Hash,
            bytes => Salt::Bytes(
                bytes
                    .parse()
                    .map_err(|_| wrong("salt_length", "is auto, hash or a number of bytes"))?,
            ),
        },
    })
}

fn input(item: &Item) -> TransitOutcome<TransitInput> {
    Ok(TransitInput {
        input: item.bytes("input", "unable to decode input as base64")?,
        context: item.context()?,
    })
}

/// In a list each thing says what it is.
fn input_of(items: &Items, item: &Item) -> TransitOutcome<TransitInput> {
    match items.is_batch && !item.has("input") {
        true => Err(TransitRefusal::Input("missing input")),
        false => input(item),
    }
}

pub(super) async fn sign(
    call: &Call<'_>,
    name: &str,
    hash: Option<&str>,
) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let how = how(&fields, hash)?;
    let version = number(&fields, "key_version")?.unwrap_or(0);
    let items = Items::of(&fields, &OWN)?;
    let asked = items.all.iter().map(|item| input_of(&items, item));
    let outcomes = call
        .app
        .vault
        .transit_sign(
            &call.caller,
            call.at(name, hash),
            how,
            version,
            asked.collect(),
        )
        .await?;
    let reply = items.answered(outcomes, |made| {
        let mut told = json!({ "signature": made.signature, "key_version": made.version });
        if let Some(public) = made.public {
            let field = match items.is_batch {
                true => "publickey",
                false => "public_key",
            };
            told[field] = public.into();
        }
        told
    })?;
    Ok(reply.warn(fields.unknown(&KNOWN)))
}

pub(super) async fn verify(
    call: &Call<'_>,
    name: &str,
    hash: Option<&str>,
) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let how = how(&fields, hash)?;
    let items = Items::of(&fields, &OWN)?;
    let with = |field: &str| items.all.iter().filter(|item| item.has(field)).count();
    let given = match (with("signature"), with("hmac")) {
        (some, 0) if some > 0 => "signature",
        (0, some) if some > 0 => "hmac",
        (0, _) => {
            return Err(invalid(
                "neither a 'signature' nor an 'hmac' were given to verify",
            ));
        }
        _ => {
            return Err(invalid(
                "provide one of 'signature' or 'hmac', and the same in every item",
            ));
        }
    };
    let asked = items.all.iter().map(|item| {
        let text = item.text(given).ok_or(TransitRefusal::Input(
            "the 'signature' or 'hmac' of this item is missing",
        ));
        Ok(TransitCheck {
            given: text?.to_owned(),
            signed: input_of(&items, item)?,
        })
    });
    let asked = asked.collect();
    let at = call.at(name, hash);
    let vault = &call.app.vault;
    let outcomes = match given {
        "hmac" => {
            vault
                .transit_hmac_verify(&call.caller, at, how.hash, asked)
                .await?
        }
        _ => vault.transit_verify(&call.caller, at, how, asked).await?,
    };
    let reply = items.answered(outcomes, |valid| json!({ "valid": valid }))?;
    Ok(reply.warn(fields.unknown(&KNOWN)))
}

pub(super) async fn hmac(
    call: &Call<'_>,
    name: &str,
    hash: Option<&str>,
) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let algorithm = hash_named(&fields, hash)?;
    let version = number(&fields, "key_version")?.unwrap_or(0);
    let items = Items::of(&fields, &OWN)?;
    let asked = items.all.iter().map(|item| match item.has("input") {
        true => item.bytes("input", "unable to decode input as base64"),
        false => Err(TransitRefusal::Input("missing input for HMAC")),
    });
    let outcomes = call
        .app
        .vault
        .transit_hmac(
            &call.caller,
            call.at(name, hash),
            algorithm,
            version,
            asked.collect(),
        )
        .await?;
    let reply = items.answered(outcomes, |made| json!({ "hmac": made }))?;
    Ok(reply.warn(fields.unknown(&KNOWN)))
}

fn invalid(text: &str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, text)
}
