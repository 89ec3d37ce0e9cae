//! Redis and Valkey: passwords of ACL users, from version 6 on.
//!
//! A user takes any number of passwords, so an old and a new one stand side by side
//! (`two_passwords`), or two users with the same rules take turns (`two_users`). Passwords go as
//! SHA-256 hashes, which is what the server keeps: no log of the server ever holds one.
//!
//! Users are not replicated. Every node of the settings is changed, and a change counts once all
//! of them have it. A user has no room for a number: [`Call::epoch`] cannot be compared at the
//! server, and a change that arrives late adds an old hash again. Under `two_users` the next
//! change of that user takes it away; under `two_passwords` it stays until it is retired again.

mod accounts;
mod change;
mod check;
mod clients;
mod link;
mod manager;
mod persist;
mod plan;
#[doc(hidden)]
pub mod probes;
mod quote;
mod rehearsal;
mod rules;
mod settings;
mod user;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    self, Call, Candidate, Check, Connector, Descriptor, Effect, Entropy, FieldProblem, NewField,
    Reach, Refusal, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_crypto::generate::{LENGTH_DEFAULT, random_value};
use serde_json::{Map, Value};

use change::End;
use link::{Denied, Login};
use plan::{beside, like, without};
use settings::{Account, Node, Site};
use user::{Command, User, hash};
use wire::Reply;

use crate::value;

/// The connector.
pub struct Redis {
    reach: Arc<dyn Reach>,
}

impl Redis {
    /// One that reaches its targets through `reach`.
    pub fn new(reach: Arc<dyn Reach>) -> Self {
        Self { reach }
    }

    async fn login_at(&self, site: &Site, node: &Node, login: &Login) -> ports::Login {
        let mut wire = match link::log_in(&*self.reach, site, node, login).await {
            Ok(wire) => wire,
            Err(Denied::Credential) => return ports::Login::Refused(Refusal::Credential),
            Err(Denied::Trouble(trouble)) => return ports::Login::Unknown(trouble),
        };
        match wire.ask(&["ACL", "WHOAMI"]).await {
            Ok(Reply::Text(name)) if name == login.username.as_bytes() => ports::Login::Accepted,
            Ok(_) => ports::Login::Refused(Refusal::AnotherAccount),
            // A user without the right to ask; its login named it.
            Err(fault) if fault.is_privilege() => ports::Login::Accepted,
            Err(fault) => ports::Login::Unknown(fault.into()),
        }
    }

    async fn login_everywhere(&self, call: &Call<'_>, credential: &Plaintext) -> ports::Login {
        let read = Site::of(call.settings).and_then(|site| Ok((site, Login::of(credential)?)));
        let (site, login) = match read {
            Ok(read) => read,
            Err(trouble) => return ports::Login::Unknown(trouble),
        };
        let mut answers = Vec::with_capacity(site.nodes.len());
        for node in &site.nodes {
            match self.login_at(&site, node, &login).await {
                ports::Login::Unknown(trouble) => return ports::Login::Unknown(trouble),
                answer => answers.push(answer),
            }
        }
        agreed(answers)
    }

    async fn sessions_of(&self, call: &Call<'_>, credential: &Plaintext) -> Result<u64, Trouble> {
        let account = Account::of(call.account, call.overlap)?;
        let login = Login::of(credential)?;
        fits(&account, &login)?;
        let older = match account {
            Account::One(_) => call.promoted_for,
            Account::Two(_) => None,
        };
        let counts = |client: &clients::Client| {
            client.user == *login.username
                && older.is_none_or(|older| Duration::from_secs(client.age_s) > older)
        };
        let mut open = 0;
        for wire in &mut link::manage(&*self.reach, call).await? {
            let found = clients::list(wire).await?;
            open += found.iter().filter(|client| counts(client)).count() as u64;
        }
        Ok(open)
    }

    async fn changed(
        &self,
        call: &Call<'_>,
        users: &[&str],
        plan: impl Fn(&[Option<User>]) -> Result<Vec<Command>, Trouble>,
        end: End<'_>,
    ) -> Result<Effect, Trouble> {
        let site = Site::of(call.settings)?;
        let manager = Login::manager(call)?;
        let mut wires = link::manage(&*self.reach, call).await?;
        let volatile_ok = site.volatile_ok;
        let manager = manager.username.as_str();
        Ok(change::everywhere(&mut wires, volatile_ok, manager, users, plan, end).await)
    }

    async fn add(
        &self,
        call: &Call<'_>,
        candidate: &Plaintext,
        current: Option<&Plaintext>,
    ) -> Result<Effect, Trouble> {
        let account = Account::of(call.account, call.overlap)?;
        let candidate = Login::of(candidate)?;
        fits(&account, &candidate)?;
        let new = hash(&candidate.password);
        let name = candidate.username.as_str();
        let current = match current {
            Some(current) => Some(Login::of(current)?),
            None => None,
        };
        let model = current.as_ref().map(|login| login.username.as_str());
        match model {
            Some(model) if model != name => {
                if matches!(account, Account::One(_)) || !account.has(model) {
                    return Err(another_user());
                }
                let plan = |found: &[Option<User>]| like(found, name, &new);
                self.changed(call, &[name, model], plan, End::Nobody).await
            }
            _ => {
                let only = model.is_none() && matches!(account, Account::Two(_));
                let plan = |found: &[Option<User>]| beside(&found[0], name, &new, only);
                self.changed(call, &[name], plan, End::Nobody).await
            }
        }
    }

    async fn take_away(
        &self,
        call: &Call<'_>,
        dead: &Plaintext,
        keep: Option<&Plaintext>,
    ) -> Result<Effect, Trouble> {
        let account = Account::of(call.account, call.overlap)?;
        let dead = Login::of(dead)?;
        fits(&account, &dead)?;
        let keep = match keep {
            Some(keep) => Some(Login::of(keep)?),
            None => None,
        };
        let name = dead.username.as_str();
        let old = hash(&dead.password);
        let manager = Login::manager(call)?;
        for stays in keep.iter().chain([&manager]) {
            if *stays.username == *name && hash(&stays.password) == old {
                return Err(Trouble::new(TroubleKind::Credential).code("in_use"));
            }
        }
        let shared = keep.as_ref().is_some_and(|keep| *keep.username == *name);
        let whole = matches!(account, Account::Two(_)) && !shared;
        if whole && *manager.username == *name {
            return Err(Trouble::new(TroubleKind::Settings).code("manager"));
        }
        let plan = |found: &[Option<User>]| without(&found[0], name, &old, whole);
        let end = match (call.promoted_for, whole || keep.is_none()) {
            (_, true) => End::All(name),
            (Some(promoted_for), false) => End::Older(name, promoted_for),
            // Readers never got the successor: every session may be the one to keep.
            (None, false) => End::Nobody,
        };
        self.changed(call, &[name], plan, end).await
    }
}

/// The credential's user is one of the attachment's.
fn fits(account: &Account, login: &Login) -> Result<(), Trouble> {
    if account.has(&login.username) {
        Ok(())
    } else {
        Err(another_user())
    }
}

fn another_user() -> Trouble {
    Trouble::new(TroubleKind::Credential)
        .code("username")
        .remedy("the value's `username` is the user, or one of the two, of the attachment")
}

/// One answer of several nodes. Where they differ the credential is neither good nor dead.
fn agreed(answers: Vec<ports::Login>) -> ports::Login {
    let mut answers = answers.into_iter();
    let Some(first) = answers.next() else {
        return ports::Login::Unknown(TroubleKind::Settings.into());
    };
    if answers.all(|answer| answer == first) {
        return first;
    }
    ports::Login::Unknown(Trouble::new(TroubleKind::Interrupted).code("nodes_differ"))
}

#[async_trait]
impl Connector for Redis {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "redis",
            about: "Passwords of ACL users of Redis (6 and later) and Valkey",
            overlaps: &[Overlap::TwoUsers, Overlap::TwoPasswords],
            needs_manager: true,
            rotates_manager: true,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        Site::parse(settings).err().unwrap_or_default()
    }

    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
        Account::parse(account, overlap).err().unwrap_or_default()
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        check::check(&*self.reach, call).await
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        let account = Account::of(call.account, call.overlap)?;
        let used = match current {
            Some(current) => Some(value::needed(current, "username")?),
            None => None,
        };
        let used = used.as_deref().map(String::as_str);
        if used.is_some_and(|used| !account.has(used)) {
            return Err(another_user());
        }
        let next = match &account {
            Account::One(name) => name,
            Account::Two([a, b]) if used == Some(a.as_str()) => b,
            Account::Two([a, _]) => a,
        };
        Ok(Candidate::Made(vec![
            NewField::new("username", Plaintext::new(next.clone().into_bytes())),
            NewField::new("password", random_value(entropy, LENGTH_DEFAULT)),
        ]))
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        let Some(candidate) = candidate else {
            return Effect::NotApplied(TroubleKind::Unsupported.into());
        };
        let added = self.add(call, candidate, current).await;
        added.unwrap_or_else(Effect::NotApplied)
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> ports::Login {
        self.login_everywhere(call, credential).await
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        match self.sessions_of(call, credential).await {
            Ok(open) => Sessions::Open(open),
            Err(trouble) => Sessions::Unknown(trouble),
        }
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let taken = self.take_away(call, dead, keep).await;
        taken.unwrap_or_else(Effect::NotApplied)
    }

    async fn apply_manager(&self, call: &Call<'_>, candidate: &Plaintext) -> Effect {
        let applied = manager::apply(self, call, candidate).await;
        applied.unwrap_or_else(Effect::NotApplied)
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        rehearsal::account(call)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        let removed = rehearsal::remove(self, call).await;
        removed.unwrap_or_else(Effect::NotApplied)
    }

    fn swept_account(&self, name: &str) -> (Overlap, Map<String, Value>) {
        let mut account = Map::new();
        account.insert("account".to_owned(), Value::String(name.to_owned()));
        (Overlap::TwoPasswords, account)
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        rehearsal::sweep(self, call).await
    }

    fn accounts(&self) -> Option<&dyn ports::Accounts> {
        Some(self)
    }
}
