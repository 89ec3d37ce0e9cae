//! A real system under proof, known by ways of its own and never through a connector.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use scaivault_connectors::Registry;
use scaivault_core::ports::{Connectors, Reach};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value};

/// Accounts that nobody else uses, with everything a rotation of theirs needs.
pub(crate) struct Fresh {
    pub(crate) overlap: Overlap,
    /// The target's settings.
    pub(crate) settings: Value,
    /// The attachment's account.
    pub(crate) account: Value,
    /// A credential that is accepted.
    pub(crate) first: Value,
    /// The manager's credential; `None`: `first` is it.
    pub(crate) manager: Option<Value>,
    /// The accounts' names at the system.
    pub(crate) names: Vec<String>,
}

/// A real login, held open.
#[async_trait]
pub(crate) trait Held: Send + Sync {
    /// Ends it; when this comes back the server has forgotten it.
    async fn close(self: Box<Self>);
}

/// What happens to a system from outside, by its superuser.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// The manager's password is changed.
    SetManager(&'static str),
    /// The manager's password expires.
    ExpireManager,
    /// It is good again.
    RenewManager,
    /// The manager may no longer change accounts.
    TakeRight,
    /// A statement that a remedy names.
    Run(String),
    /// The accounts are as a backup had them: the first takes this password alone, the other one
    /// lets nobody in.
    PutBack(String),
}

/// A system.
#[async_trait]
pub(crate) trait System: Send + Sync {
    /// For the summary.
    fn name(&self) -> String;
    /// The connector's name.
    fn connector(&self) -> &'static str;
    /// Ends it at once.
    fn stop(&self) {
        panic!("{} is not stopped", self.name());
    }
    /// Starts it again on the same files.
    async fn start_again(&self) {
        panic!("{} is not stopped", self.name());
    }
    /// Whether a rotation clears away what somebody else made the accounts accept.
    fn clears_what_is_put_back(&self) -> bool {
        true
    }
    /// Does what happens from outside.
    async fn operate(&self, operation: Operation, _fresh: &Fresh) {
        panic!("{operation:?} does not happen at {}", self.name());
    }
    /// Makes accounts of their own for the n-th use.
    async fn fresh(&self, n: usize) -> Fresh;
    /// Another account of the target, which the manager `fresh` may change.
    async fn beside(&self, _fresh: &Fresh) -> Fresh {
        panic!("{} has no manager of its own", self.name());
    }
    /// A real login; `None` when the server refuses it. Anything else is a failure of the proof.
    async fn log_in(&self, fresh: &Fresh, credential: &Value) -> Option<Box<dyn Held>>;
    /// What the server holds for these accounts that is none of `stored`, as far as the server
    /// lists it. `open`: the rotation under way, whose tag may mark what was just minted.
    async fn unknown(&self, fresh: &Fresh, stored: &[Value], open: Option<&str>) -> Vec<String>;
}

/// The text of a field.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("a text")
}

/// An object.
pub(crate) fn object(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

struct Loopback;

#[async_trait]
impl Reach for Loopback {
    async fn reach(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let found = tokio::net::lookup_host((host, port)).await;
        let all: Vec<SocketAddr> = found.map_err(|_| TroubleKind::Unreachable)?.collect();
        match all.iter().all(|address| address.ip().is_loopback()) {
            true => Ok(all),
            false => Err(TroubleKind::NotPermitted.into()),
        }
    }
}

/// The connectors as the product has them, kept to the loopback interface. As a new process has
/// them: they remember nothing.
pub(crate) fn connectors() -> Arc<dyn Connectors> {
    let reach: Arc<dyn Reach> = Arc::new(Loopback);
    Arc::new(Registry::built_in(&reach))
}
