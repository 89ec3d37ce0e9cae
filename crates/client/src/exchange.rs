//! Sending: one request, the attempts it takes, and what comes back.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use scaivault_api::ErrorBody;

use crate::client::Inner;
use crate::error::{ApiError, ClientError, DecodeProblem};
use crate::retry::{Failure, Repeat};
use crate::route::Route;

/// More than any answer of the API: bodies are bounded on the server far below this.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
const PARTNER_ID: HeaderName = HeaderName::from_static("x-partner-id");

/// A request that can be sent more than once. Its body may hold values: no `Debug`.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) route: Route,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) repeat: Repeat,
    /// A status that is an answer, not an error, although it is not 2xx.
    pub(crate) answer_status: Option<u16>,
    /// In place of the client's.
    pub(crate) timeout: Option<Duration>,
}

/// A successful answer. Its body may hold values: no `Debug`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// One attempt, for a log. Holds neither headers nor bodies.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// From 1.
    pub attempt: u32,
    /// `None` when no answer came.
    pub status: Option<u16>,
    /// The server's name for the request.
    pub request_id: Option<&'a str>,
    /// From sending to the whole answer.
    pub elapsed: Duration,
}

pub(crate) type Observer = dyn Fn(&Exchange<'_>) + Send + Sync;

impl Inner {
    /// Sends `request`, again where the policy says so.
    pub(crate) async fn exchange(&self, request: &Request) -> Result<Answer, ClientError> {
        let random = RandomState::new();
        let mut attempt = 1;
        loop {
            let error = match self.attempt(request, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failure = Failure::of(&error);
            let pause =
                self.retry
                    .pause(failure, request.repeat, attempt, random.hash_one(attempt));
            let Some(pause) = pause else {
                return Err(error);
            };
            self.sleeper.sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request, attempt: u32) -> Result<Answer, ClientError> {
        let url = self.url(request);
        let started = Instant::now();
        let result = self.send(request, url.clone()).await;
        if let Some(observer) = &self.observer {
            let (status, request_id) = match &result {
                Ok(answer) => (Some(answer.status), answer.request_id.as_deref()),
                Err(error) => (error.status(), error.request_id()),
            };
            observer(&Exchange {
                method: request.method.as_str(),
                url: url.as_str(),
                attempt,
                status,
                request_id,
                elapsed: started.elapsed(),
            });
        }
        result
    }

    async fn send(&self, request: &Request, url: reqwest::Url) -> Result<Answer, ClientError> {
        let mut http = self.http.request(request.method.clone(), url);
        if let Some(value) = &self.authorization {
            http = http.header(AUTHORIZATION, value);
        }
        if let Some(value) = &self.tenant {
            http = http.header(TENANT_ID, value);
        }
        if let Some(value) = &self.partner {
            http = http.header(PARTNER_ID, value);
        }
        if let Some(timeout) = request.timeout {
            http = http.timeout(timeout);
        }
        if let Some(body) = &request.body {
            http = http
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = http.send().await.map_err(ClientError::transport)?;
        let status = response.status();
        let request_id = text(response.headers(), &REQUEST_ID);
        let retry_after = retry_after(response.headers());
        let body = read(response, status.as_u16(), request_id.as_deref()).await?;
        let status = status.as_u16();
        if (200..300).contains(&status) || request.answer_status == Some(status) {
            return Ok(Answer {
                status,
                request_id,
                body,
            });
        }
        Err(refusal(status, request_id, retry_after, &body))
    }

    fn url(&self, request: &Request) -> reqwest::Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/v1{}", request.route.as_str()));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        url
    }
}

async fn read(
    mut response: reqwest::Response,
    status: u16,
    request_id: Option<&str>,
) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::transport)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            let problem = DecodeProblem::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            };
            return Err(ClientError::decode(
                status,
                request_id.map(str::to_owned),
                problem,
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refusal(
    status: u16,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ClientError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error }) => ClientError::Api(Box::new(ApiError {
            status,
            code: error.code,
            message: error.message,
            details: error.details,
            request_id: error.request_id,
            retry_after,
        })),
        Err(_) => ClientError::decode(status, request_id, DecodeProblem::NotAnApiError),
    }
}

/// Whole seconds. The date form is left to the backoff: reading it would need a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, &RETRY_AFTER)?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
