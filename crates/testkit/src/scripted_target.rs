//! A target in memory: accounts with a password each, sessions, a number that fences late
//! changes, and a script of what goes wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::dynamic::Role;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Call, Candidate, Check, Connector, Connectors,
    Descriptor, Effect, Entropy, FieldProblem, Login, Missing, NewAccount, NewField, OldAccount,
    Refusal, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

/// What names of throw-away accounts begin with.
const THROW_AWAY: &str = "scaivault_rehearsal_";
/// Its name as a connector.
pub const SCRIPTED: &str = "scripted";

/// What happens to one call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    /// It is done and answered.
    Good,
    /// It is done, the answer is lost.
    AnswerLost,
    /// It is not done, and nobody knows.
    RequestLost,
    /// It is done when [`ScriptedTarget::arrive`] is called; nobody knows.
    Late,
    /// It is not done, and said so.
    Refused(TroubleKind),
}

/// A change as it arrives.
#[derive(Clone)]
enum Change {
    Set(String, String),
    Lock(String),
    Remove(Vec<String>),
}

#[derive(Default)]
struct State {
    /// Account → password; none: it may not log in.
    accounts: BTreeMap<String, Option<String>>,
    sessions: BTreeMap<String, u64>,
    fence: BTreeMap<String, u64>,
    script: VecDeque<Luck>,
    late: Vec<(u64, Change)>,
    unreachable: bool,
    needs_manager: bool,
    missing: Vec<Missing>,
    /// The manager's value, as the last look was given it.
    manager: Option<Vec<u8>>,
    overlaps: Option<Vec<Overlap>>,
    effects: u64,
    logins: u64,
    /// Account → logins it refused.
    refused: BTreeMap<String, u64>,
    locks_after: Option<u64>,
    seen_once: Vec<String>,
    /// Calls that removed accounts, and accounts named in them.
    removals: (u64, u64),
}

impl State {
    fn accepts(&self, name: &str, password: &str) -> bool {
        let found = self.accounts.get(name).and_then(Option::as_deref);
        found == Some(password)
    }

    fn change(&mut self, epoch: u64, change: Change) -> bool {
        let account = match &change {
            Change::Set(account, _) | Change::Lock(account) => account.clone(),
            Change::Remove(_) => String::new(),
        };
        let fence = self.fence.entry(account).or_default();
        if epoch < *fence {
            return false;
        }
        *fence = epoch;
        self.effects += 1;
        match change {
            Change::Set(account, password) => {
                self.accounts.insert(account, Some(password));
            }
            Change::Lock(account) => {
                self.sessions.remove(&account);
                self.accounts.insert(account, None);
            }
            Change::Remove(accounts) => {
                for account in accounts {
                    self.accounts.remove(&account);
                    self.fence.remove(&account);
                }
            }
        }
        true
    }

    fn effect(&mut self, epoch: u64, change: Change) -> Effect {
        if self.unreachable {
            return Effect::NotApplied(TroubleKind::Unreachable.into());
        }
        let unknown = || Effect::Unknown(TroubleKind::TimedOut.into());
        match self.script.pop_front().unwrap_or(Luck::Good) {
            Luck::Good => match self.change(epoch, change) {
                true => Effect::applied(),
                false => Effect::NotApplied(TroubleKind::Fenced.into()),
            },
            Luck::AnswerLost => {
                self.change(epoch, change);
                unknown()
            }
            Luck::RequestLost => unknown(),
            Luck::Late => {
                self.late.push((epoch, change));
                unknown()
            }
            Luck::Refused(kind) => Effect::NotApplied(kind.into()),
        }
    }
}

/// The target. Share it in an `Arc`; clones are the same target.
#[derive(Clone, Default)]
pub struct ScriptedTarget(Arc<Mutex<State>>);

impl ScriptedTarget {
    /// Accounts are locked after so many refused logins.
    pub fn locks_after(&self, refused: u64) {
        self.0.lock().locks_after = Some(refused);
    }

    /// Logins tried, whatever came of them.
    pub fn logins(&self) -> u64 {
        self.0.lock().logins
    }

    /// An account that accepts this password.
    pub fn account(&self, name: &str, password: &str) {
        let mut state = self.0.lock();
        state
            .accounts
            .insert(name.to_owned(), Some(password.to_owned()));
    }

    /// Whether it lets this pair in.
    pub fn accepts(&self, name: &str, password: &str) -> bool {
        self.0.lock().accepts(name, password)
    }

    /// Every pair it lets in.
    pub fn accepted(&self) -> Vec<(String, String)> {
        let state = self.0.lock();
        let pairs = state.accounts.iter();
        pairs
            .filter_map(|(name, password)| Some((name.clone(), password.clone()?)))
            .collect()
    }

    /// So many sessions of an account are open.
    pub fn sessions_of(&self, name: &str, open: u64) {
        self.0.lock().sessions.insert(name.to_owned(), open);
    }

    /// What happens to the next changes, in order; then all is good again.
    pub fn next(&self, lucks: impl IntoIterator<Item = Luck>) {
        self.0.lock().script.extend(lucks);
    }

    /// What a check finds that it supports; two users when nothing is said.
    pub fn supports(&self, overlaps: &[Overlap]) {
        self.0.lock().overlaps = Some(overlaps.to_vec());
    }

    /// Whether it can be reached.
    pub fn unreachable(&self, unreachable: bool) {
        self.0.lock().unreachable = unreachable;
    }

    /// Whether a target of it needs a manager. A new one does not.
    pub fn needs_manager(&self, needs: bool) {
        self.0.lock().needs_manager = needs;
    }

    /// What the manager lacks, each with the statement that gives it.
    pub fn missing(&self, missing: Vec<Missing>) {
        self.0.lock().missing = missing;
    }

    /// The manager's value, as the last look or change was given it.
    pub fn manager(&self) -> Option<Vec<u8>> {
        self.0.lock().manager.clone()
    }

    fn given(&self, call: &Call<'_>) {
        self.0.lock().manager = call.manager.map(|value| value.expose().to_vec());
    }

    /// Late changes arrive now, in order. Answers how many were on their way.
    pub fn arrive(&self) -> usize {
        let mut state = self.0.lock();
        let late = std::mem::take(&mut state.late);
        let number = late.len();
        for (epoch, change) in late {
            state.change(epoch, change);
        }
        number
    }

    /// The next look at what accounts there are sees this one too; it is gone right after.
    pub fn seen_once(&self, name: &str) {
        self.0.lock().seen_once.push(name.to_owned());
    }

    /// How often it was asked to remove accounts, and how many in all.
    pub fn removals(&self) -> (u64, u64) {
        self.0.lock().removals
    }

    /// How many changes were made, ever.
    pub fn effects(&self) -> u64 {
        self.0.lock().effects
    }
}

fn pair(credential: &Plaintext) -> Option<(String, String)> {
    let value: Map<String, Value> = serde_json::from_slice(credential.expose()).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((text("username")?, text("password")?))
}

fn needed(credential: Option<&Plaintext>) -> Result<(String, String), Trouble> {
    credential
        .and_then(pair)
        .ok_or_else(|| TroubleKind::Credential.into())
}

/// All fields but the one that is known.
fn unknown(fields: &Map<String, Value>, known: &str) -> Vec<FieldProblem> {
    let names = fields.keys().filter(|name| *name != known);
    names
        .map(|name| (name.clone(), "is not known".to_owned()))
        .collect()
}

#[async_trait]
impl Connector for ScriptedTarget {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: SCRIPTED,
            about: "a target in memory",
            overlaps: &[Overlap::TwoUsers, Overlap::None],
            needs_manager: self.0.lock().needs_manager,
            rotates_manager: false,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        unknown(settings, "host")
    }

    fn check_account(&self, account: &Map<String, Value>, _: Overlap) -> Vec<FieldProblem> {
        let mut problems = unknown(account, "accounts");
        match account.get("accounts") {
            Some(Value::Array(names)) if names.len() == 2 => {}
            _ => problems.push(("accounts".to_owned(), "is a list of two names".to_owned())),
        }
        problems
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        self.given(call);
        let state = self.0.lock();
        if state.unreachable {
            return Err(TroubleKind::Unreachable.into());
        }
        let overlaps = state.overlaps.clone();
        Ok(Check {
            server: "scripted".to_owned(),
            overlaps: overlaps.unwrap_or_else(|| vec![Overlap::TwoUsers]),
            missing: state.missing.clone(),
            ..Check::default()
        })
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        let used = current.and_then(pair).map(|(name, _)| name);
        let accounts = call.account.get("accounts").and_then(Value::as_array);
        let idle = accounts
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .find(|name| used.as_deref() != Some(name))
            .ok_or_else(|| Trouble::new(TroubleKind::Settings))?;
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Candidate::Made(vec![
            NewField::new("username", Plaintext::new(idle.into())),
            NewField::new("password", Plaintext::new(password.into_bytes())),
        ]))
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        _current: Option<&Plaintext>,
    ) -> Effect {
        self.given(call);
        match needed(candidate) {
            Ok((name, password)) => {
                let change = Change::Set(name, password);
                self.0.lock().effect(call.epoch, change)
            }
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn login(&self, _call: &Call<'_>, credential: &Plaintext) -> Login {
        let mut state = self.0.lock();
        state.logins += 1;
        if state.unreachable {
            return Login::Unknown(TroubleKind::Unreachable.into());
        }
        let most = state.locks_after.unwrap_or(u64::MAX);
        match needed(Some(credential)) {
            Ok((name, _)) if state.refused.get(&name).copied().unwrap_or(0) >= most => {
                Login::Refused(Refusal::Locked)
            }
            Ok((name, password)) if state.accepts(&name, &password) => Login::Accepted,
            Ok((name, _)) => {
                *state.refused.entry(name).or_default() += 1;
                Login::Refused(Refusal::Credential)
            }
            Err(trouble) => Login::Unknown(trouble),
        }
    }

    async fn sessions(&self, _call: &Call<'_>, credential: &Plaintext) -> Sessions {
        let state = self.0.lock();
        match needed(Some(credential)) {
            Ok(_) if state.unreachable => Sessions::Unknown(TroubleKind::Unreachable.into()),
            Ok((name, _)) => Sessions::Open(state.sessions.get(&name).copied().unwrap_or(0)),
            Err(trouble) => Sessions::Unknown(trouble),
        }
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        self.given(call);
        let name = match needed(Some(dead)) {
            Ok((name, _)) => name,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        if keep.and_then(pair).is_some_and(|(kept, _)| kept == name) {
            return Effect::NotApplied(TroubleKind::Settings.into());
        }
        self.0.lock().effect(call.epoch, Change::Lock(name))
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        let name = |end: &str| Value::String(format!("{THROW_AWAY}{}{end}", call.tag));
        let names = Value::Array(vec![name("_a"), name("_b")]);
        let account = Map::from_iter([("accounts".to_owned(), names)]);
        (call.overlap == Overlap::TwoUsers).then_some(account)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        let pair = call.account.get("accounts").and_then(Value::as_array);
        let one = call.account.get("account").into_iter();
        let names = pair.into_iter().flatten().chain(one);
        let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        if !names.iter().all(|name| name.starts_with(THROW_AWAY)) {
            return Effect::NotApplied(TroubleKind::Settings.into());
        }
        self.0.lock().effect(call.epoch, Change::Remove(names))
    }

    fn accounts(&self) -> Option<&dyn Accounts> {
        Some(self)
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        self.given(call);
        let state = self.0.lock();
        if state.unreachable {
            return Err(TroubleKind::Unreachable.into());
        }
        let names = state.accounts.keys();
        Ok(names
            .filter(|name| name.starts_with(THROW_AWAY))
            .cloned()
            .collect())
    }
}

/// Without a fence: what was sent to make an account and comes after its removal makes it.
#[async_trait]
impl Accounts for ScriptedTarget {
    fn name_chars_max(&self) -> usize {
        63
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        match role.creation_statements.is_empty() {
            true => vec![("creation_statements".to_owned(), "is required".to_owned())],
            false => Vec::new(),
        }
    }

    fn needs(&self, _missing: &Missing) -> bool {
        true
    }

    fn check_request(&self, _role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        request.takes_nothing()
    }

    fn ends_by_itself(&self) -> bool {
        false
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        self.0.lock().manager = call.manager.map(|value| value.expose().to_vec());
        let Ok(password) = std::str::from_utf8(new.password.expose()) else {
            return Effect::NotApplied(TroubleKind::Credential.into());
        };
        let change = Change::Set(new.name.to_owned(), password.to_owned());
        self.0.lock().effect(0, change)
    }

    async fn renew(&self, _: &AccountCall<'_>, _: (&str, &Role), _: Timestamp) -> Effect {
        let mut state = self.0.lock();
        if state.unreachable {
            return Effect::NotApplied(TroubleKind::Unreachable.into());
        }
        match state.script.pop_front().unwrap_or(Luck::Good) {
            Luck::Good => Effect::applied(),
            Luck::Refused(kind) => Effect::NotApplied(kind.into()),
            _ => Effect::Unknown(TroubleKind::TimedOut.into()),
        }
    }

    async fn remove(&self, _: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        let mut state = self.0.lock();
        state.removals.0 += 1;
        state.removals.1 += u64::try_from(accounts.len()).unwrap_or(0);
        let each = accounts.iter();
        each.map(|account| state.effect(0, Change::Remove(vec![account.name.to_owned()])))
            .collect()
    }

    async fn names(&self, _: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        let mut state = self.0.lock();
        if state.unreachable {
            return Err(TroubleKind::Unreachable.into());
        }
        let mut names: Vec<String> = state.accounts.keys().cloned().collect();
        names.append(&mut state.seen_once);
        Ok(names)
    }

    fn revocation_list(
        &self,
        _call: &AccountCall<'_>,
        _names: &[&str],
        _now: Timestamp,
    ) -> Result<Vec<u8>, Trouble> {
        Err(TroubleKind::Unsupported.into())
    }
}

impl Connectors for ScriptedTarget {
    fn get(&self, name: &str) -> Option<Arc<dyn Connector>> {
        (name == SCRIPTED).then(|| Arc::new(self.clone()) as Arc<dyn Connector>)
    }

    fn list(&self) -> Vec<Descriptor> {
        vec![self.descriptor()]
    }
}
