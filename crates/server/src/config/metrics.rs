//! `[metrics]`: the Prometheus endpoint.

use super::layers::{ConfigError, Section};

/// The section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricsSection {
    /// Whether it is served.
    pub enabled: bool,
    /// Whether it asks for a token.
    pub require_token: bool,
}

impl MetricsSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: section.flag("enabled")?,
            require_token: section.flag("require_token")?,
        })
    }
}
