//! Changing what is said about a secret, without a new version.

use std::collections::BTreeMap;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::SecretPolicyId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, CommitError, Record, SecretReads, Unit, UnitName};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::{
    METADATA_BYTES_MAX, METADATA_KEYS_MAX, METADATA_TAGS_MAX, Metadata, SecretHead,
};
use scaivault_core::time::{Span, Timestamp};

use super::aging::aging_ops;
use super::write::empty_head;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// What to change. Absent parts stay.
#[derive(Debug, Clone, Default)]
pub struct MetadataChange {
    /// Replaces all metadata.
    pub metadata: Option<Metadata>,
    /// Replaces the tags alone.
    pub tags: Option<Vec<String>>,
    /// Versions kept.
    pub max_versions: Option<u32>,
    /// The value's end; `Some(None)` takes it away.
    pub expires_at: Option<Option<Timestamp>>,
    /// How long before its end it is told of; `Some(None)`: as when nobody says.
    pub notify_before: Option<Option<Vec<Span>>>,
    /// The recipe of its values; `Some(None)` takes it away.
    pub secret_policy_id: Option<Option<SecretPolicyId>>,
    /// Texts by name; without one it is removed.
    pub texts: BTreeMap<String, Option<String>>,
    /// Other texts than those are removed.
    pub texts_replace: bool,
    /// Whether writes name the version they replace.
    pub cas_required: Option<bool>,
    /// How long a written version can be read; `Some(None)`: for ever.
    pub delete_after_s: Option<Option<u64>>,
    /// Makes the secret where there is none, without a version.
    pub create: bool,
}

impl Vault {
    /// Changes metadata; answers the secret with its schedule.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret.
    pub async fn secret_metadata_change(
        &self,
        caller: &Caller,
        path: &SecretPath,
        change: &MetadataChange,
    ) -> Result<(SecretHead, Option<Assignment>), VaultError> {
        self.authorize(
            caller,
            Scope::SecretsWrite,
            Permission::Write,
            path,
            Action::Write,
        )
        .await?;
        let outcome = self
            .secret_metadata_change_allowed(caller, path, change)
            .await;
        let head = self.on_trail(caller, Action::Write, path, outcome).await?;
        let assignment = AssignmentReads::assignment_find(&*self.store, &head.tenant, path).await?;
        Ok((head, assignment))
    }

    async fn secret_metadata_change_allowed(
        &self,
        caller: &Caller,
        path: &SecretPath,
        change: &MetadataChange,
    ) -> Result<SecretHead, VaultError> {
        for _ in 0..RACES_MAX {
            let head = SecretReads::secret_find(&*self.store, caller.tenant(), path).await?;
            let now = self.now();
            let mut head = match head {
                Some(head) if !head.is_deleted() => head,
                Some(head) if change.create => {
                    return Err(VaultError::SecretExists(head.recoverable_until));
                }
                None if change.create => empty_head(caller.tenant(), path, now),
                _ => return Err(VaultError::NotFound(Missing::Secret)),
            };
            head.revision += 1;
            head.updated_at = now;
            if let Some(metadata) = &change.metadata {
                head.metadata = metadata.clone();
            }
            let mut texts = change.texts.clone();
            if change.texts_replace {
                for name in head.metadata.custom_texts().into_keys() {
                    texts.entry(name).or_insert(None);
                }
            }
            head.metadata.change_texts(&texts);
            if !texts.is_empty() && head.metadata.is_beyond_bounds() {
                let why = format!(
                    "has at most {METADATA_KEYS_MAX} keys, {METADATA_TAGS_MAX} tags and \
                     {METADATA_BYTES_MAX} bytes, with what is there already"
                );
                return Err(VaultError::Validation(vec![(
                    "custom_metadata".into(),
                    why,
                )]));
            }
            if let Some(cas_required) = change.cas_required {
                head.versioning.cas_required = cas_required;
            }
            if let Some(delete_after_s) = change.delete_after_s {
                head.versioning.delete_after_s = delete_after_s;
            }
            if let Some(tags) = &change.tags {
                head.metadata.tags.clone_from(tags);
            }
            if let Some(notify_before) = &change.notify_before {
                let end = head.expires_at;
                head.expiry.change(notify_before.clone(), end, now);
            }
            if let Some(expires_at) = change.expires_at {
                head.set_end(expires_at, now);
            }
            let mut unit = Unit::new(UnitName::SecretMetadata);
            if let Some(recipe) = &change.secret_policy_id {
                if let Some(id) = recipe.as_ref().filter(|_| head.secret_policy_id != *recipe) {
                    let field = "secret_policy_id";
                    unit = unit.put(self.recipe_to_refer_to(caller.tenant(), id, field).await?);
                }
                head.secret_policy_id.clone_from(recipe);
            }
            if let Some(max_versions) = change.max_versions {
                head.max_versions = max_versions;
                let rows = SecretReads::version_list(&*self.store, caller.tenant(), path).await?;
                unit.ops.extend(aging_ops(&head, &rows, now));
            }
            let extra = AuditExtra {
                metadata_only: Some(true),
                ..AuditExtra::default()
            };
            let unit = unit.put(Record::Secret(head.clone())).audited(caller.row(
                Action::Write,
                Some(path),
                now,
                extra,
            ));
            match self.commit(unit).await {
                Ok(_) => {
                    if head.expires_at.is_some() {
                        self.signals.end_given();
                    }
                    return Ok(head);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the secret changes too quickly: try again".into(),
        ))
    }
}
