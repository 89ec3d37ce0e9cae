//! `[targets]`: where the systems may be whose credentials are rotated.

use scaivault_core::access::Cidr;

use super::layers::{ConfigError, Section};
use crate::egress::TargetPolicy;

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct TargetsSection {
    /// Ranges that are open besides those that are anyway.
    pub allow: Vec<Cidr>,
    /// Ranges that are closed.
    pub deny: Vec<Cidr>,
    /// Targets worked on at once.
    pub max_concurrent: usize,
}

impl TargetsSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let max_concurrent = section.whole("max_concurrent", 1..=256)?;
        Ok(Self {
            allow: section.ranges("allow")?,
            deny: section.ranges("deny")?,
            max_concurrent: usize::try_from(max_concurrent).unwrap_or(usize::MAX),
        })
    }

    /// The rule for connectors.
    pub(crate) fn policy(&self) -> TargetPolicy {
        TargetPolicy::configured(self.allow.clone(), self.deny.clone())
    }
}
