//! The state of one run: what is accepted now, what was ever generated.

use std::time::Instant;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Candidate, Connector, Effect, NewField};
use scaivault_core::target::Overlap;
use scaivault_crypto::SystemEntropy;
use serde_json::{Map, Value};
use std::sync::Arc;

use super::Subject;

/// `credential` with these fields.
pub(crate) fn merged(credential: &str, fields: &[(&str, &str)]) -> String {
    let mut object: Map<String, Value> = serde_json::from_str(credential).expect("JSON");
    for (name, value) in fields {
        object.insert((*name).to_owned(), Value::from(*value));
    }
    Value::Object(object).to_string()
}

/// A text field of a credential.
pub(crate) fn field(credential: &str, name: &str) -> String {
    let object: Value = serde_json::from_str(credential).expect("JSON");
    let found = object.get(name).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no field {name}"))
        .to_owned()
}

/// `credential` as the port takes it.
pub(crate) fn plain(credential: &str) -> Plaintext {
    Plaintext::new(credential.as_bytes().to_vec())
}

/// One run.
pub(crate) struct Suite<'a> {
    pub(crate) subject: &'a dyn Subject,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) settings: Map<String, Value>,
    pub(crate) account: Map<String, Value>,
    /// The manager's credential.
    pub(crate) manager: Plaintext,
    /// What the server accepts and readers have.
    pub(crate) current: String,
    /// What the last apply was told, when it was.
    pub(crate) promoted: Option<Instant>,
    pub(crate) epoch: u64,
    pub(crate) tag: String,
    /// Every secret text that was made.
    pub(crate) made: Vec<String>,
}

impl<'a> Suite<'a> {
    pub(crate) fn new(subject: &'a dyn Subject) -> Self {
        Self {
            subject,
            connector: subject.connector(),
            settings: subject.settings(),
            account: subject.account(),
            manager: plain(&subject.manager()),
            current: subject.first(),
            promoted: None,
            epoch: 1,
            tag: "rot00000000".to_owned(),
            made: Vec::new(),
        }
    }

    /// The call of this moment.
    pub(crate) fn call(&self) -> Call<'_> {
        Call {
            settings: &self.settings,
            account: &self.account,
            overlap: self.subject.overlap(),
            manager: Some(&self.manager),
            tag: &self.tag,
            epoch: self.epoch,
            promoted_for: self.promoted.map(|when| when.elapsed()),
        }
    }

    /// A new rotation: a higher epoch, a tag of its own, nothing promoted.
    pub(crate) fn begin(&mut self) {
        self.epoch += 10;
        self.tag = format!("rot{:08}", self.epoch);
        self.promoted = None;
    }

    fn with_fields(&mut self, base: Option<&str>, fields: &[NewField]) -> String {
        let texts: Vec<(&str, &str)> = fields
            .iter()
            .map(|field| {
                let text = std::str::from_utf8(field.value.expose()).expect("UTF-8");
                (field.name.as_str(), text)
            })
            .collect();
        let secret_field = self.subject.secret_field();
        let secret = texts.iter().find(|(name, _)| *name == secret_field);
        let secret = secret.expect("a candidate has a new secret").1.to_owned();
        assert!(!self.made.contains(&secret), "a secret was made twice");
        let value = merged(base.unwrap_or("{}"), &texts);
        self.made.push(secret);
        value
    }

    /// Plans the next credential; `None` where the target mints it.
    pub(crate) fn plan(&mut self, base: Option<&str>) -> Option<String> {
        let current = base.map(plain);
        let planned = self
            .connector
            .candidate(&self.call(), current.as_ref(), &SystemEntropy);
        match planned.expect("a candidate") {
            Candidate::Made(fields) => Some(self.with_fields(base, &fields)),
            Candidate::Minted => None,
        }
    }

    /// Tells the target to accept it.
    pub(crate) async fn apply(&self, candidate: Option<&str>, current: Option<&str>) -> Effect {
        let (candidate, current) = (candidate.map(plain), current.map(plain));
        self.connector
            .apply(&self.call(), candidate.as_ref(), current.as_ref())
            .await
    }

    /// Plans and applies beside `base`; the whole candidate comes back.
    pub(crate) async fn advance(&mut self, base: Option<&str>) -> String {
        let planned = self.plan(base);
        match (planned.clone(), self.apply(planned.as_deref(), base).await) {
            (Some(candidate), Effect::Applied(_)) => candidate,
            (None, Effect::Applied(fields)) => self.with_fields(base, &fields),
            (_, other) => panic!("not applied: {other:?}"),
        }
    }

    /// Refuses `dead`, `keep` stays.
    pub(crate) async fn retire(&self, dead: &str, keep: Option<&str>) -> Effect {
        let keep = keep.map(plain);
        self.connector
            .retire(&self.call(), &plain(dead), keep.as_ref())
            .await
    }

    /// A whole rotation; what was current comes back.
    pub(crate) async fn rotate(&mut self) -> String {
        self.begin();
        let old = self.current.clone();
        let new = self.advance(Some(&old)).await;
        self.current.clone_from(&new);
        self.promoted = Some(Instant::now());
        self.epoch += 1;
        assert_applied(&self.retire(&old, Some(&new)).await);
        old
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.subject.overlap() == Overlap::None
    }

    pub(crate) async fn assert_accepted(&self, credential: &str, what: &str) {
        assert!(self.subject.accepts(credential).await, "{what} is refused");
    }

    pub(crate) async fn assert_refused(&self, credential: &str, what: &str) {
        assert!(
            !self.subject.accepts(credential).await,
            "{what} is accepted"
        );
    }
}

pub(crate) fn assert_applied(effect: &Effect) {
    assert!(matches!(effect, Effect::Applied(_)), "{effect:?}");
}
