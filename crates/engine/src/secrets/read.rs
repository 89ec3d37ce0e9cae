//! Reading a value: decide, fetch, open, audit, and only then answer.

use std::sync::{Arc, OnceLock};

use scaivault_core::access::{Grant, Permission};
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::consumer::ConsumerRead;
use scaivault_core::event::EventType;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Unit;
use scaivault_core::seal::{Place, Sealer};
use scaivault_core::secret::{Readable, SecretHead, Version};
use scaivault_core::time::Timestamp;

use super::frame::Frame;
use super::write::DATA_PLACE_KIND;
use crate::cache::CurrentSecret;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::events::EventDraft;
use crate::vault::Vault;

/// What an entry of the cache takes beside value and metadata, about.
const ENTRY_BYTES: usize = 1_500;

/// A value on its way out, with what is said beside it.
pub struct ReadSecret {
    entry: Arc<CurrentSecret>,
    value: Plaintext,
}

impl ReadSecret {
    /// The head.
    pub fn head(&self) -> &SecretHead {
        &self.entry.head
    }

    /// The version that was read.
    pub fn version(&self) -> &Version {
        &self.entry.version.version
    }

    /// The attached rotation policy.
    pub fn rotation_policy_id(&self) -> Option<&str> {
        self.entry.rotation_policy_id.as_deref()
    }

    /// What stands around the value in an answer; made by `make` when nobody did before.
    pub fn frame(&self, make: impl FnOnce() -> Option<Frame>) -> Option<&Frame> {
        let frame = &self.entry.frame;
        if frame.get().is_none() {
            // Another who made the same meanwhile is as good.
            let _ = frame.set(make()?);
        }
        frame.get()
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
        let (head, number) = (secret.head(), secret.version().version);
        let extra = AuditExtra {
            version: Some(number),
            ..AuditExtra::default()
        };
        let mut unit = Unit::audit_only(caller.row(Action::Read, Some(&head.path), now, extra));
        unit.reads.push(ConsumerRead {
            tenant: head.tenant.clone(),
            path: head.path.clone(),
            version: number,
            consumer: caller.identity().clone(),
            at: now,
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
            let draft = EventDraft::new(EventType::SecretAccessed, data).about(head);
            unit = unit.emit(self.event(caller, draft, now));
        }
        Ok(unit)
    }

    pub(super) async fn fetch(
        &self,
        grant: &Grant,
        version: Option<u64>,
    ) -> Result<Arc<CurrentSecret>, VaultError> {
        let key = (grant.tenant().clone(), grant.path().clone());
        let settled = self.caches_settled();
        let cached = self.caches.secrets.get(&key);
        let ticket = match cached {
            Ok(entry) if settled && version.is_none_or(|v| v == entry.head.current_version) => {
                return self.readable(entry);
            }
            Err(ticket) if version.is_none() => Some(ticket),
            _ => None,
        };
        let served = self
            .store
            .secret_served(grant.tenant(), grant.path(), version)
            .await?
            .filter(|served| !served.head.is_deleted())
            .ok_or(VaultError::NotFound(Missing::Secret))?;
        let (head, row) = (served.head, served.version);
        let row = row.ok_or(VaultError::NotFound(Missing::Version))?;
        let rotation_policy_id = served.policy_id.map(|id| id.as_str().to_owned());
        // Metadata is there twice: in the head, and as text in the frame.
        let metadata = serde_json::to_string(&head.metadata).map_or(0, |text| text.len());
        let weight = row.sealed.0.len() + ENTRY_BYTES + 2 * metadata;
        let entry = Arc::new(CurrentSecret {
            head,
            version: row,
            rotation_policy_id,
            frame: OnceLock::new(),
        });
        if let Some(ticket) = ticket {
            self.caches
                .secrets
                .insert(ticket, key, entry.clone(), weight);
        }
        self.readable(entry)
    }

    /// Judged at each read, by the clock: an end that passed since the row was read counts.
    fn readable(&self, entry: Arc<CurrentSecret>) -> Result<Arc<CurrentSecret>, VaultError> {
        let now = self.now();
        if entry.head.is_expired(now) {
            return Err(VaultError::SecretExpired);
        }
        match entry.version.version.readable(now) {
            Readable::Yes => Ok(entry),
            Readable::Closed => Err(VaultError::SecretExpired),
            Readable::Never => Err(VaultError::NotFound(Missing::Version)),
        }
    }

    /// Opening asks for the proof that the decision allowed reading this very path.
    pub(super) fn open(
        &self,
        grant: &Grant,
        entry: Arc<CurrentSecret>,
    ) -> Result<ReadSecret, VaultError> {
        if grant.permission() != Permission::Read || *grant.path() != entry.head.path {
            return Err(VaultError::Internal(
                "a grant was used for another request".into(),
            ));
        }
        let place = Place {
            tenant: grant.tenant(),
            kind: DATA_PLACE_KIND,
            path: grant.path().as_str(),
            version: entry.version.version.version,
            field: "data",
        };
        let value = Sealer::open(self.sealer(), place, &entry.version.sealed)?;
        Ok(ReadSecret { entry, value })
    }
}
