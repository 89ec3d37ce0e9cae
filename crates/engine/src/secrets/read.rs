//! Reading a value: decide, fetch, open, audit, and only then answer.

use std::sync::Arc;

use scaivault_core::access::{Grant, Permission};
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::consumer::{ConsumerRead, SETTLED_RESOLUTION};
use scaivault_core::event::EventType;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{RotationPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Unit;
use scaivault_core::seal::{Place, Sealer};
use scaivault_core::secret::SecretType;
use scaivault_core::time::Timestamp;
use serde_json::value::RawValue;

use super::served::ServedVersion;
use super::write::{DATA_PLACE_KIND, value_place};
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::events::EventDraft;
use crate::vault::Vault;

/// A value on its way out, with what is said beside it.
pub struct ReadSecret {
    entry: Arc<ServedVersion>,
    value: Plaintext,
}

impl ReadSecret {
    /// Which secret.
    pub fn path(&self) -> &SecretPath {
        self.entry.path()
    }

    /// The hint about the value's shape.
    pub fn secret_type(&self) -> SecretType {
        self.entry.secret_type
    }

    /// The version that was read.
    pub fn version(&self) -> u64 {
        self.entry.version
    }

    /// Whether it is what readers get who ask for none.
    pub fn is_current(&self) -> bool {
        self.entry.is_current()
    }

    /// What people say about the secret: `core`'s `Metadata` as JSON.
    pub fn metadata(&self) -> &RawValue {
        &self.entry.metadata
    }

    /// The secret's creation.
    pub fn created_at(&self) -> Timestamp {
        self.entry.created_at
    }

    /// The secret's last change.
    pub fn updated_at(&self) -> Timestamp {
        self.entry.updated_at
    }

    /// Past this the value is refused.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.entry.expires_at
    }

    /// Of a version that a rotation replaced: when its grace period closes.
    pub fn readable_until(&self) -> Option<Timestamp> {
        self.entry.readable_until
    }

    /// When this version was written.
    pub fn version_created_at(&self) -> Timestamp {
        self.entry.version_created_at
    }

    /// From then on this version is deleted.
    pub fn deletes_at(&self) -> Option<Timestamp> {
        self.entry.deletes_at
    }

    /// The attached rotation policy.
    pub fn rotation_policy_id(&self) -> Option<&str> {
        let id = self.entry.rotation_policy_id.as_ref();
        id.map(RotationPolicyId::as_str)
    }

    /// The value: the JSON object as it was written.
    pub fn value(&self) -> &Plaintext {
        &self.value
    }
}

impl Vault {
    /// Reads one version of a secret: a number, or the current one. The audit row and the
    /// ledger's line are durable before this returns a value.
    ///
    /// # Errors
    /// Refusals and absences are audited too; if the audit row cannot be written, the answer is
    /// [`VaultError::Unavailable`] whatever it would have been.
    pub async fn secret_read(
        &self,
        caller: &Caller,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<ReadSecret, VaultError> {
        let grant = self
            .authorize(
                caller,
                Scope::SecretsRead,
                Permission::Read,
                path,
                Action::Read,
            )
            .await?;
        let outcome = match self.fetch(&grant, version).await {
            Ok(entry) => self.open(&grant, entry),
            Err(error) => Err(error),
        };
        let now = self.now();
        match outcome {
            Ok(secret) => {
                self.commit(self.read_unit(caller, &secret, now).await?)
                    .await?;
                Ok(secret)
            }
            Err(error) => {
                let extra = AuditExtra {
                    version,
                    ..AuditExtra::default()
                };
                let row = caller.failed_row(Action::Read, Some(path), now, error.code(), extra);
                self.commit(Unit::audit_only(row)).await?;
                Err(error)
            }
        }
    }

    pub(super) async fn read_unit(
        &self,
        caller: &Caller,
        secret: &ReadSecret,
        now: Timestamp,
    ) -> Result<Unit, VaultError> {
        let (entry, number) = (&secret.entry, secret.entry.version);
        let extra = AuditExtra {
            version: Some(number),
            ..AuditExtra::default()
        };
        let mut unit = Unit::audit_only(caller.row(Action::Read, Some(entry.path()), now, extra));
        unit.reads.push(ConsumerRead {
            tenant: entry.tenant().clone(),
            path: entry.path().clone(),
            version: number,
            consumer: caller.consumer(),
            at: now,
            settled: entry.is_current() && now.since(entry.updated_at) >= SETTLED_RESOLUTION,
        });
        if self
            .receivers_of(caller.principal.acts_in())
            .await?
            .want(EventType::SecretAccessed)
        {
            let data = serde_json::json!({
                "version": number,
                "accessed_by": caller.identity().as_str(),
            });
            let draft = EventDraft::new(EventType::SecretAccessed, data).about_read(
                entry.path(),
                entry.secret_type,
                entry.tags(),
            );
            unit = unit.emit(self.event(caller, draft, now));
        }
        Ok(unit)
    }

    pub(super) async fn fetch(
        &self,
        grant: &Grant,
        version: Option<u64>,
    ) -> Result<Arc<ServedVersion>, VaultError> {
        let entry = self.kept(grant.tenant(), grant.path(), version).await?;
        entry.check(self.now()).map(|()| entry)
    }

    /// The current value for the vault's own use, whatever its state; `None` of a secret that is not
    /// there or deleted.
    pub(crate) async fn current_value(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<Option<Plaintext>, VaultError> {
        let entry = match self.kept(tenant, path, None).await {
            Ok(entry) => entry,
            Err(VaultError::NotFound(_) | VaultError::VersionGone(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let place = value_place(tenant, path, entry.version);
        Ok(Some(Sealer::open(self.sealer(), place, &entry.sealed)?))
    }

    /// A version, the current one from memory where it did not change.
    async fn kept(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Arc<ServedVersion>, VaultError> {
        let key = (tenant.clone(), path.clone());
        let settled = self.caches_settled();
        let cached = self.caches.secrets.get(&key);
        let ticket = match cached {
            Ok(entry) if settled && version.is_none_or(|v| v == entry.current_version) => {
                return Ok(entry);
            }
            Err(ticket) if version.is_none() => Some(ticket),
            _ => None,
        };
        let served = self
            .store
            .secret_served(tenant, path, version)
            .await?
            .ok_or(VaultError::NotFound(Missing::Secret))?;
        let entry = Arc::new(ServedVersion::of((&key.0, &key.1), served, version)?);
        if let Some(ticket) = ticket {
            let weight = entry.weight();
            self.caches
                .secrets
                .insert(ticket, key, entry.clone(), weight);
        }
        Ok(entry)
    }

    /// Opening asks for the proof that the decision allowed reading this very path.
    pub(super) fn open(
        &self,
        grant: &Grant,
        entry: Arc<ServedVersion>,
    ) -> Result<ReadSecret, VaultError> {
        if grant.permission() != Permission::Read || grant.path() != entry.path() {
            return Err(VaultError::Internal(
                "a grant was used for another request".into(),
            ));
        }
        let place = Place {
            tenant: grant.tenant(),
            kind: DATA_PLACE_KIND,
            path: grant.path().as_str(),
            version: entry.version,
            field: "data",
        };
        let value = Sealer::open(self.sealer(), place, &entry.sealed)?;
        Ok(ReadSecret { entry, value })
    }
}
