//! The targets of engines: described with them, looked at before anything is stored, moved, and
//! forgotten with them.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::Engine;
use scaivault_core::identity::Scope;
use scaivault_core::ids::EngineId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{Connector, Missing as Lacking, SecretReads, TargetReads};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::{Target, Trouble, TroubleKind};
use serde_json::Value;

use super::closing::is_elsewhere;
use super::engines::EngineChange;
use super::remedied;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Connectors that speak one protocol and do nothing but log in before they know the other side.
const LOGS_IN: [&str; 4] = ["postgresql", "mysql", "redis", "ssh"];

impl Vault {
    /// Whoever administers engines describes where databases are, as the API has it. Where requests
    /// are made as they are described, the server could be sent anywhere: that is for those who
    /// administer targets.
    pub(super) async fn may_describe(
        &self,
        caller: &Caller,
        plugin: &str,
        action: Action,
    ) -> Result<(), VaultError> {
        match LOGS_IN.contains(&plugin) {
            true => Ok(()),
            false => self.require(caller, Scope::Admin, action).await,
        }
    }

    /// The engine's target as it is to be, and the engines at it if it is another place.
    pub(super) async fn moved(
        &self,
        caller: &Caller,
        engine: &Engine,
        change: &EngineChange,
    ) -> Result<(Target, Option<SecretHead>, Vec<Engine>), VaultError> {
        let id = engine
            .target_id
            .as_ref()
            .ok_or(VaultError::NotFound(Missing::Target))?;
        let mut target = self.target_of(caller, id.as_str()).await?;
        if !engine.owns_target {
            let why = format!(
                "the engine works at the target {}, which is not its own: change it there, at \
                 /v1/rotation/targets",
                target.name
            );
            return Err(VaultError::Validation(vec![("config".to_owned(), why)]));
        }
        let before = target.clone();
        target.revision += 1;
        target.updated_at = self.now();
        for (field, value) in &change.settings {
            match value {
                Value::Null => target.settings.remove(field),
                value => target.settings.insert(field.clone(), value.clone()),
            };
        }
        target.manager_path = change.root_path.clone().or(target.manager_path);
        let connector = self.connector_of(&engine.plugin, "config.plugin")?;
        check_target(&*connector, &target, &engine.plugin)?;
        let action = Action::DynamicEngineUpdate;
        let head = self.root_head(caller, &target, action).await?;
        if before.manager_path != target.manager_path {
            self.manager_is_free(&before).await?;
        }
        if before.settings != target.settings {
            self.may_describe(caller, &engine.plugin, action).await?;
            self.may_send_all(caller, &before, action).await?;
        }
        if change.verify {
            self.look_or_refuse(caller, &target).await?;
        }
        let moves = is_elsewhere(&before.settings, &target.settings) && !change.same_accounts;
        let engines = match moves {
            true => self.closed_to_move(&before).await?,
            false => Vec::new(),
        };
        let head = head.filter(|_| before.manager_path != target.manager_path);
        Ok((target, head, engines))
    }

    /// Looks at a target with the root credential; what it lacks is told.
    pub(super) async fn look_or_refuse(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<(), VaultError> {
        let refused = |trouble: &Trouble| VaultError::EngineConfig {
            trouble: trouble.kind.as_str(),
            advice: remedied(trouble),
        };
        let check = match self.target_looked_at(caller, target).await? {
            Ok(check) => check,
            Err(trouble) => return Err(refused(&trouble)),
        };
        let connector = self.connector_of(&target.connector, "config.plugin")?;
        let needs = |missing: &Lacking| {
            let accounts = connector.accounts();
            accounts.is_some_and(|accounts| accounts.needs(missing))
        };
        let lacking = check.missing.into_iter().filter(needs);
        let statements: Vec<String> = lacking.map(|missing| missing.statement).collect();
        match statements.is_empty() {
            true => Ok(()),
            false => {
                let advice = format!(
                    "the account of the root credential lacks rights: run there, as somebody who \
                     may: {}",
                    statements.join(" ")
                );
                let trouble = TroubleKind::Privilege.as_str();
                Err(VaultError::EngineConfig { trouble, advice })
            }
        }
    }

    /// The root credential's secret is there, and the caller may read it.
    pub(super) async fn root_head(
        &self,
        caller: &Caller,
        target: &Target,
        action: Action,
    ) -> Result<Option<SecretHead>, VaultError> {
        let Some(path) = &target.manager_path else {
            return Ok(None);
        };
        self.authorize(caller, Scope::SecretsRead, Permission::Read, path, action)
            .await?;
        let found = self.root_secret(caller, path).await?;
        found.map(Some).ok_or_else(|| {
            let why = "there is no such secret: write it first, with username and password";
            let field = "config.root_credentials_path".to_owned();
            VaultError::Validation(vec![(field, why.to_owned())])
        })
    }

    async fn root_secret(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<Option<SecretHead>, VaultError> {
        let found = SecretReads::secret_find(&*self.store, caller.tenant(), path);
        Ok(found.await?.filter(|head| !head.is_deleted()))
    }

    /// The target that goes with an engine.
    pub(super) async fn target_left(&self, engine: &Engine) -> Result<Option<Target>, VaultError> {
        let Some(id) = engine.target_id.as_ref().filter(|_| engine.owns_target) else {
            return Ok(None);
        };
        let found = TargetReads::target_find(&*self.store, &engine.tenant, id).await?;
        let Some(target) = found else { return Ok(None) };
        let in_use = self.target_in_use(&target, Some(&engine.id)).await?;
        Ok((!in_use).then_some(target))
    }

    /// Whether an engine other than this one works at a target.
    pub(crate) async fn engine_at(
        &self,
        target: &Target,
        but: Option<&EngineId>,
    ) -> Result<bool, VaultError> {
        let engines = self.engines_at(&target.tenant, &target.id).await?;
        Ok(engines.iter().any(|engine| but != Some(&engine.id)))
    }
}

/// The connector is that of the target, takes its settings, and makes accounts.
pub(super) fn check_target(
    connector: &dyn Connector,
    target: &Target,
    plugin: &str,
) -> Result<(), VaultError> {
    let wrong =
        |field: &str, why: String| Err(VaultError::Validation(vec![(field.to_owned(), why)]));
    if target.connector != plugin {
        let why = format!("the target's connector is {}", target.connector);
        return wrong("config.plugin", why);
    }
    if connector.accounts().is_none() {
        let why = "makes no accounts on request".to_owned();
        return wrong("config.plugin", why);
    }
    if connector.descriptor().needs_manager && target.manager_path.is_none() {
        let why = "is required: the secret with the credential that makes the others".to_owned();
        return wrong("config.root_credentials_path", why);
    }
    let problems = connector.check_settings(&target.settings);
    let named: Vec<_> = problems
        .into_iter()
        .map(|(field, why)| (format!("config.{field}"), why))
        .collect();
    match named.is_empty() {
        true => Ok(()),
        false => Err(VaultError::Validation(named)),
    }
}
