//! `/v1/webhooks…`

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::ErrorCode;
use scaivault_api::receiver as wire;
use scaivault_core::delivery::{AttemptError, Delivery};
use scaivault_core::ids::{DeliveryId, WebhookId};
use scaivault_core::ports::DeliveryStats;
use scaivault_core::receiver::{DeliveryOrder, Filters, Format, Webhook};
use scaivault_core::time::Timestamp;
use scaivault_engine::{WebhookChange, WebhookDraft};

use super::{id_in_path, webhook_replay};
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const DELIVERIES: &str = "deliveries";
const PREVIOUS_TTL_DEFAULT: &str = "24h";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/webhooks", get(list).post(create))
        .route("/v1/webhooks/{id}", get(show).patch(change).delete(remove))
        .route("/v1/webhooks/{id}/test", post(test))
        .route("/v1/webhooks/{id}/deliveries", get(deliveries))
        .route(
            "/v1/webhooks/{id}/deliveries/{delivery_id}/redeliver",
            post(redeliver),
        )
}

async fn list(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let rows = app.vault.webhook_list(&caller).await?;
    let webhooks = rows
        .iter()
        .map(|(webhook, last)| view(webhook, last.as_ref()))
        .collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::WebhookList { webhooks },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let body: wire::WebhookBody = read(&app, body).await?;
    let draft = WebhookDraft {
        secret: fields::signing_secret(body.secret, "secret")?,
        name: fields::name(&body.name, "name")?,
        url: body.url,
        events: fields::events(&body.events)?,
        filters: fields::filters(body.filters)?,
        format: body
            .format
            .as_deref()
            .map_or(Ok(Format::Scaivault), format)?,
        ordered: body
            .ordered
            .as_deref()
            .map_or(Ok(DeliveryOrder::None), order)?,
        enabled: body.enabled.unwrap_or(true),
    };
    let webhook = app.vault.webhook_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &view(&webhook, None)))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let (webhook, stats, last) = app.vault.webhook_details(&caller, &id).await?;
    let view = wire::Webhook {
        statistics: Some(statistics_view(stats)),
        last_delivery: last.as_ref().map(last_view),
        ..view(&webhook, last.as_ref())
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let body: wire::WebhookPatch = read(&app, body).await?;
    let ttl = body
        .previous_secret_ttl
        .as_deref()
        .unwrap_or(PREVIOUS_TTL_DEFAULT);
    let ttl = fields::span(ttl, "previous_secret_ttl")?;
    let secret = body
        .secret
        .map(|secret| fields::signing_secret(secret, "secret"))
        .transpose()?;
    let change = WebhookChange {
        name: body
            .name
            .map(|name| fields::name(&name, "name"))
            .transpose()?,
        url: body.url,
        secret: secret.map(|secret| (secret, ttl)),
        events: body
            .events
            .map(|words| fields::events(&words))
            .transpose()?,
        filters: body
            .filters
            .map(|filters| fields::filters(Some(filters)))
            .transpose()?,
        format: body.format.as_deref().map(format).transpose()?,
        ordered: body.ordered.as_deref().map(order).transpose()?,
        enabled: body.enabled,
    };
    let webhook = app.vault.webhook_change(&caller, &id, change).await?;
    Ok(json_response(StatusCode::OK, &view(&webhook, None)))
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    app.vault.webhook_delete(&caller, &id).await?;
    Ok(no_content())
}

async fn test(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let outcome = app.vault.webhook_test(&caller, &id).await?;
    let delivery = outcome.delivery;
    let view = wire::WebhookTest {
        delivery_id: delivery.id.as_str().to_owned(),
        status: delivery.state.as_str().to_owned(),
        response_code: delivery.response_code,
        duration_ms: delivery.duration_ms.unwrap_or(0),
        error: delivery.error.map(|error| error_word(error).to_owned()),
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn deliveries(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, DELIVERIES);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let state = query
        .text("status")
        .map(|text| {
            webhook_replay::state(text).ok_or_else(|| {
                Problem::new(
                    ErrorCode::InvalidRequest,
                    "query parameter 'status' is success, failed (or dead) or pending",
                )
            })
        })
        .transpose()?;
    let rows = app
        .vault
        .delivery_list(&caller, &id, state, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let deliveries = rows.iter().map(delivery_view).collect();
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::DeliveryList {
            deliveries,
            cursor,
            has_more,
        },
    ))
}

async fn redeliver(
    State(app): State<Shared>,
    Path((id, delivery_id)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Webhook).await?;
    let id = id_in_path!(WebhookId, id, WebhookNotFound)?;
    let delivery_id = id_in_path!(DeliveryId, delivery_id, DeliveryNotFound)?;
    let delivery = app
        .vault
        .delivery_redeliver(&caller, &id, &delivery_id)
        .await?;
    Ok(json_response(
        StatusCode::ACCEPTED,
        &delivery_view(&delivery),
    ))
}

pub(super) fn filters_view(filters: &Filters) -> wire::Filters {
    wire::Filters {
        path_prefix: filters.path_prefix.clone(),
        secret_type: filters.secret_type.clone(),
        tags: (!filters.tags.is_empty()).then(|| filters.tags.clone()),
    }
}

fn format(word: &str) -> Result<Format, Problem> {
    Format::parse(word).ok_or_else(|| Problem::field("format", "is scaivault or slack"))
}

fn order(word: &str) -> Result<DeliveryOrder, Problem> {
    DeliveryOrder::parse(word).ok_or_else(|| Problem::field("ordered", "is none, path or all"))
}

fn view(webhook: &Webhook, last: Option<&Delivery>) -> wire::Webhook {
    let failing = last.is_some_and(|delivery| delivery.error.is_some());
    wire::Webhook {
        id: webhook.id.as_str().to_owned(),
        name: webhook.name.clone(),
        url: webhook.url.clone(),
        events: webhook
            .events
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        filters: filters_view(&webhook.filters),
        format: webhook.format.as_str().to_owned(),
        ordered: webhook.ordered.as_str().to_owned(),
        enabled: webhook.enabled,
        status: match (webhook.enabled, failing) {
            (false, _) => "disabled",
            (true, true) => "failing",
            (true, false) => "healthy",
        }
        .to_owned(),
        created_at: webhook.created_at.to_rfc3339(),
        previous_secret_until: webhook
            .previous_secret
            .as_ref()
            .map(|(_, until)| until.to_rfc3339()),
        statistics: None,
        last_delivery: None,
    }
}

fn statistics_view(stats: DeliveryStats) -> wire::WebhookStatistics {
    let rate = if stats.total == 0 {
        1.0
    } else {
        ratio(stats.succeeded, stats.total)
    };
    wire::WebhookStatistics {
        deliveries_24h: stats.total,
        success_rate_24h: rate,
        avg_latency_ms: stats.latency_ms,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people; counts are far below 2^52"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn last_view(delivery: &Delivery) -> wire::LastDelivery {
    wire::LastDelivery {
        id: delivery.id.as_str().to_owned(),
        timestamp: delivery
            .last_attempt_at
            .unwrap_or(delivery.created_at)
            .to_rfc3339(),
        status: delivery.state.as_str().to_owned(),
        response_code: delivery.response_code,
    }
}

fn delivery_view(delivery: &Delivery) -> wire::Delivery {
    wire::Delivery {
        id: delivery.id.as_str().to_owned(),
        event_id: delivery.event_id.as_str().to_owned(),
        event_type: delivery.event_type.as_str().to_owned(),
        timestamp: delivery.created_at.to_rfc3339(),
        status: delivery.state.as_str().to_owned(),
        attempts: delivery.attempts,
        response_code: delivery.response_code,
        duration_ms: delivery.duration_ms,
        error: delivery.error.map(|error| error_word(error).to_owned()),
        last_attempt_at: delivery.last_attempt_at.map(Timestamp::to_rfc3339),
        next_attempt_at: delivery.next_attempt_at.map(Timestamp::to_rfc3339),
        held: delivery.held,
    }
}

fn error_word(error: AttemptError) -> &'static str {
    match error {
        AttemptError::Status => "the receiver answered with another status than 2xx",
        AttemptError::Timeout => "the receiver did not answer in time",
        AttemptError::Connect => "the receiver could not be connected to",
        AttemptError::Resolve => "the receiver's name does not resolve",
        AttemptError::AddressForbidden => {
            "the receiver's address is private, local or otherwise not allowed"
        }
        AttemptError::Receiver => "the receiver was removed or disabled",
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Webhooks";
    let one = "/v1/webhooks/{id}";
    vec![
        Operation::get("/v1/webhooks", "listWebhooks", tag, "Webhooks")
            .scope("admin")
            .answers::<wire::WebhookList>(200),
        Operation::post("/v1/webhooks", "createWebhook", tag, "Create a webhook")
            .scope("admin")
            .takes::<wire::WebhookBody>()
            .answers::<wire::Webhook>(201)
            .fails(&["validation_error", "invalid_path", "invalid_secret_type"]),
        Operation::get(one, "readWebhook", tag, "One webhook with its figures")
            .scope("admin")
            .answers::<wire::Webhook>(200)
            .fails(&["webhook_not_found"]),
        Operation::patch(
            one,
            "updateWebhook",
            tag,
            "Change only given fields; a new secret signs at once",
        )
        .scope("admin")
        .takes::<wire::WebhookPatch>()
        .answers::<wire::Webhook>(200)
        .fails(&["webhook_not_found", "validation_error", "invalid_duration"]),
        Operation::delete(one, "deleteWebhook", tag, "Delete a webhook")
            .scope("admin")
            .empty(204)
            .fails(&["webhook_not_found"]),
        Operation::post(
            "/v1/webhooks/{id}/test",
            "testWebhook",
            tag,
            "Send a test event and wait for the answer",
        )
        .scope("admin")
        .answers::<wire::WebhookTest>(200)
        .fails(&["webhook_not_found"]),
        Operation::get(
            "/v1/webhooks/{id}/deliveries",
            "listDeliveries",
            tag,
            "Deliveries, newest first",
        )
        .scope("admin")
        .query("status", "string", "success, failed (or dead) or pending")
        .paged()
        .answers::<wire::DeliveryList>(200)
        .fails(&["webhook_not_found", "invalid_cursor"]),
        Operation::post(
            "/v1/webhooks/{id}/deliveries/{delivery_id}/redeliver",
            "redeliver",
            tag,
            "Send again, with all attempts",
        )
        .scope("admin")
        .answers::<wire::Delivery>(202)
        .fails(&["webhook_not_found", "delivery_not_found"]),
    ]
}
