//! The loop that removes old rows of the audit trail, a bounded commit at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use scaivault_engine::Vault;

use crate::commands::exported_ends;
use crate::config::AuditSection;
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
    let must_be_in = settings.must_be_in();
    let mut removed = 0;
    while !*stop.borrow() {
        let nap = match once(&vault, keep, must_be_in.clone()).await {
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

async fn once(
    vault: &Arc<Vault>,
    keep: Duration,
    directory: Option<PathBuf>,
) -> anyhow::Result<u64> {
    let exported = match directory {
        None => None,
        Some(directory) => Some(ends(vault, directory).await?),
    };
    Ok(vault.audit_prune_run_once(keep, exported.as_ref()).await?)
}

async fn ends(vault: &Arc<Vault>, directory: PathBuf) -> anyhow::Result<BTreeMap<String, u64>> {
    let key = vault.audit_signing_key()?;
    tokio::task::spawn_blocking(move || exported_ends(&directory, &key)).await?
}
