//! What goes wrong between the engine and a target: connectors as they are, behind a wrapper that
//! counts their calls, remembers every credential that went through, and does one thing wrong when
//! told to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Candidate, Check, Connector, Connectors, Descriptor, Effect, Entropy, FieldProblem,
    Login, Residue, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// What goes wrong with one call that changes the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It is done; the process dies before it learns that.
    KilledAfter,
    /// The process dies while it is under way.
    KilledDuring,
    /// It is done; the answer is lost.
    AnswerLost,
    /// It is not done, and there is no answer either.
    RequestLost,
    /// The worker stands still before it for so long that another takes over; it is done while
    /// that one is at work.
    LateAtOnce,
    /// The same; it is done when the rotation has ended.
    LateAtTheEnd,
}

impl Strike {
    pub(crate) const ALL: [Self; 6] = [
        Self::KilledAfter,
        Self::KilledDuring,
        Self::AnswerLost,
        Self::RequestLost,
        Self::LateAtOnce,
        Self::LateAtTheEnd,
    ];
}

/// How long an effect runs before the process that waits for it dies.
const DURING: Duration = Duration::from_millis(4);

#[derive(Default)]
struct Plan {
    effects: Vec<&'static str>,
    looks: u64,
    strike: Option<(usize, Strike)>,
    unclear: Option<u64>,
    blind: bool,
    struck: bool,
    minted: Vec<Value>,
}

/// Shared between the wrapper and its test.
#[derive(Default)]
pub(crate) struct Script {
    plan: Mutex<Plan>,
    dead: Notify,
    paused: Notify,
    go: Notify,
}

impl Script {
    /// The n-th change from now on, counted from 0, goes wrong.
    pub(crate) fn strike(&self, nth: usize, strike: Strike) {
        let mut plan = self.plan.lock();
        let at = plan.effects.len() + nth;
        plan.strike = Some((at, strike));
    }

    /// The n-th look from now on, counted from 0, does not tell.
    pub(crate) fn unclear(&self, nth: u64) {
        let mut plan = self.plan.lock();
        plan.unclear = Some(plan.looks + nth);
    }

    /// Whether no look tells anything from now on.
    pub(crate) fn blind(&self, blind: bool) {
        self.plan.lock().blind = blind;
    }

    /// Whether what was planned has happened.
    pub(crate) fn struck(&self) -> bool {
        self.plan.lock().struck
    }

    /// The changes so far, by name.
    pub(crate) fn effects(&self) -> Vec<&'static str> {
        self.plan.lock().effects.clone()
    }

    /// How often the target was looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.plan.lock().looks
    }

    /// Every credential that was told to the target or minted by it.
    pub(crate) fn made(&self) -> Vec<Value> {
        self.plan.lock().minted.clone()
    }

    /// Completes when the process dies.
    pub(crate) async fn killed(&self) {
        self.dead.notified().await;
    }

    /// Completes when the worker stands still.
    pub(crate) async fn paused(&self) {
        self.paused.notified().await;
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.go.notify_one();
    }

    /// Whether what is late comes only when the rotation has ended.
    pub(crate) fn is_very_late(&self) -> bool {
        let strike = self.plan.lock().strike;
        strike.is_some_and(|(_, strike)| strike == Strike::LateAtTheEnd)
    }

    fn begin(&self, name: &'static str, told: Option<&Plaintext>) -> Option<Strike> {
        let mut plan = self.plan.lock();
        let told = told.and_then(|told| serde_json::from_slice(told.expose()).ok());
        let told: Option<Value> = told;
        let new = told.filter(|told| !plan.minted.contains(told));
        plan.minted.extend(new);
        let at = plan.effects.len();
        plan.effects.push(name);
        let strike = plan.strike.filter(|(nth, _)| *nth == at)?.1;
        plan.struck = true;
        Some(strike)
    }

    async fn die(&self) -> Effect {
        self.dead.notify_one();
        std::future::pending().await
    }

    async fn effect(
        &self,
        name: &'static str,
        told: Option<&Plaintext>,
        effect: impl Future<Output = Effect> + Send,
    ) -> Effect {
        let lost = || Effect::Unknown(Trouble::new(TroubleKind::Interrupted));
        match self.begin(name, told) {
            None => self.remembered(effect.await),
            Some(Strike::RequestLost) => lost(),
            Some(Strike::LateAtOnce | Strike::LateAtTheEnd) => {
                self.paused.notify_one();
                self.go.notified().await;
                self.remembered(effect.await)
            }
            Some(Strike::AnswerLost) => {
                self.remembered(effect.await);
                lost()
            }
            Some(Strike::KilledAfter) => {
                self.remembered(effect.await);
                self.die().await
            }
            Some(Strike::KilledDuring) => {
                let _ = tokio::time::timeout(DURING, effect).await;
                self.die().await
            }
        }
    }

    /// What the target minted is a credential as well.
    fn remembered(&self, effect: Effect) -> Effect {
        if let Effect::Applied(fields) = &effect
            && !fields.is_empty()
        {
            let text = |value: &Plaintext| String::from_utf8_lossy(value.expose()).into_owned();
            let fields = fields
                .iter()
                .map(|field| (field.name.clone(), Value::String(text(&field.value))));
            self.plan
                .lock()
                .minted
                .push(Value::Object(fields.collect::<Map<_, _>>()));
        }
        effect
    }

    /// Whether this look does not tell.
    fn look(&self) -> Option<Trouble> {
        let mut plan = self.plan.lock();
        let at = plan.looks;
        plan.looks += 1;
        let strikes = plan.unclear == Some(at);
        plan.struck |= strikes;
        (strikes || plan.blind).then(|| TroubleKind::TimedOut.into())
    }
}

/// Connectors behind a script.
pub(crate) struct Scripted {
    pub(crate) inner: Arc<dyn Connectors>,
    pub(crate) script: Arc<Script>,
}

impl Connectors for Scripted {
    fn get(&self, name: &str) -> Option<Arc<dyn Connector>> {
        let inner = self.inner.get(name)?;
        let script = self.script.clone();
        Some(Arc::new(Behind { inner, script }))
    }

    fn list(&self) -> Vec<Descriptor> {
        self.inner.list()
    }
}

struct Behind {
    inner: Arc<dyn Connector>,
    script: Arc<Script>,
}

#[async_trait]
impl Connector for Behind {
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
        self.inner.check(call).await
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
        let effect = self.inner.apply(call, candidate, current);
        self.script.effect("apply", candidate, effect).await
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        match self.script.look() {
            Some(trouble) => Login::Unknown(trouble),
            None => self.inner.login(call, credential).await,
        }
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        match self.script.look() {
            Some(trouble) => Sessions::Unknown(trouble),
            None => self.inner.sessions(call, credential).await,
        }
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let effect = self.inner.retire(call, dead, keep);
        self.script.effect("retire", None, effect).await
    }

    async fn residue(&self, call: &Call<'_>) -> Residue {
        match self.script.look() {
            Some(trouble) => Residue::Unknown(trouble),
            None => self.inner.residue(call).await,
        }
    }

    async fn clear(&self, call: &Call<'_>) -> Effect {
        self.script
            .effect("clear", None, self.inner.clear(call))
            .await
    }

    async fn apply_manager(&self, call: &Call<'_>, candidate: &Plaintext) -> Effect {
        let effect = self.inner.apply_manager(call, candidate);
        self.script.effect("manager", Some(candidate), effect).await
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        self.inner.rehearsal_account(call)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        self.inner.remove(call).await
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        self.inner.sweep(call).await
    }
}
