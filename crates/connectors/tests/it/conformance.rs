//! What every connector must do, checked at the real server: [`conformance`] is called once per
//! connector and overlap, with a [`Subject`] that knows the server by ways of its own, never
//! through the connector.

#![allow(dead_code, reason = "a build without connectors calls nothing")]

mod cases;
mod suite;
mod vault;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use scaivault_core::ports::{Connector, Reach};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value, json};

#[allow(unused_imports, reason = "for the connectors' own tests")]
pub(crate) use suite::{Suite, assert_applied, field, merged, plain};

/// A connector with a server of its own. Credentials are JSON texts here.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// The connector.
    fn connector(&self) -> Arc<dyn Connector>;
    /// The plan under test.
    fn overlap(&self) -> Overlap;
    /// The target's settings.
    fn settings(&self) -> Map<String, Value>;
    /// The attachment's settings.
    fn account(&self) -> Map<String, Value>;
    /// The manager's credential.
    fn manager(&self) -> String;
    /// A credential the server accepts when the suite begins.
    fn first(&self) -> String;

    /// Whether the server lets this credential in: a raw login, not through the connector.
    async fn accepts(&self, credential: &str) -> bool;
    /// Logs in and holds the session, again not through the connector.
    async fn open_session(&self, credential: &str) -> Box<dyn Session>;
    /// Grants, limits and ownership of the accounts as text: what a rotation must not change.
    async fn fingerprint(&self) -> String;
    /// All that the server has written about what it was told.
    async fn log_text(&self) -> String;
    /// A word that the log must hold, so that an empty log does not pass.
    fn log_holds(&self) -> &'static str;

    /// Settings that lead to a port where nobody listens.
    fn dead_settings(&self) -> Map<String, Value> {
        let mut settings = self.settings();
        settings.insert("port".into(), json!(scaivault_peers::free_port()));
        settings
    }
    /// `credential` with a wrong password. For keys: one that was never minted.
    fn wrong(&self, credential: &str) -> String {
        merged(credential, &[("password", "never-was-a-password")])
    }
    /// The credential of a manager that logs in and may do nothing; `None` skips the case.
    async fn weak_manager(&self) -> Option<String> {
        None
    }
    /// Runs statements that `check` or a remedy named, as somebody who may. `false`: they are
    /// instructions for people, not statements.
    async fn cure(&self, _statements: &[String]) -> bool {
        false
    }
    /// The field that differs between two credentials of the same account.
    fn secret_field(&self) -> &'static str {
        "password"
    }
    /// Whether the target can hold an epoch, so that late calls are refused.
    fn fences(&self) -> bool {
        true
    }
    /// Whether the target tells open sessions, and retiring ends them.
    fn has_sessions(&self) -> bool {
        true
    }
}

/// A session that is held open.
#[async_trait]
pub(crate) trait Session: Send {
    /// Whether the server still answers on it.
    async fn works(&mut self) -> bool;
    /// Ends it from the client's side.
    async fn close(self: Box<Self>);
}

/// The way to every address of the loopback interface, and to nothing else.
pub(crate) struct AllowAll;

#[async_trait]
impl Reach for AllowAll {
    async fn reach(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let found = tokio::net::lookup_host((host, port)).await;
        let all: Vec<SocketAddr> = found.map_err(|_| TroubleKind::Unreachable)?.collect();
        match all.iter().all(|address| address.ip().is_loopback()) {
            true => Ok(all),
            false => Err(TroubleKind::NotPermitted.into()),
        }
    }
}

/// Runs every case, one after the other, at one server.
pub(crate) async fn conformance(subject: &dyn Subject) {
    let mut suite = Suite::new(subject);
    cases::descriptor(&suite);
    cases::settings(&suite);
    cases::check(&suite).await;
    cases::candidate(&mut suite).await;
    cases::rotation(&mut suite).await;
    cases::rotation(&mut suite).await;
    cases::sessions(&mut suite).await;
    cases::retire_spares_keep(&mut suite).await;
    cases::fence(&mut suite).await;
    cases::refusals(&mut suite).await;
    cases::weak_manager(&mut suite).await;
    cases::fingerprint(&mut suite).await;
    cases::many(&mut suite).await;
    cases::rehearsal(&mut suite).await;
    vault::rehearsal(&mut suite).await;
    cases::log(&suite).await;
}
