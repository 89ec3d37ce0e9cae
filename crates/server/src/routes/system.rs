//! Health, version, metrics, the OpenAPI document.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use scaivault_api::ErrorCode;
use scaivault_api::system as wire;
use scaivault_core::identity::Scope;

use crate::app::Shared;
use crate::body::json_response;
use crate::call::Call;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/health/ready", get(ready))
        .route("/v1/version", get(version))
        .route("/v1/metrics", get(metrics))
        .route("/v1/openapi.json", get(document))
}

async fn health(State(app): State<Shared>) -> Response {
    let timestamp = app.vault.now().to_rfc3339();
    json_response(
        StatusCode::OK,
        &wire::Health {
            status: "healthy".to_owned(),
            timestamp,
        },
    )
}

/// Ready means: values can be written and read with their audit rows. A real durable write, at
/// most a second ago, says so.
async fn ready(State(app): State<Shared>) -> Response {
    let trouble = app.store_trouble().await;
    let mut checks = BTreeMap::new();
    let mut errors = BTreeMap::new();
    checks.insert("encryption".to_owned(), "ok".to_owned());
    match trouble {
        None => {
            checks.insert("database".to_owned(), "ok".to_owned());
        }
        Some(trouble) => {
            checks.insert("database".to_owned(), "error".to_owned());
            // Anybody may ask, and a database's words name users, addresses and more.
            let told = match app.storage.words_are_ours() {
                true => trouble,
                false => "it does not serve now; the server's log says why".to_owned(),
            };
            errors.insert("database".to_owned(), told);
        }
    }
    // Values are served all the same.
    if app.vault.was_reconcile_only() {
        checks.insert("rotation".to_owned(), "reconcile_only".to_owned());
    }
    if app.metrics.forwards.is_lagging() {
        checks.insert("audit_forward".to_owned(), "lagging".to_owned());
    }
    let (status, word) = if errors.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    json_response(
        status,
        &wire::Ready {
            status: word.to_owned(),
            checks,
            errors,
        },
    )
}

async fn version() -> Response {
    let view = wire::Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: "v1".to_owned(),
    };
    json_response(StatusCode::OK, &view)
}

async fn metrics(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    if !app.settings.metrics_enabled {
        return Err(super::no_such_route().await);
    }
    if app.settings.metrics_need_token {
        let caller = call.enter(&app, Category::Auth).await?;
        if !caller.principal.scopes.contains(Scope::Admin) {
            return Err(Problem::new(
                ErrorCode::InsufficientScope,
                "metrics need the scope admin here",
            ));
        }
        if !app.vault.is_operator(&caller) {
            return Err(Problem::new(
                ErrorCode::Forbidden,
                "metrics tell of all tenants: use a token of the default tenant, or one with the \
                 role super_admin",
            ));
        }
    }
    app.refresh_gauges().await;
    let text = app.metrics.render();
    let kind = HeaderValue::from_static(crate::metrics::CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn document(State(app): State<Shared>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], app.document.clone()).into_response()
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "System";
    vec![
        Operation::get(
            "/v1/health",
            "health",
            tag,
            "The process answers; nothing else is looked at",
        )
        .open()
        .answers::<wire::Health>(200),
        Operation::get(
            "/v1/health/ready",
            "ready",
            tag,
            "Values can be served: 503 says what is wrong",
        )
        .open()
        .answers::<wire::Ready>(200)
        .answers::<wire::Ready>(503),
        Operation::get("/v1/version", "version", tag, "Version of server and API")
            .open()
            .answers::<wire::Version>(200),
        Operation::get("/v1/metrics", "metrics", tag, "Prometheus text")
            .open()
            .text(200, "application/openmetrics-text"),
        Operation::get("/v1/openapi.json", "openapi", tag, "This document")
            .open()
            .answers::<serde_json::Value>(200),
    ]
}
