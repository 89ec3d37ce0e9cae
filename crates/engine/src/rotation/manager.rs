//! The manager of a target: the value its sessions log in with. As a rule that is the one readers
//! of the manager secret get. While that very secret is rotated, the target may take another one
//! already, or take the old one again: then a login tells, and whoever works at the target in the
//! meantime, this rotation or another, gets the one that is let in.

use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{AssignmentReads, Call, Connector, Login, RotationReads, SecretReads};
use scaivault_core::rotation::{AtTarget, Rotation};
use scaivault_core::secret::VersionState;
use scaivault_core::target::Target;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::worker::StepError;
use crate::error::VaultError;
use crate::vault::Vault;

/// The manager's values that the target may take.
pub(super) struct Managers {
    /// What readers of the manager secret get.
    pub(super) current: Plaintext,
    /// What the target may take in its place, likeliest first.
    pub(super) others: Vec<Plaintext>,
}

impl Managers {
    /// No other comes into question.
    pub(super) fn only(current: Plaintext) -> Self {
        Self {
            current,
            others: Vec::new(),
        }
    }

    /// Which of the others is let in while the current one is refused. `None`: use the current
    /// one; where nothing is let in the connector says what is wrong with it.
    pub(super) async fn let_in(&self, connector: &dyn Connector, call: &Call<'_>) -> Option<usize> {
        if self.others.is_empty() {
            return None;
        }
        let current = connector.login(call, &self.current).await;
        if !matches!(current, Login::Refused(_)) {
            return None;
        }
        for (number, value) in self.others.iter().enumerate() {
            if connector.login(call, value).await == Login::Accepted {
                return Some(number);
            }
        }
        None
    }
}

impl Vault {
    /// The manager's value that works now; `None` where there is none.
    pub(super) async fn manager_of(
        &self,
        rotation: &Rotation,
        at: &AtTarget,
        target: &Target,
        connector: &dyn Connector,
    ) -> Result<Option<Plaintext>, StepError> {
        // A value of another secret would be set as the manager's and be lost to its sessions.
        if at.attached.is_manager && target.manager_path.as_ref() != Some(&rotation.path) {
            return Ok(None);
        }
        let managers = self.managers(&rotation.tenant, target, Some(rotation));
        let Some(mut managers) = managers.await? else {
            return Ok(None);
        };
        let call = Call {
            settings: &target.settings,
            account: &at.attached.account,
            overlap: at.attached.overlap,
            manager: Some(&managers.current),
            tag: rotation.id.as_str(),
            epoch: rotation.epoch(),
            promoted_for: None,
        };
        Ok(Some(match managers.let_in(connector, &call).await {
            Some(other) => managers.others.swap_remove(other),
            None => managers.current,
        }))
    }

    /// The manager's current value, and the others that the target may take: those of a rotation
    /// that may have changed what it takes, and what such a rotation left owed. `own` is the
    /// rotation that asks. `None` where there is no manager, or its secret is deleted.
    pub(super) async fn managers(
        &self,
        tenant: &TenantId,
        target: &Target,
        own: Option<&Rotation>,
    ) -> Result<Option<Managers>, VaultError> {
        let Some(path) = &target.manager_path else {
            return Ok(None);
        };
        let head = SecretReads::secret_find(&*self.store, tenant, path).await?;
        let Some(head) = head.filter(|head| !head.is_deleted()) else {
            return Ok(None);
        };
        let current = head.current_version;
        let value = self.stored_value(tenant, path, Some(current), false);
        let Some(value) = value.await? else {
            return Ok(None);
        };
        let changing = self.manager_rotation(tenant, path, target, own).await?;
        let mut versions: Vec<u64> = changing
            .into_iter()
            .flat_map(|row| [row.to_version.unwrap_or(0), row.from_version])
            .collect();
        let rows = SecretReads::version_list(&*self.store, tenant, path).await?;
        let owed = rows.iter().filter(|row| row.state == VersionState::Owed);
        versions.extend(owed.map(|row| row.version));
        let mut managers = Managers::only(value);
        let mut seen = vec![0, current];
        for version in versions {
            if seen.contains(&version) {
                continue;
            }
            seen.push(version);
            let value = self.stored_value(tenant, path, Some(version), false);
            managers.others.extend(value.await?);
        }
        Ok(Some(managers))
    }

    /// The rotation of the target's manager that may have changed what the target takes: the one
    /// that asks, or the open one of the manager secret.
    async fn manager_rotation(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        target: &Target,
        own: Option<&Rotation>,
    ) -> Result<Option<Rotation>, VaultError> {
        let found = match own.filter(|own| own.path == *path) {
            Some(own) => Some(own.clone()),
            None => {
                let row = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
                match row.and_then(|assignment| assignment.open_rotation) {
                    Some(id) => RotationReads::rotation_find(&*self.store, tenant, &id).await?,
                    None => None,
                }
            }
        };
        Ok(found.filter(|found| {
            found.at_target.as_ref().is_some_and(|at| {
                at.attached.is_manager && at.attached.target_id == target.id && at.maybe_live
            })
        }))
    }
}

/// The account a connector is told of. An attachment of the manager itself need not name it: it is
/// the account of the manager's value.
pub(super) fn account_of(at: &AtTarget, manager: Option<&Plaintext>) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Named {
        username: String,
    }
    let mut account = at.attached.account.clone();
    if at.attached.is_manager
        && account.is_empty()
        && let Some(manager) = manager
        && let Ok(Named { username }) = serde_json::from_slice(manager.expose())
    {
        account.insert("account".to_owned(), Value::String(username));
    }
    account
}
