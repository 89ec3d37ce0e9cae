//! Carrying exports on, a part at a time. A part is on its place before the commit that names it, and
//! has the same name when it is written again: a worker may stop anywhere.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::audit_export::{AuditExport, ExportPart, ExportState};
use scaivault_core::ids::ExportId;
use scaivault_core::ports::{AuditReads, CommitError, ExportSink, Record, Unit, UnitName};
use scaivault_crypto::detached::sha256_hex;

use super::render::{Rendered, begin, row};
use super::{audit_row, manifest};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::tally::Tally;
use crate::vault::Vault;

/// Exports taken up in one look.
const LOOK: usize = 8;
/// How long a worker has for a part; then another takes the export up.
const HOLD: Duration = Duration::from_secs(300);
/// A part ends with the page that brings it to so many bytes.
const PART_BYTES: usize = 16 << 20;
/// Rows asked for at a time.
const PAGE: usize = 1_000;
/// Pages looked at for one part: where few rows are wanted, a part ends early.
const PAGES: usize = 100;
/// Attempts at one part, before the export is given up.
const ATTEMPTS: u32 = 10;
const BACKOFF: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// What whoever asked is told; the operator's log has more.
const NOT_WRITTEN: &str = "the destination cannot be written";

impl Vault {
    /// Writes one part of each export that is due, those that wait longest first. Answers how many
    /// were taken up; call again soon when it is not 0.
    ///
    /// # Errors
    /// When the store cannot be read or written; the next look goes on from the record.
    pub async fn exports_run_once(&self, sink: &dyn ExportSink) -> Result<usize, VaultError> {
        let due = AuditReads::audit_export_due(&*self.store, self.now(), LOOK).await?;
        let mut taken = 0;
        for export in due {
            taken += usize::from(self.export_work(export, sink).await?);
        }
        Ok(taken)
    }

    /// `false` when somebody else has it.
    async fn export_work(
        &self,
        mut export: AuditExport,
        sink: &dyn ExportSink,
    ) -> Result<bool, VaultError> {
        export.wake_at = Some(self.now().plus(HOLD));
        if !self.export_put(&mut export, false).await? {
            return Ok(false);
        }
        let part = self.export_part(&mut export).await?;
        let written = match part {
            Some(part) => write(sink, &mut export, part).await,
            None => Ok(()),
        };
        let written = match (written, export.below) {
            (Ok(()), 0) => match self.export_close(&mut export, sink).await? {
                Closed::Done => Ok(()),
                Closed::Not(why) => Err(why),
                Closed::Lost => {
                    self.export_lost(&export, sink).await?;
                    return Ok(true);
                }
            },
            (written, _) => written,
        };
        let now = self.now();
        match written {
            Ok(()) => {
                (export.attempts, export.error) = (0, None);
                export.wake_at = Some(now).filter(|_| export.state == ExportState::Running);
            }
            Err(why) => {
                tracing::warn!(export = %export.id, %why, "a part of an audit export is not written");
                // As it was before: the part is made again.
                let stored =
                    AuditReads::audit_export_find(&*self.store, &export.tenant, &export.id);
                let Some(stored) = stored.await? else {
                    return Ok(true);
                };
                let attempts = stored.attempts + 1;
                export = AuditExport {
                    attempts,
                    error: Some(NOT_WRITTEN.to_owned()),
                    revision: export.revision,
                    ..stored
                };
                if attempts >= ATTEMPTS {
                    export.state = ExportState::Failed;
                    (export.ended_at, export.wake_at) = (Some(now), None);
                } else {
                    let wait = BACKOFF
                        .saturating_mul(1 << attempts.min(10))
                        .min(BACKOFF_MAX);
                    export.wake_at = Some(now.plus(wait));
                }
            }
        }
        let has_ended = export.state != ExportState::Running;
        if !self.export_put(&mut export, has_ended).await? {
            self.export_lost(&export, sink).await?;
            return Ok(true);
        }
        match export.state {
            ExportState::Failed => {
                Tally::add(&self.tally.exports_failed);
                discard(sink, &export.id).await;
            }
            ExportState::Completed => {
                Tally::add(&self.tally.exports_completed);
                Tally::at(&self.tally.export_completed_at_s, now);
            }
            _ => {}
        }
        Ok(true)
    }

    /// Writes the row under its next number; `false` when somebody else wrote first.
    async fn export_put(&self, export: &mut AuditExport, ends: bool) -> Result<bool, VaultError> {
        export.revision += 1;
        let mut unit = Unit::new(UnitName::ExportStep).put(Record::AuditExport(export.clone()));
        if ends {
            let now = self.now();
            let caller = Caller::system(export.tenant.clone(), "audit-exporter", now);
            unit = unit.audited(audit_row(&caller, Action::ExportEnded, export, now));
        }
        match self.commit(unit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Somebody else wrote first. If that was to end it, what was written since is removed.
    async fn export_lost(
        &self,
        export: &AuditExport,
        sink: &dyn ExportSink,
    ) -> Result<(), VaultError> {
        let store = &*self.store;
        let now = AuditReads::audit_export_find(store, &export.tenant, &export.id).await?;
        let is_given_up = |state| matches!(state, ExportState::Cancelled | ExportState::Failed);
        if now.is_none_or(|now| is_given_up(now.state)) {
            discard(sink, &export.id).await;
        }
        Ok(())
    }

    /// The next rows, written out; the export's place moves behind them.
    async fn export_part(&self, export: &mut AuditExport) -> Result<Option<Rendered>, VaultError> {
        let filter = export.filter();
        let mut part = Rendered::default();
        begin(&mut part, export.format);
        for _ in 0..PAGES {
            if export.below == 0 || part.bytes.len() >= PART_BYTES {
                break;
            }
            let below = Some(export.below);
            let page = AuditReads::audit_query(&*self.store, &filter, below, PAGE).await?;
            for stored in &page.rows {
                row(&mut part, export.format, stored);
            }
            export.below = page.next.unwrap_or(0);
        }
        Ok((part.rows > 0).then_some(part))
    }

    /// The manifest, when all parts are there.
    async fn export_close(
        &self,
        export: &mut AuditExport,
        sink: &dyn ExportSink,
    ) -> Result<Closed, VaultError> {
        // In the store before the first file: whoever goes on after a crash, or beside a worker that
        // takes too long, writes the same bytes.
        if export.ended_at.is_none() {
            export.ended_at = Some(self.now());
        }
        let key = self.audit_signing_key()?;
        // The manifest last: where it is, everything is.
        for (name, bytes) in manifest::files(export, &key) {
            export.wake_at = Some(self.now().plus(HOLD));
            if !self.export_put(export, false).await? {
                return Ok(Closed::Lost);
            }
            if let Err(why) = sink.put(&export.id, name, bytes).await {
                return Ok(Closed::Not(why));
            }
        }
        export.state = ExportState::Completed;
        Ok(Closed::Done)
    }
}

/// What came of closing an export.
enum Closed {
    /// All is there.
    Done,
    /// The destination did not take it.
    Not(String),
    /// Somebody else has it.
    Lost,
}

async fn write(
    sink: &dyn ExportSink,
    export: &mut AuditExport,
    part: Rendered,
) -> Result<(), String> {
    let name = format!(
        "part-{:06}.{}",
        export.parts.len() + 1,
        export.format.as_str()
    );
    let entry = ExportPart {
        name,
        rows: part.rows,
        bytes: part.bytes.len() as u64,
        sha256: sha256_hex(&part.bytes),
    };
    sink.put(&export.id, &entry.name, part.bytes).await?;
    export.parts.push(entry);
    Ok(())
}

/// Removes what was written of an export that nobody will read: cancelled or failed.
pub(super) async fn discard(sink: &dyn ExportSink, id: &ExportId) {
    // What is left is in the log; asked to be removed again, it is told.
    let _told = remove(sink, id).await;
}

/// Removes the files of an export.
pub(super) async fn remove(sink: &dyn ExportSink, id: &ExportId) -> Result<(), VaultError> {
    sink.discard(id).await.map_err(|why| {
        tracing::warn!(export = %id, %why, "files of an audit export are left");
        VaultError::Unavailable("the files of the export cannot be removed now".to_owned())
    })
}
