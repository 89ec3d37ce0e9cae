//! What a credential is made by: engine, role and target, from memory where none of them changed.
//! What must not be missed, that an engine is closed, is read again after the lease is stored.

use std::sync::Arc;

use scaivault_core::dynamic::{Engine, Role};
use scaivault_core::ports::TargetReads;
use scaivault_core::target::Target;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Engine, role, and the target where there is one.
pub(crate) struct Way {
    pub(super) engine: Engine,
    pub(super) role: Role,
    pub(super) target: Option<Target>,
}

/// Rows, names and settings, about.
const WAY_BYTES: usize = 4 * 1024;

impl Way {
    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        let role = &self.role;
        let statements = [
            &role.creation_statements,
            &role.rollback_statements,
            &role.renew_statements,
            &role.revocation.statements,
        ];
        let texts = statements.into_iter().flatten().map(String::len);
        WAY_BYTES + texts.sum::<usize>()
    }
}

impl Vault {
    /// The way to credentials of a role.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub(super) async fn way_of(
        &self,
        caller: &Caller,
        engine: &str,
        role: &str,
    ) -> Result<Arc<Way>, VaultError> {
        let key = (caller.tenant().clone(), engine.to_owned(), role.to_owned());
        let settled = self.caches_settled();
        let ticket = match self.caches.ways.get(&key) {
            Ok(way) if settled => return Ok(way),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let engine = self.engine_of(caller, engine).await?;
        let role = self.role_of(&engine, role).await?;
        let target = match &engine.target_id {
            Some(id) => TargetReads::target_find(&*self.store, &engine.tenant, id).await?,
            None => None,
        };
        let way = Arc::new(Way {
            engine,
            role,
            target,
        });
        if let Some(ticket) = ticket {
            let weight = way.weight();
            self.caches.ways.insert(ticket, key, way.clone(), weight);
        }
        Ok(way)
    }
}
