//! What all who copy work with.

use super::report::Outcome;
use super::source::Source;
use super::target::Target;
use super::trouble::Trouble;

/// From where to where.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) source: &'a Source,
    pub(crate) target: &'a Target,
    /// Whether what differs here is replaced.
    pub(crate) overwrite: bool,
}

/// What became of a secret.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) written: u64,
    pub(crate) destroyed: u64,
    pub(crate) reasons: Vec<(Outcome, String)>,
}

impl Done {
    pub(crate) fn note(&mut self, text: String) {
        self.reasons.push((Outcome::Note, text));
    }

    pub(crate) fn because(&mut self, outcome: Outcome, text: String) -> Outcome {
        self.reasons.push((outcome, text));
        outcome
    }
}

/// Trouble, and whose it is.
#[derive(Debug)]
pub(crate) struct Halt {
    is_target: bool,
    trouble: Trouble,
}

pub(crate) fn at_source(trouble: Trouble) -> Halt {
    Halt {
        is_target: false,
        trouble,
    }
}

pub(crate) fn at_target(trouble: Trouble) -> Halt {
    Halt {
        is_target: true,
        trouble,
    }
}

impl Halt {
    /// Whether something may have been written all the same.
    pub(crate) fn is_uncertain_write(&self) -> bool {
        self.is_target && self.trouble.is_uncertain()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.trouble {
            Trouble::Refused { status, .. } if status < 500 => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    pub(crate) fn text(&self) -> String {
        let who = match self.is_target {
            true => "the target",
            false => "the source",
        };
        format!("{who} answers {}", self.trouble.text())
    }

    /// The end of everything, where the next thing would not go better.
    pub(crate) fn pass(self) -> Result<(), Trouble> {
        match self.trouble.is_general() {
            true => Err(self.trouble),
            false => Ok(()),
        }
    }

    /// What becomes of the secret; or the end of everything, where the next one would not go better.
    pub(crate) fn settle(self, mut done: Done) -> Result<Done, Trouble> {
        done.outcome = done.because(self.outcome(), self.text());
        self.pass()?;
        Ok(done)
    }
}
