//! Lists of secrets below a mount: what the caller may list of them, folder by folder.

use scaivault_api::ErrorCode;
use scaivault_core::mount::Mount;
use scaivault_core::ports::SecretFilter;
use scaivault_core::vault_path::{escaped, shown, shown_folder};
use scaivault_engine::SecretQuery;
use serde_json::json;

use super::reply::{Reply, not_found};
use super::request::Asked;
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// Names of one list; who has more goes on behind the last one.
const KEYS_MAX: usize = 10_000;
const STEP: usize = 1_000;
/// Pages looked through for one list: each is some 10,000 secrets at most, visible or not.
const PAGES_MAX: usize = 20;

/// `below` is the folder, with or without its slash.
pub(super) async fn list(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    below: &str,
) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::List).await?;
    let folder = match below.trim_end_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let prefix = format!("{}{}", mount.prefix, escaped(&folder));
    crate::fields::path_prefix(&prefix)?;
    let limit = asked.query.number("limit", 0..=u64::MAX >> 1)?;
    let limit = limit
        .filter(|limit| *limit > 0)
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(KEYS_MAX).min(KEYS_MAX);
    let query = SecretQuery {
        filter: SecretFilter {
            prefix: prefix.clone(),
            ..SecretFilter::default()
        },
        folders: true,
        ..SecretQuery::default()
    };
    // A folder is behind everything in it.
    let mut after = asked
        .query
        .text("after")
        .map(|name| match name.strip_suffix('/') {
            Some(folder) => format!("{prefix}{}/~", escaped(folder)),
            None => format!("{prefix}{}", escaped(name)),
        });
    let mut keys: Vec<String> = Vec::new();
    let mut more = false;
    for looked in 1.. {
        let step = STEP.min(limit - keys.len());
        let page = app
            .vault
            .secret_list(&caller, &query, after.as_deref(), step)
            .await?;
        let secrets = page.secrets.iter();
        keys.extend(secrets.filter_map(|(head, _)| shown(&prefix, &head.path)));
        let folders = page.folders.iter();
        let folders = folders.filter_map(|folder| folder.strip_prefix(&prefix));
        keys.extend(folders.filter_map(shown_folder));
        after = page.next;
        if after.is_none() {
            break;
        }
        if looked == PAGES_MAX && keys.len() < limit {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "there is too much to look through for one list: list a folder further down",
            ));
        }
        if keys.len() >= limit {
            more = true;
            break;
        }
    }
    if keys.is_empty() {
        return Err(not_found());
    }
    let asked_for_all = asked.query.text("limit").is_none();
    match asked_for_all && asked.query.text("after").is_none() {
        true => keys.sort(),
        // The last name is where the next page goes on: it must be the last one in our order.
        false => keys.sort_by_cached_key(|key| escaped(key)),
    }
    let reply = Reply::data(&json!({ "keys": keys }))?;
    Ok(match more && asked_for_all {
        true => reply.warn(vec![format!(
            "there are more than these {KEYS_MAX}: list folder by folder, or with limit and after"
        )]),
        false => reply,
    })
}
