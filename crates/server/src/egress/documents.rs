//! Documents of issuers over HTTP, behind the same policy as everything that goes out: an operator
//! names an issuer, but the issuer names where its keys are.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use reqwest::{Certificate, Client, Response, redirect, retry};
use scaivault_core::delivery::AttemptError;
use scaivault_core::ports::{Documents, FetchError};

use super::courier::{EgressError, why};
use super::policy::{EgressPolicy, Scheme};
use super::resolve::{GuardedResolver, Lookup, SystemLookup};

/// What issuers see us as.
const USER_AGENT: &str = "ScaiVault-Identity/1.0";
/// Largest discovery document or key set.
const DOCUMENT_BYTES_MAX: usize = 256 * 1_024;

/// Core's [`Documents`] over HTTP. Holds no connection.
pub(crate) struct GuardedDocuments {
    policy: Arc<EgressPolicy>,
    /// By issuer: each has its own way of being believed.
    clients: HashMap<String, Clients>,
}

struct Clients {
    https: Client,
    http: Client,
}

impl GuardedDocuments {
    /// For issuers of these names; with certificates, PEM, of those that the system does not trust.
    ///
    /// # Errors
    /// When a certificate is none, or the host has no usable set of trusted ones.
    pub(crate) fn new(
        policy: EgressPolicy,
        issuers: impl IntoIterator<Item = (String, Option<Vec<u8>>)>,
    ) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup::default());
        let clients = issuers.into_iter().map(|(name, ca)| {
            let roots =
                ca.map_or_else(|| Ok(Vec::new()), |pem| Certificate::from_pem_bundle(&pem))?;
            let client = |scheme| client(&policy, &lookup, scheme, &roots);
            let both = Clients {
                https: client(Scheme::Https)?,
                http: client(Scheme::Http)?,
            };
            Ok((name, both))
        });
        let clients = clients.collect::<Result<_, reqwest::Error>>()?;
        Ok(Self { policy, clients })
    }

    async fn get(&self, issuer: &str, url: &str) -> Result<Vec<u8>, FetchError> {
        let judged = self.policy.check_url(url);
        let (url, scheme) = judged.map_err(|_| FetchError::Forbidden)?;
        let clients = self.clients.get(issuer).ok_or(FetchError::Forbidden)?;
        let client = match scheme {
            Scheme::Https => &clients.https,
            Scheme::Http => &clients.http,
        };
        let json = HeaderValue::from_static("application/json");
        let sent = client.get(url).header(ACCEPT, json).send().await;
        let response = sent.map_err(|error| said(&error))?;
        match response.status() {
            StatusCode::OK => read(response).await,
            other => Err(FetchError::Status(other.as_u16())),
        }
    }
}

#[async_trait]
impl Documents for GuardedDocuments {
    async fn fetch(&self, issuer: &str, url: &str) -> Result<Vec<u8>, FetchError> {
        let got = tokio::time::timeout(self.policy.timeout, self.get(issuer, url)).await;
        got.unwrap_or(Err(FetchError::Timeout))
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| said(&error))? {
        if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

fn said(error: &reqwest::Error) -> FetchError {
    match why(error) {
        AttemptError::AddressForbidden => FetchError::Forbidden,
        AttemptError::Timeout => FetchError::Timeout,
        _ => FetchError::Unreachable,
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
