//! The client: settings shared by all calls, and the groups of the API.

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::audit::Audit;
use crate::builder::ClientBuilder;
use crate::campaigns::Campaigns;
use crate::debts::Debts;
use crate::dynamic::Dynamic;
use crate::exchange::Observer;
use crate::machines::Machines;
use crate::policies::Policies;
use crate::retry::{RetryPolicy, Sleeper};
use crate::rotation::Rotation;
use crate::secret_policies::SecretPolicies;
use crate::secrets::Secrets;
use crate::system::System;
use crate::targets::Targets;
use crate::tenancy::{Partners, Tenants};
use crate::tokens::Tokens;
use crate::webhooks::Webhooks;

/// A client for one server and one token. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    /// Without trailing slash in its path.
    pub(crate) base: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) tenant: Option<HeaderValue>,
    pub(crate) partner: Option<HeaderValue>,
    pub(crate) retry: RetryPolicy,
    pub(crate) sleeper: Arc<dyn Sleeper>,
    pub(crate) observer: Option<Arc<Observer>>,
}

impl Client {
    /// Starts a client for the server at `base_url`, such as `https://vault.example`.
    pub fn builder(base_url: &str) -> ClientBuilder {
        ClientBuilder::new(base_url)
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The server's URL.
    pub fn base_url(&self) -> &str {
        self.inner.base.as_str()
    }

    /// Secrets, versions, consumers.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets::new(self)
    }

    /// Local tokens and who one is.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens::new(self)
    }

    /// Access policies and bindings.
    pub fn policies(&self) -> Policies<'_> {
        Policies::new(self)
    }

    /// Rotation policies, assignments, rotations.
    pub fn rotation(&self) -> Rotation<'_> {
        Rotation::new(self)
    }

    /// Machines that log in by a role id and a secret id.
    pub fn machines(&self) -> Machines<'_> {
        Machines::new(self)
    }

    /// Recipes for values.
    pub fn secret_policies(&self) -> SecretPolicies<'_> {
        SecretPolicies::new(self)
    }

    /// Partners: owners of tenants.
    pub fn partners(&self) -> Partners<'_> {
        Partners::new(self)
    }

    /// Tenants.
    pub fn tenants(&self) -> Tenants<'_> {
        Tenants::new(self)
    }

    /// Targets and connectors.
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self)
    }

    /// Campaigns: many secrets rotated in order.
    pub fn campaigns(&self) -> Campaigns<'_> {
        Campaigns::new(self)
    }

    /// Webhooks.
    pub fn webhooks(&self) -> Webhooks<'_> {
        Webhooks::new(self)
    }

    /// What is left at targets, and rehearsals.
    pub fn debts(&self) -> Debts<'_> {
        Debts::new(self)
    }

    /// Credentials on request, and their leases.
    pub fn dynamic(&self) -> Dynamic<'_> {
        Dynamic::new(self)
    }

    /// The audit trail.
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(self)
    }

    /// Health and version.
    pub fn system(&self) -> System<'_> {
        System::new(self)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("has_token", &self.inner.authorization.is_some())
            .finish_non_exhaustive()
    }
}
