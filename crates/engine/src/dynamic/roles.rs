//! Roles of engines.

use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Owned, Revocation, Role};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{CommitError, DynamicReads, Op, Record, Unit, UnitName};
use scaivault_core::time::Span;
use serde_json::{Map, Value};

use super::credential_path;
use super::engines::{check_name, engine_extra};
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// What a role says. Absent parts stay as they are; of a new role they are empty.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the stored role")]
pub struct RoleDraft {
    pub creation_statements: Option<Vec<String>>,
    pub rollback_statements: Option<Vec<String>>,
    pub renew_statements: Option<Vec<String>>,
    pub revocation_statements: Option<Vec<String>>,
    pub owned: Option<Owned>,
    pub username_template: Option<String>,
    pub settings: Option<Map<String, Value>>,
    pub default_ttl: Option<Span>,
    pub max_ttl: Option<Span>,
}

impl RoleDraft {
    fn over(self, role: &mut Role) {
        let set = |to: &mut Vec<String>, texts: Option<Vec<String>>| {
            if let Some(texts) = texts {
                *to = texts;
            }
        };
        set(&mut role.creation_statements, self.creation_statements);
        set(&mut role.rollback_statements, self.rollback_statements);
        set(&mut role.renew_statements, self.renew_statements);
        set(&mut role.revocation.statements, self.revocation_statements);
        role.revocation.owned = self.owned.unwrap_or(role.revocation.owned);
        role.username_template = self.username_template.or(role.username_template.take());
        role.settings = self.settings.unwrap_or_else(|| role.settings.clone());
        role.default_ttl = self.default_ttl.or(role.default_ttl.take());
        role.max_ttl = self.max_ttl.or(role.max_ttl.take());
    }
}

/// Whether a role may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleWrite {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// Either.
    Put,
}

impl Vault {
    /// Makes or changes a role. Leases that are there keep what removes them.
    ///
    /// # Errors
    /// [`VaultError::Denied`] when the caller may not read the root credential, as which a role's
    /// statements run;
    /// [`VaultError::NotFound`] for the engine, or for the role where it is to be changed;
    /// [`VaultError::NameExists`] where it is to be made; [`VaultError::Validation`] for what the
    /// connector does not take.
    pub async fn role_write(
        &self,
        caller: &Caller,
        (engine, name): (&str, &str),
        how: RoleWrite,
        draft: RoleDraft,
    ) -> Result<Role, VaultError> {
        let action = Action::DynamicRoleWrite;
        self.require(caller, Scope::DynamicManage, action).await?;
        check_name("name", name)?;
        for _ in 0..RACES_MAX {
            let engine = self.engine_of(caller, engine).await?;
            self.may_manage(caller, &engine, action).await?;
            let (store, tenant) = (&*self.store, &engine.tenant);
            let stored = DynamicReads::role_find(store, tenant, &engine.id, name).await?;
            let now = self.now();
            let mut role = match (stored, how) {
                (Some(_), RoleWrite::Create) => return Err(VaultError::NameExists),
                (None, RoleWrite::Change) => {
                    return self.role_of(&engine, name).await;
                }
                (Some(role), _) => role,
                (None, _) => Role {
                    tenant: tenant.clone(),
                    engine_id: engine.id.clone(),
                    name: name.to_owned(),
                    creation_statements: Vec::new(),
                    rollback_statements: Vec::new(),
                    renew_statements: Vec::new(),
                    revocation: Revocation::default(),
                    username_template: None,
                    settings: Map::new(),
                    default_ttl: None,
                    max_ttl: None,
                    created_at: now,
                    updated_at: now,
                    revision: 0,
                },
            };
            draft.clone().over(&mut role);
            role.updated_at = now;
            role.revision += 1;
            self.check_role(&engine.plugin, &role)?;
            let path = credential_path(&engine.name, name)?;
            let unit = Unit::new(UnitName::RoleWrite)
                .put(Record::Role(role.clone()))
                .audited(caller.row(action, Some(&path), now, engine_extra(&engine)));
            match self.commit(unit).await {
                Ok(_) => return Ok(role),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    fn check_role(&self, plugin: &str, role: &Role) -> Result<(), VaultError> {
        let connector = self.connector_of(plugin, "plugin")?;
        let mut problems = match connector.accounts() {
            Some(accounts) => accounts.check_role(role),
            None => vec![(
                "plugin".to_owned(),
                "makes no accounts on request".to_owned(),
            )],
        };
        if let (Some(default_ttl), Some(max_ttl)) = (&role.default_ttl, &role.max_ttl)
            && default_ttl.duration() > max_ttl.duration()
        {
            let why = "is no longer than max_ttl".to_owned();
            problems.push(("default_ttl".to_owned(), why));
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(VaultError::Validation(problems)),
        }
    }

    /// Forgets a role. Leases that are there go on, and end as they would have.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn role_delete(
        &self,
        caller: &Caller,
        engine: &str,
        name: &str,
    ) -> Result<(), VaultError> {
        let action = Action::DynamicRoleDelete;
        self.require(caller, Scope::DynamicManage, action).await?;
        for _ in 0..RACES_MAX {
            let engine = self.engine_of(caller, engine).await?;
            self.may_manage(caller, &engine, action).await?;
            let role = self.role_of(&engine, name).await?;
            let path = credential_path(&engine.name, name)?;
            let row = caller.row(action, Some(&path), self.now(), engine_extra(&engine));
            let unit = Unit::new(UnitName::RoleDelete)
                .op(Op::Delete(Record::Role(role)))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// One role.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Scope`] without `dynamic:read`.
    pub async fn role_show(
        &self,
        caller: &Caller,
        engine: &str,
        name: &str,
    ) -> Result<Role, VaultError> {
        self.require(caller, Scope::DynamicRead, Action::List)
            .await?;
        let engine = self.engine_of(caller, engine).await?;
        self.role_of(&engine, name).await
    }

    /// Roles of an engine by name.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Scope`] without `dynamic:read`.
    pub async fn role_list(
        &self,
        caller: &Caller,
        engine: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Role>, VaultError> {
        self.require_list(caller, Scope::DynamicRead).await?;
        let engine = self.engine_of(caller, engine).await?;
        let (store, tenant) = (&*self.store, &engine.tenant);
        Ok(DynamicReads::role_list(store, tenant, &engine.id, after, limit).await?)
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the role changes too quickly: try again".into())
}
