//! Documents of issuers over HTTP, behind the same policy as everything that goes out: an operator
//! names an issuer, but the issuer names where its keys are.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use scaivault_core::delivery::AttemptError;
use scaivault_core::ports::{Documents, FetchError};

use super::clients::{Clients, EgressError, Unread, body_of};
use super::courier::why;
use super::policy::EgressPolicy;

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
        let clients = issuers.into_iter().map(|(name, ca)| {
            let clients = Clients::new(&policy, USER_AGENT, ca.as_deref())?;
            Ok((name, clients))
        });
        let clients = clients.collect::<Result<_, EgressError>>()?;
        Ok(Self { policy, clients })
    }

    async fn get(&self, issuer: &str, url: &str) -> Result<Vec<u8>, FetchError> {
        let judged = self.policy.check_url(url);
        let (url, scheme) = judged.map_err(|_| FetchError::Forbidden)?;
        let clients = self.clients.get(issuer).ok_or(FetchError::Forbidden)?;
        let json = HeaderValue::from_static("application/json");
        let sent = clients
            .of(scheme)
            .get(url)
            .header(ACCEPT, json)
            .send()
            .await;
        let response = sent.map_err(|error| said(&error))?;
        match response.status() {
            StatusCode::OK => {
                let body = body_of(response, DOCUMENT_BYTES_MAX).await;
                body.map_err(|why| match why {
                    Unread::TooLarge => FetchError::TooLarge,
                    Unread::Broken(error) => said(&error),
                })
            }
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

fn said(error: &reqwest::Error) -> FetchError {
    match why(error) {
        AttemptError::AddressForbidden => FetchError::Forbidden,
        AttemptError::Timeout => FetchError::Timeout,
        _ => FetchError::Unreachable,
    }
}
