//! Writing a value: always one more version. A write by someone who may rotate, while a rotation
//! of the secret waits for its value, is that rotation's answer.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{RotationId, RotationPolicyId, SecretPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    CommitError, Ground, Op, Record, RotationPolicyReads, RotationReads, SecretReads, Unit,
    UnitName,
};
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy};
use scaivault_core::seal::{Place, Sealer};
use scaivault_core::secret::{
    MAX_VERSIONS_DEFAULT, Metadata, SealedVersion, SecretHead, SecretType, Version, VersionState,
    Versioning,
};
use scaivault_core::time::{Span, Timestamp};

use super::aging::aging_ops;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::events;
use crate::tally::Tally;
use crate::vault::Vault;

/// The sealing place of values.
pub(crate) const DATA_PLACE_KIND: &str = "secret";

/// What names the recipe in a write.
const GENERATE_FROM: &str = "options.generate_from";

/// The place of one version of a secret.
pub(crate) fn data_place(head: &SecretHead, version: u64) -> Place<'_> {
    value_place(&head.tenant, &head.path, version)
}

/// The same by its key: for checking stored values without a vault.
pub fn value_place<'a>(tenant: &'a TenantId, path: &'a SecretPath, version: u64) -> Place<'a> {
    Place {
        tenant,
        kind: DATA_PLACE_KIND,
        path: path.as_str(),
        version,
        field: "data",
    }
}

/// What to write. Absent parts keep what the secret has.
pub struct SecretWrite {
    /// Where.
    pub path: SecretPath,
    /// The value: a JSON object.
    pub data: Plaintext,
    /// The hint.
    pub secret_type: Option<SecretType>,
    /// Replaces all metadata.
    pub metadata: Option<Metadata>,
    /// Versions kept.
    pub max_versions: Option<u32>,
    /// End of the value.
    pub expires_in: Option<Span>,
    /// How long before that end it is told of.
    pub notify_before: Option<Vec<Span>>,
    /// Attaches a rotation policy.
    pub rotation_policy_id: Option<RotationPolicyId>,
    /// Only when this is current; 0: only when there is no such secret.
    pub cas: Option<u64>,
    /// Only as the answer to this rotation.
    pub rotation_id: Option<RotationId>,
    /// Where it is written, whoever writes names the version he replaces.
    pub cas_required: bool,
    /// How long this version can be read, unless the secret says otherwise.
    pub delete_after_s: Option<u64>,
    /// Versions kept, where this write makes the secret.
    pub max_versions_new: Option<u32>,
}

impl SecretWrite {
    /// A value, and nothing else.
    pub fn of(path: SecretPath, data: Plaintext) -> Self {
        Self {
            path,
            data,
            secret_type: None,
            metadata: None,
            max_versions: None,
            expires_in: None,
            notify_before: None,
            rotation_policy_id: None,
            cas: None,
            rotation_id: None,
            cas_required: false,
            delete_after_s: None,
            max_versions_new: None,
        }
    }
}

/// What a write made.
#[derive(Debug)]
pub struct Written {
    /// The head as it is now.
    pub head: SecretHead,
    /// The attached rotation policy.
    pub rotation_policy_id: Option<RotationPolicyId>,
    /// The rotation it answered.
    pub answered: Option<RotationId>,
    /// From then on the version is deleted.
    pub deletes_at: Option<Timestamp>,
}

/// What the secret looks like before the write.
struct Before {
    head: Option<SecretHead>,
    versions: Vec<Version>,
    assignment: Option<Assignment>,
    /// The attached policy, or the one being attached.
    policy: Option<RotationPolicy>,
    /// The rotation this write answers.
    answers: Option<Rotation>,
    /// The recipe that the secret is made by from now on, to be put.
    recipe: Option<Record>,
}

impl Vault {
    /// Writes one more version.
    ///
    /// # Errors
    /// [`VaultError::VersionConflict`] when `cas` does not hold; [`VaultError::SecretExists`]
    /// when the path holds a soft-deleted secret; [`VaultError::RotationUnfinished`] while it is
    /// rotated at a target. Nothing is changed by a failed write.
    pub async fn secret_write(
        &self,
        caller: &Caller,
        write: SecretWrite,
    ) -> Result<Written, VaultError> {
        self.authorize(
            caller,
            Scope::SecretsWrite,
            Permission::Write,
            &write.path,
            Action::Write,
        )
        .await?;
        let outcome = self.secret_write_racing(caller, &write, None).await;
        self.on_trail(caller, Action::Write, &write.path, outcome)
            .await
    }

    /// The same with a value made by a recipe, by id or name, instead of `data`. The secret refers
    /// to it from then on.
    ///
    /// # Errors
    /// As for [`Self::secret_write`]; [`VaultError::NotFound`] for the recipe.
    pub async fn secret_write_generated(
        &self,
        caller: &Caller,
        mut write: SecretWrite,
        recipe: &str,
    ) -> Result<Written, VaultError> {
        let (scope, permission) = (Scope::SecretsWrite, Permission::Write);
        self.authorize(caller, scope, permission, &write.path, Action::Write)
            .await?;
        let made = async {
            let policy = self.secret_policy_of(caller.tenant(), recipe).await?;
            write.data = self.recipe_value(&policy, GENERATE_FROM).await?;
            let id = Some(&policy.id);
            self.secret_write_racing(caller, &write, id).await
        };
        let outcome = made.await;
        self.on_trail(caller, Action::Write, &write.path, outcome)
            .await
    }

    async fn secret_write_racing(
        &self,
        caller: &Caller,
        write: &SecretWrite,
        recipe: Option<&SecretPolicyId>,
    ) -> Result<Written, VaultError> {
        for _ in 0..RACES_MAX {
            let before = self.before_write(caller, write, recipe).await?;
            let (unit, written) = self.plan_write(caller, write, &before)?;
            let unit = self.told_to_tenants(caller.tenant(), unit).await?;
            match self.commit(unit).await {
                Ok(_) => {
                    if written.head.expires_at.is_some() {
                        self.signals.end_given();
                    }
                    if written.answered.is_some() {
                        Tally::add(&self.tally.rotations_succeeded);
                    }
                    return Ok(written);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let current = SecretReads::secret_find(&*self.store, caller.tenant(), &write.path)
            .await?
            .map_or(0, |head| head.current_version);
        Err(VaultError::VersionConflict { current })
    }

    async fn before_write(
        &self,
        caller: &Caller,
        write: &SecretWrite,
        recipe: Option<&SecretPolicyId>,
    ) -> Result<Before, VaultError> {
        let tenant = caller.tenant();
        let Ground {
            head,
            versions,
            assignment,
        } = self.store.secret_ground(tenant, &write.path).await?;
        if let Some(head) = &head
            && head.is_deleted()
        {
            return Err(VaultError::SecretExists(head.recoverable_until));
        }
        let current = head.as_ref().map_or(0, |head| head.current_version);
        let of_secret = head
            .as_ref()
            .is_some_and(|head| head.versioning.cas_required);
        if write.cas.is_none() && (of_secret || write.cas_required) {
            let why =
                "is required for this secret: name the version that this one replaces, 0 for none";
            return Err(VaultError::Validation(vec![(
                "options.cas".to_owned(),
                why.to_owned(),
            )]));
        }
        if write.cas.is_some_and(|expected| expected != current) {
            return Err(VaultError::VersionConflict { current });
        }
        self.no_rotation_at_target(assignment.as_ref()).await?;
        let policy_id = write
            .rotation_policy_id
            .as_ref()
            .or(assignment.as_ref().map(|assignment| &assignment.policy_id));
        let policy = match policy_id {
            Some(id) => RotationPolicyReads::rotation_policy_find(&*self.store, tenant, id).await?,
            None => None,
        };
        if write.rotation_policy_id.is_some() && policy.is_none() {
            return Err(VaultError::NotFound(Missing::RotationPolicy));
        }
        if let (Some(wanted), Some(old)) = (&write.rotation_policy_id, &assignment)
            && old.policy_id != *wanted
        {
            self.may_move(caller, write).await?;
            let accepts = policy.as_ref().is_some_and(|new| new.rules.accept_gap);
            if old.attached.as_ref().is_some_and(|at| at.has_gap()) && !accepts {
                let field = "options.rotation_policy_id".to_owned();
                let why = "is of a policy that does not accept the gap of strategy none";
                return Err(VaultError::Validation(vec![(field, why.to_owned())]));
            }
        }
        let answers = self.answered_by(caller, write, assignment.as_ref()).await?;
        let referred = head
            .as_ref()
            .and_then(|head| head.secret_policy_id.as_ref());
        let recipe = match recipe.filter(|id| referred != Some(*id)) {
            Some(id) => Some(self.recipe_to_refer_to(tenant, id, GENERATE_FROM).await?),
            None => None,
        };
        Ok(Before {
            head,
            versions,
            assignment,
            policy,
            answers,
            recipe,
        })
    }

    /// Attaching a policy goes with writing; taking a secret away from the policy it has does
    /// not: that needs the right to rotate, or to administer.
    async fn may_move(&self, caller: &Caller, write: &SecretWrite) -> Result<(), VaultError> {
        let scopes = caller.principal.scopes;
        if scopes.contains(Scope::Admin) {
            return Ok(());
        }
        if !scopes.contains(Scope::SecretsRotate) {
            return Err(VaultError::Scope(Scope::SecretsRotate));
        }
        self.decision(caller, Permission::Rotate, &write.path, self.now())
            .await?
            .map(|_| ())
            .map_err(VaultError::Denied)
    }

    /// The rotation that waits for a value of this secret, if the caller may answer it.
    async fn answered_by(
        &self,
        caller: &Caller,
        write: &SecretWrite,
        assignment: Option<&Assignment>,
    ) -> Result<Option<Rotation>, VaultError> {
        let open = match assignment.and_then(|assignment| assignment.open_rotation.as_ref()) {
            Some(id) => RotationReads::rotation_find(&*self.store, caller.tenant(), id)
                .await?
                .filter(Rotation::awaits_value),
            None => None,
        };
        if let Some(wanted) = &write.rotation_id
            && open.as_ref().map(|rotation| &rotation.id) != Some(wanted)
        {
            return Err(VaultError::RotationConflict);
        }
        let Some(rotation) = open else {
            return Ok(None);
        };
        let in_scope = caller.principal.scopes.contains(Scope::SecretsRotate);
        let allowed = in_scope
            && self
                .decision(caller, Permission::Rotate, &write.path, self.now())
                .await?
                .is_ok();
        if write.rotation_id.is_some() && !allowed {
            return Err(if in_scope {
                VaultError::Denied(scaivault_core::access::DenialReason::NoRule)
            } else {
                VaultError::Scope(Scope::SecretsRotate)
            });
        }
        Ok(allowed.then_some(rotation))
    }

    fn plan_write(
        &self,
        caller: &Caller,
        write: &SecretWrite,
        before: &Before,
    ) -> Result<(Unit, Written), VaultError> {
        let now = self.now();
        let mut head = next_head(caller, write, before.head.as_ref(), now);
        if let Some(Record::SecretPolicy(recipe)) = &before.recipe {
            head.secret_policy_id = Some(recipe.id.clone());
        }
        let number = head.current_version;
        let old_version = before.head.as_ref().map_or(0, |head| head.current_version);
        let rotation = before
            .answers
            .as_ref()
            .map(|rotation| rotation.promoted(number, old_version, now));
        let place = Place {
            tenant: &head.tenant,
            kind: DATA_PLACE_KIND,
            path: head.path.as_str(),
            version: number,
            field: "data",
        };
        let sealed = Sealer::seal(self.sealer(), place, &write.data)?;
        let row = Version {
            tenant: head.tenant.clone(),
            path: head.path.clone(),
            version: number,
            state: VersionState::Current,
            readable_until: None,
            rotation_id: rotation.as_ref().map(|rotation| rotation.id.clone()),
            created_at: now,
            created_by: caller.identity().clone(),
            deletes_at: head
                .versioning
                .delete_after_s
                .or(write.delete_after_s)
                .map(|seconds| now.plus(std::time::Duration::from_secs(seconds))),
            revision: 1,
        };

        let row_deletes_at = row.deletes_at;
        let mut unit = Unit::new(UnitName::SecretWrite)
            .put(Record::Secret(head.clone()))
            .op(Op::VersionInsert(SealedVersion {
                version: row.clone(),
                sealed,
            }));
        if let Some(recipe) = &before.recipe {
            unit = unit.put(recipe.clone());
        }
        let mut rows = vec![row];
        for old in &before.versions {
            if old.version == old_version {
                let replaced = replaced_version(old, rotation.as_ref());
                unit = unit.put(Record::Version(replaced.clone()));
                rows.push(replaced);
            } else {
                rows.push(old.clone());
            }
        }
        unit.ops.extend(aging_ops(&head, &rows, now));

        let assignment = next_assignment(caller, write, before, &head, rotation.is_some(), now);
        let rotation_policy_id = assignment
            .as_ref()
            .or(before.assignment.as_ref())
            .map(|assignment| assignment.policy_id.clone());
        if let Some(assignment) = assignment {
            unit = unit.put(Record::Assignment(assignment));
        }
        let event = if old_version == 0 {
            events::created(&head, caller)
        } else {
            events::updated(&head, old_version, caller, rotation.is_some())
        };
        unit = unit.emit(self.event(caller, event, now));
        if let Some(rotation) = &rotation {
            let rotated = events::rotated(&head, rotation, false);
            unit = unit
                .put(Record::Rotation(rotation.clone()))
                .emit(self.event(caller, rotated, now));
        }
        let extra = AuditExtra {
            version: Some(number),
            old_version: (old_version > 0).then_some(old_version),
            is_rotation: Some(rotation.is_some()),
            rotation_policy_id: write.rotation_policy_id.clone(),
            rotation_id: rotation.as_ref().map(|rotation| rotation.id.clone()),
            ..AuditExtra::default()
        };
        unit = unit.audited(caller.row(Action::Write, Some(&head.path), now, extra));
        let answered = rotation.map(|rotation| rotation.id);
        Ok((
            unit,
            Written {
                head,
                rotation_policy_id,
                answered,
                deletes_at: row_deletes_at,
            },
        ))
    }
}

/// A secret before its first version.
pub(super) fn empty_head(tenant: &TenantId, path: &SecretPath, now: Timestamp) -> SecretHead {
    SecretHead {
        tenant: tenant.clone(),
        path: path.clone(),
        secret_type: SecretType::default(),
        metadata: Metadata::default(),
        current_version: 0,
        latest_version: 0,
        max_versions: MAX_VERSIONS_DEFAULT,
        created_at: now,
        updated_at: now,
        expires_at: None,
        secret_policy_id: None,
        recoverable_until: None,
        expiry: scaivault_core::expiry::Expiry::default(),
        versioning: Versioning::default(),
        revision: 0,
    }
}

fn next_head(
    caller: &Caller,
    write: &SecretWrite,
    before: Option<&SecretHead>,
    now: Timestamp,
) -> SecretHead {
    let mut head = before
        .cloned()
        .unwrap_or_else(|| empty_head(caller.tenant(), &write.path, now));
    head.revision += 1;
    head.updated_at = now;
    head.latest_version += 1;
    head.current_version = head.latest_version;
    // A new value has a new life: an end given with the old one does not carry over.
    if let Some(thresholds) = &write.notify_before {
        head.expiry.notify_before = Some(thresholds.clone());
    }
    let end = write.expires_in.as_ref();
    head.set_end(end.map(|span| now.plus(span.duration())), now);
    if let Some(secret_type) = write.secret_type {
        head.secret_type = secret_type;
    }
    if let Some(metadata) = &write.metadata {
        head.metadata = metadata.clone();
    }
    let first = write.max_versions_new.filter(|_| before.is_none());
    if let Some(max_versions) = write.max_versions.or(first) {
        head.max_versions = max_versions;
    }
    head
}

/// The replaced version: readable until the grace period closes if a rotation replaced it, until
/// it ages out otherwise.
fn replaced_version(old: &Version, rotation: Option<&Rotation>) -> Version {
    let mut replaced = old.clone();
    replaced.revision += 1;
    match rotation {
        Some(rotation) => {
            replaced.state = VersionState::Previous;
            replaced.readable_until = rotation.grace_ends_at;
        }
        None => replaced.state = VersionState::Superseded,
    }
    replaced
}

/// The attachment after the write, where it changes.
fn next_assignment(
    caller: &Caller,
    write: &SecretWrite,
    before: &Before,
    head: &SecretHead,
    answered: bool,
    now: Timestamp,
) -> Option<Assignment> {
    let policy = before.policy.as_ref();
    let attach = write.rotation_policy_id.as_ref().and(policy);
    match (&before.assignment, attach) {
        (Some(old), Some(policy)) if old.policy_id != policy.id => {
            let moved = old.moved(policy, caller.identity().clone(), now);
            Some(if answered {
                Assignment {
                    revision: moved.revision,
                    ..moved.rotated(Some(policy), now)
                }
            } else {
                moved
            })
        }
        (Some(old), _) if answered => Some(old.rotated(policy, now)),
        (None, Some(policy)) => Some(Assignment::new(
            head.tenant.clone(),
            head.path.clone(),
            policy,
            caller.identity().clone(),
            now,
        )),
        _ => None,
    }
}
