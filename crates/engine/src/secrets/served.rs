//! A secret as it is served: what a read needs of its head and one version. One is kept in memory
//! for every secret that is read, so it is small on purpose: no copies of tenant and path, metadata
//! as the text that answers carry, the value sealed.

use scaivault_core::ids::{RotationPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::Served;
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{Metadata, Readable, SecretType, VersionState};
use scaivault_core::time::Timestamp;
use serde_json::value::RawValue;

use crate::error::{GoneVersion, Missing, VaultError};

/// What one takes beside sealed value, metadata and path, about: itself, its place in the cache's
/// map, and what the allocator rounds up.
const SERVED_BYTES: usize = 400;

/// One version of a secret, sealed, with what is said beside it.
pub(crate) struct ServedVersion {
    tenant: TenantId,
    path: SecretPath,
    pub(super) secret_type: SecretType,
    state: VersionState,
    pub(super) version: u64,
    pub(super) current_version: u64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) readable_until: Option<Timestamp>,
    pub(super) version_created_at: Timestamp,
    pub(super) deletes_at: Option<Timestamp>,
    pub(super) rotation_policy_id: Option<RotationPolicyId>,
    /// [`Metadata`] as JSON.
    pub(super) metadata: Box<RawValue>,
    pub(super) sealed: Sealed,
}

impl ServedVersion {
    /// Of rows of this secret.
    ///
    /// # Errors
    /// When there is no such version, or the secret is deleted.
    pub(super) fn of(
        (tenant, path): (&TenantId, &SecretPath),
        served: Served,
        wanted: Option<u64>,
    ) -> Result<Self, VaultError> {
        let head = served.head;
        if head.is_deleted() {
            return Err(VaultError::NotFound(Missing::Secret));
        }
        let Some(row) = served.version else {
            let wanted = wanted.unwrap_or(head.current_version);
            let gone = head.versioning.destroyed(wanted).map(|gone| GoneVersion {
                version: wanted,
                created_at: gone.created_at,
                deleted_at: None,
                custom: head.metadata.custom_texts(),
            });
            return Err(gone.map_or(VaultError::NotFound(Missing::Version), |gone| {
                VaultError::VersionGone(Box::new(gone))
            }));
        };
        let mut sealed = row.sealed;
        sealed.0.shrink_to_fit();
        let metadata = serde_json::value::to_raw_value(&head.metadata)
            .map_err(|error| VaultError::Internal(format!("metadata: {error}")))?;
        Ok(Self {
            tenant: tenant.clone(),
            path: path.clone(),
            secret_type: head.secret_type,
            state: row.version.state,
            version: row.version.version,
            current_version: head.current_version,
            created_at: head.created_at,
            updated_at: head.updated_at,
            expires_at: head.expires_at,
            readable_until: row.version.readable_until,
            version_created_at: row.version.created_at,
            deletes_at: row.version.deletes_at,
            rotation_policy_id: served.policy_id,
            metadata,
            sealed,
        })
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) fn path(&self) -> &SecretPath {
        &self.path
    }

    pub(super) fn is_current(&self) -> bool {
        self.version == self.current_version
    }

    /// Labels, for who filters events by them.
    pub(super) fn tags(&self) -> Vec<String> {
        let metadata: Result<Metadata, _> = serde_json::from_str(self.metadata.get());
        metadata.map(|said| said.tags).unwrap_or_default()
    }

    /// Judged at each read, by the clock: an end that passed since the row was read counts.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), VaultError> {
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(VaultError::SecretExpired);
        }
        match Readable::of(self.state, self.readable_until, now) {
            Readable::Yes if self.deletes_at.is_some_and(|at| at <= now) => {
                let custom: Result<Metadata, _> = serde_json::from_str(self.metadata.get());
                Err(VaultError::VersionGone(Box::new(GoneVersion {
                    version: self.version,
                    created_at: self.version_created_at,
                    deleted_at: self.deletes_at,
                    custom: custom.map(|said| said.custom_texts()).unwrap_or_default(),
                })))
            }
            Readable::Yes => Ok(()),
            Readable::Closed => Err(VaultError::SecretExpired),
            Readable::Never => Err(VaultError::NotFound(Missing::Version)),
        }
    }

    /// Bytes of memory, about.
    pub(super) fn weight(&self) -> usize {
        SERVED_BYTES + self.sealed.0.len() + self.metadata.get().len() + self.path.as_str().len()
    }
}
