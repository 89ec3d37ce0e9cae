//! Secrets without versions (`kv` version 1): a path holds a value, and a write replaces it. Ours keep
//! versions all the same, which our own API shows.

use scaivault_api::ErrorCode;
use scaivault_core::mount::Mount;
use scaivault_engine::VaultError;
use serde_json::Value;

use super::fields::{Fields, seconds, wrong};
use super::kv_list::list;
use super::kv2::{counted, enter, raw, write_of, wrote};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// For how long a client may keep what it read, when nobody says: 32 days, as theirs.
const LEASE_S: u64 = 32 * 86_400;

pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    rest: &str,
) -> Result<Reply, Problem> {
    match asked.verb {
        Verb::List => list(app, asked, mount, rest).await,
        Verb::Read => read(app, asked, mount, rest).await,
        Verb::Write => write(app, asked, mount, rest).await,
        Verb::Delete => {
            let (caller, path) = enter(app, asked, mount, rest, Category::Delete).await?;
            match app.vault.secret_delete(&caller, &path, true).await {
                Ok(_) | Err(VaultError::NotFound(_)) => Ok(Reply::empty()),
                Err(error) => Err(error.into()),
            }
        }
        Verb::Patch => {
            asked.enter(app, Category::Write).await?;
            Err(unsupported())
        }
    }
}

async fn read(app: &App, asked: &Asked, mount: &Mount, rest: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, rest, Category::Read).await?;
    match app.vault.secret_read(&caller, &path, None).await {
        Ok(secret) => {
            counted(app, &caller, &secret);
            let value = raw(&secret)?;
            let lease = lease_of(value.get(), mount);
            Ok(Reply::data(&value)?.lease(lease))
        }
        Err(VaultError::VersionGone(_)) => Err(not_found()),
        Err(error) => Err(error.into()),
    }
}

/// A value may say itself for how long it is good, in `ttl` or `lease`.
fn lease_of(text: &str, mount: &Mount) -> u64 {
    let usual = match mount.default_lease_s {
        0 => LEASE_S,
        chosen => chosen,
    };
    let Ok(Value::Object(map)) = serde_json::from_str(text) else {
        return usual;
    };
    let said = map.get("ttl").or_else(|| map.get("lease"));
    let said = match said {
        Some(Value::String(text)) => seconds(text),
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    said.unwrap_or(usual)
}

async fn write(app: &App, asked: &Asked, mount: &Mount, rest: &str) -> Result<Reply, Problem> {
    let (caller, path) = enter(app, asked, mount, rest, Category::Write).await?;
    let bytes = asked.bytes(app).await?;
    // Looked at as any body, and kept as it came.
    let fields = Fields::parse(&bytes)?;
    if fields.is_empty() {
        return Err(wrong("data", "is needed: missing data fields"));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "the body is not valid JSON"))?;
    let value = text.trim().as_bytes().to_vec();
    let write = write_of(mount, &path, value, None);
    app.vault.secret_write(&caller, write).await?;
    wrote(app, &caller);
    Ok(Reply::empty())
}
