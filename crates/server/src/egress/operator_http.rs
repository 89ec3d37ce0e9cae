//! Requests to addresses that the operator wrote into the configuration: where exports of the trail
//! go, and collectors of logs. Behind the same policy as everything that goes out.

use std::sync::Arc;

use http::{HeaderMap, Method};
use scaivault_core::delivery::AttemptError;

use super::clients::{Clients, EgressError, Unread, body_of};
use super::courier::why;
use super::policy::EgressPolicy;

/// What the other side sees us as.
const USER_AGENT: &str = "ScaiVault-Audit/1.0";

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer. Names no address: one may hold a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpTrouble {
    /// By its text.
    #[error("the address cannot be used: {0}")]
    Address(&'static str),
    /// By what the name resolves to.
    #[error(
        "the address is not public: allow its network with audit.allow_private_networks, if it is \
         meant"
    )]
    Forbidden,
    /// No such name.
    #[error("the name does not resolve")]
    Unresolved,
    /// No connection, no TLS, or one that broke.
    #[error("no connection, or one that broke (also: a certificate that is not trusted)")]
    Connection,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// More than was asked for.
    #[error("the answer is too large")]
    TooLarge,
}

/// The way out for one destination.
pub(crate) struct OperatorHttp {
    policy: Arc<EgressPolicy>,
    clients: Clients,
}

impl OperatorHttp {
    /// With certificates, PEM, that are trusted besides the system's.
    ///
    /// # Errors
    /// When a certificate is none, or the host has no usable set of trusted ones.
    pub(crate) fn new(policy: EgressPolicy, ca: Option<&[u8]>) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let clients = Clients::new(&policy, USER_AGENT, ca)?;
        Ok(Self { policy, clients })
    }

    /// One request, and at most so much of its answer.
    ///
    /// # Errors
    /// [`HttpTrouble`]
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpTrouble> {
        let asked = self.ask(method, url, headers, body, answer_bytes_max);
        let asked = tokio::time::timeout(self.policy.timeout, asked).await;
        asked.unwrap_or(Err(HttpTrouble::Timeout))
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpTrouble> {
        let judged = self.policy.check_signed_url(url);
        let (url, scheme) = judged.map_err(HttpTrouble::Address)?;
        let client = self.clients.of(scheme);
        let request = client.request(method, url).headers(headers).body(body);
        let response = request.send().await.map_err(|error| said(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = body_of(response, answer_bytes_max).await;
        let body = body.map_err(|why| match why {
            Unread::TooLarge => HttpTrouble::TooLarge,
            Unread::Broken(error) => said(&error),
        })?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

fn said(error: &reqwest::Error) -> HttpTrouble {
    match why(error) {
        AttemptError::AddressForbidden => HttpTrouble::Forbidden,
        AttemptError::Resolve => HttpTrouble::Unresolved,
        AttemptError::Timeout => HttpTrouble::Timeout,
        _ => HttpTrouble::Connection,
    }
}
