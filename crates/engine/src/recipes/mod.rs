//! Secret policies: recipes for values. Whoever administers writes them; whoever may write secrets
//! may read and use them, so nothing in a recipe is secret.

mod make;
mod preview;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{SecretPolicyId, TenantId};
use scaivault_core::ports::{CommitError, Op, Record, SecretPolicyReads, Unit, UnitName};
use scaivault_core::recipe::{PolicyType, RawField, RecipeField, SecretPolicy, parse_fields};

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

pub(crate) use make::RecipeSlots;
pub use preview::{Preview, PreviewField};

/// A recipe to create.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the stored policy")]
pub struct SecretPolicyDraft {
    pub name: String,
    pub description: Option<String>,
    pub policy_type: PolicyType,
    pub fields: Vec<RawField>,
    pub is_active: bool,
}

/// A change. Absent parts stay.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the stored policy")]
pub struct SecretPolicyChange {
    pub name: Option<String>,
    /// `Some(None)`: none.
    pub description: Option<Option<String>>,
    pub policy_type: Option<PolicyType>,
    pub fields: Option<Vec<RawField>>,
    pub is_active: Option<bool>,
}

impl Vault {
    /// Creates a recipe.
    ///
    /// # Errors
    /// [`VaultError::NameExists`]; [`VaultError::Validation`] with the name of each wrong field.
    pub async fn secret_policy_create(
        &self,
        caller: &Caller,
        draft: SecretPolicyDraft,
    ) -> Result<SecretPolicy, VaultError> {
        let action = Action::SecretPolicyCreate;
        self.require(caller, Scope::Admin, action).await?;
        check_name(&draft.name)?;
        let now = self.now();
        let policy = SecretPolicy {
            id: SecretPolicyId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            name: draft.name,
            description: draft.description,
            policy_type: draft.policy_type,
            fields: checked(&draft.fields)?,
            is_active: draft.is_active,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let unit = Unit::new(UnitName::SecretPolicyWrite)
            .put(Record::SecretPolicy(policy.clone()))
            .audited(caller.row(action, None, now, extra_of(&policy)));
        self.commit(unit).await?;
        Ok(policy)
    }

    /// Changes a recipe. Values that were made by it stay as they are.
    ///
    /// # Errors
    /// As for [`Self::secret_policy_create`]; [`VaultError::NotFound`].
    pub async fn secret_policy_change(
        &self,
        caller: &Caller,
        id_or_name: &str,
        change: SecretPolicyChange,
    ) -> Result<SecretPolicy, VaultError> {
        let action = Action::SecretPolicyUpdate;
        self.require(caller, Scope::Admin, action).await?;
        let fields = change.fields.as_deref().map(checked).transpose()?;
        for _ in 0..RACES_MAX {
            let mut policy = self.secret_policy_of(caller.tenant(), id_or_name).await?;
            let now = self.now();
            policy.revision += 1;
            policy.updated_at = now;
            if let Some(name) = change.name.clone().filter(|name| *name != policy.name) {
                check_name(&name)?;
                policy.name = name;
            }
            policy.description = change.description.clone().unwrap_or(policy.description);
            policy.policy_type = change.policy_type.unwrap_or(policy.policy_type);
            policy.fields = fields.clone().unwrap_or(policy.fields);
            policy.is_active = change.is_active.unwrap_or(policy.is_active);
            let unit = Unit::new(UnitName::SecretPolicyWrite)
                .put(Record::SecretPolicy(policy.clone()))
                .audited(caller.row(action, None, now, extra_of(&policy)));
            match self.commit(unit).await {
                Ok(_) => return Ok(policy),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Deletes a recipe. With `force` also one that is referred to: rotations that need it then
    /// stop and say so, until another one is named; nothing is made in another way instead.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::SecretPolicyInUse`] without `force`.
    pub async fn secret_policy_delete(
        &self,
        caller: &Caller,
        id_or_name: &str,
        force: bool,
    ) -> Result<(), VaultError> {
        let action = Action::SecretPolicyDelete;
        self.require(caller, Scope::Admin, action).await?;
        for _ in 0..RACES_MAX {
            let tenant = caller.tenant();
            let policy = self.secret_policy_of(tenant, id_or_name).await?;
            let in_use =
                SecretPolicyReads::secret_policy_in_use(&*self.store, tenant, &policy.id).await?;
            if in_use && !force {
                return Err(VaultError::SecretPolicyInUse);
            }
            let row = caller.row(action, None, self.now(), extra_of(&policy));
            let unit = Unit::new(UnitName::SecretPolicyDelete)
                .op(Op::Delete(Record::SecretPolicy(policy)))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// One recipe, by id or name.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn secret_policy_show(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<SecretPolicy, VaultError> {
        self.require_list(caller, scope_of_use(caller)).await?;
        self.secret_policy_of(caller.tenant(), id_or_name).await
    }

    /// Recipes by id.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `admin` nor `secrets:write`.
    pub async fn secret_policy_list(
        &self,
        caller: &Caller,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretPolicy>, VaultError> {
        self.require_list(caller, scope_of_use(caller)).await?;
        let tenant = caller.tenant();
        let listed =
            SecretPolicyReads::secret_policy_list(&*self.store, tenant, active_only, after, limit);
        Ok(listed.await?)
    }

    pub(crate) async fn secret_policy_of(
        &self,
        tenant: &TenantId,
        id_or_name: &str,
    ) -> Result<SecretPolicy, VaultError> {
        let found = match SecretPolicyId::parse(id_or_name) {
            Ok(id) => SecretPolicyReads::secret_policy_find(&*self.store, tenant, &id).await?,
            Err(_) => {
                SecretPolicyReads::secret_policy_named(&*self.store, tenant, id_or_name).await?
            }
        };
        found.ok_or(VaultError::NotFound(Missing::SecretPolicy))
    }

    /// The row of a recipe that somebody begins to refer to, to be put in the same commit: whoever
    /// deletes the recipe at the same time conflicts.
    pub(crate) async fn recipe_to_refer_to(
        &self,
        tenant: &TenantId,
        id: &SecretPolicyId,
        field: &str,
    ) -> Result<Record, VaultError> {
        let policy = self.secret_policy_of(tenant, id.as_str()).await?;
        usable(&policy, field)?;
        Ok(Record::SecretPolicy(SecretPolicy {
            revision: policy.revision + 1,
            ..policy
        }))
    }
}

/// Whether values may be made by it.
pub(crate) fn usable(policy: &SecretPolicy, field: &str) -> Result<(), VaultError> {
    match policy.is_active {
        true => Ok(()),
        false => {
            let why = "is a secret policy that is not active: activate it, or name another one";
            Err(VaultError::Validation(vec![(
                field.to_owned(),
                why.to_owned(),
            )]))
        }
    }
}

/// Reading and using recipes goes with writing secrets.
fn scope_of_use(caller: &Caller) -> Scope {
    match caller.principal.scopes.contains(Scope::Admin) {
        true => Scope::Admin,
        false => Scope::SecretsWrite,
    }
}

fn checked(fields: &[RawField]) -> Result<Vec<RecipeField>, VaultError> {
    parse_fields(fields).map_err(VaultError::Validation)
}

/// What a recipe is found by: an id or a name. A name that looks like an id could mean two.
fn check_name(name: &str) -> Result<(), VaultError> {
    match name.starts_with(SecretPolicyId::PREFIX) {
        true => {
            let why = "does not begin with sp_: it could be taken for an id";
            Err(VaultError::Validation(vec![(
                "name".to_owned(),
                why.to_owned(),
            )]))
        }
        false => Ok(()),
    }
}

fn extra_of(policy: &SecretPolicy) -> AuditExtra {
    AuditExtra {
        secret_policy_id: Some(policy.id.clone()),
        ..AuditExtra::default()
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the secret policy changes too quickly: try again".into())
}
