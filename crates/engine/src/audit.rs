//! Reading the audit trail. Who reads it is on it.

use scaivault_core::audit::{Action, AuditExtra, AuditFilter, AuditReport};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{AuditPage, AuditReads, AuditSummary, Unit};

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::{Vault, default_tenant};

impl Vault {
    /// Puts the start of a server on the trail.
    ///
    /// # Errors
    /// When the trail cannot be written: then nothing can be served.
    pub async fn server_started(&self) -> Result<(), VaultError> {
        let now = self.now();
        let caller = Caller::system(default_tenant(), "server", now);
        let row = caller.row(Action::ServerStart, None, now, AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    /// A page of rows of the caller's tenant, newest first.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:read`.
    pub async fn audit_logs(
        &self,
        caller: &Caller,
        filter: AuditFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, VaultError> {
        let filter = self.audit_filter(caller, filter).await?;
        let page = AuditReads::audit_query(&*self.store, &filter, below, limit).await?;
        self.audit_own_query(caller, page.rows.len()).await?;
        Ok(page)
    }

    /// Counts over the rows of the caller's tenant.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:read`.
    pub async fn audit_counts(
        &self,
        caller: &Caller,
        filter: AuditFilter,
    ) -> Result<AuditSummary, VaultError> {
        let filter = self.audit_filter(caller, filter).await?;
        let counts = AuditReads::audit_summary(&*self.store, &filter).await?;
        let rows = usize::try_from(counts.total).unwrap_or(usize::MAX);
        self.audit_own_query(caller, rows).await?;
        Ok(counts)
    }

    /// Walks the whole chain.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:read`.
    pub async fn audit_verify(&self, caller: &Caller) -> Result<AuditReport, VaultError> {
        self.require(caller, Scope::AuditRead, Action::AuditQuery)
            .await?;
        let report = AuditReads::audit_verify(&*self.store).await?;
        self.audit_own_query(caller, usize::try_from(report.rows).unwrap_or(usize::MAX))
            .await?;
        Ok(report)
    }

    /// Whether the caller may be told that there is a trail: with its row on it.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `audit:read`.
    pub async fn audit_device_seen(&self, caller: &Caller) -> Result<(), VaultError> {
        self.require_list(caller, Scope::AuditRead).await
    }

    async fn audit_filter(
        &self,
        caller: &Caller,
        mut filter: AuditFilter,
    ) -> Result<AuditFilter, VaultError> {
        self.require(caller, Scope::AuditRead, Action::AuditQuery)
            .await?;
        filter.tenant = Some(caller.tenant().clone());
        Ok(filter)
    }

    async fn audit_own_query(&self, caller: &Caller, rows: usize) -> Result<(), VaultError> {
        let extra = AuditExtra {
            count: u64::try_from(rows).ok(),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::AuditQuery, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }
}
