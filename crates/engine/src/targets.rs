//! Targets: the systems whose credentials are rotated, and looks at them.
//!
//! Whoever describes a target decides where values are sent: the manager's credential, those of
//! the secrets attached there, those that are still to be removed there. So naming a manager
//! secret, attaching a secret, and changing where a target is, all ask for the right to read what
//! is sent there: the right to administer alone would otherwise hand it to a host of one's choice.

mod check;
mod guards;

use std::sync::Arc;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::TargetId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    CommitError, Connector, Descriptor, FieldProblem, Op, Record, SecretReads, TargetReads, Unit,
    UnitName,
};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::Target;
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::dynamic::is_elsewhere;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

pub use check::{TargetCheckQuery, TargetChecked};

/// What a target is found by: an id or a name. A name that looks like an id could mean two.
const ID_PREFIX: &str = "tgt_";

/// A target to create.
#[expect(missing_docs, reason = "as in the stored target")]
pub struct TargetDraft {
    pub name: String,
    pub description: Option<String>,
    pub connector: String,
    pub settings: Map<String, Value>,
    pub manager_path: Option<SecretPath>,
}

/// A change. Absent parts stay; the connector always does.
#[derive(Default)]
#[expect(missing_docs, reason = "as in the stored target")]
pub struct TargetChange {
    pub name: Option<String>,
    pub description: Option<String>,
    /// Laid over the stored settings; `null` removes one.
    pub settings: Map<String, Value>,
    pub manager_path: Option<SecretPath>,
    /// Other settings mean the same server: accounts that engines made there are found there.
    pub same_accounts: bool,
}

impl Vault {
    /// What can be spoken to.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn connectors_list(&self, caller: &Caller) -> Result<Vec<Descriptor>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        Ok(self.connectors.list())
    }

    /// Describes a target. Nothing is connected to.
    ///
    /// # Errors
    /// [`VaultError::NameExists`]; [`VaultError::Validation`] for what the connector does not
    /// take; [`VaultError::Denied`] when the caller may not read the manager secret himself.
    pub async fn target_create(
        &self,
        caller: &Caller,
        draft: TargetDraft,
    ) -> Result<Target, VaultError> {
        let action = Action::TargetCreate;
        self.require(caller, Scope::Admin, action).await?;
        let connector = self.connector_of(&draft.connector, "connector")?;
        let mut problems = name_problems(&draft.name);
        problems.extend(settings_problems(&*connector, &draft.settings));
        problems.extend(manager_problem(
            &connector.descriptor(),
            draft.manager_path.as_ref(),
        ));
        refuse_if_any(problems)?;
        let now = self.now();
        let target = Target {
            id: TargetId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            name: draft.name,
            description: draft.description,
            connector: draft.connector,
            settings: draft.settings,
            manager_path: draft.manager_path,
            created_at: now,
            updated_at: now,
            swept_at: None,
            revision: 1,
        };
        for _ in 0..RACES_MAX {
            let manager = match &target.manager_path {
                Some(path) => Some(self.check_manager(caller, path, action).await?),
                None => None,
            };
            let unit = self.target_unit(caller, &target, manager, action);
            match self.commit(unit).await {
                Ok(_) => return Ok(target),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Changes a target. What is under way at it goes on under the new settings.
    ///
    /// # Errors
    /// As for [`Self::target_create`]; [`VaultError::NotFound`]; [`VaultError::Denied`] when the
    /// settings change and the caller may not read every secret that is sent there;
    /// [`VaultError::AccountsThere`] when it goes to another place while leases of engines at it
    /// have not ended.
    pub async fn target_change(
        &self,
        caller: &Caller,
        id_or_name: &str,
        change: TargetChange,
    ) -> Result<Target, VaultError> {
        let action = Action::TargetUpdate;
        self.require(caller, Scope::Admin, action).await?;
        for _ in 0..RACES_MAX {
            let stored = self.target_of(caller, id_or_name).await?;
            let connector = self.connector_of(&stored.connector, "connector")?;
            let target = changed(&stored, &change, self.now());
            let mut problems = match target.name == stored.name {
                true => Vec::new(),
                false => name_problems(&target.name),
            };
            problems.extend(settings_problems(&*connector, &target.settings));
            problems.extend(manager_problem(
                &connector.descriptor(),
                target.manager_path.as_ref(),
            ));
            refuse_if_any(problems)?;
            let moved = target.settings != stored.settings;
            let renamed = target.manager_path != stored.manager_path;
            let manager = match &target.manager_path {
                Some(path) if moved || renamed => {
                    Some(self.check_manager(caller, path, action).await?)
                }
                _ => None,
            };
            if moved {
                self.may_send_all(caller, &stored, action).await?;
            }
            if renamed {
                self.manager_is_free(&stored).await?;
            }
            let manager = manager.filter(|_| renamed);
            let mut unit = self.target_unit(caller, &target, manager, action);
            if is_elsewhere(&stored.settings, &target.settings) && !change.same_accounts {
                let engines = self.closed_to_move(&stored).await?;
                let put = |unit: Unit, engine| unit.put(Record::Engine(engine));
                unit = engines.into_iter().fold(unit, put);
            }
            match self.commit(unit).await {
                Ok(_) => return Ok(target),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Forgets a target. Nothing is changed at it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::TargetInUse`] while something there is looked after.
    pub async fn target_delete(&self, caller: &Caller, id_or_name: &str) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::TargetDelete)
            .await?;
        for _ in 0..RACES_MAX {
            let target = self.target_of(caller, id_or_name).await?;
            if self.target_in_use(&target, None).await? {
                return Err(VaultError::TargetInUse);
            }
            let row = caller.row(Action::TargetDelete, None, self.now(), extra_of(&target));
            let unit = Unit::new(UnitName::TargetDelete)
                .op(Op::Delete(Record::Target(target)))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// One target.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn target_show(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<Target, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        self.target_of(caller, id_or_name).await
    }

    /// Targets by id.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn target_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Target>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        Ok(TargetReads::target_list(&*self.store, caller.tenant(), after, limit).await?)
    }

    pub(crate) async fn target_of(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<Target, VaultError> {
        let tenant = caller.tenant();
        let found = match TargetId::parse(id_or_name) {
            Ok(id) => TargetReads::target_find(&*self.store, tenant, &id).await?,
            Err(_) => TargetReads::target_named(&*self.store, tenant, id_or_name).await?,
        };
        found.ok_or(VaultError::NotFound(Missing::Target))
    }

    /// With the head of the manager secret that is named anew: whoever deletes that secret at the
    /// same time conflicts.
    fn target_unit(
        &self,
        caller: &Caller,
        target: &Target,
        manager: Option<SecretHead>,
        action: Action,
    ) -> Unit {
        let row = caller.row(action, None, self.now(), extra_of(target));
        let mut unit = Unit::new(UnitName::TargetWrite)
            .put(Record::Target(target.clone()))
            .audited(row);
        if let Some(head) = manager {
            unit = unit.put(Record::Secret(SecretHead {
                revision: head.revision + 1,
                ..head
            }));
        }
        unit
    }

    pub(crate) fn connector_of(
        &self,
        name: &str,
        field: &str,
    ) -> Result<Arc<dyn Connector>, VaultError> {
        self.connectors.get(name).ok_or_else(|| {
            let known: Vec<_> = self.connectors.list().iter().map(|one| one.name).collect();
            let why = match known.is_empty() {
                true => "this server has none built in".to_owned(),
                false => format!("is one of: {}", known.join(", ")),
            };
            VaultError::Validation(vec![(field.to_owned(), why)])
        })
    }

    /// The manager secret is there, and the caller may read it himself.
    async fn check_manager(
        &self,
        caller: &Caller,
        path: &SecretPath,
        action: Action,
    ) -> Result<SecretHead, VaultError> {
        self.authorize(caller, Scope::SecretsRead, Permission::Read, path, action)
            .await?;
        let found = SecretReads::secret_find(&*self.store, caller.tenant(), path).await?;
        found.filter(|head| !head.is_deleted()).ok_or_else(|| {
            let why = "there is no such secret: write the manager's credential first";
            VaultError::Validation(vec![("manager_path".to_owned(), why.to_owned())])
        })
    }
}

fn changed(stored: &Target, change: &TargetChange, now: Timestamp) -> Target {
    let mut target = stored.clone();
    target.revision += 1;
    target.updated_at = now;
    if let Some(name) = &change.name {
        target.name.clone_from(name);
    }
    if change.description.is_some() {
        target.description.clone_from(&change.description);
    }
    if change.manager_path.is_some() {
        target.manager_path.clone_from(&change.manager_path);
    }
    for (field, value) in &change.settings {
        match value {
            Value::Null => target.settings.remove(field),
            value => target.settings.insert(field.clone(), value.clone()),
        };
    }
    target
}

fn extra_of(target: &Target) -> AuditExtra {
    AuditExtra {
        target_id: Some(target.id.clone()),
        ..AuditExtra::default()
    }
}

fn name_problems(name: &str) -> Vec<FieldProblem> {
    match name.starts_with(ID_PREFIX) {
        true => {
            let why = "does not begin with tgt_: it could be taken for an id";
            vec![("name".to_owned(), why.to_owned())]
        }
        false => Vec::new(),
    }
}

fn settings_problems(
    connector: &dyn Connector,
    settings: &Map<String, Value>,
) -> Vec<FieldProblem> {
    within("settings", connector.check_settings(settings))
}

fn within(part: &str, problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    let named = problems.into_iter();
    named
        .map(|(field, why)| (format!("{part}.{field}"), why))
        .collect()
}

fn manager_problem(connector: &Descriptor, path: Option<&SecretPath>) -> Option<FieldProblem> {
    let why = match (connector.needs_manager, path) {
        (true, None) => format!(
            "is required: {} changes credentials as its manager, whose own is kept in a secret",
            connector.name
        ),
        (false, Some(_)) => format!("is not for {}: it needs no manager", connector.name),
        _ => return None,
    };
    Some(("manager_path".to_owned(), why))
}

fn refuse_if_any(problems: Vec<FieldProblem>) -> Result<(), VaultError> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(VaultError::Validation(problems)),
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the target changes too quickly: try again".into())
}
