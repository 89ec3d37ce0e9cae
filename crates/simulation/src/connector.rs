//! The target as the engine sees it: a connector that stops at every call and answers what the
//! simulator says, true to the contract of the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Candidate, Check, Clock, Connector, Connectors, Descriptor, Effect, Entropy,
    FieldProblem, Login, NewField, Refusal, Residue, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_testkit::ManualClock;
use serde_json::{Map, Value};

use crate::broken::Broken;
use crate::gate::{Gate, Point, Verdict};
use crate::target::{Came, Change, Cred, Later, Sent, State};

/// Its name as a connector.
pub(crate) const NAME: &str = "simulated";
/// The longest that a call may take before it is cut, as in the real registry.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(20);

/// The connector. Clones speak to the same target.
#[derive(Clone)]
pub(crate) struct SimTarget {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) broken: Option<Broken>,
    /// Which life each actor is in: a new one after each death.
    pub(crate) lives: Arc<Mutex<Vec<u64>>>,
}

/// Reads a stored value.
pub(crate) fn cred_of(value: &Plaintext) -> Option<Cred> {
    let value: Map<String, Value> = serde_json::from_slice(value.expose()).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Cred {
        account: text("username")?,
        password: text("password")?,
    })
}

fn fields(cred: &Cred) -> Vec<NewField> {
    let field = |name: &str, text: &str| NewField::new(name, Plaintext::new(text.into()));
    vec![
        field("username", &cred.account),
        field("password", &cred.password),
    ]
}

impl SimTarget {
    fn sent(&self, call: &Call<'_>, change: Change) -> Sent {
        let actor = self.gate.running();
        let life = self.lives.lock().get(actor).copied().unwrap_or(0);
        let epoch = match self.broken {
            Some(Broken::ConstantEpoch) => 1 << 62,
            _ => call.epoch,
        };
        Sent {
            actor,
            life,
            tag: call.tag.to_owned(),
            epoch,
            change,
        }
    }

    async fn effect(&self, call: &Call<'_>, change: Change) -> Effect {
        let sent = self.sent(call, change);
        let began = self.clock.now();
        self.state.lock().in_hand.insert(sent.actor, sent.clone());
        let verdict = self.gate.at(Point::Effect).await;
        let paused = self.clock.now().since(began);
        let answer = {
            let mut state = self.state.lock();
            state.in_hand.remove(&sent.actor);
            self.answer(&mut state, &sent, verdict, paused)
        };
        self.gate.at(Point::After).await;
        match (self.broken, answer) {
            (Some(Broken::UnknownIsNotApplied), Effect::Unknown(trouble)) => {
                Effect::NotApplied(trouble)
            }
            (_, answer) => answer,
        }
    }

    fn answer(&self, state: &mut State, sent: &Sent, verdict: Verdict, paused: Duration) -> Effect {
        let unknown = || Effect::Unknown(TroubleKind::TimedOut.into());
        // A call that took too long is cut. Where the target holds no number, what was not sent
        // by then never is.
        let holds = state.fences && !matches!(sent.change, Change::Mint { .. } | Change::Clear);
        if paused > CALL_MAX && !holds {
            return unknown();
        }
        if state.down {
            return Effect::NotApplied(TroubleKind::Unreachable.into());
        }
        if state.manager_refused {
            return Effect::NotApplied(TroubleKind::ManagerRefused.into());
        }
        if state.privilege_missing {
            return Effect::NotApplied(TroubleKind::Privilege.into());
        }
        let done = |came: Came| match came {
            Came::Done => Effect::Applied(match &sent.change {
                Change::Mint { key } => fields(key),
                _ => Vec::new(),
            }),
            Came::Fenced => Effect::NotApplied(TroubleKind::Fenced.into()),
        };
        let now = self.clock.now();
        match verdict {
            Verdict::Go => done(state.perform(sent)),
            Verdict::LoseAnswer => {
                state.perform(sent);
                unknown()
            }
            Verdict::LoseRequest => unknown(),
            Verdict::Late => {
                state
                    .later
                    .push((late(now, sent, holds), Later::Change(sent.clone())));
                unknown()
            }
            Verdict::Twice => {
                let came = state.perform(sent);
                // A change that was answered comes again only where the target holds a number,
                // or where the key it names is never used again.
                let again = holds || state.overlap == Overlap::NKeys;
                if again && !matches!(sent.change, Change::Mint { .. }) {
                    state
                        .later
                        .push((late(now, sent, holds), Later::Change(sent.clone())));
                }
                done(came)
            }
            // Keys are made and cleared for good: one that comes back after the proof that it is
            // gone is a matter for the sweep.
            Verdict::Undo(_) if matches!(sent.change, Change::Mint { .. } | Change::Clear) => {
                done(state.perform(sent))
            }
            Verdict::Undo(after) => {
                let (came, undo) = state.perform_undoable(sent);
                if came == Came::Done && after == 0 {
                    state.lie(undo);
                } else if came == Came::Done {
                    state
                        .later
                        .push((now.plus(Duration::from_secs(after)), undo));
                }
                done(came)
            }
            Verdict::Refuse(kind) => Effect::NotApplied(kind.into()),
            Verdict::Lose => Effect::NotApplied(TroubleKind::Unreachable.into()),
        }
    }

    /// What stands in the way of a look.
    async fn look(&self, needs_manager: bool) -> Option<Trouble> {
        let verdict = self.gate.at(Point::Look).await;
        let state = self.state.lock();
        if state.down || verdict == Verdict::Lose {
            return Some(TroubleKind::Unreachable.into());
        }
        match verdict {
            Verdict::Refuse(kind) => Some(kind.into()),
            _ if needs_manager && state.manager_refused => Some(TroubleKind::ManagerRefused.into()),
            _ => None,
        }
    }
}

/// When a late change arrives: where the target holds a number at any time, else before the call
/// would have been cut.
fn late(
    now: scaivault_core::time::Timestamp,
    sent: &Sent,
    holds: bool,
) -> scaivault_core::time::Timestamp {
    let spread = sent.epoch.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let secs = match holds {
        true => 1 + spread % 20_000,
        false => 1 + spread % (CALL_MAX.as_secs() - 1),
    };
    now.plus(Duration::from_secs(secs))
}

#[async_trait]
impl Connector for SimTarget {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: NAME,
            about: "a simulated target",
            overlaps: &Overlap::ALL,
            needs_manager: false,
            rotates_manager: false,
        }
    }

    fn check_settings(&self, _: &Map<String, Value>) -> Vec<FieldProblem> {
        Vec::new()
    }

    fn check_account(&self, _: &Map<String, Value>, _: Overlap) -> Vec<FieldProblem> {
        Vec::new()
    }

    async fn check(&self, _: &Call<'_>) -> Result<Check, Trouble> {
        Ok(Check::default())
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        if call.overlap == Overlap::NKeys {
            return Ok(Candidate::Minted);
        }
        let current = current.and_then(cred_of).ok_or(TroubleKind::Credential)?;
        let account = match (call.overlap, current.account.as_str()) {
            (Overlap::TwoUsers, "app_a") => "app_b",
            (Overlap::TwoUsers, _) => "app_a",
            (_, same) => same,
        };
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        let password = format!("{:016x}", u64::from_le_bytes(bytes));
        Ok(Candidate::Made(fields(&Cred {
            account: account.to_owned(),
            password,
        })))
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        let change = match candidate.map(cred_of) {
            Some(Some(new)) => Change::Set {
                new,
                beside: current.and_then(cred_of),
            },
            Some(None) => return Effect::NotApplied(TroubleKind::Credential.into()),
            None => {
                let mut state = self.state.lock();
                // The list is looked at first, as the real one does.
                let held = current.and_then(cred_of);
                let found = state.of_tag(call.tag).into_iter().map(|(cred, _)| cred);
                if found.into_iter().any(|cred| Some(&cred) != held.as_ref()) {
                    return Effect::Unknown(Trouble::new(TroubleKind::Interrupted).code("residue"));
                }
                state.keys_made += 1;
                let number = state.keys_made;
                let key = Cred {
                    account: format!("key_{number}"),
                    password: format!("k{number}"),
                };
                Change::Mint { key }
            }
        };
        self.effect(call, change).await
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        if let Some(trouble) = self.look(false).await {
            return Login::Unknown(trouble);
        }
        let Some(cred) = cred_of(credential) else {
            return Login::Unknown(TroubleKind::Credential.into());
        };
        let (accepted, dead) = {
            let state = self.state.lock();
            (state.accepts(&cred), state.given_up.contains(&cred))
        };
        let accepted = match self.broken {
            Some(broken) => broken.login(accepted, dead, call),
            None => accepted,
        };
        match accepted {
            true => Login::Accepted,
            false => Login::Refused(Refusal::Credential),
        }
    }

    async fn sessions(&self, _: &Call<'_>, credential: &Plaintext) -> Sessions {
        if let Some(trouble) = self.look(true).await {
            return Sessions::Unknown(trouble);
        }
        let Some(cred) = cred_of(credential) else {
            return Sessions::Unknown(TroubleKind::Credential.into());
        };
        let now = self.clock.now();
        let mut state = self.state.lock();
        let open = state.sessions.get(&cred).copied().unwrap_or(0);
        if open == 0 || !state.observable {
            state.quiet.entry(cred).or_insert(now);
        } else {
            state.quiet.remove(&cred);
        }
        match state.observable {
            true => Sessions::Open(open),
            false => Sessions::NotObservable,
        }
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let Some(dead) = cred_of(dead) else {
            return Effect::NotApplied(TroubleKind::Credential.into());
        };
        let keep = keep.and_then(cred_of);
        let shared = match call.overlap {
            Overlap::TwoUsers | Overlap::NKeys => keep.is_some_and(|k| k.account == dead.account),
            Overlap::TwoPasswords | Overlap::None => keep.is_some_and(|k| k == dead),
        };
        if shared {
            return Effect::NotApplied(TroubleKind::Settings.into());
        }
        self.state.lock().given_up.insert(dead.clone());
        self.effect(call, Change::Retire { dead }).await
    }

    async fn residue(&self, call: &Call<'_>) -> Residue {
        if let Some(trouble) = self.look(true).await {
            return Residue::Unknown(trouble);
        }
        if self.broken == Some(Broken::ForgetResidue) {
            return Residue::None;
        }
        let keys = self.state.lock().of_tag(call.tag).into_iter();
        let nobodys = keys.filter(|(_, epoch)| *epoch <= call.epoch).count();
        match u64::try_from(nobodys) {
            Ok(0) | Err(_) => Residue::None,
            Ok(found) => Residue::Found(found),
        }
    }

    async fn clear(&self, call: &Call<'_>) -> Effect {
        self.effect(call, Change::Clear).await
    }

    fn rehearsal_account(&self, _: &Call<'_>) -> Option<Map<String, Value>> {
        None
    }

    async fn remove(&self, _: &Call<'_>) -> Effect {
        Effect::applied()
    }
}

impl Connectors for SimTarget {
    fn get(&self, name: &str) -> Option<Arc<dyn Connector>> {
        (name == NAME).then(|| Arc::new(self.clone()) as Arc<dyn Connector>)
    }

    fn list(&self) -> Vec<Descriptor> {
        vec![self.descriptor()]
    }
}
