//! `GET /v1/subscriptions/{id}/stream`: the events of a polling subscription as server-sent
//! events.
//!
//! The body is made when the connection asks for more: a page is read from the store only after
//! the one before went out, so that a slow reader costs one page of memory, and one that takes
//! nothing is closed by the listener's limit. Who reads is looked up again before each page and at
//! least every [`LOOK`]; what its policies allow is decided for each event of a page.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::unfold;
use scaivault_api::ErrorCode;
use scaivault_core::event::Event;
use scaivault_core::ids::{EventId, SubscriptionId};
use scaivault_engine::Caller;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::id_in_path;
use super::subscriptions::polled_view;
use crate::app::Shared;
use crate::call::Call;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;
use crate::streams::{Full, Place};

/// The longest that a revoked token, an ended subscription or a lost signal goes unnoticed.
const LOOK: Duration = Duration::from_secs(5);
/// Events of one page: what one stream holds in memory at most.
const PAGE: usize = 50;
/// Pages that the owner may not see any more, looked at in one go: then the stream takes a breath.
const HIDDEN_PAGES_MAX: usize = 20;
/// What clients are told to wait before they come again.
const RETRY: &str = "retry: 3000\n\n";
const LAST_EVENT_ID: &str = "last-event-id";
/// Proxies that gather answers before they pass them on are told not to.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/subscriptions/{id}/stream", get(stream))
}

async fn stream(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Poll).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    let query = Query::parse(uri.query())?;
    let since = since(&call, &query)?;
    app.vault.subscription_polled(&caller, &id).await?;
    let place = place(&app, &caller)?;
    let (changes, stopping) = (app.vault.signals().deliveries(), app.stopping.subscribe());
    let feed = Feed {
        beat_at: Instant::now() + app.settings.streams.stream_heartbeat,
        app,
        call,
        id,
        since,
        changes,
        stopping,
        begun: false,
        ended: false,
        _place: place,
    };
    let body = Body::from_stream(unfold(feed, |mut feed| async {
        let part = feed.next().await?;
        Some((Ok::<_, Infallible>(part), feed))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (ACCEL, "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The header wins over the query: a client that comes again keeps its URL and adds the header.
fn since(call: &Call, query: &Query) -> Result<Option<EventId>, Problem> {
    let refused = |what: &str| {
        let text = format!("{what} is an id evt_…, the last event that was received");
        Problem::new(ErrorCode::InvalidRequest, text)
    };
    if let Some(value) = call.headers.get(LAST_EVENT_ID) {
        let what = "the header Last-Event-ID";
        let text = value.to_str().map_err(|_| refused(what))?;
        // What clients send that have no id yet.
        return match text.is_empty() {
            true => Ok(None),
            false => EventId::parse(text).map(Some).map_err(|_| refused(what)),
        };
    }
    let what = "query parameter 'since_event_id'";
    query
        .text("since_event_id")
        .map(|text| EventId::parse(text).map_err(|_| refused(what)))
        .transpose()
}

fn place(app: &Shared, caller: &Caller) -> Result<Place, Problem> {
    let bounds = &app.settings.streams;
    let home = caller.principal.home();
    let owner = (home.as_str(), caller.identity().as_str());
    let (own, all) = (bounds.streams_per_identity, bounds.max_streams);
    let opened = app.streams.open(owner, own, all, &app.metrics.streams);
    opened.map_err(|full| {
        let (code, text) = match full {
            Full::Owner => (
                ErrorCode::RateLimited,
                format!(
                    "this identity has {own} streams open here, the most there may be: close one"
                ),
            ),
            Full::Tenant => (
                ErrorCode::ServiceUnavailable,
                "this tenant has its share of the streams that this node can have open: poll instead"
                    .to_owned(),
            ),
            Full::Node => (
                ErrorCode::ServiceUnavailable,
                format!("this node has {all} streams open, the most there may be: poll instead"),
            ),
        };
        let mut problem = Problem::new(code, text);
        problem.retry_after_s = Some(bounds.stream_heartbeat.as_secs().max(1));
        problem
    })
}

/// One open stream, between two parts of its body.
struct Feed {
    app: Shared,
    call: Call,
    id: SubscriptionId,
    since: Option<EventId>,
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    beat_at: Instant,
    begun: bool,
    ended: bool,
    _place: Place,
}

impl Feed {
    /// The next part of the body; `None` after the last.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if !self.begun {
            self.begun = true;
            return Some(Bytes::from_static(RETRY.as_bytes()));
        }
        loop {
            if *self.stopping.borrow() {
                return self.end("stopping");
            }
            self.changes.mark_unchanged();
            match self.page().await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    self.since = events.last().map(|event| event.id.clone());
                    self.beat_at = Instant::now() + self.app.settings.streams.stream_heartbeat;
                    return Some(frames(events));
                }
                Err(problem) => return self.end(problem.code.as_str()),
            }
            let look_at = (Instant::now() + LOOK).min(self.beat_at);
            let goes_on = tokio::select! {
                changed = self.changes.changed() => changed.is_ok(),
                _ = self.stopping.wait_for(|stop| *stop) => false,
                () = tokio::time::sleep_until(look_at) => true,
            };
            if !goes_on {
                return self.end("stopping");
            }
            let now = Instant::now();
            if now >= self.beat_at {
                self.beat_at = now + self.app.settings.streams.stream_heartbeat;
                // Not a word to somebody whose token was revoked since.
                return match self.call.enter_again(&self.app).await {
                    Ok(_) => Some(Bytes::from_static(b": \n\n")),
                    Err(problem) => self.end(problem.code.as_str()),
                };
            }
        }
    }

    async fn page(&self) -> Result<Vec<Event>, Problem> {
        let caller = self.call.enter_again(&self.app).await?;
        for _ in 0..HIDDEN_PAGES_MAX {
            let (events, has_more) = self
                .app
                .vault
                .subscription_poll(&caller, &self.id, self.since.as_ref(), PAGE)
                .await?;
            // A whole page that the owner may not see any more was dropped; what follows is looked at.
            if !events.is_empty() || !has_more {
                return Ok(events);
            }
        }
        Ok(Vec::new())
    }

    /// The last part says why, so that a client knows whether to come again.
    fn end(&mut self, reason: &str) -> Option<Bytes> {
        self.ended = true;
        let text = format!(
            "event: stream.end\ndata: {}\n\n",
            json!({ "reason": reason })
        );
        Some(text.into())
    }
}

/// JSON has no line ends of its own, so that each event is one `data` line.
fn frames(events: Vec<Event>) -> Bytes {
    let mut text = String::new();
    for event in events {
        let (id, kind) = (event.id.clone(), event.event_type);
        let data = serde_json::to_string(&polled_view(event)).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "id: {id}\nevent: {}\ndata: {data}\n\n", kind.as_str());
    }
    text.into()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/subscriptions/{id}/stream",
            "streamSubscription",
            "Subscriptions",
            "Events as server-sent events, going on behind the header Last-Event-ID; owner only",
        )
        .query(
            "since_event_id",
            "string",
            "Only events after this one; the header wins",
        )
        .events(200)
        .fails(&["subscription_not_found", "validation_error"]),
    ]
}
