//! Requests to addresses that the operator wrote into the configuration: where exports of the trail
//! go, and collectors of logs. Behind the same policy as everything that goes out.

use std::sync::Arc;

use http::{HeaderMap, Method};
use reqwest::{Certificate, Client, redirect, retry};
use scaivault_core::delivery::AttemptError;

use super::courier::{EgressError, why};
use super::policy::{EgressPolicy, Scheme};
use super::resolve::{GuardedResolver, Lookup, SystemLookup};

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
    https: Client,
    http: Client,
}

impl OperatorHttp {
    /// With certificates, PEM, that are trusted besides the system's.
    ///
    /// # Errors
    /// When a certificate is none, or the host has no usable set of trusted ones.
    pub(crate) fn new(policy: EgressPolicy, ca: Option<&[u8]>) -> Result<Self, EgressError> {
        let roots = ca.map_or_else(|| Ok(Vec::new()), Certificate::from_pem_bundle)?;
        let policy = Arc::new(policy);
        let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup::default());
        let client = |scheme| client(&policy, &lookup, scheme, &roots);
        let (https, http) = (client(Scheme::Https)?, client(Scheme::Http)?);
        Ok(Self {
            policy,
            https,
            http,
        })
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
        let (url, scheme) = self.policy.check_url(url).map_err(HttpTrouble::Address)?;
        let client = match scheme {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        };
        let request = client.request(method, url).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| said(&error))?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|error| said(&error))? {
            if answer.body.len() + chunk.len() > answer_bytes_max {
                return Err(HttpTrouble::TooLarge);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
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

fn client(
    policy: &Arc<EgressPolicy>,
    lookup: &Arc<dyn Lookup>,
    scheme: Scheme,
    roots: &[Certificate],
) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .https_only(scheme == Scheme::Https)
        .http1_only()
        .pool_max_idle_per_host(0)
        .timeout(policy.timeout)
        .tls_certs_merge(roots.iter().cloned())
        .dns_resolver(GuardedResolver {
            lookup: Arc::clone(lookup),
            policy: Arc::clone(policy),
            scheme,
        })
        .build()
}
