//! Engines: made after a look at their target, changed, deleted when nothing of theirs is left.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::dynamic::{Connection, Engine, EngineKind};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{EngineId, TargetId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, DynamicReads, Op, Record, RecordKind, Unit, UnitName};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::Target;
use scaivault_core::time::Span;
use serde_json::{Map, Value};

use super::credential_path;
use super::place::check_target;
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// Where an engine works.
#[derive(Debug, Clone)]
pub enum EngineAt {
    /// At a target that is described already, by id or name.
    Target(String),
    /// At one that is described with it.
    New {
        /// In the connector's fields.
        settings: Map<String, Value>,
        /// The secret with the credential that makes the others.
        root_path: Option<SecretPath>,
    },
}

/// An engine to make.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the stored engine")]
pub struct EngineDraft {
    pub name: String,
    pub description: Option<String>,
    pub kind: EngineKind,
    pub plugin: String,
    pub at: EngineAt,
    pub default_ttl: Span,
    pub max_ttl: Span,
    /// Whether the target is looked at first.
    pub verify: bool,
    /// How it is described as a connection.
    pub connection: Option<Connection>,
}

/// A change. Absent parts stay.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the stored engine")]
pub struct EngineChange {
    pub description: Option<String>,
    /// Laid over the target's settings; `null` removes one.
    pub settings: Map<String, Value>,
    pub root_path: Option<SecretPath>,
    pub default_ttl: Option<Span>,
    pub max_ttl: Option<Span>,
    /// Other settings mean the same server: accounts made there are found there.
    pub same_accounts: bool,
    /// Whether the target is looked at first.
    pub verify: bool,
    /// How it is described as a connection.
    pub connection: Option<Connection>,
}

impl Vault {
    /// Makes an engine. Its target is described with it, unless it is there already, and looked at
    /// with the root credential before anything is stored.
    ///
    /// # Errors
    /// [`VaultError::EngineConfig`] says what the target lacks; [`VaultError::NameExists`];
    /// [`VaultError::Validation`]; [`VaultError::Denied`] when the caller may not read the root
    /// credential himself.
    pub async fn engine_create(
        &self,
        caller: &Caller,
        draft: EngineDraft,
    ) -> Result<Engine, VaultError> {
        let action = Action::DynamicEngineCreate;
        self.require(caller, Scope::DynamicManage, action).await?;
        check_name("name", &draft.name)?;
        check_ttls(&draft.default_ttl, &draft.max_ttl)?;
        let connector = self.connector_of(&draft.plugin, "config.plugin")?;
        if matches!(draft.at, EngineAt::New { .. }) {
            self.may_describe(caller, &draft.plugin, action).await?;
        }
        let now = self.now();
        let (target, is_new) = match &draft.at {
            EngineAt::Target(name) => (self.target_of(caller, name).await?, false),
            EngineAt::New {
                settings,
                root_path,
            } => {
                let target = Target {
                    id: TargetId::mint(now, &*self.entropy),
                    tenant: caller.tenant().clone(),
                    name: draft.name.clone(),
                    description: draft.description.clone(),
                    connector: draft.plugin.clone(),
                    settings: settings.clone(),
                    manager_path: root_path.clone(),
                    created_at: now,
                    updated_at: now,
                    swept_at: None,
                    revision: 1,
                };
                (target, true)
            }
        };
        check_target(&*connector, &target, &draft.plugin)?;
        let manager = self.root_head(caller, &target, action).await?;
        if draft.verify {
            self.look_or_refuse(caller, &target).await?;
        }
        let engine = Engine {
            id: EngineId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            name: draft.name,
            description: draft.description,
            kind: draft.kind,
            plugin: draft.plugin,
            target_id: Some(target.id.clone()),
            default_ttl: draft.default_ttl,
            max_ttl: draft.max_ttl,
            created_at: now,
            updated_at: now,
            swept_at: None,
            sweep_held_until: None,
            owns_target: is_new,
            closed: false,
            connection: draft.connection,
            revision: 1,
        };
        let mut unit = Unit::new(UnitName::EngineWrite)
            .put(Record::Engine(engine.clone()))
            .audited(caller.row(action, None, now, engine_extra(&engine)));
        // Whoever deletes a target that is there at the same time conflicts.
        if !is_new {
            let revision = target.revision + 1;
            unit = unit.put(Record::Target(Target { revision, ..target }));
        } else {
            let extra = AuditExtra {
                target_id: Some(target.id.clone()),
                ..AuditExtra::default()
            };
            unit = unit.put(Record::Target(target)).audited(caller.row(
                Action::TargetCreate,
                None,
                now,
                extra,
            ));
        }
        // Whoever deletes the root credential at the same time conflicts.
        if let Some(head) = manager {
            unit = unit.put(Record::Secret(SecretHead {
                revision: head.revision + 1,
                ..head
            }));
        }
        match self.commit(unit).await {
            Ok(_) => Ok(engine),
            Err(CommitError::Conflict(RecordKind::Secret | RecordKind::Target)) => Err(too_quick()),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes an engine, and its target with it. The target is looked at first.
    ///
    /// # Errors
    /// As for [`Self::engine_create`]; [`VaultError::NotFound`]; [`VaultError::AccountsThere`] when
    /// it goes to another place while leases have not ended.
    pub async fn engine_change(
        &self,
        caller: &Caller,
        name: &str,
        change: EngineChange,
    ) -> Result<Engine, VaultError> {
        let action = Action::DynamicEngineUpdate;
        self.require(caller, Scope::DynamicManage, action).await?;
        for _ in 0..RACES_MAX {
            let stored = self.engine_of(caller, name).await?;
            self.may_manage(caller, &stored, action).await?;
            let mut engine = stored.clone();
            engine.revision += 1;
            engine.updated_at = self.now();
            engine.closed = false;
            engine.description = change.description.clone().or(engine.description);
            engine.default_ttl = change.default_ttl.clone().unwrap_or(engine.default_ttl);
            engine.max_ttl = change.max_ttl.clone().unwrap_or(engine.max_ttl);
            engine.connection = change.connection.clone().or(engine.connection);
            check_ttls(&engine.default_ttl, &engine.max_ttl)?;
            let mut unit = Unit::new(UnitName::EngineWrite);
            if !change.settings.is_empty() || change.root_path.is_some() {
                let (target, head, others) = self.moved(caller, &stored, &change).await?;
                unit = unit.put(Record::Target(target));
                for other in others {
                    match other.id == engine.id {
                        true => engine.revision = other.revision,
                        false => unit = unit.put(Record::Engine(other)),
                    }
                }
                // Two writes lie between at most, and neither changed what this one carries on.
                if engine.revision > stored.revision + 2 {
                    continue;
                }
                if let Some(head) = head {
                    unit = unit.put(Record::Secret(SecretHead {
                        revision: head.revision + 1,
                        ..head
                    }));
                }
            }
            let unit = unit.put(Record::Engine(engine.clone())).audited(caller.row(
                action,
                None,
                self.now(),
                engine_extra(&engine),
            ));
            match self.commit(unit).await {
                Ok(_) => return Ok(engine),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Forgets an engine with its roles, and with its target where that was described with it and
    /// nothing else is looked after there.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::EngineInUse`] while a lease has not ended.
    pub async fn engine_delete(&self, caller: &Caller, name: &str) -> Result<(), VaultError> {
        let action = Action::DynamicEngineDelete;
        self.require(caller, Scope::DynamicManage, action).await?;
        for _ in 0..RACES_MAX {
            let engine = self.engine_of(caller, name).await?;
            self.may_manage(caller, &engine, action).await?;
            if self.unended(&engine).await? > 0 {
                return Err(VaultError::EngineInUse);
            }
            // From here on nothing is made at it, and what is being made has its lease by now.
            let engine = match self.engine_closed(&engine, true).await? {
                Some(engine) => engine,
                None => continue,
            };
            if self.unended(&engine).await? > 0 {
                self.engine_closed(&engine, false).await?;
                return Err(VaultError::EngineInUse);
            }
            let (store, tenant) = (&*self.store, &engine.tenant);
            let roles = DynamicReads::role_list(store, tenant, &engine.id, None, 10_000).await?;
            let now = self.now();
            let row = caller.row(action, None, now, engine_extra(&engine));
            let mut unit = Unit::new(UnitName::EngineDelete).audited(row);
            if let Some(target) = self.target_left(&engine).await? {
                let extra = AuditExtra {
                    target_id: Some(target.id.clone()),
                    ..AuditExtra::default()
                };
                unit = unit
                    .audited(caller.row(Action::TargetDelete, None, now, extra))
                    .op(Op::Delete(Record::Target(target)));
            }
            let unit = roles
                .into_iter()
                .fold(unit, |unit, role| unit.op(Op::Delete(Record::Role(role))));
            match self
                .commit(unit.op(Op::Delete(Record::Engine(engine))))
                .await
            {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Says whether anything is made at it; `None` when somebody else changed it.
    pub(super) async fn engine_closed(
        &self,
        engine: &Engine,
        closed: bool,
    ) -> Result<Option<Engine>, VaultError> {
        let next = Engine {
            closed,
            revision: engine.revision + 1,
            ..engine.clone()
        };
        let unit = Unit::new(UnitName::EngineWrite).put(Record::Engine(next.clone()));
        match self.commit(unit).await {
            Ok(_) => Ok(Some(next)),
            Err(CommitError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One engine.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Scope`] without `dynamic:read`.
    pub async fn engine_show(&self, caller: &Caller, name: &str) -> Result<Engine, VaultError> {
        self.require(caller, Scope::DynamicRead, Action::List)
            .await?;
        self.engine_of(caller, name).await
    }

    /// The id of an engine, for a list that is narrowed to it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn engine_id(&self, caller: &Caller, name: &str) -> Result<EngineId, VaultError> {
        Ok(self.engine_of(caller, name).await?.id)
    }

    /// Engines by id.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `dynamic:read`.
    pub async fn engine_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Engine>, VaultError> {
        self.require_list(caller, Scope::DynamicRead).await?;
        let tenant = caller.tenant();
        Ok(DynamicReads::engine_list(&*self.store, tenant, after, limit).await?)
    }
}

/// Names stand in paths and URLs.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), VaultError> {
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let fits = (1..=64).contains(&name.len()) && name.chars().all(sound);
    match fits && credential_path(name, name).is_ok() {
        true => Ok(()),
        false => {
            let why = "has 1 to 64 characters of a-z 0-9 - _, and is no reserved word of paths";
            Err(VaultError::Validation(vec![(
                field.to_owned(),
                why.to_owned(),
            )]))
        }
    }
}

fn check_ttls(default_ttl: &Span, max_ttl: &Span) -> Result<(), VaultError> {
    match default_ttl.duration() <= max_ttl.duration() {
        true => Ok(()),
        false => Err(VaultError::Validation(vec![(
            "default_ttl".to_owned(),
            "is no longer than max_ttl".to_owned(),
        )])),
    }
}

pub(super) fn engine_extra(engine: &Engine) -> AuditExtra {
    AuditExtra {
        subject: Some(engine.id.as_str().to_owned()),
        target_id: engine.target_id.clone(),
        ..AuditExtra::default()
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the engine changes too quickly: try again".into())
}
