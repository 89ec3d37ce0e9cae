//! What servers that trust an engine's signatures need: its public key, and the list of what was
//! revoked before its time.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::dynamic::{Engine, Lease, LeaseState};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{DynamicReads, LeaseFilter, Unit};

use super::engines::engine_extra;
use super::failed;
use super::generate::makes_accounts;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::rotation::Reached;
use crate::vault::Vault;

/// Leases read at a time.
const PAGE: usize = 1_000;

impl Vault {
    /// The line by which servers trust what an engine signs.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::EngineConfig`] where nothing is signed;
    /// [`VaultError::EngineFailed`] when the root credential is no such key.
    pub async fn engine_public_key(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<String, VaultError> {
        let (_, reached) = self.engine_that_signs(caller, name).await?;
        let looked = self.target_looked_at(caller, &reached.target).await?;
        Ok(looked.map_err(|trouble| failed(&trouble))?.manager)
    }

    /// The file by which servers refuse what was revoked and has not ended by itself yet. It stands
    /// in place of every earlier one.
    ///
    /// # Errors
    /// As [`Self::engine_public_key`].
    pub async fn engine_revocation_list(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Vec<u8>, VaultError> {
        let (engine, reached) = self.engine_that_signs(caller, name).await?;
        let names = self.revoked_names(&engine).await?;
        let now = self.now();
        if let Some(manager) = &reached.target.manager_path {
            let extra = AuditExtra {
                count: u64::try_from(names.len()).ok(),
                ..engine_extra(&engine)
            };
            let row = caller.row(Action::Read, Some(manager), now, extra);
            self.commit(Unit::audit_only(row)).await?;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let call = reached.account_call();
        makes_accounts(&*reached.connector)?
            .revocation_list(&call, &names, now)
            .map_err(|trouble| failed(&trouble))
    }

    async fn engine_that_signs(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(Engine, Reached), VaultError> {
        self.require(caller, Scope::DynamicRead, Action::Read)
            .await?;
        let engine = self.engine_of(caller, name).await?;
        let reached = self.engine_reached(&engine).await?;
        let reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        match makes_accounts(&*reached.connector)?.ends_by_itself() {
            true => Ok((engine, reached)),
            false => Err(VaultError::EngineConfig {
                trouble: "unsupported",
                advice: "this engine signs nothing: its accounts are removed at the target".into(),
            }),
        }
    }

    /// What was revoked and would still be accepted.
    async fn revoked_names(&self, engine: &Engine) -> Result<Vec<String>, VaultError> {
        let filter = LeaseFilter {
            engine_id: Some(engine.id.clone()),
            // They stay so until they end by themselves.
            states: vec![LeaseState::Revoking],
            ..LeaseFilter::default()
        };
        let (now, mut names, mut after) = (self.now(), Vec::new(), None::<String>);
        let refused = |lease: &Lease| now < lease.expires_at;
        loop {
            let (store, tenant) = (&*self.store, &engine.tenant);
            let page = DynamicReads::lease_list(store, tenant, &filter, after.as_deref(), PAGE);
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(names);
            };
            after = Some(last.id.as_str().to_owned());
            names.extend(page.into_iter().filter(refused).map(|lease| lease.account));
        }
    }
}
