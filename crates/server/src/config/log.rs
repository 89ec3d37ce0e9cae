//! `[log]`: how much is said, and how.

use super::layers::{ConfigError, Section};
use crate::logging::{LogFormat, LogLevel};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct LogSection {
    /// Least severity.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
}

impl LogSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let level = "expected one of error, warn, info, debug, trace";
        Ok(Self {
            level: section.text("level", |text| LogLevel::parse(text).map_err(|_| level))?,
            format: section.text("format", |text| {
                LogFormat::parse(text).map_err(|_| "expected json or text")
            })?,
        })
    }
}
