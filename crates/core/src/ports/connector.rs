//! Connectors: how the engine speaks to a target. One connector is one kind of system.
//!
//! The engine owns order, retries and memory; a connector owns one system's words. Its calls are
//! of two kinds. *Effects* (`apply`, `retire`, `clear`, `remove`) change the target and answer
//! [`Effect`]: done, not done, or unknown. *Observations* (`check`, `login`, `sessions`, `residue`)
//! change nothing. Every call is bounded in time by whoever calls it, may be cut anywhere, and may
//! be made again:
//!
//! - An effect made twice with the same arguments leaves what one leaves. It may arrive late,
//!   after others took over: where the target can hold a number (a comment, an attribute), the
//!   connector compares [`Call::epoch`] there and answers [`TroubleKind::Fenced`] to an older one.
//! - `NotApplied` is a promise that nothing was changed. In doubt the answer is `Unknown`.
//! - Only the credential changes: grants, limits and ownership are the same before and after.
//! - Passwords are sent as verifiers or hashes wherever the target takes them.
//! - Nothing a target says is repeated but a short code ([`Trouble`]).

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::Entropy;
use crate::plaintext::Plaintext;
use crate::target::{Overlap, Trouble};

/// What every call is told.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The target's settings, validated.
    pub settings: &'a Map<String, Value>,
    /// The attachment's settings, validated: which account or accounts, in the connector's fields.
    pub account: &'a Map<String, Value>,
    /// The plan in force.
    pub overlap: Overlap,
    /// The manager secret's value, a JSON object; `None` where the target has no manager.
    pub manager: Option<&'a Plaintext>,
    /// The rotation's id: carried in tags, names and idempotency keys, so that what a lost answer
    /// left behind is found again.
    pub tag: &'a str,
    /// Grows with every claim and every write of the rotation's row.
    pub epoch: u64,
    /// How long readers have been getting the successor: an older session of the same account
    /// came in with the old password.
    pub promoted_for: Option<Duration>,
}

/// One field of a credential's value that is new.
pub struct NewField {
    /// Its name in the JSON object.
    pub name: String,
    /// Its text, without JSON quoting.
    pub value: Plaintext,
}

impl NewField {
    /// A field.
    pub fn new(name: impl Into<String>, value: Plaintext) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// How a candidate comes about.
pub enum Candidate {
    /// Made here: these fields replace those of the current value, all others stay.
    Made(Vec<NewField>),
    /// The target makes it: `apply` answers with the fields.
    Minted,
}

/// What an effect came to.
#[derive(Debug)]
pub enum Effect {
    /// Done. Fields that the target minted come with it.
    Applied(Vec<NewField>),
    /// Nothing was changed.
    NotApplied(Trouble),
    /// Perhaps.
    Unknown(Trouble),
}

impl Effect {
    /// Done, nothing minted.
    pub fn applied() -> Self {
        Self::Applied(Vec::new())
    }
}

impl std::fmt::Debug for NewField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewField({})", self.name)
    }
}

/// What a real login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// The target let it in, as the account the credential names.
    Accepted,
    /// The target refused it.
    Refused(Refusal),
    /// Not known.
    Unknown(Trouble),
}

/// Why a login was refused, as far as the target tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Wrong password or key, or no such account; targets rarely say which.
    Credential,
    /// The account is locked, or may not log in.
    Locked,
    /// The password or the account has expired.
    Expired,
    /// It got in, but as another account: a row that shadows it.
    AnotherAccount,
}

impl Refusal {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Locked => "locked",
            Self::Expired => "expired",
            Self::AnotherAccount => "another_account",
        }
    }
}

/// Use of a credential at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sessions {
    /// This many are open (0: none), or were used since the last look.
    Open(u64),
    /// This kind of target cannot tell: the gate rests on the consumers alone.
    NotObservable,
    /// Not known now.
    Unknown(Trouble),
}

/// Whether something of this rotation lies at the target without being stored here: the answer
/// of a mint was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residue {
    /// Nothing.
    None,
    /// So many credentials carry this rotation's tag.
    Found(u64),
    /// Not known now.
    Unknown(Trouble),
}

/// A right that the manager lacks, and how to give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What cannot be done without it.
    pub what: String,
    /// The exact statement to run, as somebody who may.
    pub statement: String,
}

/// What a look at a target found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Product and version.
    pub server: String,
    /// The account the manager logged in as.
    pub manager: String,
    /// What it may do.
    pub may: Vec<String>,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// The overlaps this target supports, safest first.
    pub overlaps: Vec<Overlap>,
    /// What works but should be known.
    pub warnings: Vec<String>,
}

/// What a connector is, for lists and for planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name in requests: `postgresql`, `mysql`, `redis`, `http_key`.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// The overlaps it can do, safest first. What a given target can do is found by `check`.
    pub overlaps: &'static [Overlap],
    /// Whether it needs a manager secret.
    pub needs_manager: bool,
    /// Whether it can rotate the manager's own credential through its open session.
    pub rotates_manager: bool,
}

/// A field of a request and what is wrong with it.
pub type FieldProblem = (String, String);

/// One kind of target.
#[async_trait]
pub trait Connector: Send + Sync {
    /// What it is.
    fn descriptor(&self) -> Descriptor;

    /// Checks a target's settings without any I/O. Unknown fields are problems.
    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem>;

    /// Checks an attachment's settings without any I/O.
    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem>;

    /// Logs in as the manager and looks what it may do. `account` and `overlap` of the call say
    /// what for; an empty account asks about the target in general.
    ///
    /// # Errors
    /// When the look itself failed.
    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble>;

    /// Plans the next credential beside `current` (`None`: the first one). No I/O.
    ///
    /// # Errors
    /// When the current value or the settings do not allow one.
    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble>;

    /// Makes the target accept `candidate` (`None`: mints one) beside `current`. With
    /// [`Overlap::None`] it replaces what was accepted. Also heals: given the value that should
    /// be accepted and is not, makes it accepted again.
    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect;

    /// Logs in for real: a new connection, the way a consumer takes, and asks which account
    /// answered. Needs no manager.
    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login;

    /// Use of `credential` at the target now.
    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions;

    /// Makes the target refuse `dead` and ends its sessions; `keep` stays as it is. Never touches
    /// an account or key that `keep` needs. A credential that is gone already is `Applied`.
    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect;

    /// For minting connectors: whether a mint of this rotation, up to the call's epoch, left
    /// something.
    async fn residue(&self, _call: &Call<'_>) -> Residue {
        Residue::None
    }

    /// For minting connectors: revokes what carries this rotation's tag, up to the call's epoch.
    async fn clear(&self, _call: &Call<'_>) -> Effect {
        Effect::applied()
    }

    /// Changes the manager's own credential to `candidate`: the session that does it stays open
    /// until a new login with the candidate has worked, and puts the old one back when it did
    /// not. Only where [`Descriptor::rotates_manager`].
    async fn apply_manager(&self, _call: &Call<'_>, _candidate: &Plaintext) -> Effect {
        Effect::NotApplied(crate::target::TroubleKind::Unsupported.into())
    }

    /// Settings of a throw-away account for a rehearsal under `call.overlap`; its names carry the
    /// prefix `scaivault_rehearsal_` and part of `tag`. `None` where the overlap cannot be
    /// rehearsed.
    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>>;

    /// Removes the throw-away accounts of `call.account` altogether. Refuses names without the
    /// rehearsal prefix. What is gone already is `Applied`.
    async fn remove(&self, call: &Call<'_>) -> Effect;

    /// The settings that [`Self::remove`] takes for a name that [`Self::sweep`] found, and the plan
    /// that goes with them.
    fn swept_account(&self, name: &str) -> (Overlap, Map<String, Value>) {
        let mut account = Map::new();
        account.insert("account".to_owned(), Value::String(name.to_owned()));
        (Overlap::None, account)
    }

    /// For minting connectors: tags of rotations whose keys are at the target, for the sweep.
    ///
    /// # Errors
    /// When the target could not be asked.
    async fn tags(&self, _call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    /// The same connector as one that makes accounts, where it can.
    fn accounts(&self) -> Option<&dyn super::Accounts> {
        None
    }

    /// Names of accounts at the target with the rehearsal prefix, for the sweep.
    ///
    /// # Errors
    /// When the target could not be asked.
    async fn sweep(&self, _call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }
}

/// Connectors by name.
pub trait Connectors: Send + Sync {
    /// The connector of that name.
    fn get(&self, name: &str) -> Option<std::sync::Arc<dyn Connector>>;
    /// What there is, by name.
    fn list(&self) -> Vec<Descriptor>;
}

/// The way to targets: names resolved and judged once, so that connectors connect only where an
/// operator allows it.
#[async_trait]
pub trait Reach: Send + Sync {
    /// The addresses of a host that may be connected to.
    ///
    /// # Errors
    /// [`crate::target::TroubleKind::Unreachable`] when the name does not resolve,
    /// [`crate::target::TroubleKind::NotPermitted`] when no address is allowed.
    async fn reach(&self, host: &str, port: u16) -> Result<Vec<std::net::SocketAddr>, Trouble>;
}
