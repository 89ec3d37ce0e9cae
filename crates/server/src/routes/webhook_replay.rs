//! `POST /v1/webhooks/{id}/replay`: dead letters, or a range of what ended, sent again.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use scaivault_api::receiver as wire;
use scaivault_core::delivery::DeliveryState;
use scaivault_core::ids::WebhookId;
use scaivault_engine::ReplayRange;

use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, read_or_default};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

const LIST: &str = "replay";
const LIMIT_DEFAULT: u32 = 1_000;
pub(crate) const LIMIT_MAX: u32 = 10_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/webhooks/{id}/replay", post(replay))
}

/// A state by its word, or by the other word for those that used up their attempts.
pub(super) fn state(word: &str) -> Option<DeliveryState> {
    match word {
        "dead" => Some(DeliveryState::Failed),
        word => DeliveryState::parse(word),
    }
}

async fn replay(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let body: wire::ReplayBody = read_or_default(&app, body).await?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let dry_run = body.dry_run.unwrap_or(false);
    let range = ReplayRange {
        after: body
            .cursor
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| cursors.open(text))
            .transpose()?,
        ..range(&body, dry_run)?
    };
    let done = app.vault.webhook_replay(&caller, &id, &range).await?;
    let cursor = done.next.as_deref().map(|place| cursors.at(place));
    let cursor = cursor.transpose()?;
    let matched = u64::try_from(done.matched).unwrap_or(u64::MAX);
    let view = wire::Replay {
        matched,
        replayed: if dry_run { 0 } else { matched },
        dry_run,
        has_more: cursor.is_some(),
        cursor,
    };
    Ok(json_response(StatusCode::ACCEPTED, &view))
}

fn range(body: &wire::ReplayBody, dry_run: bool) -> Result<ReplayRange, Problem> {
    let time = |text: &Option<String>, field| {
        let text = text.as_deref();
        text.map(|text| fields::time(text, field)).transpose()
    };
    let (from, to) = (time(&body.from, "from")?, time(&body.to, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Problem::field("to", "is later than from"));
    }
    let state = match body.status.as_deref() {
        None | Some("dead" | "failed") => Some(DeliveryState::Failed),
        Some("success") => Some(DeliveryState::Success),
        Some("all") => None,
        Some(_) => return Err(Problem::field("status", "is dead, success or all")),
    };
    if state != Some(DeliveryState::Failed) && from.is_none() {
        let why = "is required where accepted deliveries are sent again";
        return Err(Problem::field("from", why));
    }
    let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::field("limit", format!("is 1 to {LIMIT_MAX}")));
    }
    let events = body.events.as_deref().map(fields::events).transpose()?;
    Ok(ReplayRange {
        from,
        to,
        events: events.unwrap_or_default(),
        state,
        after: None,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        dry_run,
    })
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/webhooks/{id}/replay",
            "replayWebhook",
            "Webhooks",
            "Send dead letters, or a range of what ended, again",
        )
        .scope("admin")
        .takes_optional::<wire::ReplayBody>()
        .answers::<wire::Replay>(202)
        .fails(&["webhook_not_found", "validation_error", "invalid_cursor"]),
    ]
}
