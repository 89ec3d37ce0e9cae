//! A target as it is spoken to outside of a rotation: its connector and its manager's value.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{AccountCall, Call, Connector, SecretReads, TargetReads};
use scaivault_core::seal::Sealer;
use scaivault_core::target::{Overlap, Target};
use serde_json::{Map, Value};

use super::manager::Managers;
use crate::error::VaultError;
use crate::secrets::data_place;
use crate::vault::Vault;

/// Everything a connector is told about a target, owned.
pub(crate) struct Reached {
    pub(crate) target: Target,
    pub(crate) connector: Arc<dyn Connector>,
    manager: Option<Managers>,
    /// Values of the manager that were not let in.
    refused: Vec<Plaintext>,
}

/// Values of a manager tried for one call: more follow upon each other in no time.
const MANAGERS_MAX: usize = 6;

/// What goes with one call.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) account: &'a Map<String, Value>,
    pub(super) overlap: Overlap,
    pub(super) tag: &'a str,
    pub(super) epoch: u64,
    pub(super) promoted_for: Option<Duration>,
}

impl Reached {
    /// What is told about accounts made on request.
    pub(crate) fn account_call(&self) -> AccountCall<'_> {
        AccountCall {
            settings: &self.target.settings,
            manager: self.manager.as_ref().map(|manager| &manager.current),
        }
    }

    pub(super) fn call<'a>(&'a self, about: About<'a>) -> Call<'a> {
        Call {
            settings: &self.target.settings,
            account: about.account,
            overlap: about.overlap,
            manager: self.manager.as_ref().map(|manager| &manager.current),
            tag: about.tag,
            epoch: about.epoch,
            promoted_for: about.promoted_for,
        }
    }

    /// While the manager's own secret is rotated, a login tells which of its values is let in.
    /// From here on that one is used.
    pub(super) async fn with_manager_let_in(mut self, about: About<'_>) -> Self {
        let Some(manager) = self.manager.take() else {
            return self;
        };
        let call = Call {
            settings: &self.target.settings,
            account: about.account,
            overlap: about.overlap,
            manager: Some(&manager.current),
            tag: about.tag,
            epoch: about.epoch,
            promoted_for: None,
        };
        let let_in = manager.let_in(&*self.connector, &call).await;
        let current = match let_in {
            Some(other) => manager.others.into_iter().nth(other),
            None => Some(manager.current),
        };
        self.manager = current.map(Managers::only);
        self
    }
}

impl Vault {
    /// The target, where there is one and its connector is built in. Without a manager's value
    /// the connector says so itself.
    pub(crate) async fn reached(
        &self,
        tenant: &TenantId,
        id: &TargetId,
    ) -> Result<Option<Reached>, VaultError> {
        let Some(target) = TargetReads::target_find(&*self.store, tenant, id).await? else {
            return Ok(None);
        };
        let Some(connector) = self.connectors.get(&target.connector) else {
            return Ok(None);
        };
        let manager = self.managers(tenant, &target, None).await?;
        Ok(Some(Reached {
            target,
            connector,
            manager,
            refused: Vec::new(),
        }))
    }

    /// The same of a target that was read, with the manager's value that readers get now, from
    /// memory where it did not change: where it is not let in, [`Self::another_manager`] looks for
    /// the others.
    pub(crate) async fn reached_now(&self, target: &Target) -> Result<Option<Reached>, VaultError> {
        let Some(connector) = self.connectors.get(&target.connector) else {
            return Ok(None);
        };
        let manager = match &target.manager_path {
            Some(path) => self.current_value(&target.tenant, path).await?,
            None => None,
        };
        Ok(Some(Reached {
            target: target.clone(),
            connector,
            manager: manager.map(Managers::only),
            refused: Vec::new(),
        }))
    }

    /// After the manager was refused: another value of its that the target may take, because it is
    /// rotated right now or was since it was read. `false` when there is none to be tried.
    pub(crate) async fn another_manager(&self, reached: &mut Reached) -> Result<bool, VaultError> {
        let Some(manager) = reached.manager.take() else {
            return Ok(false);
        };
        reached.refused.push(manager.current);
        let target = &reached.target;
        let found = self.managers(&target.tenant, target, None).await?;
        let values = found.map(|found| std::iter::once(found.current).chain(found.others));
        let is_new = |value: &Plaintext| {
            let mut refused = reached.refused.iter();
            !refused.any(|refused| refused.expose() == value.expose())
        };
        let next = values.into_iter().flatten().find(is_new);
        let tries = reached.refused.len() < MANAGERS_MAX;
        reached.manager = next.filter(|_| tries).map(Managers::only);
        Ok(reached.manager.is_some())
    }

    /// The value of a version (`None`: the current one), whatever its state; of a secret that is
    /// deleted softly only where asked for.
    pub(super) async fn stored_value(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
        deleted_too: bool,
    ) -> Result<Option<Plaintext>, VaultError> {
        let found = SecretReads::secret_open(&*self.store, tenant, path, version).await?;
        let found = found.filter(|(head, _)| deleted_too || !head.is_deleted());
        let Some((head, Some(row))) = found else {
            return Ok(None);
        };
        let place = data_place(&head, row.version.version);
        Ok(Some(Sealer::open(self.sealer(), place, &row.sealed)?))
    }
}
