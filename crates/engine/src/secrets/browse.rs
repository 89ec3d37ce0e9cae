//! Everything about secrets that answers without a value: lists, metadata, versions, consumers.

use std::collections::HashMap;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::consumer::Consumer;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, ConsumerReads, SecretFilter, SecretReads, Unit};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::{SecretHead, Version, VersionState};
use scaivault_core::time::Timestamp;

use crate::access::decided;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Rows looked at for one page of a list: visible ones may be sparse.
const SCAN_MAX: usize = 10_000;
const SCAN_STEP: usize = 500;

/// A secret without its value.
#[derive(Debug, Clone)]
pub struct SecretDetails {
    /// The head.
    pub head: SecretHead,
    /// Its schedule.
    pub assignment: Option<Assignment>,
    /// Stored versions (pending and withdrawn candidates left out).
    pub version_count: usize,
    /// Last read by anyone.
    pub last_accessed_at: Option<Timestamp>,
}

impl Vault {
    /// A page of the secrets the caller may list, by path, and whether there may be more after
    /// the last path looked at. Paths it may not list are left out silently, as if absent.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without the scope.
    pub async fn secret_list(
        &self,
        caller: &Caller,
        filter: &SecretFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(SecretHead, Option<Assignment>)>, Option<String>), VaultError> {
        self.require(caller, Scope::SecretsList, Action::List)
            .await?;
        let mut found: Vec<SecretHead> = Vec::new();
        let mut after = after.map(str::to_owned);
        let mut scanned = 0;
        let mut next = None;
        let grants = self.grants_for(caller).await?;
        // Most often all of them are visible: a page and one more, to see whether there is more.
        let mut step = (limit + 1).min(SCAN_STEP);
        'scan: loop {
            let rows = SecretReads::secret_list(
                &*self.store,
                caller.tenant(),
                filter,
                after.as_deref(),
                step,
            )
            .await?;
            let last_page = rows.len() < step;
            step = SCAN_STEP;
            scanned += rows.len();
            for head in rows {
                if found.len() == limit {
                    next = after;
                    break 'scan;
                }
                after = Some(head.path.as_str().to_owned());
                let now = self.now();
                let allowed = decided(caller, &grants, Permission::List, &head.path, now);
                if allowed.is_ok() {
                    found.push(head);
                }
            }
            if last_page {
                break;
            }
            if scanned >= SCAN_MAX {
                next = after;
                break;
            }
        }
        let paths: Vec<SecretPath> = found.iter().map(|head| head.path.clone()).collect();
        let attached =
            AssignmentReads::assignment_of(&*self.store, caller.tenant(), &paths).await?;
        let mut attached: HashMap<SecretPath, Assignment> = attached
            .into_iter()
            .map(|assignment| (assignment.path.clone(), assignment))
            .collect();
        let secrets: Vec<(SecretHead, Option<Assignment>)> = found
            .into_iter()
            .map(|head| {
                let assignment = attached.remove(&head.path);
                (head, assignment)
            })
            .collect();
        let extra = AuditExtra {
            count: u64::try_from(secrets.len()).ok(),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::List, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok((secrets, next))
    }

    /// Metadata of one secret: the documented existence test.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is none.
    pub async fn secret_details(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretDetails, VaultError> {
        let head = self.listed_head(caller, path).await?;
        let tenant = caller.tenant();
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let version_count = SecretReads::version_list(&*self.store, tenant, path)
            .await?
            .iter()
            .filter(|row| !matches!(row.state, VersionState::Pending | VersionState::Withdrawn))
            .count();
        let last_accessed_at = ConsumerReads::consumer_list(&*self.store, tenant, path)
            .await?
            .iter()
            .map(|consumer| consumer.last_read_at)
            .max();
        self.audit_list(caller, path).await?;
        Ok(SecretDetails {
            head,
            assignment,
            version_count,
            last_accessed_at,
        })
    }

    /// Every version, newest first; candidates nobody could read are left out.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_versions(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<Vec<Version>, VaultError> {
        let head = self.listed_head(caller, path).await?;
        let mut rows = SecretReads::version_list(&*self.store, &head.tenant, path).await?;
        rows.retain(|row| !matches!(row.state, VersionState::Pending | VersionState::Withdrawn));
        self.audit_list(caller, path).await?;
        Ok(rows)
    }

    /// Who read which version, and what they say of it; their own words only for those who may
    /// rotate the secret.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_consumers(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<(SecretHead, Vec<Consumer>), VaultError> {
        let head = self.listed_head(caller, path).await?;
        let mut consumers =
            ConsumerReads::consumer_list(&*self.store, caller.tenant(), path).await?;
        // What consumers say is for those who rotate.
        let rotates = caller.principal.scopes.contains(Scope::SecretsRotate)
            && self
                .decision(caller, Permission::Rotate, path, self.now())
                .await?
                .is_ok();
        if !rotates {
            consumers.iter_mut().for_each(|row| row.detail = None);
        }
        self.audit_list(caller, path).await?;
        Ok((head, consumers))
    }

    async fn listed_head(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretHead, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsList,
            Permission::List,
            path,
            Action::List,
        )
        .await?;
        let found = SecretReads::secret_find(&*self.store, caller.tenant(), path)
            .await?
            .filter(|head| !head.is_deleted())
            .ok_or(VaultError::NotFound(Missing::Secret));
        self.on_trail(caller, Action::List, path, found).await
    }

    async fn audit_list(&self, caller: &Caller, path: &SecretPath) -> Result<(), VaultError> {
        let row = caller.row(Action::List, Some(path), self.now(), AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }
}
