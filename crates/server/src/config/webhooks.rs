//! `[webhooks]`: where deliveries may go and what they may take.

use std::time::Duration;

use scaivault_core::access::Cidr;

use super::layers::{ConfigError, Section};
use crate::egress::EgressPolicy;

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct WebhooksSection {
    /// For one attempt.
    pub timeout: Duration,
    /// Ranges that may be reached although they are not public.
    pub allow_private_networks: Vec<Cidr>,
    /// Clear text to those.
    pub allow_http: bool,
    /// Deliveries at once.
    pub max_in_flight: usize,
}

impl WebhooksSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let max_in_flight = section.whole("max_in_flight", 1..=4_096)?;
        let timeout = section.duration("timeout")?;
        // A claim on a delivery has to outlive the attempt.
        if timeout > Duration::from_secs(60) {
            return Err(section.refuse("timeout", "expected at most 60s"));
        }
        Ok(Self {
            timeout,
            allow_private_networks: section.ranges("allow_private_networks")?,
            allow_http: section.flag("allow_http")?,
            max_in_flight: usize::try_from(max_in_flight).unwrap_or(usize::MAX),
        })
    }

    /// The rule for the courier.
    pub(crate) fn egress_policy(&self) -> EgressPolicy {
        let ranges = self.allow_private_networks.clone();
        EgressPolicy::configured(self.allow_http, ranges, self.timeout)
    }
}
