//! `[audit]`: how long rows of the trail are kept, where they are exported to, and to whom they are
//! handed over.

use std::path::PathBuf;
use std::time::Duration;

use scaivault_core::access::Cidr;
use scaivault_core::time::Span;

use super::audit_forward::{self, ForwardSection};
use super::audit_s3::S3Section;
use super::layers::{ConfigError, Section};
use crate::egress::EgressPolicy;

/// The word for the bucket where a directory could stand.
const S3: &str = "s3";
/// For one batch of rows that are posted.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// Where an export is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExportPlace {
    /// A directory.
    Directory(PathBuf),
    /// The bucket of `s3_…`.
    S3,
}

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct AuditSection {
    /// Older rows are removed; `None`: never.
    pub retention: Option<Duration>,
    /// Where `audit export` writes to.
    pub exported_to: Option<ExportPlace>,
    /// Rows that are not in that export stay.
    pub require_export: bool,
    /// Where exports that are asked for by the API are written to.
    pub export_directory: Option<ExportPlace>,
    /// The bucket.
    pub s3: Option<S3Section>,
    /// To whom rows are handed over.
    pub forward: Vec<ForwardSection>,
    /// A collector that is further behind is told of.
    pub forward_lag_warning: Duration,
    /// Ranges that bucket and collectors may be in although they are not public.
    pub allow_private_networks: Vec<Cidr>,
    /// Clear text to those.
    pub allow_http: bool,
}

impl AuditSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let retention = section.optional("retention", |text| {
            let span = Span::parse(text).map(|span| span.duration());
            span.map_err(|_| "expected a duration such as 400d, or \"\" to keep rows for ever")
        })?;
        let s3 = S3Section::read(section)?;
        let place = |field: &str| {
            let place = section.optional(field, |text| match text {
                S3 => Ok(ExportPlace::S3),
                text if text.starts_with('/') => Ok(ExportPlace::Directory(PathBuf::from(text))),
                _ => Err("expected an absolute path, or \"s3\" for the bucket of s3_bucket"),
            })?;
            match place {
                Some(ExportPlace::S3) if s3.is_none() => {
                    Err(section.refuse(field, "needs the bucket: set s3_bucket and its keys"))
                }
                place => Ok(place),
            }
        };
        Ok(Self {
            retention,
            exported_to: place("exported_to")?,
            export_directory: place("export_directory")?,
            require_export: section.flag("require_export")?,
            forward: audit_forward::read(section)?,
            forward_lag_warning: section.duration("forward_lag_warning")?,
            allow_private_networks: section.ranges("allow_private_networks")?,
            allow_http: section.flag("allow_http")?,
            s3,
        })
    }

    /// The export that rows must be in before they go.
    pub(crate) fn must_be_in(&self) -> Option<ExportPlace> {
        self.exported_to.clone().filter(|_| self.require_export)
    }

    /// The rule for the bucket and for collectors that rows are posted to.
    pub(crate) fn egress_policy(&self, timeout: Option<Duration>) -> EgressPolicy {
        let ranges = self.allow_private_networks.clone();
        EgressPolicy::configured(self.allow_http, ranges, timeout.unwrap_or(POST_TIMEOUT))
    }
}
