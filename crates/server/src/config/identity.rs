//! `[identity]`: issuers of tokens from outside, and how they are reached.

use std::path::PathBuf;
use std::time::Duration;

use scaivault_core::access::Cidr;

use super::layers::{ConfigError, Section};
use crate::egress::EgressPolicy;

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct IdentitySection {
    /// The file of issuers and rules of exchange; `None` when nobody outside is believed.
    pub issuers_file: Option<PathBuf>,
    /// For one document.
    pub timeout: Duration,
    /// Ranges that may be reached although they are not public.
    pub allow_private_networks: Vec<Cidr>,
    /// Clear text to those.
    pub allow_http: bool,
}

impl IdentitySection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let timeout = section.duration("timeout")?;
        // A token that waits for keys has to be answered within a request.
        if timeout > Duration::from_secs(20) {
            return Err(section.refuse("timeout", "expected at most 20s"));
        }
        Ok(Self {
            issuers_file: section.optional_path("issuers_file")?,
            timeout,
            allow_private_networks: section.ranges("allow_private_networks")?,
            allow_http: section.flag("allow_http")?,
        })
    }

    /// The rule for documents of issuers.
    pub(crate) fn egress_policy(&self) -> EgressPolicy {
        let ranges = self.allow_private_networks.clone();
        EgressPolicy::configured(self.allow_http, ranges, self.timeout)
    }
}
