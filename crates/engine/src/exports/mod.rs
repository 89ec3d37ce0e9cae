//! Exports of the audit trail as durable jobs: asked for here, carried on by [`worker`], written as
//! [`render`] says, and closed by a [`manifest`].

mod manifest;
mod render;
mod worker;

use scaivault_core::audit::{Action, AuditExtra, AuditFilter, AuditRow};
use scaivault_core::audit_export::{AuditExport, ExportFormat, ExportState};
use scaivault_core::identity::Scope;
use scaivault_core::ids::ExportId;
use scaivault_core::ports::{AuditReads, CommitError, ExportSink, Record, Unit, UnitName};
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Exports of one tenant that run at a time.
const RUNNING_MAX: usize = 5;
/// Of so many newest ones those that run are counted.
const LOOKED_AT: usize = 200;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct ExportDraft {
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Any of these; none: all.
    pub actions: Vec<Action>,
    /// How rows are written.
    pub format: ExportFormat,
    /// Rows of all tenants.
    pub all_tenants: bool,
}

/// The audit row of something done to an export.
fn audit_row(caller: &Caller, action: Action, export: &AuditExport, now: Timestamp) -> AuditRow {
    let extra = AuditExtra {
        subject: Some(export.id.as_str().to_owned()),
        phase: Some(export.state.as_str().to_owned()),
        count: Some(export.rows()),
        error: export.error.clone(),
        ..AuditExtra::default()
    };
    caller.row(action, None, now, extra)
}

impl Vault {
    /// Begins an export of the rows there are now.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:export`; of all tenants, for whoever is no operator with
    /// the scope `admin`, too. [`VaultError::Validation`] when too many run.
    pub async fn export_create(
        &self,
        caller: &Caller,
        draft: ExportDraft,
    ) -> Result<AuditExport, VaultError> {
        let action = Action::ExportCreated;
        self.require(caller, Scope::AuditExport, action).await?;
        if draft.all_tenants {
            self.require_operator(caller, action).await?;
        }
        let _turn = self.export_turn.lock().await;
        let (store, tenant) = (&*self.store, caller.tenant());
        let newest = AuditReads::audit_export_list(store, tenant, None, LOOKED_AT).await?;
        let running = |export: &&AuditExport| export.state == ExportState::Running;
        if newest.iter().filter(running).count() >= RUNNING_MAX {
            let why = format!(
                "{RUNNING_MAX} exports are running already: wait for one to end, or cancel one"
            );
            return Err(VaultError::Validation(vec![("export".to_owned(), why)]));
        }
        // The heads first: what they cover is below the place.
        let heads = AuditReads::audit_heads(store).await?;
        let newest = AuditReads::audit_query(store, &AuditFilter::default(), None, 1).await?;
        let now = self.now();
        let export = AuditExport {
            id: ExportId::mint(now, &*self.entropy),
            tenant: tenant.clone(),
            all_tenants: draft.all_tenants,
            from: draft.from,
            to: draft.to,
            actions: draft.actions,
            format: draft.format,
            requested_by: caller.principal.identity.as_str().to_owned(),
            state: ExportState::Running,
            created_at: now,
            ended_at: None,
            heads,
            below: newest.rows.first().map_or(0, |row| row.seq + 1),
            parts: Vec::new(),
            attempts: 0,
            error: None,
            wake_at: Some(now),
            revision: 1,
        };
        let unit = Unit::new(UnitName::ExportWrite)
            .put(Record::AuditExport(export.clone()))
            .audited(audit_row(caller, action, &export, now));
        self.commit(unit).await?;
        Ok(export)
    }

    /// One export of the caller's tenant. One of all tenants is there for who could ask for it.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:export`; [`VaultError::NotFound`].
    pub async fn export_find(
        &self,
        caller: &Caller,
        id: &ExportId,
    ) -> Result<AuditExport, VaultError> {
        self.require_list(caller, Scope::AuditExport).await?;
        self.export_of(caller, id).await
    }

    /// Exports of the caller's tenant, newest first, as [`Self::export_find`] finds them.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:export`.
    pub async fn export_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditExport>, VaultError> {
        self.require_list(caller, Scope::AuditExport).await?;
        let (store, tenant) = (&*self.store, caller.tenant());
        let (mut seen, mut after) = (Vec::new(), after.map(str::to_owned));
        loop {
            let page =
                AuditReads::audit_export_list(store, tenant, after.as_deref(), limit).await?;
            let is_last = page.len() < limit;
            after = page.last().map(|export| export.id.as_str().to_owned());
            seen.extend(
                page.into_iter()
                    .filter(|export| self.is_shown(caller, export)),
            );
            if is_last || seen.len() >= limit {
                seen.truncate(limit);
                return Ok(seen);
            }
        }
    }

    /// Ends an export that runs, and removes what it wrote. Of one that has ended the files are
    /// removed, and its record stays as it is.
    ///
    /// # Errors
    /// As [`Self::export_find`]; [`VaultError::Unavailable`] when files of an ended one stay.
    pub async fn export_cancel(
        &self,
        caller: &Caller,
        id: &ExportId,
        sink: Option<&dyn ExportSink>,
    ) -> Result<AuditExport, VaultError> {
        let action = Action::ExportEnded;
        self.require(caller, Scope::AuditExport, action).await?;
        loop {
            let mut export = self.export_of(caller, id).await?;
            let now = self.now();
            if export.state != ExportState::Running {
                if let Some(sink) = sink {
                    let mut row = audit_row(caller, action, &export, now);
                    row.extra_data.phase = Some("removed".to_owned());
                    self.commit(Unit::audit_only(row)).await?;
                    worker::remove(sink, id).await?;
                }
                return Ok(export);
            }
            export.state = ExportState::Cancelled;
            (export.ended_at, export.wake_at) = (Some(now), None);
            export.revision += 1;
            let unit = Unit::new(UnitName::ExportStep)
                .put(Record::AuditExport(export.clone()))
                .audited(audit_row(caller, action, &export, now));
            match self.commit(unit).await {
                Ok(_) => {}
                // A worker wrote a part: look again.
                Err(CommitError::Conflict(_)) => continue,
                Err(error) => return Err(error.into()),
            }
            if let Some(sink) = sink {
                worker::discard(sink, id).await;
            }
            return Ok(export);
        }
    }

    async fn export_of(&self, caller: &Caller, id: &ExportId) -> Result<AuditExport, VaultError> {
        let found = AuditReads::audit_export_find(&*self.store, caller.tenant(), id).await?;
        let shown = found.filter(|export| self.is_shown(caller, export));
        shown.ok_or(VaultError::NotFound(Missing::Export))
    }

    /// Rows of all tenants are an operator's business, down to how many there are.
    fn is_shown(&self, caller: &Caller, export: &AuditExport) -> bool {
        let operates =
            || self.is_operator(caller) && caller.principal.scopes.contains(Scope::Admin);
        !export.all_tenants || operates()
    }
}
