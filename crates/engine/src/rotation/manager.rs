//! The manager of a target: the value its sessions log in with. As a rule that is the one readers
//! of the manager secret get. While that very secret is rotated, the target may take another one
//! already, or take the old one again: then a login tells, and whoever works at the target in the
//! meantime, this rotation or another, gets the one that is let in.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{AssignmentReads, Call, Connector, Login, RotationReads};
use scaivault_core::rotation::{AtTarget, Rotation};
use scaivault_core::target::Target;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::worker::StepError;
use crate::vault::Vault;

impl Vault {
    /// The manager's value that works now; `None` where there is none. When none of them is let
    /// in, the one readers get: the connector says what is wrong with it.
    pub(super) async fn manager_of(
        &self,
        rotation: &Rotation,
        at: &AtTarget,
        target: &Target,
        connector: &dyn Connector,
    ) -> Result<Option<Plaintext>, StepError> {
        let Some(path) = &target.manager_path else {
            return Ok(None);
        };
        // A value of another secret would be set as the manager's and be lost to its sessions.
        if at.attached.is_manager && *path != rotation.path {
            return Ok(None);
        }
        let opened = self.opened(rotation, path, None).await?;
        let Some((head, Some(current))) = opened else {
            return Ok(None);
        };
        let Some(changing) = self.manager_rotation(rotation, target).await? else {
            return Ok(Some(current));
        };
        let call = Call {
            settings: &target.settings,
            account: &at.attached.account,
            overlap: at.attached.overlap,
            manager: Some(&current),
            tag: rotation.id.as_str(),
            epoch: rotation.epoch(),
            promoted_for: None,
        };
        let refused = connector.login(&call, &current).await;
        if !matches!(refused, Login::Refused(_)) {
            return Ok(Some(current));
        }
        let others = [changing.to_version.unwrap_or(0), changing.from_version];
        for version in others {
            if version == 0 || version == head.current_version {
                continue;
            }
            let opened = self.opened(rotation, path, Some(version)).await?;
            if let Some((_, Some(value))) = opened
                && connector.login(&call, &value).await == Login::Accepted
            {
                return Ok(Some(value));
            }
        }
        Ok(Some(current))
    }

    /// The rotation of the target's manager that may have changed what the target takes: this one,
    /// or the open one of the manager secret.
    async fn manager_rotation(
        &self,
        rotation: &Rotation,
        target: &Target,
    ) -> Result<Option<Rotation>, StepError> {
        let Some(path) = &target.manager_path else {
            return Ok(None);
        };
        let found = if *path == rotation.path {
            Some(rotation.clone())
        } else {
            let tenant = &rotation.tenant;
            let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
            match assignment.and_then(|assignment| assignment.open_rotation) {
                Some(id) => RotationReads::rotation_find(&*self.store, tenant, &id).await?,
                None => None,
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
