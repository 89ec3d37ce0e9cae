//! `sys/policies/acl/…` and the older `sys/policy/…`: access policies, written in HCL or JSON.

use base64::Engine as _;
use scaivault_api::ErrorCode;
use scaivault_core::acl::{Refusal, compile, parse, render};
use serde_json::json;

use super::fields::wrong;
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::table::mounts;
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// What every token may, whatever its policies.
const DEFAULT: &str = r#"# Fixed: what every token may.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}

path "sys/capabilities-self" {
  capabilities = ["update"]
}

path "sys/internal/ui/*" {
  capabilities = ["read"]
}

path "sys/leases/lookup" {
  capabilities = ["update"]
}

path "sys/leases/renew" {
  capabilities = ["update"]
}

path "sys/leases/revoke" {
  capabilities = ["update"]
}

path "sys/wrapping/*" {
  capabilities = ["update"]
}

path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
"#;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let is_old = rest.starts_with("policy");
    let named = rest
        .strip_prefix("policies/acl")
        .or_else(|| rest.strip_prefix("policy"));
    let name = named.unwrap_or_default().trim_matches('/').to_lowercase();
    match (asked.verb, name.as_str()) {
        (Verb::List, "") => list(app, asked, is_old).await,
        (Verb::Read, "") if is_old => list(app, asked, is_old).await,
        (_, "") => {
            asked.enter(app, Category::Policy).await?;
            Err(unsupported())
        }
        (Verb::Read, name) => show(app, asked, name, is_old).await,
        (Verb::Write, name) => put(app, asked, name).await,
        (Verb::Delete, name) => remove(app, asked, name).await,
        _ => {
            asked.enter(app, Category::Policy).await?;
            Err(unsupported())
        }
    }
}

async fn list(app: &App, asked: &Asked, is_old: bool) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    let mut names = app.vault.acl_list(&caller).await?;
    names.extend(["default".to_owned(), "root".to_owned()]);
    names.sort();
    match is_old {
        true => Ok(Reply::data(&json!({ "keys": names, "policies": names }))?.doubled()),
        false => Reply::data(&json!({ "keys": names })),
    }
}

async fn show(app: &App, asked: &Asked, name: &str, is_old: bool) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    let text = match name {
        "root" => String::new(),
        "default" => DEFAULT.to_owned(),
        name => {
            let policy = app.vault.acl_show(&caller, name).await;
            let policy = policy.map_err(|error| match Problem::from(error) {
                problem if problem.code == ErrorCode::PolicyNotFound => not_found(),
                problem => problem,
            })?;
            let mounts = mounts(app, &caller).await?;
            let scopes = policy.scopes.unwrap_or_default();
            let text = render(&policy.rules, scopes, &mounts);
            match policy.is_active {
                true => text,
                false => format!("# Not active: it gives nothing.\n{text}"),
            }
        }
    };
    match is_old {
        true => Ok(Reply::data(&json!({ "name": name, "rules": text }))?.doubled()),
        false => Reply::data(&json!({ "name": name, "policy": text })),
    }
}

async fn put(app: &App, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    if matches!(name, "root" | "default") {
        return Err(invalid(format!(
            "the policy {name} is fixed: write another one, and give it to tokens beside this one"
        )));
    }
    app.vault.acl_may_put(&caller).await?;
    let fields = asked.fields(app).await?;
    let text = match fields.text("policy")? {
        Some(text) => text,
        None => fields
            .needed("rules")
            .map_err(|_| wrong("policy", "is needed"))?,
    };
    let text = plain(text);
    let mounts = mounts(app, &caller).await?;
    // It may take a while, and other requests need this thread.
    let work = move || parse(&text).and_then(|document| compile(&document, &mounts));
    let compiled = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(ErrorCode::InternalError, error.to_string()))?
        .map_err(|why| refused(&why))?;
    app.vault.acl_put(&caller, name, &compiled).await?;
    let mut warnings = fields.unknown(&["policy", "rules", "name"]);
    warnings.extend(compiled.notes);
    Ok(Reply::empty().warn(warnings))
}

async fn remove(app: &App, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    if matches!(name, "root" | "default") {
        return Err(invalid(format!("cannot delete \"{name}\" policy")));
    }
    app.vault.acl_delete(&caller, name).await?;
    Ok(Reply::empty())
}

/// Some clients send it in Base64: no policy looks so.
fn plain(text: String) -> String {
    let coded = base64::engine::general_purpose::STANDARD.decode(text.trim());
    match coded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(decoded) if !decoded.is_empty() => decoded,
        _ => text,
    }
}

fn invalid(text: String) -> Problem {
    Problem::new(ErrorCode::InvalidPolicy, text)
}

fn refused(why: &[Refusal]) -> Problem {
    let lines: Vec<String> = why.iter().map(Refusal::to_string).collect();
    invalid(format!("failed to parse policy: {}", lines.join("; ")))
}
