//! HTTP clients for one destination behind the policy: the promises of this module that are kept by
//! how a client is set up are kept here.

use std::sync::Arc;

use reqwest::{Certificate, Client, Response, redirect, retry};

use super::policy::{EgressPolicy, Scheme};
use super::resolve::{GuardedResolver, Lookup, SystemLookup};

/// The HTTP clients could not be made: a certificate is none, or there is no usable certificate store
/// on this host.
#[derive(Debug, thiserror::Error)]
#[error("the client for outbound requests could not be set up")]
pub(crate) struct EgressError(#[from] reqwest::Error);

/// One for each scheme: a name is judged by the scheme it is asked with. Holds no connection.
pub(super) struct Clients {
    https: Client,
    http: Client,
}

impl Clients {
    /// As `user_agent`, with certificates, PEM, that are trusted besides the system's.
    ///
    /// # Errors
    /// [`EgressError`]
    pub(super) fn new(
        policy: &Arc<EgressPolicy>,
        user_agent: &str,
        ca: Option<&[u8]>,
    ) -> Result<Self, EgressError> {
        let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup::default());
        Self::with_lookup(policy, user_agent, ca, &lookup)
    }

    /// With another resolver, whose answers are judged just the same.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn with_lookup(
        policy: &Arc<EgressPolicy>,
        user_agent: &str,
        ca: Option<&[u8]>,
        lookup: &Arc<dyn Lookup>,
    ) -> Result<Self, EgressError> {
        let roots = ca.map_or_else(|| Ok(Vec::new()), Certificate::from_pem_bundle)?;
        let client = |scheme| {
            Client::builder()
                .user_agent(user_agent)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                .no_proxy()
                .https_only(scheme == Scheme::Https)
                // One request is one connection: nothing to share between receivers of one host,
                // and every attempt is judged anew. HTTP/1.1 keeps a hostile peer's means few.
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
        };
        Ok(Self {
            https: client(Scheme::Https)?,
            http: client(Scheme::Http)?,
        })
    }

    /// The one for URLs of this scheme.
    pub(super) fn of(&self, scheme: Scheme) -> &Client {
        match scheme {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        }
    }
}

/// Why a body was not read.
pub(super) enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// It broke off.
    Broken(reqwest::Error),
}

/// A body, if it has at most so many bytes; no more of a longer one is read.
pub(super) async fn body_of(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
