//! Answers as this API writes them: one envelope, errors as a list of texts, its own statuses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use scaivault_api::ErrorCode;
use scaivault_core::dynamic::Lease;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::time::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::request::Asked;
use crate::app::App;
use crate::body::json_bytes;
use crate::call::Passage;
use crate::problem::Problem;
use crate::rate_limit::Category;
use crate::routes;

/// What is told of every refusal of rights, whatever its reason: nobody learns what is there.
const DENIED: &str = "permission denied";

/// An answer before its envelope.
pub(super) struct Reply {
    status: StatusCode,
    data: Option<Box<RawValue>>,
    auth: Option<Box<RawValue>>,
    wrap_info: Option<Box<RawValue>>,
    lease_s: u64,
    lease_id: String,
    is_renewable: bool,
    warnings: Vec<String>,
    /// The whole body, where it has no envelope.
    bare: Option<Value>,
    /// The whole body as it is sent, and its type.
    whole: Option<(&'static str, Plaintext)>,
    /// `data` stands at the top as well, field by field.
    is_doubled: bool,
}

#[derive(Serialize)]
struct Envelope<'a> {
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: u64,
    data: Option<&'a RawValue>,
    wrap_info: Option<&'a RawValue>,
    warnings: Option<&'a [String]>,
    auth: Option<&'a RawValue>,
}

impl Reply {
    fn of(status: StatusCode) -> Self {
        Self {
            status,
            data: None,
            auth: None,
            wrap_info: None,
            lease_s: 0,
            lease_id: String::new(),
            is_renewable: false,
            warnings: Vec::new(),
            bare: None,
            whole: None,
            is_doubled: false,
        }
    }

    /// 204.
    pub(super) fn empty() -> Self {
        Self::of(StatusCode::NO_CONTENT)
    }

    /// 200 with `data`.
    pub(super) fn data(data: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self {
            data: Some(written(data)?),
            ..Self::of(StatusCode::OK)
        })
    }

    /// 200 with `auth`.
    pub(super) fn auth(auth: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self {
            auth: Some(written(auth)?),
            ..Self::of(StatusCode::OK)
        })
    }

    /// A body without the envelope.
    pub(super) fn bare(status: u16, body: Value) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        Self {
            bare: Some(body),
            ..Self::of(status)
        }
    }

    /// An answer that waited, as it was.
    pub(super) fn whole(body: Plaintext) -> Self {
        Self {
            whole: Some(("application/json", body)),
            ..Self::of(StatusCode::OK)
        }
    }

    /// A text of another type.
    pub(super) fn text(kind: &'static str, text: String) -> Self {
        Self {
            whole: Some((kind, Plaintext::new(text.into_bytes()))),
            ..Self::of(StatusCode::OK)
        }
    }

    /// In place of an answer that waits.
    pub(super) fn wrapped(info: Value) -> Self {
        Self {
            wrap_info: to_raw_value(&info).ok(),
            ..Self::of(StatusCode::OK)
        }
    }

    /// Whether it is one that can wait: it says something, and is none that waited or waits.
    pub(super) fn may_wait(&self) -> bool {
        let says = self.data.is_some() || self.auth.is_some();
        says && self.status == StatusCode::OK && self.wrap_info.is_none()
    }

    /// The accessor of the token it gives, if it gives one.
    pub(super) fn accessor(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Given {
            accessor: Option<String>,
        }
        let given: Given = serde_json::from_str(self.auth.as_deref()?.get()).ok()?;
        given.accessor.filter(|accessor| !accessor.is_empty())
    }

    /// With another status.
    pub(super) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// With what a client should know besides.
    pub(super) fn warn(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Told to keep it no longer.
    pub(super) fn lease(self, lease_s: u64) -> Self {
        Self { lease_s, ..self }
    }

    /// With a lease, by the name it has there.
    pub(super) fn leased(self, lease_id: String, lease: &Lease, now: Timestamp) -> Self {
        Self {
            lease_id,
            lease_s: seconds_left(lease, now),
            is_renewable: lease.expires_at < lease.expires_at_latest,
            ..self
        }
    }

    /// For clients of before there was an envelope: the fields of `data` also at the top.
    pub(super) fn doubled(self) -> Self {
        Self {
            is_doubled: true,
            ..self
        }
    }

    /// The body's bytes.
    pub(super) fn body(&self, passage: &Passage) -> Vec<u8> {
        if let Some(bare) = &self.bare {
            return serde_json::to_vec(bare).unwrap_or_default();
        }
        let envelope = Envelope {
            request_id: passage.request_id.as_str(),
            lease_id: &self.lease_id,
            renewable: self.is_renewable,
            lease_duration: self.lease_s,
            data: self.data.as_deref(),
            wrap_info: self.wrap_info.as_deref(),
            warnings: Some(self.warnings.as_slice()).filter(|list| !list.is_empty()),
            auth: self.auth.as_deref(),
        };
        let bytes = serde_json::to_vec(&envelope).unwrap_or_default();
        match self.is_doubled {
            true => doubled(&bytes).unwrap_or(bytes),
            false => bytes,
        }
    }

    /// The finished answer.
    pub(super) fn render(self, passage: &Passage) -> Response {
        if self.status == StatusCode::NO_CONTENT && self.warnings.is_empty() {
            return no_store(self.status.into_response());
        }
        let status = match self.status {
            // There is something to say.
            StatusCode::NO_CONTENT => StatusCode::OK,
            status => status,
        };
        if let Some((kind, body)) = &self.whole {
            let mut response = json_bytes(status, body.expose().to_vec());
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            return response;
        }
        json_bytes(status, self.body(passage))
    }
}

/// What is left of a lease, to the nearest second: one that was made just now lasts what it is made for.
pub(super) fn seconds_left(lease: &Lease, now: Timestamp) -> u64 {
    let left = lease.expires_at.since(now);
    (left + std::time::Duration::from_millis(500)).as_secs()
}

/// The members of `data` beside those of the envelope, which win.
fn doubled(bytes: &[u8]) -> Option<Vec<u8>> {
    let envelope: serde_json::Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let mut all = envelope.get("data")?.as_object()?.clone();
    all.extend(envelope);
    serde_json::to_vec(&all).ok()
}

fn no_store(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

fn written(value: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    to_raw_value(value)
        .map_err(|_| Problem::new(ErrorCode::InternalError, "the answer cannot be written"))
}

/// A failed request, as this API tells it.
pub(crate) fn refusal(problem: &Problem, passage: &Passage) -> Response {
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id = %passage.request_id, error = %cause, "internal error");
    }
    let status = status(problem.code);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "errors": texts(problem) });
    let mut response = json_bytes(status, serde_json::to_vec(&body).unwrap_or_default());
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The status this API has for it.
fn status(code: ErrorCode) -> u16 {
    match code.status() {
        401 | 403 => 403,
        // Which tenants there are is not told.
        404 if code == ErrorCode::TenantNotFound => 403,
        409 | 410 | 422 => 400,
        other => other,
    }
}

fn texts(problem: &Problem) -> Vec<String> {
    let status = status(problem.code);
    match (problem.code, status) {
        // What a token lacks is told to whoever has it; what is there is not.
        (ErrorCode::InsufficientScope | ErrorCode::Forbidden | ErrorCode::TenantSuspended, _)
        | (ErrorCode::IpNotAllowed | ErrorCode::MfaRequired, _)
        | (ErrorCode::TimeWindowViolation, _) => {
            vec![DENIED.to_owned(), problem.message.clone()]
        }
        (_, 403) => vec![DENIED.to_owned()],
        (_, 404) => Vec::new(),
        (ErrorCode::ValidationError, _) => {
            let fields = problem
                .details
                .as_ref()
                .and_then(|all| all["fields"].as_object());
            let told = fields
                .into_iter()
                .flatten()
                .map(|(field, why)| format!("{field}: {}", why.as_str().unwrap_or("is not valid")));
            let told: Vec<String> = told.collect();
            match told.is_empty() {
                true => vec![problem.message.clone()],
                false => told,
            }
        }
        (ErrorCode::VersionConflict, _) => vec![format!(
            "check-and-set parameter did not match the current version: {}",
            problem.message
        )],
        _ => vec![problem.message.clone()],
    }
}

/// 404, as for what is not there.
pub(super) fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "")
}

/// No path of this API: who speaks it is told so in its words, who does not in ours.
pub(super) async fn nothing_there(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    asked.enter(app, Category::Read).await?;
    if asked.is_marked {
        return Ok(Reply::bare(
            404,
            json!({ "errors": ["no handler for this path: see docs/vault-api.md"] }),
        ));
    }
    let problem = routes::no_such_route().await;
    let bare = json!({ "error": {
        "code": problem.code.as_str(),
        "message": problem.message,
        "details": null,
        "request_id": asked.call.passage.request_id.as_str(),
    } });
    Ok(Reply::bare(404, bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: ErrorCode) -> (u16, Vec<String>) {
        let problem = Problem::new(code, "the reason");
        (status(code), texts(&problem))
    }

    #[test]
    fn statuses_and_texts_are_theirs() {
        let check = |code, expect: u16, words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(told(code), (expect, words), "{code:?}");
        };
        for code in [
            ErrorCode::AuthenticationRequired,
            ErrorCode::TokenInvalid,
            ErrorCode::TokenExpired,
            ErrorCode::TokenRevoked,
            ErrorCode::AccessDenied,
            ErrorCode::TenantAccessDenied,
            ErrorCode::TenantNotFound,
        ] {
            check(code, 403, &[DENIED]);
        }
        check(ErrorCode::InsufficientScope, 403, &[DENIED, "the reason"]);
        check(ErrorCode::SecretNotFound, 404, &[]);
        check(ErrorCode::InvalidPath, 400, &["the reason"]);
        check(ErrorCode::SecretExists, 400, &["the reason"]);
        check(ErrorCode::PayloadTooLarge, 413, &["the reason"]);
        check(ErrorCode::RateLimited, 429, &["the reason"]);
        check(ErrorCode::ServiceUnavailable, 503, &["the reason"]);
        check(ErrorCode::MethodNotAllowed, 405, &["the reason"]);
        assert!(told(ErrorCode::VersionConflict).1[0].starts_with("check-and-set parameter"));
        let fields = Problem::field("ttl", "is too long");
        assert_eq!(texts(&fields), ["ttl: is too long"]);
    }
}
