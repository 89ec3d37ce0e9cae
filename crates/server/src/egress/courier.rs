//! One delivery attempt. What came of it is told in core's words; the receiver's are dropped.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::Response;
use scaivault_core::delivery::{AttemptError, Attempted};
use scaivault_core::ports::{Courier, Parcel};

use super::clients::{Clients, EgressError};
use super::policy::EgressPolicy;
use super::resolve::{Lookup, SystemLookup, Unresolved};

/// What receivers see us as.
const USER_AGENT: &str = "ScaiVault-Webhook/1.0";

/// How long a body is read after the status is known. Reading it lets the receiver finish in
/// peace; its content has no meaning, so the attempt's whole timeout is not spent on it.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Core's [`Courier`] over HTTP, behind the policy. Cheap to share; holds no connection.
pub(crate) struct GuardedCourier {
    policy: Arc<EgressPolicy>,
    clients: Clients,
}

impl std::fmt::Debug for GuardedCourier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedCourier")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl GuardedCourier {
    /// With the operating system's resolver.
    ///
    /// # Errors
    /// [`EgressError`] when the host has no usable set of trusted certificates.
    pub(crate) fn new(policy: EgressPolicy) -> Result<Self, EgressError> {
        Self::with_lookup(policy, Arc::new(SystemLookup::default()))
    }

    /// With another resolver, whose answers are judged just the same.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn with_lookup(
        policy: EgressPolicy,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let clients = Clients::with_lookup(&policy, USER_AGENT, None, &lookup)?;
        Ok(Self { policy, clients })
    }

    async fn attempt(&self, parcel: &Parcel) -> Result<Response, AttemptError> {
        let (url, scheme) = self
            .policy
            .check_url(&parcel.url)
            .map_err(|_| AttemptError::AddressForbidden)?;
        let headers = headers(parcel).ok_or(AttemptError::Receiver)?;
        let sent = self
            .clients
            .of(scheme)
            .post(url)
            .headers(headers)
            .body(parcel.body.clone())
            .send()
            .await;
        sent.map_err(|error| why(&error))
    }

    async fn drain(&self, mut response: Response) {
        let mut left = self.policy.answer_bytes_max;
        while let Ok(Some(chunk)) = response.chunk().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    }
}

#[async_trait]
impl Courier for GuardedCourier {
    fn check_url(&self, url: &str) -> Result<(), &'static str> {
        self.policy.check_url(url).map(|_| ())
    }

    async fn deliver(&self, parcel: &Parcel) -> Attempted {
        let start = Instant::now();
        let answer = tokio::time::timeout(self.policy.timeout, self.attempt(parcel)).await;
        let duration = start.elapsed();
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(error, duration),
            Err(_) => return failed(AttemptError::Timeout, duration),
        };
        let status = response.status();
        let rest = self.policy.timeout.saturating_sub(duration).min(DRAIN_MAX);
        // Whether it could be read to its end does not matter: the status line is the answer.
        let _ = tokio::time::timeout(rest, self.drain(response)).await;
        Attempted {
            response_code: Some(status.as_u16()),
            error: (!status.is_success()).then_some(AttemptError::Status),
            duration,
        }
    }
}

fn failed(error: AttemptError, duration: Duration) -> Attempted {
    Attempted {
        response_code: None,
        error: Some(error),
        duration,
    }
}

/// `None` when a header is not one: only possible with a damaged receiver.
fn headers(parcel: &Parcel) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(parcel.headers.len() + 1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &parcel.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.insert(name, HeaderValue::from_str(value).ok()?);
    }
    Some(headers)
}

pub(super) fn why(error: &reqwest::Error) -> AttemptError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<Unresolved>() {
            Some(Unresolved::Unknown) => return AttemptError::Resolve,
            Some(Unresolved::Forbidden) => return AttemptError::AddressForbidden,
            None => cause = inner.source(),
        }
    }
    if error.is_timeout() {
        AttemptError::Timeout
    } else {
        AttemptError::Connect
    }
}
