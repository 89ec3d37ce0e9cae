//! What became of everything: counts for all of it, and a line for each thing that somebody may want
//! to look at. Holds no value.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde::Serialize;

use super::context::Halt;
use super::trouble::Trouble;

/// Lines that are kept to be printed; the file has all of them.
const SHOWN_MAX: usize = 200;

/// What became of one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is there now; in a dry run, it would be.
    Copied,
    /// It was there already.
    #[default]
    Same,
    /// Something worth knowing; nothing is missing.
    Note,
    /// Something else is there, and was left alone.
    Conflict,
    /// It cannot be had here, or the server did not want it.
    Refused,
    /// It went wrong: another run may do it.
    Failed,
    /// Somebody has to do the rest.
    ByHand,
}

impl Outcome {
    /// Whether something is missing for the copy to be whole.
    pub(crate) fn is_missing(self) -> bool {
        !matches!(self, Self::Copied | Self::Same | Self::Note)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Same => "same",
            Self::Note => "note",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::ByHand => "by hand",
        }
    }
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Source,
    Mount,
    Secret,
    Policy,
    Connection,
    Role,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Mount => "mount",
            Self::Secret => "secret",
            Self::Policy => "policy",
            Self::Connection => "connection",
            Self::Role => "role",
        }
    }
}

/// A line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    /// Where it is in the source.
    pub(crate) path: String,
    /// Why, in sentences.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// What somebody has to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

/// Counts of one kind, by what became of them.
type Counts = BTreeMap<Outcome, u64>;

/// Of the secrets of one mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct MountCounts {
    pub(crate) secrets: u64,
    pub(crate) copied: u64,
    pub(crate) same: u64,
    pub(crate) conflicts: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) versions_written: u64,
    /// Numbers that only keep the place of a version whose value the source does not give.
    pub(crate) versions_destroyed: u64,
}

/// The counts of all of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) dry_run: bool,
    /// Whether nothing is missing.
    pub(crate) whole: bool,
    pub(crate) counts: BTreeMap<Kind, Counts>,
    pub(crate) mounts: BTreeMap<String, MountCounts>,
}

/// The report as it comes to be. Shared by all who copy.
pub(crate) struct Report {
    inner: Mutex<Inner>,
}

struct Inner {
    summary: Summary,
    shown: Vec<Entry>,
    /// How many were not kept.
    more: u64,
    file: Option<(BufWriter<File>, PathBuf)>,
    has_lines: bool,
    /// The first error of the file; told at the end.
    broken: Option<std::io::Error>,
}

/// What is there at the end.
pub(crate) struct Finished {
    pub(crate) summary: Summary,
    pub(crate) shown: Vec<Entry>,
    pub(crate) more: u64,
}

impl Report {
    /// Lines go to the file as they come, so that one of a run that was ended tells how far it got.
    pub(crate) fn new(summary: Summary, path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path.map(open).transpose()?;
        Ok(Self {
            inner: Mutex::new(Inner {
                summary,
                shown: Vec::new(),
                more: 0,
                file,
                has_lines: false,
                broken: None,
            }),
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What became of something other than a secret.
    pub(crate) fn tell(&self, entry: Entry) {
        self.with(|inner| {
            let counts = inner.summary.counts.entry(entry.kind).or_default();
            *counts.entry(entry.outcome).or_default() += 1;
            inner.line(entry);
        });
    }

    /// Shorthand.
    pub(crate) fn say(&self, kind: Kind, outcome: Outcome, path: &str, reason: impl Into<String>) {
        self.tell(Entry {
            kind,
            outcome,
            path: path.to_owned(),
            reason: reason.into(),
            command: None,
        });
    }

    /// Something that came to nothing.
    ///
    /// # Errors
    /// When the next thing would not go better.
    pub(crate) fn halted(&self, kind: Kind, path: &str, halt: Halt) -> Result<(), Trouble> {
        self.say(kind, halt.outcome(), path, halt.text());
        halt.pass()
    }

    /// What became of a secret: its numbers, and a line only where there is something to say.
    pub(crate) fn secret(
        &self,
        mount: &str,
        outcome: Outcome,
        path: &str,
        (written, destroyed): (u64, u64),
        reasons: Vec<(Outcome, String)>,
    ) {
        self.with(|inner| {
            let counts = inner.summary.mounts.entry(mount.to_owned()).or_default();
            counts.secrets += 1;
            counts.versions_written += written;
            counts.versions_destroyed += destroyed;
            match outcome {
                Outcome::Copied => counts.copied += 1,
                Outcome::Same | Outcome::Note => counts.same += 1,
                Outcome::Conflict => counts.conflicts += 1,
                Outcome::Refused | Outcome::ByHand => counts.refused += 1,
                Outcome::Failed => counts.failed += 1,
            }
            let all = inner.summary.counts.entry(Kind::Secret).or_default();
            *all.entry(outcome).or_default() += 1;
            for (outcome, reason) in reasons {
                inner.line(Entry {
                    kind: Kind::Secret,
                    outcome,
                    path: path.to_owned(),
                    reason,
                    command: None,
                });
            }
        });
    }

    /// The counts of a mount so far.
    pub(crate) fn of_mount(&self, mount: &str) -> MountCounts {
        self.with(|inner| inner.summary.mounts.get(mount).copied().unwrap_or_default())
    }

    /// The end.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn finish(self) -> anyhow::Result<Finished> {
        let inner = self.inner.into_inner();
        let mut inner = inner.unwrap_or_else(PoisonError::into_inner);
        let missing = |counts: &Counts| counts.keys().any(|outcome| outcome.is_missing());
        inner.summary.whole = !inner.summary.counts.values().any(missing);
        if let Some((mut file, path)) = inner.file.take() {
            let told = || format!("cannot write the report '{}'", path.display());
            if let Some(error) = inner.broken.take() {
                return Err(error).with_context(told);
            }
            let end = if inner.has_lines { "\n" } else { "" };
            let summary = serde_json::to_string(&inner.summary)?;
            let written = write!(file, "{end}],\n\"summary\": {summary}}}\n");
            written
                .and_then(|()| file.flush())
                .and_then(|()| file.get_ref().sync_all())
                .with_context(told)?;
        }
        Ok(Finished {
            summary: inner.summary,
            shown: inner.shown,
            more: inner.more,
        })
    }
}

fn open(path: &Path) -> anyhow::Result<(BufWriter<File>, PathBuf)> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let file = file.with_context(|| format!("cannot write the report '{}'", path.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(b"{\"entries\": [")?;
    Ok((file, path.to_owned()))
}

impl Inner {
    fn line(&mut self, entry: Entry) {
        if let Some((file, _)) = &mut self.file
            && self.broken.is_none()
        {
            let comma = if self.has_lines { "," } else { "" };
            self.has_lines = true;
            let text = serde_json::to_string(&entry).unwrap_or_default();
            self.broken = write!(file, "{comma}\n{text}").err();
        }
        // What went well is in the file and in the counts.
        if matches!(entry.outcome, Outcome::Copied | Outcome::Same) {
            return;
        }
        match self.shown.len() < SHOWN_MAX {
            true => self.shown.push(entry),
            false => self.more += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_file_has_everything_and_is_json() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("report.json");
        let report = Report::new(Summary::default(), Some(&path)).expect("file");
        report.say(Kind::Policy, Outcome::Copied, "a", "");
        report.secret("secret/", Outcome::Copied, "secret/x", (2, 1), Vec::new());
        let why = vec![(Outcome::Conflict, "it differs".to_owned())];
        report.secret("secret/", Outcome::Conflict, "secret/y", (0, 0), why);
        let done = report.finish().expect("written");
        assert!(!done.summary.whole);
        assert_eq!(done.shown.len(), 1, "what went well is not shown");
        let text = std::fs::read_to_string(&path).expect("read");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(told["entries"].as_array().map(Vec::len), Some(2));
        assert_eq!(told["entries"][1]["outcome"], "conflict");
        assert_eq!(told["summary"]["mounts"]["secret/"]["versions_written"], 2);
        assert_eq!(told["summary"]["counts"]["secret"]["conflict"], 1);
    }

    #[test]
    fn notes_do_not_make_it_less_than_whole() {
        let report = Report::new(Summary::default(), None).expect("no file");
        report.say(Kind::Source, Outcome::Note, "auth/", "by hand");
        report.say(Kind::Mount, Outcome::Same, "secret/", "");
        assert!(report.finish().expect("done").summary.whole);
        let report = Report::new(Summary::default(), None).expect("no file");
        report.say(Kind::Mount, Outcome::ByHand, "pki/", "x");
        assert!(!report.finish().expect("done").summary.whole);
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let report = Report::new(Summary::default(), None).expect("no file");
        for number in 0..SHOWN_MAX + 5 {
            report.say(Kind::Policy, Outcome::Refused, &number.to_string(), "x");
        }
        let done = report.finish().expect("done");
        assert_eq!((done.shown.len(), done.more), (SHOWN_MAX, 5));
    }
}
