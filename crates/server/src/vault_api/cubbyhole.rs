//! `cubbyhole/…`: what a token keeps for itself.

use scaivault_core::plaintext::Plaintext;
use serde_json::json;
use serde_json::value::RawValue;

use super::fields::{Fields, wrong};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) async fn answer(app: &App, asked: &Asked, path: &str) -> Result<Reply, Problem> {
    match asked.verb {
        Verb::Read => {
            let caller = asked.enter(app, Category::Read).await?;
            let value = app.vault.cubby_get(&caller, path).await?;
            let value = value.ok_or_else(not_found)?;
            let value: &RawValue =
                serde_json::from_slice(value.expose()).map_err(|_| not_found())?;
            Reply::data(&value)
        }
        Verb::Write => {
            let caller = asked.enter(app, Category::Write).await?;
            let bytes = asked.bytes(app).await?;
            if Fields::parse(&bytes)?.is_empty() {
                return Err(wrong("data", "is needed: missing data fields"));
            }
            let value = Plaintext::new(bytes.trim_ascii().to_vec());
            app.vault.cubby_put(&caller, path, &value).await?;
            Ok(Reply::empty())
        }
        Verb::Delete => {
            let caller = asked.enter(app, Category::Delete).await?;
            app.vault.cubby_remove(&caller, path).await?;
            Ok(Reply::empty())
        }
        Verb::List => {
            let caller = asked.enter(app, Category::List).await?;
            let folder = match path.trim_end_matches('/') {
                "" => String::new(),
                folder => format!("{folder}/"),
            };
            let paths = app.vault.cubby_paths(&caller).await?;
            let below = paths.iter().filter_map(|path| path.strip_prefix(&folder));
            let mut keys: Vec<&str> = below
                .map(|rest| match rest.find('/') {
                    Some(end) => &rest[..=end],
                    None => rest,
                })
                .collect();
            keys.dedup();
            match keys.is_empty() {
                true => Err(not_found()),
                false => Reply::data(&json!({ "keys": keys })),
            }
        }
        Verb::Patch => {
            asked.enter(app, Category::Write).await?;
            Err(unsupported())
        }
    }
}
