//! The loop that removes old rows of the audit trail, a bounded commit at a time.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::audit_anchor::ExportedEnds;
use scaivault_engine::Vault;

use crate::commands::{Seen, exported_ends, exported_ends_at};
use crate::config::{AuditSection, ExportPlace};
use crate::exports;
use crate::loops::Stop;

/// Between two looks, at most and at least.
const NAP_MAX: Duration = Duration::from_secs(600);
const NAP_MIN: Duration = Duration::from_secs(1);
/// Between two commits: what others want to commit goes first.
const PAUSE: Duration = Duration::from_millis(20);
/// After trouble.
const TROUBLE: Duration = Duration::from_secs(60);
/// Less than this is asked for by tests, or by mistake.
const SHORT: Duration = Duration::from_secs(86_400);

pub(crate) async fn run(vault: Arc<Vault>, settings: AuditSection, mut stop: Stop) {
    let Some(keep) = settings.retention else {
        return;
    };
    if keep < SHORT {
        tracing::warn!(
            seconds = keep.as_secs(),
            "audit.retention is less than a day"
        );
    }
    let mut exported = Exported {
        place: settings.must_be_in(),
        settings,
        seen: Seen::default(),
    };
    let mut removed = 0;
    while !*stop.borrow() {
        let nap = match once(&vault, keep, &mut exported).await {
            Ok(0) => {
                if removed > 0 {
                    tracing::info!(rows = removed, "rows of the audit trail were removed");
                }
                removed = 0;
                (keep / 10).clamp(NAP_MIN, NAP_MAX)
            }
            Ok(rows) => {
                removed += rows;
                PAUSE
            }
            Err(error) => {
                tracing::warn!(%error, "no rows of the audit trail are removed");
                TROUBLE.min(keep).max(NAP_MIN)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn once(vault: &Arc<Vault>, keep: Duration, exported: &mut Exported) -> anyhow::Result<u64> {
    let exported = exported.ends(vault).await?;
    Ok(vault.audit_prune_run_once(keep, exported.as_ref()).await?)
}

/// The export that rows must be in.
struct Exported {
    place: Option<ExportPlace>,
    settings: AuditSection,
    /// Files in the bucket that were looked at.
    seen: Seen,
}

impl Exported {
    /// How far each chain is in it; `None` where none is asked for.
    async fn ends(&mut self, vault: &Vault) -> anyhow::Result<Option<ExportedEnds>> {
        let key = vault.audit_signing_key()?;
        let ends = match self.place.clone() {
            None => return Ok(None),
            Some(ExportPlace::Directory(path)) => {
                tokio::task::spawn_blocking(move || exported_ends(&path, &key)).await??
            }
            Some(ExportPlace::S3) => {
                let bucket = exports::bucket(&self.settings)?;
                exported_ends_at(&bucket, &key, &mut self.seen).await?
            }
        };
        Ok(Some(ends))
    }
}
