//! Samples of what a recipe makes. They are answered once and kept nowhere; that somebody had one
//! made is on the audit trail.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ids::SecretPolicyId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Unit;
use scaivault_core::recipe::{RawField, RecipeField};

use super::{checked, scope_of_use};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// A sample.
#[derive(Debug)]
pub struct Preview {
    /// The stored recipe, if it is of one.
    pub id: Option<SecretPolicyId>,
    /// Field by field.
    pub fields: Vec<PreviewField>,
}

/// What one field made.
#[derive(Debug)]
pub struct PreviewField {
    /// The field.
    pub field: RecipeField,
    /// Its keys with their values.
    pub made: Vec<(String, Plaintext)>,
}

impl Vault {
    /// A sample by a stored recipe, active or not.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn secret_policy_preview(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<Preview, VaultError> {
        let action = Action::SecretPolicyPreview;
        self.require(caller, scope_of_use(caller), action).await?;
        let policy = self.secret_policy_of(caller.tenant(), id_or_name).await?;
        self.sample(caller, Some(policy.id), policy.fields).await
    }

    /// A sample by a recipe that is not stored.
    ///
    /// # Errors
    /// [`VaultError::Validation`].
    pub async fn secret_policy_try(
        &self,
        caller: &Caller,
        fields: &[RawField],
    ) -> Result<Preview, VaultError> {
        let action = Action::SecretPolicyPreview;
        self.require(caller, scope_of_use(caller), action).await?;
        self.sample(caller, None, checked(fields)?).await
    }

    async fn sample(
        &self,
        caller: &Caller,
        id: Option<SecretPolicyId>,
        fields: Vec<RecipeField>,
    ) -> Result<Preview, VaultError> {
        let mut made = self.recipe_made(&fields).await?.into_iter();
        let sampled = fields.into_iter().map(|field| {
            let made = made.by_ref().take(field.keys().len());
            PreviewField {
                made: made.map(|new| (new.name, new.value)).collect(),
                field,
            }
        });
        let fields = sampled.collect();
        let extra = AuditExtra {
            secret_policy_id: id.clone(),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::SecretPolicyPreview, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(Preview { id, fields })
    }
}
