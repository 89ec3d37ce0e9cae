//! Credentials made on request. An account is made only after its lease is stored, and a lease
//! ends only when its account is known to be gone: [`generate`] writes the one before and the
//! other after the target is told, and [`worker`] removes whatever is over or was left behind.

mod authority;
mod closing;
mod connections;
mod delegated;
mod engines;
mod generate;
mod health;
mod holds;
mod leases;
mod place;
mod roles;
mod root;
mod slots;
mod static_roles;
mod sweep;
mod token_ends;
mod ways;
mod worker;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::dynamic::{Engine, Lease, Role};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{DynamicReads, TargetReads};
use scaivault_core::target::Trouble;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::rotation::Reached;
use crate::vault::Vault;

pub(crate) use closing::is_elsewhere;
pub use connections::ConnectionWrite;
pub use engines::{EngineAt, EngineChange, EngineDraft};
pub use generate::{CredentialRequest, Generated};
pub use health::EngineHealth;
pub(crate) use holds::EngineHolds;
pub use roles::{RoleDraft, RoleWrite};
pub(crate) use slots::AccountSlots;
pub use static_roles::{StaticRole, StaticRoleWrite, StaticSchedule};
pub(crate) use ways::Way;
pub use worker::DueLeases;

/// Under which path policies speak of an engine's credentials.
const SPACE: &str = "dynamic";

/// The path by which policies decide about a role's credentials.
pub(crate) fn credential_path(engine: &str, role: &str) -> Result<SecretPath, VaultError> {
    Ok(SecretPath::parse(&format!(
        "{SPACE}/{engine}/creds/{role}"
    ))?)
}

/// The path by which a lease's audit rows are found.
fn path_of(engine: &Engine, role: &str) -> Option<SecretPath> {
    credential_path(&engine.name, role).ok()
}

fn failed(trouble: &Trouble) -> VaultError {
    VaultError::EngineFailed {
        trouble: trouble.kind.as_str(),
        advice: remedied(trouble),
    }
}

/// What there is to do about a trouble, in words.
fn remedied(trouble: &Trouble) -> String {
    match trouble.remedy.is_empty() {
        true => trouble.kind.advice().to_owned(),
        false => format!("{}: {}", trouble.kind.advice(), trouble.remedy.join("; ")),
    }
}

impl Vault {
    /// The engine with this id or name.
    async fn engine_of(&self, caller: &Caller, name: &str) -> Result<Engine, VaultError> {
        DynamicReads::engine_named(&*self.store, caller.tenant(), name)
            .await?
            .ok_or(VaultError::NotFound(Missing::Engine))
    }

    async fn role_of(&self, engine: &Engine, name: &str) -> Result<Role, VaultError> {
        DynamicReads::role_find(&*self.store, &engine.tenant, &engine.id, name)
            .await?
            .ok_or(VaultError::NotFound(Missing::EngineRole))
    }

    /// Whoever says what is done with an engine's root credential may read it.
    async fn may_manage(
        &self,
        caller: &Caller,
        engine: &Engine,
        action: Action,
    ) -> Result<(), VaultError> {
        let Some(id) = &engine.target_id else {
            return Ok(());
        };
        let target = TargetReads::target_find(&*self.store, &engine.tenant, id).await?;
        let Some(path) = target.and_then(|target| target.manager_path) else {
            return Ok(());
        };
        self.authorize(caller, Scope::SecretsRead, Permission::Read, &path, action)
            .await?;
        Ok(())
    }

    /// The engine's target, as it is spoken to.
    async fn engine_reached(&self, engine: &Engine) -> Result<Option<Reached>, VaultError> {
        match &engine.target_id {
            Some(target) => self.reached(&engine.tenant, target).await,
            None => Ok(None),
        }
    }

    /// The code at the end of account names: only this store makes it, and for this engine alone.
    /// Another engine at the same server leaves its accounts to it.
    fn tail_check(&self, lease_of: &Engine) -> impl Fn(&str) -> [u8; 4] {
        let key = self.keyring.clone();
        let (tenant, engine) = (lease_of.tenant.clone(), lease_of.id.clone());
        move |made: &str| {
            let message = format!("scaivault account 1\0{tenant}\0{engine}\0{made}");
            let code = key.chain_mac(message.as_bytes());
            [code[0], code[1], code[2], code[3]]
        }
    }
}

/// That the manager's credential is used, before it is; `None` where a target has none.
fn manager_row(
    caller: &Caller,
    reached: &Reached,
    now: Timestamp,
    (subject, count): (Option<&Lease>, Option<usize>),
) -> Option<AuditRow> {
    let manager = reached.target.manager_path.as_ref()?;
    let extra = AuditExtra {
        target_id: Some(reached.target.id.clone()),
        subject: subject.map(|lease| lease.id.as_str().to_owned()),
        count: count.and_then(|count| u64::try_from(count).ok()),
        ..AuditExtra::default()
    };
    Some(caller.row(Action::Read, Some(manager), now, extra))
}

/// What an audit row says of a lease.
fn extra_of(engine: &Engine, lease: &Lease) -> AuditExtra {
    AuditExtra {
        subject: Some(lease.id.as_str().to_owned()),
        phase: Some(lease.state.as_str().to_owned()),
        target_id: engine.target_id.clone(),
        ..AuditExtra::default()
    }
}
