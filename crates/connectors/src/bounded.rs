//! A connector whose calls end in time. A call that does not is cut, and its outcome is unknown:
//! it may have been made.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::dynamic::Role;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Call, Candidate, Check, Connector, Descriptor, Effect,
    Entropy, FieldProblem, Login, Missing, NewAccount, OldAccount, Residue, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

/// The decorator.
pub struct Bounded {
    inner: Arc<dyn Connector>,
    limit: Duration,
}

impl Bounded {
    /// `inner` with `limit` for each call.
    pub fn new(inner: Arc<dyn Connector>, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn within<T>(&self, call: impl Future<Output = T>, cut: impl FnOnce(Trouble) -> T) -> T {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer,
            Err(_) => cut(TroubleKind::TimedOut.into()),
        }
    }
}

#[async_trait]
impl Connector for Bounded {
    fn descriptor(&self) -> Descriptor {
        self.inner.descriptor()
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        self.inner.check_settings(settings)
    }

    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
        self.inner.check_account(account, overlap)
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        self.within(self.inner.check(call), Err).await
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        self.inner.candidate(call, current, entropy)
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        let made = self.inner.apply(call, candidate, current);
        self.within(made, Effect::Unknown).await
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        let made = self.inner.login(call, credential);
        self.within(made, Login::Unknown).await
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        let made = self.inner.sessions(call, credential);
        self.within(made, Sessions::Unknown).await
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let made = self.inner.retire(call, dead, keep);
        self.within(made, Effect::Unknown).await
    }

    async fn residue(&self, call: &Call<'_>) -> Residue {
        self.within(self.inner.residue(call), Residue::Unknown)
            .await
    }

    async fn clear(&self, call: &Call<'_>) -> Effect {
        self.within(self.inner.clear(call), Effect::Unknown).await
    }

    async fn apply_manager(&self, call: &Call<'_>, candidate: &Plaintext) -> Effect {
        let made = self.inner.apply_manager(call, candidate);
        self.within(made, Effect::Unknown).await
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        self.inner.rehearsal_account(call)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        self.within(self.inner.remove(call), Effect::Unknown).await
    }

    fn accounts(&self) -> Option<&dyn Accounts> {
        self.inner.accounts().map(|_| self as &dyn Accounts)
    }

    fn swept_account(&self, name: &str) -> (Overlap, Map<String, Value>) {
        self.inner.swept_account(name)
    }

    async fn tags(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        self.within(self.inner.tags(call), Err).await
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        self.within(self.inner.sweep(call), Err).await
    }
}

impl Bounded {
    fn makes_accounts(&self) -> Result<&dyn Accounts, Trouble> {
        self.inner
            .accounts()
            .ok_or_else(|| TroubleKind::Unsupported.into())
    }
}

#[async_trait]
impl Accounts for Bounded {
    fn name_chars_max(&self) -> usize {
        self.inner.accounts().map_or(0, Accounts::name_chars_max)
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        let inner = self.inner.accounts();
        inner.map_or_else(Vec::new, |inner| inner.check_role(role))
    }

    fn check_request(&self, role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        let inner = self.inner.accounts();
        inner.map_or_else(Vec::new, |inner| inner.check_request(role, request))
    }

    fn needs(&self, missing: &Missing) -> bool {
        let inner = self.inner.accounts();
        inner.is_some_and(|inner| inner.needs(missing))
    }

    fn ends_by_itself(&self) -> bool {
        self.inner.accounts().is_some_and(Accounts::ends_by_itself)
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        match self.makes_accounts() {
            Ok(inner) => self.within(inner.create(call, new), Effect::Unknown).await,
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn renew(&self, call: &AccountCall<'_>, of: (&str, &Role), until: Timestamp) -> Effect {
        match self.makes_accounts() {
            Ok(inner) => {
                let made = inner.renew(call, of, until);
                self.within(made, Effect::Unknown).await
            }
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        let all = |effect: fn(Trouble) -> Effect, trouble: &Trouble| {
            let each = accounts.iter().map(|_| effect(trouble.clone()));
            each.collect::<Vec<_>>()
        };
        match self.makes_accounts() {
            Ok(inner) => {
                let cut = |trouble| all(Effect::Unknown, &trouble);
                self.within(inner.remove(call, accounts), cut).await
            }
            Err(trouble) => all(Effect::NotApplied, &trouble),
        }
    }

    fn revocation_list(
        &self,
        call: &AccountCall<'_>,
        names: &[&str],
        now: Timestamp,
    ) -> Result<Vec<u8>, Trouble> {
        self.makes_accounts()?.revocation_list(call, names, now)
    }

    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        self.within(self.makes_accounts()?.names(call), Err).await
    }
}
