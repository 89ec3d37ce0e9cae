//! `/v1/subscriptions…`

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::ErrorCode;
use scaivault_api::receiver as wire;
use scaivault_core::event::Event;
use scaivault_core::ids::{EventId, SubscriptionId};
use scaivault_core::receiver::{
    BUFFER_DEFAULT, BUFFER_MAX, DeliveryMode, SUBSCRIPTION_TTL_MIN, Subscription,
};
use scaivault_core::time::{Span, Timestamp};
use scaivault_engine::{DeliveryDraft, SubscriptionChange, SubscriptionDraft};

use super::id_in_path;
use super::webhooks::filters_view;
use crate::app::{App, Shared};
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const POLL_DEFAULT_S: u64 = 30;
pub(crate) const POLL_MAX_S: u64 = 60;
const POLL_EVENTS_DEFAULT: u64 = 100;
pub(crate) const POLL_EVENTS_MAX: u64 = 1_000;
pub(crate) const ACK_MAX: usize = 1_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/subscriptions", get(list).post(create))
        .route(
            "/v1/subscriptions/{id}",
            get(show).patch(change).delete(remove),
        )
        .route("/v1/subscriptions/{id}/poll", get(poll))
        .route("/v1/subscriptions/{id}/ack", post(ack))
}

async fn list(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Subscription).await?;
    let rows = app.vault.subscription_list(&caller).await?;
    let subscriptions = rows.iter().map(|row| view(&app, row)).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::SubscriptionList { subscriptions },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Subscription).await?;
    let body: wire::SubscriptionBody = read(&app, body).await?;
    let draft = SubscriptionDraft {
        delivery: delivery_draft(body.delivery)?,
        name: fields::name(&body.name, "name")?,
        paths: fields::patterns(&body.paths, "paths")?,
        events: fields::events(&body.events)?,
        filters: fields::filters(body.filters)?,
        ttl: body.ttl.as_deref().map(ttl).transpose()?,
    };
    let subscription = app.vault.subscription_create(&caller, draft).await?;
    Ok(json_response(
        StatusCode::CREATED,
        &view(&app, &subscription),
    ))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Subscription).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    let (subscription, stats) = app.vault.subscription_details(&caller, &id).await?;
    let view = wire::Subscription {
        dropped_events: Some(stats.dropped),
        ..view(&app, &subscription)
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Subscription).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    let body: wire::SubscriptionPatch = read(&app, body).await?;
    let change = SubscriptionChange {
        delivery: body.delivery.map(delivery_draft).transpose()?,
        name: body
            .name
            .map(|name| fields::name(&name, "name"))
            .transpose()?,
        paths: body
            .paths
            .map(|words| fields::patterns(&words, "paths"))
            .transpose()?,
        events: body
            .events
            .map(|words| fields::events(&words))
            .transpose()?,
        filters: body
            .filters
            .map(|filters| fields::filters(Some(filters)))
            .transpose()?,
        ttl: body.ttl.as_deref().map(ttl).transpose()?,
    };
    let subscription = app.vault.subscription_change(&caller, &id, change).await?;
    Ok(json_response(StatusCode::OK, &view(&app, &subscription)))
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Subscription).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    app.vault.subscription_delete(&caller, &id).await?;
    Ok(no_content())
}

/// Long-poll: answers as soon as something waits, or with nothing after the time-out or when
/// the server stops. The
/// caller is looked up again each time, so a token revoked meanwhile gets nothing.
async fn poll(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let mut caller = call.enter(&app, Category::Poll).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    let query = Query::parse(uri.query())?;
    let timeout_s = query
        .number("timeout", 0..=POLL_MAX_S)?
        .unwrap_or(POLL_DEFAULT_S);
    let limit = query
        .number("max_events", 1..=POLL_EVENTS_MAX)?
        .unwrap_or(POLL_EVENTS_DEFAULT);
    let limit = usize::try_from(limit).unwrap_or(1_000);
    let since = query
        .text("since_event_id")
        .map(|text| {
            EventId::parse(text).map_err(|_| {
                Problem::new(
                    ErrorCode::InvalidRequest,
                    "query parameter 'since_event_id' is an id evt_…",
                )
            })
        })
        .transpose()?;
    let wait = Duration::from_secs(timeout_s).min(app.settings.poll_max);
    let deadline = tokio::time::Instant::now() + wait;
    let mut changes = app.vault.signals().deliveries();
    let mut stopping = app.stopping.subscribe();
    loop {
        changes.mark_unchanged();
        let (events, has_more) = app
            .vault
            .subscription_poll(&caller, &id, since.as_ref(), limit)
            .await?;
        let changed = tokio::select! {
            changed = tokio::time::timeout_at(deadline, changes.changed()), if events.is_empty() => {
                changed.is_ok()
            }
            _ = stopping.wait_for(|stop| *stop), if events.is_empty() => false,
            else => false,
        };
        if !changed {
            let events = events.into_iter().map(polled_view).collect();
            return Ok(json_response(
                StatusCode::OK,
                &wire::Poll { events, has_more },
            ));
        }
        caller = call.enter_again(&app).await?;
    }
}

async fn ack(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Poll).await?;
    let id = id_in_path!(SubscriptionId, id, SubscriptionNotFound)?;
    let body: wire::AckBody = read(&app, body).await?;
    if body.event_ids.len() > ACK_MAX {
        return Err(Problem::field(
            "event_ids",
            format!("has at most {ACK_MAX} ids"),
        ));
    }
    let events = body
        .event_ids
        .iter()
        .map(|text| EventId::parse(text).map_err(|_| Problem::field("event_ids", "has ids evt_…")))
        .collect::<Result<Vec<_>, _>>()?;
    let acknowledged = app.vault.subscription_ack(&caller, &id, &events).await?;
    let acknowledged = u64::try_from(acknowledged).unwrap_or(u64::MAX);
    Ok(json_response(StatusCode::OK, &wire::Acked { acknowledged }))
}

fn ttl(text: &str) -> Result<Span, Problem> {
    let span = fields::span(text, "ttl")?;
    match span.duration() >= SUBSCRIPTION_TTL_MIN {
        true => Ok(span),
        false => Err(Problem::field("ttl", "is at least 1h")),
    }
}

fn delivery_draft(body: wire::DeliveryBody) -> Result<DeliveryDraft, Problem> {
    match body.kind.as_str() {
        "webhook" => {
            if body.buffer_size.is_some() {
                return Err(Problem::field(
                    "delivery.buffer_size",
                    "goes with type polling",
                ));
            }
            Ok(DeliveryDraft::Webhook {
                url: body
                    .url
                    .ok_or_else(|| Problem::field("delivery.url", "is required"))?,
                secret: body
                    .secret
                    .map(|secret| fields::signing_secret(secret, "delivery.secret"))
                    .transpose()?,
            })
        }
        "polling" => {
            if body.url.is_some() || body.secret.is_some() {
                return Err(Problem::field(
                    "delivery",
                    "url and secret go with type webhook",
                ));
            }
            let buffer_size = body.buffer_size.unwrap_or(BUFFER_DEFAULT);
            if !(1..=BUFFER_MAX).contains(&buffer_size) {
                let why = format!("is 1 to {BUFFER_MAX}");
                return Err(Problem::field("delivery.buffer_size", why));
            }
            Ok(DeliveryDraft::Polling { buffer_size })
        }
        _ => Err(Problem::field("delivery.type", "is webhook or polling")),
    }
}

fn view(app: &App, subscription: &Subscription) -> wire::Subscription {
    let delivery = match &subscription.delivery {
        DeliveryMode::Webhook { url, .. } => wire::DeliveryView {
            kind: "webhook".to_owned(),
            url: Some(url.clone()),
            buffer_size: None,
        },
        DeliveryMode::Polling { buffer_size } => wire::DeliveryView {
            kind: "polling".to_owned(),
            url: None,
            buffer_size: Some(*buffer_size),
        },
    };
    wire::Subscription {
        id: subscription.id.as_str().to_owned(),
        name: subscription.name.clone(),
        status: "active".to_owned(),
        identity_id: subscription.identity.as_str().to_owned(),
        paths: subscription
            .paths
            .iter()
            .map(|p| p.as_str().to_owned())
            .collect(),
        events: subscription
            .events
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        filters: filters_view(&subscription.filters),
        delivery,
        ttl: subscription.ttl.as_ref().map(|ttl| ttl.as_str().to_owned()),
        last_read_at: subscription.last_read_at.map(Timestamp::to_rfc3339),
        ends_unread_at: app
            .vault
            .subscription_ends_unread_at(subscription, app.settings.streams.unread_ttl)
            .map(Timestamp::to_rfc3339),
        created_at: subscription.created_at.to_rfc3339(),
        dropped_events: None,
    }
}

pub(super) fn polled_view(event: Event) -> wire::PolledEvent {
    wire::PolledEvent {
        event_id: event.id.as_str().to_owned(),
        event_type: event.event_type.as_str().to_owned(),
        timestamp: event.at.to_rfc3339_micros(),
        path: event.path.map(|path| path.as_str().to_owned()),
        data: event.data,
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Subscriptions";
    let one = "/v1/subscriptions/{id}";
    vec![
        Operation::get(
            "/v1/subscriptions",
            "listSubscriptions",
            tag,
            "The caller's subscriptions",
        )
        .scope("subscriptions:read")
        .answers::<wire::SubscriptionList>(200),
        Operation::post(
            "/v1/subscriptions",
            "createSubscription",
            tag,
            "Create a subscription",
        )
        .scope("subscriptions:write")
        .takes::<wire::SubscriptionBody>()
        .answers::<wire::Subscription>(201)
        .fails(&[
            "validation_error",
            "invalid_glob",
            "invalid_path",
            "invalid_secret_type",
        ]),
        Operation::get(one, "readSubscription", tag, "One subscription")
            .scope("subscriptions:read")
            .answers::<wire::Subscription>(200)
            .fails(&["subscription_not_found"]),
        Operation::patch(one, "updateSubscription", tag, "Change only given fields")
            .scope("subscriptions:write")
            .takes::<wire::SubscriptionPatch>()
            .answers::<wire::Subscription>(200)
            .fails(&["subscription_not_found", "validation_error", "invalid_glob"]),
        Operation::delete(one, "deleteSubscription", tag, "Delete a subscription")
            .scope("subscriptions:write")
            .empty(204)
            .fails(&["subscription_not_found"]),
        Operation::get(
            "/v1/subscriptions/{id}/poll",
            "pollSubscription",
            tag,
            "Wait for events; owner only",
        )
        .query("timeout", "integer", "Seconds to wait, at most 60 (30)")
        .query("since_event_id", "string", "Only events after this one")
        .query("max_events", "integer", "At most so many (100)")
        .answers::<wire::Poll>(200)
        .fails(&["subscription_not_found", "validation_error"]),
        Operation::post(
            "/v1/subscriptions/{id}/ack",
            "ackSubscription",
            tag,
            "Acknowledge events; owner only",
        )
        .takes::<wire::AckBody>()
        .answers::<wire::Acked>(200)
        .fails(&["subscription_not_found", "validation_error"]),
    ]
}
