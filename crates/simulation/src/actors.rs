//! Who acts in a life: workers, consumers that follow the protocol, and an operator.

use std::pin::Pin;
use std::sync::Arc;

use scaivault_core::ids::RotationId;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Act, SecretWrite, Vault, VaultError};

use crate::connector::cred_of;
use crate::gate::Point;
use crate::setup::consumer_name;
use crate::target::Cred;
use crate::world::{caller, path, person, value_of};

/// What a task came to.
pub(crate) enum Done {
    Worked(Result<usize, VaultError>),
    Read(Result<(u64, Cred), VaultError>),
    Acted(&'static str, Result<(), VaultError>),
}

pub(crate) type Task = Pin<Box<dyn Future<Output = Done>>>;

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Consumer(usize),
    Operator,
}

/// One of them.
pub(crate) struct Actor {
    pub(crate) role: Role,
    pub(crate) task: Option<Task>,
    pub(crate) at: Option<Point>,
    /// Its own process, where each has one.
    pub(crate) vault: Arc<Vault>,
}

/// A program that uses the credential.
pub(crate) struct Consumer {
    pub(crate) next_at: Timestamp,
    pub(crate) holds: Option<(u64, Cred)>,
    pub(crate) session: bool,
    pub(crate) gone: bool,
    pub(crate) acknowledges: bool,
    /// Where the list of current versions stood when its fetch began.
    pub(crate) since: usize,
}

pub(crate) fn work(vault: Arc<Vault>) -> Task {
    Box::pin(async move { Done::Worked(vault.rotation_run_once().await) })
}

pub(crate) fn fetch(vault: Arc<Vault>, number: usize) -> Task {
    Box::pin(async move {
        let who = caller(consumer_name(number));
        let read = vault.secret_read(&who, &path(), None).await;
        Done::Read(read.and_then(|read| {
            let cred = cred_of(read.value()).ok_or(VaultError::RotationConflict)?;
            Ok((read.version(), cred))
        }))
    })
}

pub(crate) fn rotate(vault: Arc<Vault>) -> Task {
    Box::pin(async move {
        let asked = vault.secret_rotate(&person(), &path()).await;
        Done::Acted("rotate", asked.map(drop))
    })
}

pub(crate) fn act(vault: Arc<Vault>, id: RotationId, act: Act) -> Task {
    let name = match act {
        Act::Resume => "resume",
        Act::RollBack => "roll back",
        Act::Approve => "approve",
        Act::Abandon | Act::AbandonByForce => "abandon",
    };
    Box::pin(async move {
        let done = vault.rotation_act(&person(), &id, act).await;
        Done::Acted(name, done.map(drop))
    })
}

/// Somebody changes what lies beside the credential.
pub(crate) fn write(vault: Arc<Vault>, number: u64) -> Task {
    Box::pin(async move {
        let edited = async {
            let read = vault.secret_read(&person(), &path(), None).await?;
            let cred = cred_of(read.value()).ok_or(VaultError::RotationConflict)?;
            let write = SecretWrite {
                path: path(),
                data: value_of(&cred, &format!("edit {number}")),
                secret_type: None,
                metadata: None,
                max_versions: None,
                expires_in: None,
                notify_before: None,
                rotation_policy_id: None,
                cas: Some(read.version()),
                rotation_id: None,
                cas_required: false,
                delete_after_s: None,
                max_versions_new: None,
            };
            vault.secret_write(&person(), write).await.map(drop)
        };
        Done::Acted("write", edited.await)
    })
}
