//! `GET /v1/secrets` and `GET /v1/secrets/expiring`: pages of secrets without their values.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use scaivault_api::secret::SecretList;
use scaivault_core::ports::SecretFilter;
use scaivault_engine::Caller;

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

pub(super) async fn list(
    State(app): State<Shared>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::List).await?;
    let query = Query::parse(uri.query())?;
    let mut prefix = fields::path_prefix(query.text("prefix").unwrap_or(""))?;
    let recursive = query.flag("recursive")?.unwrap_or(true);
    if !recursive && !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    let filter = SecretFilter {
        prefix: prefix.clone(),
        tag: query.text("tag").map(str::to_owned),
        secret_type: query
            .text("secret_type")
            .map(fields::secret_type)
            .transpose()?,
        expires_before: None,
        include_deleted: false,
    };
    let shallow = |path: &str| !path[prefix.len().min(path.len())..].contains('/');
    listed(&app, &caller, &query, &filter, |path| {
        recursive || shallow(path)
    })
    .await
}

pub(super) async fn expiring(
    State(app): State<Shared>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::List).await?;
    let query = Query::parse(uri.query())?;
    let days = query.number("days", 0..=36_500)?.unwrap_or(30);
    let until = app
        .vault
        .now()
        .plus(std::time::Duration::from_secs(days * 86_400));
    let filter = SecretFilter {
        prefix: fields::path_prefix(query.text("prefix").unwrap_or(""))?,
        expires_before: Some(until),
        ..SecretFilter::default()
    };
    listed(&app, &caller, &query, &filter, |_| true).await
}

async fn listed(
    app: &App,
    caller: &Caller,
    query: &Query,
    filter: &SecretFilter,
    wanted: impl Fn(&str) -> bool,
) -> Result<Response, Problem> {
    let limit = query.limit()?.min(LIMIT_MAX);
    let cursors = Cursors::of(app, caller, LIST);
    let after = cursors.after(query)?;
    let (rows, next) = app
        .vault
        .secret_list(caller, filter, after.as_deref(), limit)
        .await?;
    let secrets = rows
        .iter()
        .filter(|(head, _)| wanted(head.path.as_str()))
        .map(|(head, assignment)| head_view(head, assignment.as_ref()))
        .collect();
    let has_more = next.is_some();
    let cursor = next.map(|place| cursors.at(&place)).transpose()?;
    Ok(json_response(
        StatusCode::OK,
        &SecretList {
            secrets,
            cursor,
            has_more,
        },
    ))
}
