//! Engines that are closed for a moment: deleted, or moved with their target. A lease is counted
//! before an engine goes; so that none is made behind the count, the engine is closed first, and
//! whoever makes one looks whether it is open after his lease is stored.

use scaivault_core::dynamic::Engine;
use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::ports::{Accounts, DynamicReads, TargetReads};
use scaivault_core::target::Target;
use serde_json::{Map, Value};

use crate::error::VaultError;
use crate::rotation::Reached;
use crate::vault::Vault;

/// Engines of one tenant.
const ENGINES_MAX: usize = 10_000;
/// Settings that say how a target is spoken to, not which one it is.
const NO_PLACE: [&str; 7] = [
    "tls",
    "ca_pem",
    "login_host",
    "login_port",
    "volatile_ok",
    "allow_http",
    "timeout_s",
];

/// Whether settings may mean another server, where accounts of the one before are not found: that
/// an account is not there would be taken for its removal.
pub(crate) fn is_elsewhere(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let place = |settings: &Map<String, Value>| {
        let mut settings = settings.clone();
        settings.retain(|field, _| !NO_PLACE.contains(&field.as_str()));
        settings
    };
    place(before) != place(after)
}

impl Vault {
    /// Engines that work at a target.
    pub(crate) async fn engines_at(
        &self,
        tenant: &TenantId,
        target: &TargetId,
    ) -> Result<Vec<Engine>, VaultError> {
        let rows = DynamicReads::engine_list(&*self.store, tenant, None, ENGINES_MAX).await?;
        let at = |engine: &Engine| engine.target_id.as_ref() == Some(target);
        Ok(rows.into_iter().filter(at).collect())
    }

    /// Closes the engines of a target that moves; answers them open again, to be stored together
    /// with it.
    ///
    /// # Errors
    /// [`VaultError::AccountsThere`] while accounts made at the old place may be there.
    pub(crate) async fn closed_to_move(&self, target: &Target) -> Result<Vec<Engine>, VaultError> {
        let connector = self.connectors.get(&target.connector);
        let leaves_nothing = connector
            .as_ref()
            .and_then(|connector| connector.accounts())
            .is_none_or(Accounts::ends_by_itself);
        if leaves_nothing {
            return Ok(Vec::new());
        }
        let mut closed = Vec::new();
        let mut in_use = false;
        for engine in self.engines_at(&target.tenant, &target.id).await? {
            let Some(engine) = self.engine_closed(&engine, true).await? else {
                self.reopen(&closed).await?;
                return Err(VaultError::EngineClosed);
            };
            in_use |= self.unended(&engine).await? > 0;
            closed.push(engine);
        }
        if in_use {
            self.reopen(&closed).await?;
            return Err(VaultError::AccountsThere);
        }
        let open = |engine: Engine| Engine {
            closed: false,
            revision: engine.revision + 1,
            ..engine
        };
        Ok(closed.into_iter().map(open).collect())
    }

    /// Opens them again, those that nobody changed meanwhile.
    async fn reopen(&self, engines: &[Engine]) -> Result<(), VaultError> {
        for engine in engines {
            self.engine_closed(engine, false).await?;
        }
        Ok(())
    }

    /// Whether an engine is what it was when a lease was prepared, at the place where it was.
    pub(super) async fn is_still_open(
        &self,
        engine: &Engine,
        reached: &Reached,
    ) -> Result<bool, VaultError> {
        let (store, tenant) = (&*self.store, &engine.tenant);
        let found = DynamicReads::engine_find(store, tenant, &engine.id).await?;
        let Some(found) = found.filter(|found| !found.closed) else {
            return Ok(false);
        };
        if found.revision == engine.revision {
            return Ok(true);
        }
        // Whoever moves a target writes its engines too.
        let target = &reached.target;
        let now = TargetReads::target_find(store, tenant, &target.id).await?;
        Ok(now.is_some_and(|now| now.revision == target.revision))
    }
}
