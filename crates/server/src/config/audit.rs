//! `[audit]`: how long rows of the trail are kept.

use std::path::PathBuf;
use std::time::Duration;

use scaivault_core::time::Span;

use super::layers::{ConfigError, Section};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct AuditSection {
    /// Older rows are removed; `None`: never.
    pub retention: Option<Duration>,
    /// Where `audit export` writes to.
    pub exported_to: Option<PathBuf>,
    /// Rows that are not in that export stay.
    pub require_export: bool,
    /// Where exports that are asked for by the API are written to.
    pub export_directory: Option<PathBuf>,
}

impl AuditSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let retention = section.optional("retention", |text| {
            let span = Span::parse(text).map(|span| span.duration());
            span.map_err(|_| "expected a duration such as 400d, or \"\" to keep rows for ever")
        })?;
        let exported_to = section.optional_path("exported_to")?;
        if exported_to.as_ref().is_some_and(|path| path.is_relative()) {
            return Err(section.refuse("exported_to", "expected an absolute path"));
        }
        let export_directory = section.optional_path("export_directory")?;
        if export_directory
            .as_ref()
            .is_some_and(|path| path.is_relative())
        {
            return Err(section.refuse("export_directory", "expected an absolute path"));
        }
        Ok(Self {
            retention,
            exported_to,
            export_directory,
            require_export: section.flag("require_export")?,
        })
    }

    /// The export that rows must be in before they go.
    pub(crate) fn must_be_in(&self) -> Option<PathBuf> {
        self.exported_to.clone().filter(|_| self.require_export)
    }
}
