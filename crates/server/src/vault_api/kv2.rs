//! Secrets with versions (`kv` version 2), which are our secrets with theirs.

use axum::http::StatusCode;
use scaivault_api::ErrorCode;
use scaivault_core::mount::Mount;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::time::Timestamp;
use scaivault_engine::{
    Caller, GoneVersion, ReadSecret, SecretWrite, VaultError, VersionAct, Versions, Written,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::fields::{Fields, UNREADABLE, wrong};
use super::kv_list::list;
use super::merge::{merged, subkeys};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::{kv_metadata, mounts};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// Times a patch starts over when somebody else writes in between.
const RACES_MAX: u32 = 8;

/// `rest` is what stands behind the mount.
pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    rest: &str,
) -> Result<Reply, Problem> {
    let (word, below) = rest.split_once('/').unwrap_or((rest, ""));
    match (word, asked.verb) {
        ("config", _) if below.is_empty() => mounts::kv_config(app, asked, mount).await,
        ("metadata", Verb::List) => list(app, asked, mount, below).await,
        ("data", Verb::Read) => read(app, asked, mount, below).await,
        ("data", Verb::Write) => write(app, asked, mount, below).await,
        ("data", Verb::Patch) => patch(app, asked, mount, below).await,
        ("data", Verb::Delete) => {
            let (caller, path) = enter(app, asked, mount, below, Category::Delete).await?;
            act(app, &caller, &path, VersionAct::Delete, Versions::Current).await
        }
        ("metadata", _) => kv_metadata::answer(app, asked, mount, below).await,
        ("delete", Verb::Write) => some(app, asked, mount, below, VersionAct::Delete).await,
        ("undelete", Verb::Write) => some(app, asked, mount, below, VersionAct::Undelete).await,
        ("destroy", Verb::Write) => some(app, asked, mount, below, VersionAct::Destroy).await,
        ("subkeys", Verb::Read) => keys(app, asked, mount, below).await,
        ("data" | "delete" | "undelete" | "destroy" | "subkeys" | "config", _) => {
            asked.enter(app, Category::Read).await?;
            Err(unsupported())
        }
        _ => {
            asked.enter(app, Category::Read).await?;
            Err(Problem::new(
                ErrorCode::InvalidRequest,
                "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate \
                 API endpoints to use. If using the Vault CLI, use 'vault kv' for this operation.",
            ))
        }
    }
}

/// Who asks, and of which secret of ours.
pub(super) async fn enter(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    below: &str,
    category: Category,
) -> Result<(Caller, SecretPath), Problem> {
    let caller = asked.enter(app, category).await?;
    if below.is_empty() || below.ends_with('/') {
        return Err(match asked.verb {
            Verb::Read | Verb::Delete => not_found(),
            _ => Problem::new(
                ErrorCode::InvalidPath,
                "a secret's path has no slash behind",
            ),
        });
    }
    let path = scaivault_core::vault_path::secret_path(&mount.prefix, below)
        .map_err(|error| Problem::new(ErrorCode::InvalidPath, error.to_string()))?;
    Ok((caller, path))
}

/// The version asked for; 0 is the current one.
fn version(asked: &Asked) -> Result<Option<u64>, Problem> {
    let number = asked.query.number("version", 0..=u64::MAX >> 1)?;
    Ok(number.filter(|number| *number > 0))
}

async fn read(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Read).await?;
    match app.vault.secret_read(&caller, &path, version(asked)?).await {
        Ok(secret) => {
            counted(app, &caller, &secret);
            let value = raw(&secret)?;
            Reply::data(&Data {
                data: value,
                metadata: metadata(&secret),
            })
        }
        Err(VaultError::VersionGone(gone)) => absent("data", &gone),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn counted(app: &App, caller: &Caller, secret: &ReadSecret) {
    app.metrics
        .tenant(caller.principal.acts_in().as_str())
        .secret_read(secret.secret_type());
}

/// A value as it is stored.
pub(super) fn raw(secret: &ReadSecret) -> Result<&RawValue, Problem> {
    serde_json::from_slice(secret.value().expose())
        .map_err(|_| Problem::new(ErrorCode::InternalError, "the stored value is damaged"))
}

#[derive(serde::Serialize)]
struct Data<'a> {
    data: &'a RawValue,
    metadata: Value,
}

fn time(at: Timestamp) -> String {
    at.to_rfc3339_micros()
}

/// The time a version is deleted at, or nothing.
pub(super) fn time_or_none(at: Option<Timestamp>) -> String {
    at.map(time).unwrap_or_default()
}

/// `null` where there is nothing.
pub(super) fn custom(texts: &std::collections::BTreeMap<String, String>) -> Value {
    match texts.is_empty() {
        true => Value::Null,
        false => json!(texts),
    }
}

fn metadata(secret: &ReadSecret) -> Value {
    let said: Result<scaivault_core::secret::Metadata, _> =
        serde_json::from_str(secret.metadata().get());
    json!({
        "created_time": time(secret.version_created_at()),
        "custom_metadata": custom(&said.map(|said| said.custom_texts()).unwrap_or_default()),
        "deletion_time": time_or_none(secret.deletes_at()),
        "destroyed": false,
        "version": secret.version(),
    })
}

/// 404 that tells what is left of a version: its times, and nothing of its value.
fn absent(name: &str, gone: &GoneVersion) -> Result<Reply, Problem> {
    let metadata = json!({
        "created_time": time(gone.created_at),
        "custom_metadata": custom(&gone.custom),
        "deletion_time": time_or_none(gone.deleted_at),
        "destroyed": gone.deleted_at.is_none(),
        "version": gone.version,
    });
    let mut data = Map::new();
    data.insert(name.to_owned(), Value::Null);
    data.insert("metadata".to_owned(), metadata);
    Ok(Reply::data(&data)?.status(StatusCode::NOT_FOUND))
}

/// `options.cas`.
fn cas(fields: &Fields) -> Result<Option<u64>, Problem> {
    let options = fields.object("options")?.unwrap_or_default();
    let number = match options.get("cas") {
        None | Some(Value::Null) => return Ok(None),
        // No version has such a number.
        Some(Value::Number(number)) if number.as_i64().is_some_and(|number| number < 0) => {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "check-and-set parameter did not match the current version",
            ));
        }
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let number = number.ok_or_else(|| wrong("options.cas", "is a version, 0 for none"));
    number.map(Some)
}

fn the_data(fields: &Fields) -> Result<&RawValue, Problem> {
    let data = fields.raw("data");
    let data = data.ok_or_else(|| wrong("data", "is needed: no data provided"))?;
    match data.get().starts_with('{') {
        true => Ok(data),
        false => Err(wrong("data", "is an object")),
    }
}

/// A write of this value, as the mount has it.
pub(super) fn write_of(
    mount: &Mount,
    path: &SecretPath,
    value: Vec<u8>,
    cas: Option<u64>,
) -> SecretWrite {
    SecretWrite {
        path: path.clone(),
        data: Plaintext::new(value),
        secret_type: None,
        metadata: None,
        max_versions: None,
        expires_in: None,
        notify_before: None,
        rotation_policy_id: None,
        cas,
        rotation_id: None,
        cas_required: mount.rules.cas_required,
        delete_after_s: mount.rules.delete_after_s,
        max_versions_new: mount.rules.max_versions,
    }
}

async fn write(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Write).await?;
    let fields = asked.fields(app).await?;
    let (cas, value) = (cas(&fields)?, the_data(&fields)?.get().as_bytes().to_vec());
    let write = write_of(mount, &path, value, cas);
    let written = app.vault.secret_write(&caller, write).await?;
    Ok(told(app, &caller, &written)?.warn(fields.unknown(&["data", "options"])))
}

pub(super) fn wrote(app: &App, caller: &Caller) {
    app.metrics
        .tenant(caller.principal.acts_in().as_str())
        .secret_written();
}

fn told(app: &App, caller: &Caller, written: &Written) -> Result<Reply, Problem> {
    wrote(app, caller);
    let head = &written.head;
    Reply::data(&json!({
        "created_time": time(head.updated_at),
        "custom_metadata": custom(&head.metadata.custom_texts()),
        "deletion_time": time_or_none(written.deletes_at),
        "destroyed": false,
        "version": head.current_version,
    }))
}

/// Reads, merges and writes what was read: needs the right to both.
async fn patch(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Write).await?;
    let fields = asked.fields(app).await?;
    let (cas, patch) = (cas(&fields)?, the_data(&fields)?);
    for _ in 0..RACES_MAX {
        let secret = match app.vault.secret_read(&caller, &path, None).await {
            Ok(secret) => secret,
            Err(VaultError::VersionGone(gone)) => return absent("data", &gone),
            Err(error) => return Err(error.into()),
        };
        let current = secret.version();
        if cas.is_some_and(|cas| cas != current) {
            return Err(VaultError::VersionConflict { current }.into());
        }
        let value = merged(raw(&secret)?.get(), patch.get())
            .ok_or_else(|| wrong("data", "is an object"))?;
        let write = write_of(mount, &path, value, Some(current));
        match app.vault.secret_write(&caller, write).await {
            Ok(written) => return told(app, &caller, &written),
            // Somebody else wrote in between.
            Err(VaultError::VersionConflict { .. }) if cas.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(
        ErrorCode::ServiceUnavailable,
        "the secret changes too quickly: try again",
    ))
}

async fn keys(app: &App, asked: &Asked, mount: &Mount, below: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Read).await?;
    let depth = asked.query.number("depth", 0..=1_000)?.unwrap_or(0);
    match app.vault.secret_read(&caller, &path, version(asked)?).await {
        Ok(secret) => {
            counted(app, &caller, &secret);
            // Written as it came, by whatever its writer made it.
            let value: Value = serde_json::from_slice(secret.value().expose())
                .map_err(|_| wrong("the value", UNREADABLE))?;
            Reply::data(&json!({
                "subkeys": subkeys(value, depth),
                "metadata": metadata(&secret),
            }))
        }
        Err(VaultError::VersionGone(gone)) => absent("subkeys", &gone),
        Err(error) => Err(error.into()),
    }
}

async fn some(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    below: &str,
    what: VersionAct,
) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, below, Category::Delete).await?;
    let fields = asked.fields(app).await?;
    let words = fields.texts("versions")?.unwrap_or_default();
    let numbers: Result<Vec<u64>, _> = words.iter().map(|word| word.parse()).collect();
    let numbers = numbers.map_err(|_| wrong("versions", "is a list of version numbers"))?;
    if numbers.is_empty() {
        return Err(wrong("versions", "is needed: No version number provided"));
    }
    let which = Versions::Numbers(&numbers);
    let reply = act(app, &caller, &path, what, which).await?;
    Ok(reply.warn(fields.unknown(&["versions"])))
}

/// What is not there is gone already.
async fn act(
    app: &App,
    caller: &Caller,
    path: &SecretPath,
    what: VersionAct,
    which: Versions<'_>,
) -> Result<Reply, Problem> {
    match app.vault.versions_act(caller, path, what, which).await {
        Ok(_) | Err(VaultError::NotFound(_)) => Ok(Reply::empty()),
        Err(error) => Err(error.into()),
    }
}
