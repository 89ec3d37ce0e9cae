//! `sys/capabilities…`: what a token may at paths, by the one decision.

use scaivault_api::ErrorCode;
use scaivault_core::ids::TokenId;
use scaivault_engine::TokenRef;
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::request::{Asked, Verb, unsupported};
use super::table::mounts;
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// Paths of one request.
const PATHS_MAX: usize = 100;
const PATH_BYTES_MAX: usize = 2_048;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::PolicyTest).await?;
    if asked.verb != Verb::Write {
        return Err(unsupported());
    }
    let fields = asked.fields(app).await?;
    let paths = match fields.texts("paths")? {
        Some(paths) => paths,
        None => fields.texts("path")?.unwrap_or_default(),
    };
    let is_sane = paths.len() <= PATHS_MAX && paths.iter().all(|path| path.len() <= PATH_BYTES_MAX);
    if paths.is_empty() || !is_sane {
        return Err(super::fields::wrong("paths", "are 1 to 100 paths"));
    }
    let of = match rest {
        "capabilities-self" => caller,
        "capabilities" => {
            let text = fields.needed("token")?;
            match app
                .vault
                .token_lookup(&caller, TokenRef::Text(&text))
                .await?
            {
                Some(token) => app.vault.acl_bearer(&caller, &token).await?,
                None => return Err(invalid("invalid token")),
            }
        }
        _ => {
            let id = TokenId::parse(&fields.needed("accessor")?);
            let id = id.map_err(|_| invalid("invalid accessor"))?;
            match app.vault.token_lookup(&caller, TokenRef::Id(&id)).await? {
                Some(token) => app.vault.acl_bearer(&caller, &token).await?,
                None => return Err(invalid("invalid accessor")),
            }
        }
    };
    let mounts = mounts(app, &of).await?;
    let mut data = Map::new();
    for path in &paths {
        let plain = path.trim_start_matches('/');
        let found = app.vault.acl_capabilities(&of, &mounts, plain).await?;
        if paths.len() == 1 {
            data.insert("capabilities".to_owned(), json!(found));
        }
        data.insert(path.clone(), json!(found));
    }
    Ok(Reply::data(&Value::Object(data))?.doubled())
}

fn invalid(text: &str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, text)
}
