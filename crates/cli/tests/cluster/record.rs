//! What clients asked and what they were told, kept for the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::harness::Reply;

/// A change holds on every node after this.
pub(crate) const HOLDS_AFTER: Duration = Duration::from_secs(1);

/// What became of a request, as far as its sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Acknowledged,
    /// It is not done, for certain.
    Refused,
    /// Nobody said.
    Unknown,
}

impl Outcome {
    /// Of a write.
    pub(crate) fn of(reply: Option<&Reply>) -> Self {
        match reply {
            None => Self::Unknown,
            Some(reply) if reply.status < 300 => Self::Acknowledged,
            Some(reply) if reply.status < 500 => Self::Refused,
            Some(reply) if reply.status == 503 && !reply.text.contains("not known") => {
                Self::Refused
            }
            Some(_) => Self::Unknown,
        }
    }
}

/// One write of a value that no other write has.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) path: String,
    pub(crate) value: String,
    pub(crate) outcome: Outcome,
    /// As answered.
    pub(crate) version: Option<u64>,
}

/// One answer that carried a value.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) path: String,
    pub(crate) version: u64,
    pub(crate) value: String,
    pub(crate) request_id: String,
}

#[derive(Default)]
struct Kept {
    writes: Vec<Write>,
    reads: Vec<Read>,
    acknowledged: BTreeMap<String, Vec<(Instant, u64)>>,
    broken: Vec<String>,
    refusals: BTreeMap<String, u64>,
}

/// Everything all clients know.
#[derive(Default)]
pub(crate) struct Record {
    kept: Mutex<Kept>,
    pub(crate) logins: AtomicU64,
    pub(crate) rights: AtomicU64,
}

impl Record {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics holding it")
    }

    /// A write is about to be sent; its number. Until it is answered nobody knows of it, also when
    /// its sender is gone by then.
    pub(crate) fn writes(&self, path: &str, value: &str) -> usize {
        let mut kept = self.kept();
        kept.writes.push(Write {
            path: path.to_owned(),
            value: value.to_owned(),
            outcome: Outcome::Unknown,
            version: None,
        });
        kept.writes.len() - 1
    }

    /// What became of it.
    pub(crate) fn wrote(&self, number: usize, outcome: Outcome, version: Option<u64>) {
        let mut kept = self.kept();
        let write = &mut kept.writes[number];
        (write.outcome, write.version) = (outcome, version);
        if let (Outcome::Acknowledged, Some(version)) = (outcome, version) {
            let at = (Instant::now(), version);
            let path = write.path.clone();
            kept.acknowledged.entry(path).or_default().push(at);
        }
    }

    pub(crate) fn read(&self, read: Read) {
        self.kept().reads.push(read);
    }

    /// The newest version that must be seen by whoever asks at this moment.
    pub(crate) fn floor(&self, path: &str, asked: Instant) -> u64 {
        let kept = self.kept();
        let all = kept.acknowledged.get(path).into_iter().flatten();
        let known = all.filter(|(at, _)| *at + HOLDS_AFTER <= asked);
        known.map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// A promise was broken.
    pub(crate) fn broken(&self, what: String) {
        eprintln!("BROKEN: {what}");
        self.kept().broken.push(what);
    }

    /// A refusal, counted by its code. What a server answers when it cannot is this one code.
    pub(crate) fn refused(&self, reply: &Reply) {
        let code = reply.body["error"]["code"].as_str().unwrap_or("none");
        if reply.status >= 500 && code != "service_unavailable" {
            self.broken(format!("answered {}: {}", reply.status, reply.text));
        }
        let code = format!("{} {code}", reply.status);
        *self.kept().refusals.entry(code).or_default() += 1;
    }

    /// Takes everything out.
    pub(crate) fn all(&self) -> (Vec<Write>, Vec<Read>) {
        let kept = self.kept();
        (kept.writes.clone(), kept.reads.clone())
    }

    /// How many writes ended so.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        let kept = self.kept();
        let of = kept.writes.iter().filter(|one| one.outcome == outcome);
        of.count()
    }

    pub(crate) fn all_broken(&self) -> Vec<String> {
        self.kept().broken.clone()
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        let of = |outcome| self.count(outcome);
        let (acknowledged, refused) = (of(Outcome::Acknowledged), of(Outcome::Refused));
        let unknown = of(Outcome::Unknown);
        let kept = self.kept();
        format!(
            "{acknowledged} writes acknowledged, {refused} refused, {unknown} unknown; {} values read; {} changes of \
             rights; {} logins with rotated credentials; refusals: {:?}",
            kept.reads.len(),
            self.rights.load(Ordering::Relaxed),
            self.logins.load(Ordering::Relaxed),
            kept.refusals,
        )
    }
}
