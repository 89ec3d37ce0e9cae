//! `{mount}/metadata/{path}`: everything of a secret but its values.

use std::collections::BTreeMap;

use scaivault_core::mount::Mount;
use scaivault_core::secret::{MAX_VERSIONS_DEFAULT, SecretHead, Version};
use scaivault_core::time::Timestamp;
use scaivault_engine::{MetadataChange, VaultError};
use serde_json::{Map, Value, json};

use super::fields::{Fields, wrong};
use super::kv_rules::{self, Given};
use super::kv2::{custom, enter, time_or_none};
use super::reply::Reply;
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// What one request changes; what comes of it has the bounds of our own API.
const KEYS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 512;

pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    below: &str,
) -> Result<Reply, Problem> {
    match asked.verb {
        Verb::Read => read(app, asked, mount, below).await,
        Verb::Write => change(app, asked, mount, below, false).await,
        Verb::Patch => change(app, asked, mount, below, true).await,
        Verb::Delete => delete(app, asked, mount, below).await,
        Verb::List => Err(unsupported()),
    }
}

async fn read(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::List).await?;
    let (head, rows) = app.vault.secret_history(&caller, &path).await?;
    Reply::data(&view(&head, &rows))
}

fn view(head: &SecretHead, rows: &[Version]) -> Value {
    let mut versions: BTreeMap<u64, Value> = rows
        .iter()
        .map(|row| {
            let deleted = time_or_none(row.deletes_at);
            (row.version, one(row.created_at, &deleted, false))
        })
        .collect();
    for gone in &head.versioning.destroyed {
        versions
            .entry(gone.version)
            .or_insert_with(|| one(gone.created_at, "", true));
    }
    let oldest = versions.keys().next().copied().unwrap_or(0);
    let versions: Map<String, Value> = versions
        .into_iter()
        .map(|(version, row)| (version.to_string(), row))
        .collect();
    json!({
        "cas_required": head.versioning.cas_required,
        "created_time": head.created_at.to_rfc3339_micros(),
        "current_version": head.current_version,
        "custom_metadata": custom(&head.metadata.custom_texts()),
        "delete_version_after": kv_rules::span(head.versioning.delete_after_s),
        "max_versions": head.max_versions,
        "oldest_version": oldest,
        "updated_time": head.updated_at.to_rfc3339_micros(),
        "versions": versions,
    })
}

fn one(created_at: Timestamp, deletion_time: &str, destroyed: bool) -> Value {
    json!({
        "created_time": created_at.to_rfc3339_micros(),
        "deletion_time": deletion_time,
        "destroyed": destroyed,
    })
}

/// A patch keeps what it does not name, and is of what is there; a write makes it.
async fn change(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    below: &str,
    is_patch: bool,
) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Write).await?;
    let fields = asked.fields(app).await?;
    let given = Given::of(&fields)?;
    let texts = texts(&fields, is_patch)?;
    let usual = mount.rules.max_versions.unwrap_or(MAX_VERSIONS_DEFAULT);
    let change = MetadataChange {
        texts_replace: !is_patch && texts.is_some(),
        texts: texts.unwrap_or_default(),
        max_versions: given.max_versions.map(|number| number.unwrap_or(usual)),
        cas_required: given.cas_required,
        delete_after_s: given.delete_after_s,
        create: !is_patch,
        ..MetadataChange::default()
    };
    app.vault
        .secret_metadata_change(&caller, &path, &change)
        .await?;
    Ok(Reply::empty().warn(fields.unknown(&kv_rules::KNOWN)))
}

type Texts = BTreeMap<String, Option<String>>;

fn texts(fields: &Fields, is_patch: bool) -> Result<Option<Texts>, Problem> {
    const FIELD: &str = "custom_metadata";
    let Some(map) = fields.object(FIELD)? else {
        return Ok(None);
    };
    if map.len() > KEYS_MAX {
        return Err(wrong(FIELD, &format!("has at most {KEYS_MAX} keys")));
    }
    let mut texts = Texts::new();
    for (name, value) in map {
        let text = match value {
            Value::String(text) => Some(text),
            Value::Null if is_patch => None,
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => return Err(wrong(FIELD, "has texts as values")),
        };
        let is_plain = |text: &str| !text.chars().any(char::is_control);
        let fits = (1..=KEY_BYTES_MAX).contains(&name.len())
            && text
                .as_ref()
                .is_none_or(|text| text.len() <= VALUE_BYTES_MAX && is_plain(text))
            && is_plain(&name);
        if !fits {
            return Err(wrong(
                FIELD,
                "has printable keys of at most 128 bytes, and values of at most 512",
            ));
        }
        texts.insert(name, text);
    }
    Ok(Some(texts))
}

/// All versions, for good.
async fn delete(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Delete).await?;
    match app.vault.secret_delete(&caller, &path, true).await {
        Ok(_) | Err(VaultError::NotFound(_)) => Ok(Reply::empty()),
        Err(error) => Err(error.into()),
    }
}
