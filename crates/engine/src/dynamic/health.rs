//! How engines are: whether their target answers, and what hangs on them.

use scaivault_core::audit::Action;
use scaivault_core::dynamic::Engine;
use scaivault_core::identity::Scope;
use scaivault_core::ports::{Check, DynamicReads};
use scaivault_core::target::Trouble;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// How an engine's target answers.
#[derive(Debug)]
pub struct EngineHealth {
    /// The engine.
    pub engine: Engine,
    /// When it was looked at.
    pub at: Timestamp,
    /// What its target said, or why it could not be asked.
    pub outcome: Result<Check, Trouble>,
    /// Leases that have not ended.
    pub leases: u64,
}

impl Vault {
    /// Looks at an engine's target with the root credential, and counts its leases.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Scope`] without `dynamic:read`.
    pub async fn engine_health(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<EngineHealth, VaultError> {
        self.require(caller, Scope::DynamicRead, Action::TargetCheck)
            .await?;
        let engine = self.engine_of(caller, name).await?;
        let id = engine
            .target_id
            .as_ref()
            .ok_or(VaultError::NotFound(Missing::Target))?;
        let target = self.target_of(caller, id.as_str()).await?;
        let outcome = self.target_looked_at(caller, &target).await?;
        Ok(EngineHealth {
            at: self.now(),
            leases: self.unended(&engine).await?,
            engine,
            outcome,
        })
    }

    /// How many leases of an engine have not ended.
    pub(super) async fn unended(&self, engine: &Engine) -> Result<u64, VaultError> {
        let (store, tenant) = (&*self.store, &engine.tenant);
        Ok(DynamicReads::lease_count(store, tenant, &engine.id).await?)
    }
}
