//! Making values, where it takes long beside everything else.

use std::sync::Arc;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::NewField;
use scaivault_core::recipe::{RecipeField, SecretPolicy};
use scaivault_crypto::recipe::make;
use tokio::sync::Semaphore;

use super::usable;
use crate::error::VaultError;
use crate::rotation::replaced;
use crate::vault::Vault;

/// Slow makings at a time: an RSA key or a bcrypt hash keeps a core busy for seconds.
const SLOW_MAX: usize = 2;

/// How many slow makings there may be.
pub(crate) struct RecipeSlots(Arc<Semaphore>);

impl Default for RecipeSlots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SLOW_MAX)))
    }
}

impl Vault {
    /// Makes the keys of a recipe.
    pub(crate) async fn recipe_made(
        &self,
        fields: &[RecipeField],
    ) -> Result<Vec<NewField>, VaultError> {
        let now = self.now();
        let made = if fields.iter().any(|field| field.generator.is_slow()) {
            let slots = self.recipe_slots.0.clone();
            let slot = slots.acquire_owned().await;
            let (fields, entropy) = (fields.to_vec(), self.entropy.clone());
            let made = tokio::task::spawn_blocking(move || {
                // Held until it is done, also when nobody waits for it any more.
                let _slot = slot;
                make(&fields, &*entropy, now)
            });
            made.await
                .map_err(|error| VaultError::Internal(error.to_string()))?
        } else {
            make(fields, &*self.entropy, now)
        };
        made.map_err(|error| VaultError::Internal(error.to_string()))
    }

    /// A whole value made by a recipe that was named in `field`.
    pub(crate) async fn recipe_value(
        &self,
        policy: &SecretPolicy,
        field: &str,
    ) -> Result<Plaintext, VaultError> {
        usable(policy, field)?;
        let made = self.recipe_made(&policy.fields).await?;
        replaced(None, &made)
            .ok_or_else(|| VaultError::Internal("a made value is not text".to_owned()))
    }
}
