//! PostgreSQL: passwords of login roles.
//!
//! Under `two_users` two login roles stand in one group role that holds every right and owns every
//! object; each rotation moves to the idle one. Under `none` there is one role, and the old
//! password stops opening new sessions when the new one is set.
//!
//! Each effect is one transaction, which begins with a lock and a look at the fence: a mark in the
//! role's comment. A connection that is cut before the commit was sent has changed nothing; one
//! that is cut after it may have.

mod account;
mod accounts;
mod apply;
mod check;
mod list;
mod login;
mod manager;
mod mark;
#[doc(hidden)]
pub mod probes;
mod rehearsal;
mod retire;
mod role;
mod session;
mod sessions;
mod settings;
mod sql;
mod transaction;
mod trouble;
mod verifier;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Accounts, Call, Candidate, Check, Connector, Descriptor, Effect, Entropy, FieldProblem, Login,
    NewField, Reach, Sessions,
};
use scaivault_core::target::{Overlap, Trouble};
use scaivault_crypto::generate::{LENGTH_DEFAULT, random_value};
use serde_json::{Map, Value};

use account::Account;
use session::Session;
use settings::Settings;

const OVERLAPS: &[Overlap] = &[Overlap::TwoUsers, Overlap::None];

/// The connector.
pub struct Postgresql {
    reach: Arc<dyn Reach>,
    pool: accounts::Pool,
}

impl Postgresql {
    /// One that reaches servers through `reach`.
    pub fn new(reach: Arc<dyn Reach>) -> Self {
        Self {
            reach,
            pool: accounts::Pool::default(),
        }
    }

    /// A session as the manager of the call.
    async fn manager(&self, call: &Call<'_>) -> Result<Session, Trouble> {
        let settings = Settings::read(call.settings)?;
        manager::open(&*self.reach, &settings, call).await
    }
}

/// What an effect that did not get as far as a commit came to.
fn effect(outcome: Result<(), Effect>) -> Effect {
    match outcome {
        Ok(()) => Effect::applied(),
        Err(effect) => effect,
    }
}

#[async_trait]
impl Connector for Postgresql {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "postgresql",
            about: "passwords of PostgreSQL login roles",
            overlaps: OVERLAPS,
            needs_manager: true,
            rotates_manager: true,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        settings::problems(settings)
    }

    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
        account::problems(account, overlap)
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        check::look(&self.manager(call).await?, call).await
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        let account = Account::read(call)?;
        let password = NewField::new("password", random_value(entropy, LENGTH_DEFAULT));
        let name = account.next(current)?;
        let name = name.map(|name| NewField::new("username", Plaintext::new(name.into_bytes())));
        Ok(Candidate::Made(
            name.into_iter().chain([password]).collect(),
        ))
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        match self.manager(call).await {
            Ok(manager) => effect(apply::apply(manager, call, candidate, current).await),
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        login::login(&*self.reach, call, credential).await
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        let received = Instant::now();
        let manager = self.manager(call).await;
        match sessions::look(manager, received, call, credential).await {
            Ok(count) => Sessions::Open(count),
            Err(trouble) => Sessions::Unknown(trouble),
        }
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let received = Instant::now();
        match self.manager(call).await {
            Ok(manager) => effect(retire::retire(manager, received, call, dead, keep).await),
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn apply_manager(&self, call: &Call<'_>, candidate: &Plaintext) -> Effect {
        effect(manager::rotate(&*self.reach, call, candidate).await)
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        rehearsal::account(call)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        let account = match Account::read(call).and_then(rehearsal::only_thrown_away) {
            Ok(account) => account,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        match self.manager(call).await {
            Ok(manager) => effect(rehearsal::remove(manager, &account).await),
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    fn accounts(&self) -> Option<&dyn Accounts> {
        Some(self)
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        rehearsal::sweep(&self.manager(call).await?).await
    }
}
