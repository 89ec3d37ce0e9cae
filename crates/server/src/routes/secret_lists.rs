//! `GET /v1/secrets` and `GET /v1/secrets/expiring`: pages of secrets without their values.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use scaivault_api::ErrorCode;
use scaivault_api::secret::SecretList;
use scaivault_core::ports::SecretFilter;
use scaivault_engine::{Caller, SecretQuery};

use super::secret_view::head_view;
use crate::app::{App, Shared};
use crate::body::json_response;
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::problem::Problem;
use crate::query::{LIMIT_MAX, Query};
use crate::rate_limit::Category;

/// What cursors of these lists are for.
const LIST: &str = "secrets";
/// A hundred years.
pub(crate) const DAYS_MAX: u64 = 36_500;
/// Tags asked for at once.
pub(crate) const TAGS_MAX: usize = 10;
/// Characters of a text looked for.
pub(crate) const TEXT_MAX: usize = 128;

pub(super) async fn list(
    State(app): State<Shared>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::List).await?;
    let query = Query::parse_with(uri.query(), "tag")?;
    let mut prefix = fields::path_prefix(query.text("prefix").unwrap_or(""))?;
    let recursive = query.flag("recursive")?;
    let folders = match (query.text("delimiter"), recursive) {
        (None, _) => false,
        (Some("/"), None | Some(false)) => true,
        (Some("/"), Some(true)) => return Err(bad("'delimiter' contradicts recursive=true")),
        (Some(_), _) => return Err(bad("query parameter 'delimiter' is /")),
    };
    let shallow = recursive == Some(false) && !folders;
    if recursive == Some(false) && !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    let tags = query.texts("tag");
    let long = |tag: &&str| tag.chars().count() > fields::TAG_CHARS_MAX;
    if tags.len() > TAGS_MAX || tags.iter().any(long) {
        return Err(bad(
            "query parameter 'tag' is given at most 10 times, with 1 to 128 characters",
        ));
    }
    let text = query.text("q");
    if text.is_some_and(|text| text.chars().count() > TEXT_MAX) {
        return Err(bad("query parameter 'q' has at most 128 characters"));
    }
    let secrets = SecretQuery {
        filter: SecretFilter {
            prefix,
            tag: tags.first().map(|tag| (*tag).to_owned()),
            secret_type: query
                .text("secret_type")
                .map(fields::secret_type)
                .transpose()?,
            ..SecretFilter::default()
        },
        tags: tags.into_iter().map(str::to_owned).collect(),
        text: text.map(str::to_owned),
        shallow,
        folders,
        ..SecretQuery::default()
    };
    listed(&app, &caller, &query, &secrets).await
}

fn bad(why: &str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, why)
}

pub(super) async fn expiring(
    State(app): State<Shared>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::List).await?;
    let query = Query::parse(uri.query())?;
    let days = query.number("days", 0..=DAYS_MAX)?.unwrap_or(30);
    let until = app
        .vault
        .now()
        .plus(std::time::Duration::from_secs(days * 86_400));
    let secrets = SecretQuery {
        filter: SecretFilter {
            prefix: fields::path_prefix(query.text("prefix").unwrap_or(""))?,
            expires_before: Some(until),
            ..SecretFilter::default()
        },
        ..SecretQuery::default()
    };
    listed(&app, &caller, &query, &secrets).await
}

async fn listed(
    app: &App,
    caller: &Caller,
    query: &Query,
    secrets: &SecretQuery,
) -> Result<Response, Problem> {
    let limit = query.limit()?.min(LIMIT_MAX);
    let cursors = Cursors::of(app, caller, LIST);
    let after = cursors.after(query)?;
    let page = app
        .vault
        .secret_list(caller, secrets, after.as_deref(), limit)
        .await?;
    let views = page
        .secrets
        .iter()
        .map(|(head, assignment)| head_view(head, assignment.as_ref()))
        .collect();
    let has_more = page.next.is_some();
    let cursor = page.next.map(|place| cursors.at(&place)).transpose()?;
    Ok(json_response(
        StatusCode::OK,
        &SecretList {
            secrets: views,
            prefixes: secrets.folders.then_some(page.folders),
            cursor,
            has_more,
        },
    ))
}
