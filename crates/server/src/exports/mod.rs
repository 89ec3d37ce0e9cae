//! Where exports of the audit trail are written to: a directory, or a bucket.

mod directory;
pub(crate) mod s3;
mod s3_error;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use scaivault_core::ports::ExportSink;

use crate::clock::SystemClock;
use crate::config::{AuditSection, ExportPlace};
use directory::ExportDirectory;
use s3::S3;

/// A look at the bucket takes no longer: a server that stops waits for it.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The destination of exports that are asked for over the API, if there is one.
///
/// # Errors
/// When the bucket's certificates cannot be used.
pub(crate) fn sink(audit: &AuditSection) -> Result<Option<Arc<dyn ExportSink>>> {
    Ok(match &audit.export_directory {
        None => None,
        Some(ExportPlace::Directory(path)) => Some(Arc::new(ExportDirectory(path.clone()))),
        Some(ExportPlace::S3) => Some(Arc::new(bucket(audit)?)),
    })
}

/// The bucket.
///
/// # Errors
/// When none is configured, or its certificates cannot be used.
pub(crate) fn bucket(audit: &AuditSection) -> Result<S3> {
    let Some(section) = &audit.s3 else {
        anyhow::bail!("no bucket is configured: set audit.s3_bucket and its keys");
    };
    S3::new(
        section.clone(),
        audit.egress_policy(Some(section.timeout)),
        Arc::new(SystemClock),
    )
}

/// Looks whether the bucket can be used, so that it is known at the start. Only a warning: it may be
/// there when it is needed.
pub(crate) async fn look(audit: AuditSection) {
    if audit.s3.is_none() {
        return;
    }
    let looked = async {
        let bucket = bucket(&audit)?;
        let shown = bucket.shown();
        let looked = tokio::time::timeout(LOOK_MAX, bucket.check()).await;
        looked.unwrap_or_else(|_| Err(anyhow::anyhow!("it does not answer in time")))?;
        anyhow::Ok(shown)
    };
    match looked.await {
        Ok(bucket) => tracing::info!(%bucket, "the bucket for the audit trail answers"),
        Err(error) => tracing::warn!(
            error = %format!("{error:#}"),
            "the bucket for the audit trail cannot be used now"
        ),
    }
}

/// The word of the API for where exports go.
pub(crate) fn word(audit: &AuditSection) -> &'static str {
    match audit.export_directory {
        Some(ExportPlace::S3) => "s3",
        _ => "directory",
    }
}
