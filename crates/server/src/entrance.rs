//! What every request passes on its way in and its answer on the way out: request id, time limit,
//! error envelope, figures, log line. Between the two it goes to the route that answers it.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use scaivault_api::ErrorCode;
use tower::Service as _;

use crate::app::Shared;
use crate::call::{Call, Passage};
use crate::listener::{Front, PeerAddr};
use crate::metrics::{MethodLabel, PathCategory};
use crate::prefix::Prefix;
use crate::problem::Problem;
use crate::rate_limit::Verdict;
use crate::routes;
use crate::vault_api;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// The server's front.
#[derive(Clone)]
pub(crate) struct Entrance(Arc<Inner>);

struct Inner {
    app: Shared,
    router: Router,
}

impl Front for Entrance {
    async fn answer(self, request: Request<Incoming>, peer: PeerAddr) -> Response {
        self.0.pass(request, peer).await
    }
}

impl Entrance {
    /// To everything `app` serves.
    pub(crate) fn new(app: Shared) -> Self {
        let router = routes::router().with_state(app.clone());
        Self(Arc::new(Inner { app, router }))
    }
}

impl Inner {
    async fn pass(&self, request: Request<Incoming>, peer: PeerAddr) -> Response {
        let app = &self.app;
        let method = request.method().clone();
        let mut category = PathCategory::of_path(request.uri().path());
        let may_be_theirs = matches!(category, PathCategory::Other | PathCategory::Auth);
        let is_theirs =
            may_be_theirs && vault_api::is_asked(request.uri().path(), request.headers());
        if is_theirs {
            category = PathCategory::VaultApi;
        }
        let passage = Arc::new(Passage {
            request_id: app.vault.mint_request_id(),
            started_at: app.vault.now(),
            peer: Some(peer.0),
            verdict: OnceLock::new(),
            prefix: OnceLock::new(),
        });
        let active = app.metrics.request(MethodLabel::of(&method), category);
        let mut response = if category == PathCategory::SubscriptionsPoll {
            self.route(request, &passage).await
        } else {
            let limit = app.settings.request_timeout;
            match tokio::time::timeout(limit, self.route(request, &passage)).await {
                Ok(response) => response,
                Err(_) if is_theirs => vault_api::refusal(&too_long(), &passage),
                Err(_) => self.refuse(too_long(), &passage),
            }
        };
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

    /// Secrets are asked for far more often than everything else together, and have one URL space
    /// whose last segment decides: they are not looked up in the table of routes.
    async fn route(&self, request: Request<Incoming>, passage: &Arc<Passage>) -> Response {
        let (mut parts, body) = request.into_parts();
        if Prefix::may_be_in(parts.uri.path()) {
            let Some((prefix, uri)) = Prefix::split(&parts.uri) else {
                return self.refuse(routes::no_such_route().await, passage);
            };
            parts.uri = uri;
            let _ = passage.prefix.set(prefix);
        }
        if !routes::secrets::is_asked(parts.uri.path()) {
            if vault_api::is_asked(parts.uri.path(), &parts.headers) {
                let answer = vault_api::answer(&self.app, parts, Body::new(body), passage);
                return Box::pin(answer).await;
            }
            return Box::pin(self.table(parts, body, passage)).await;
        }
        let call = Call {
            passage: Arc::clone(passage),
            headers: parts.headers,
        };
        let answer = routes::secrets::answer(&self.app, parts.method, parts.uri, call, body);
        match answer.await {
            Ok(response) => response,
            Err(problem) => self.refuse(problem, passage),
        }
    }

    async fn table(&self, mut parts: Parts, body: Incoming, passage: &Arc<Passage>) -> Response {
        parts.extensions.insert(Arc::clone(passage));
        let request = Request::from_parts(parts, Body::new(body));
        let mut response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let Some(problem) = response.extensions_mut().remove::<Problem>() else {
            return response;
        };
        let allow = response.headers_mut().remove(header::ALLOW);
        let mut refusal = self.refuse(problem, passage);
        if let Some(allow) = allow {
            refusal.headers_mut().insert(header::ALLOW, allow);
        }
        refusal
    }

    fn refuse(&self, problem: Problem, passage: &Passage) -> Response {
        if let Some(cause) = &problem.cause {
            tracing::error!(request_id = %passage.request_id, error = %cause, "internal error");
        }
        problem.render(&passage.request_id)
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
