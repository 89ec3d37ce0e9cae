//! The outermost layer: request id, time limit, error envelope, figures, log line.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use scaivault_api::ErrorCode;

use crate::app::{App, Shared};
use crate::call::Passage;
use crate::listener::PeerAddr;
use crate::metrics::{MethodLabel, PathCategory};
use crate::problem::Problem;
use crate::rate_limit::Verdict;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

pub(crate) async fn outermost(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let category = PathCategory::of_path(request.uri().path());
    let waits = category == PathCategory::SubscriptionsPoll;
    let passage = Arc::new(Passage {
        request_id: app.vault.mint_request_id(),
        started_at: app.vault.now(),
        peer: request.extensions().get::<PeerAddr>().map(|peer| peer.0),
        verdict: OnceLock::new(),
    });
    request.extensions_mut().insert(passage.clone());
    let active = app.metrics.request(MethodLabel::of(&method), category);
    let mut response = if waits {
        next.run(request).await
    } else {
        in_time(&app, request, next).await
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if let Some(cause) = &problem.cause {
            tracing::error!(request_id = %passage.request_id, error = %cause, "internal error");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(&passage.request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    dress(response.headers_mut(), &passage);
    let status = response.status().as_u16();
    active.answered(status);
    if status >= 500 {
        tracing::warn!(
            request_id = %passage.request_id,
            method = %method,
            category = category.as_str(),
            status,
            "request failed"
        );
    } else {
        tracing::debug!(
            request_id = %passage.request_id,
            method = %method,
            category = category.as_str(),
            status,
            "request"
        );
    }
    response
}

async fn in_time(app: &App, request: Request, next: Next) -> Response {
    match tokio::time::timeout(app.settings.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => too_long().into_response(),
    }
}

/// Not 408, which clients and proxies repeat blindly; and no `Retry-After`, which asks for it.
fn too_long() -> Problem {
    Problem {
        retry_after_s: None,
        ..Problem::new(
            ErrorCode::ServiceUnavailable,
            "the request took too long; whether it took effect is not known: read before trying \
             again",
        )
    }
}

fn dress(headers: &mut HeaderMap, passage: &Passage) {
    if let Ok(id) = HeaderValue::from_str(passage.request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    if let Some(verdict) = passage.verdict.get().filter(|verdict| verdict.limit > 0) {
        rate_headers(headers, verdict);
    }
}

fn rate_headers(headers: &mut HeaderMap, verdict: &Verdict) {
    headers.insert(RATE_LIMIT, HeaderValue::from(verdict.limit));
    headers.insert(RATE_REMAINING, HeaderValue::from(verdict.remaining));
    headers.insert(RATE_RESET, HeaderValue::from(verdict.reset_at_unix_s));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cut_short_does_not_ask_to_be_repeated() {
        let problem = too_long();
        assert_eq!(problem.code.status(), 503);
        assert!(problem.message.contains("not known"));
        assert_eq!(problem.retry_after_s, None);
    }
}
