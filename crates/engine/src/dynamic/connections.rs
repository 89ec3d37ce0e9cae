//! Connections of HashiCorp Vault's API: engines that are written with their root credential.
//!
//! The credential becomes a secret of its own before the engine that uses it, and goes after it: what
//! a crash leaves behind is sealed, and writing or deleting the connection once more mends it. Another
//! credential is tried, from beside the one that works, before it takes that one's place.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Connection, Engine, EngineKind};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{AssignmentReads, DynamicReads};
use scaivault_core::target::Target;
use scaivault_core::time::Span;
use serde_json::{Map, Value, json};

use super::engines::{EngineAt, EngineChange, EngineDraft};
use super::place::check_target;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::secrets::SecretWrite;
use crate::vault::Vault;

/// Where a credential is while it is tried, below the one it is to replace.
const NEXT: &str = "next";

/// A connection to make or change. Absent parts stay.
pub struct ConnectionWrite {
    /// The engine's name.
    pub engine: String,
    /// By which policies decide who may.
    pub place: SecretPath,
    /// The secret with its root credential.
    pub root: SecretPath,
    /// The connector.
    pub plugin: String,
    /// Laid over the target's settings.
    pub settings: Map<String, Value>,
    /// Who makes the others.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Plaintext>,
    /// How it is described from now on.
    pub connection: Connection,
    /// How long leases live that do not ask, and at most.
    pub ttls: (Span, Span),
    /// Whether the target is looked at first.
    pub verify: bool,
}

impl Vault {
    /// Makes or changes a connection.
    ///
    /// # Errors
    /// [`VaultError::Denied`]; [`VaultError::EngineConfig`] says what the target lacks, and nothing is
    /// changed; as [`Vault::engine_create`] and [`Vault::engine_change`].
    pub async fn connection_write(
        &self,
        caller: &Caller,
        write: &ConnectionWrite,
    ) -> Result<Engine, VaultError> {
        let action = Action::DynamicEngineCreate;
        let raised = self
            .dynamic_manager(caller, Permission::Write, &write.place, action)
            .await?;
        for _ in 0..RACES_MAX {
            let (store, tenant) = (&*self.store, caller.tenant());
            let stored = DynamicReads::engine_named(store, tenant, &write.engine).await?;
            let written = match stored {
                None => self.connection_make(&raised, write).await,
                Some(engine) => self.connection_change(&raised, &engine, write).await,
            };
            match written {
                // Somebody else made it meanwhile, or it went.
                Err(VaultError::NameExists | VaultError::NotFound(Missing::Engine)) => {}
                written => return written,
            }
        }
        Err(VaultError::NameExists)
    }

    async fn connection_make(
        &self,
        caller: &Caller,
        write: &ConnectionWrite,
    ) -> Result<Engine, VaultError> {
        let (Some(username), Some(password)) = (&write.username, &write.password) else {
            return Err(needed(write));
        };
        let credential = credential(username, password)?;
        let version = self.root_written(caller, &write.root, credential).await?;
        let draft = EngineDraft {
            name: write.engine.clone(),
            description: None,
            kind: EngineKind::Database,
            plugin: write.plugin.clone(),
            at: EngineAt::New {
                settings: write.settings.clone(),
                root_path: Some(write.root.clone()),
            },
            default_ttl: write.ttls.0.clone(),
            max_ttl: write.ttls.1.clone(),
            verify: write.verify,
            connection: Some(write.connection.clone()),
        };
        let made = self.engine_create(caller, draft).await;
        // What was there before, and what somebody else's connection uses by now, stays.
        if made.is_err() && version == 1 {
            self.root_forgotten(caller, &write.root).await?;
        }
        made
    }

    async fn connection_change(
        &self,
        caller: &Caller,
        engine: &Engine,
        write: &ConnectionWrite,
    ) -> Result<Engine, VaultError> {
        if engine.plugin != write.plugin {
            let why = "stays what it is: delete the connection, and make it anew";
            return Err(wrong("plugin_name", why));
        }
        let id = engine.target_id.as_ref();
        let id = id.ok_or(VaultError::NotFound(Missing::Target))?;
        let target = self.target_of(caller, id.as_str()).await?;
        let mut next = target.clone();
        for (field, value) in &write.settings {
            match value {
                Value::Null => next.settings.remove(field),
                value => next.settings.insert(field.clone(), value.clone()),
            };
        }
        let connector = self.connector_of(&engine.plugin, "plugin_name")?;
        check_target(&*connector, &next, &engine.plugin)?;
        let another = self.another_credential(caller, &target, write).await?;
        if write.verify {
            match &another {
                Some(credential) => self.tried(caller, next.clone(), write, credential).await?,
                None => self.look_or_refuse(caller, &next).await?,
            }
        }
        let change = EngineChange {
            settings: match next.settings == target.settings {
                true => Map::new(),
                false => write.settings.clone(),
            },
            default_ttl: Some(write.ttls.0.clone()),
            max_ttl: Some(write.ttls.1.clone()),
            connection: Some(write.connection.clone()),
            verify: false,
            ..EngineChange::default()
        };
        let changed = self.engine_change(caller, &engine.name, change).await?;
        if let Some(credential) = another {
            self.root_written(caller, &write.root, credential).await?;
        }
        Ok(changed)
    }

    /// The credential that is to take the place of the one that is there; `None` when it is the same.
    async fn another_credential(
        &self,
        caller: &Caller,
        target: &Target,
        write: &ConnectionWrite,
    ) -> Result<Option<Plaintext>, VaultError> {
        if write.username.is_none() && write.password.is_none() {
            return Ok(None);
        }
        let path = target.manager_path.as_ref();
        if path != Some(&write.root) {
            let why = format!(
                "is not written by this API: the engine has its root credential in the secret {}",
                path.map_or("of its target", |path| path.as_str())
            );
            return Err(wrong("password", &why));
        }
        let stored = self.value_for(caller, target, &write.root).await?;
        let stored: Map<String, Value> = stored
            .and_then(|value| serde_json::from_slice(value.expose()).ok())
            .unwrap_or_default();
        let old = |field: &str| stored.get(field).and_then(Value::as_str);
        let given = write.password.as_ref().map(text).transpose()?;
        let username = write.username.as_deref().or(old("username"));
        let password = given.or(old("password"));
        let (Some(username), Some(password)) = (username, password) else {
            return Err(needed(write));
        };
        if (Some(username), Some(password)) == (old("username"), old("password")) {
            return Ok(None);
        }
        let password = Plaintext::new(password.as_bytes().to_vec());
        credential(username, &password).map(Some)
    }

    /// Looks at the target with another credential, which is stored beside the one that works
    /// meanwhile.
    async fn tried(
        &self,
        caller: &Caller,
        target: Target,
        write: &ConnectionWrite,
        credential: &Plaintext,
    ) -> Result<(), VaultError> {
        let beside = SecretPath::parse(&format!("{}/{NEXT}", write.root.as_str()))?;
        let copy = Plaintext::new(credential.expose().to_vec());
        self.root_written(caller, &beside, copy).await?;
        let at = Target {
            manager_path: Some(beside.clone()),
            ..target
        };
        let looked = self.look_or_refuse(caller, &at).await;
        self.root_forgotten(caller, &beside).await?;
        looked
    }

    /// Forgets a connection with its roles and its root credential. What a deletion left behind that
    /// was broken off goes, too.
    ///
    /// # Errors
    /// [`VaultError::Denied`]; [`VaultError::EngineInUse`] while a lease has not ended.
    pub async fn connection_delete(
        &self,
        caller: &Caller,
        engine: &str,
        place: &SecretPath,
        root: &SecretPath,
    ) -> Result<(), VaultError> {
        let action = Action::DynamicEngineDelete;
        let raised = self
            .dynamic_manager(caller, Permission::Delete, place, action)
            .await?;
        let (store, tenant) = (&*self.store, caller.tenant());
        if let Some(stored) = DynamicReads::engine_named(store, tenant, engine).await? {
            if self.unended(&stored).await? > 0 {
                return Err(VaultError::EngineInUse);
            }
            let row = AssignmentReads::assignment_find(store, tenant, root).await?;
            if let Some(row) = row {
                self.assignment_delete(&raised, &row.policy_id, root)
                    .await?;
            }
            match self.engine_delete(&raised, engine).await {
                Ok(()) | Err(VaultError::NotFound(Missing::Engine)) => {}
                Err(error) => return Err(error),
            }
        }
        self.root_forgotten(&raised, root).await
    }

    /// Looks at a connection's target.
    ///
    /// # Errors
    /// [`VaultError::EngineConfig`] says what is wrong; [`VaultError::NotFound`].
    pub async fn connection_check(
        &self,
        caller: &Caller,
        engine: &str,
        place: &SecretPath,
    ) -> Result<(), VaultError> {
        let action = Action::TargetCheck;
        let raised = self
            .dynamic_manager(caller, Permission::Write, place, action)
            .await?;
        let engine = self.engine_of(&raised, engine).await?;
        let id = engine.target_id.as_ref();
        let id = id.ok_or(VaultError::NotFound(Missing::Target))?;
        let target = self.target_of(&raised, id.as_str()).await?;
        self.look_or_refuse(&raised, &target).await
    }

    async fn root_written(
        &self,
        caller: &Caller,
        path: &SecretPath,
        credential: Plaintext,
    ) -> Result<u64, VaultError> {
        let write = SecretWrite::of(path.clone(), credential);
        let written = self.secret_write(caller, write).await?;
        Ok(written.head.current_version)
    }

    /// Deletes it for good, unless somebody needs it.
    async fn root_forgotten(&self, caller: &Caller, path: &SecretPath) -> Result<(), VaultError> {
        match self.secret_delete(caller, path, true).await {
            Ok(_) | Err(VaultError::NotFound(_) | VaultError::ManagerInUse(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn text(password: &Plaintext) -> Result<&str, VaultError> {
    std::str::from_utf8(password.expose()).map_err(|_| wrong("password", "is a text"))
}

fn credential(username: &str, password: &Plaintext) -> Result<Plaintext, VaultError> {
    let value = json!({ "username": username, "password": text(password)? });
    let bytes = serde_json::to_vec(&value);
    Ok(Plaintext::new(bytes.map_err(|error| {
        VaultError::Internal(error.to_string())
    })?))
}

fn needed(write: &ConnectionWrite) -> VaultError {
    let field = match write.username {
        None => "username",
        Some(_) => "password",
    };
    wrong(field, "is needed: of the account that makes the others")
}

fn wrong(field: &str, why: &str) -> VaultError {
    VaultError::Validation(vec![(field.to_owned(), why.to_owned())])
}
