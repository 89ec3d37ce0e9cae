//! What went wrong at a target, in words that are ours: nothing a target said is repeated but a
//! short code of its own (an SQLSTATE, an HTTP status).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest code that is kept of a target's answer.
const CODE_MAX: usize = 32;

macro_rules! kinds {
    ($($name:ident = $text:literal, $advice:literal;)*) => {
        /// Kinds of trouble, told apart because a person does something different about each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "the words beside them say it")]
        pub enum TroubleKind { $($name,)* }

        impl TroubleKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

kinds! {
    Unreachable = "unreachable",
        "the target cannot be reached: check that it runs, its host and port, and the way to it";
    NotPermitted = "not_permitted",
        "the target's address is not one this server may connect to: an operator allows it in the section [targets]";
    TimedOut = "timed_out",
        "the target did not answer in time: look at its load, then resume";
    Interrupted = "interrupted",
        "the connection ended before the answer: whether the change was made is found out before anything else is done";
    Tls = "tls",
        "no trusted connection: check the certificate of the target and the `tls` settings";
    ManagerRefused = "manager_refused",
        "the target refuses the manager's credential: put a working one into the manager secret, then resume";
    ManagerMissing = "manager_missing",
        "the manager secret has no usable value: write one with the fields the connector asks for";
    Privilege = "privilege",
        "the manager may not do this: run the statements that `scaivault target check` prints, then resume";
    Quota = "quota",
        "the target allows no further credential: remove one that is no longer used, then resume";
    Throttled = "throttled",
        "the target asks for fewer requests: it is tried again by itself";
    Credential = "credential",
        "the stored value lacks a field that the connector needs: see the connector's page";
    Settings = "settings",
        "the settings of the target or the attachment do not fit what is there: see the connector's page";
    NoAccount = "no_account",
        "an account that the settings name is not there: create it, or name another";
    Unsupported = "unsupported",
        "this version of the target cannot do what the strategy needs: `scaivault target check` lists what it can";
    Protocol = "protocol",
        "the target answered in a way that is not understood: look at its log";
    Fenced = "fenced",
        "a later rotation of the same account was here already: nothing was changed";
}

impl TroubleKind {
    /// Whether time alone may cure it.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::TimedOut | Self::Interrupted | Self::Throttled
        )
    }
}

/// One trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// The target's own short code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Statements or steps that cure it, where they are known: names only, never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<String>,
    /// The target said how long to wait, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Trouble {
    /// Trouble of a kind.
    pub fn new(kind: TroubleKind) -> Self {
        Self {
            kind,
            code: None,
            remedy: Vec::new(),
            retry_after_s: None,
        }
    }

    /// With the target's short code. What does not look like one is left out: an answer of a
    /// target may hold anything.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        let code = code.into();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !code.is_empty() && code.len() <= CODE_MAX && code.chars().all(plain) {
            self.code = Some(code);
        }
        self
    }

    /// With a statement that cures it.
    #[must_use]
    pub fn remedy(mut self, statement: impl Into<String>) -> Self {
        self.remedy.push(statement.into());
        self
    }

    /// With the time the target asks for.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl From<TroubleKind> for Trouble {
    fn from(kind: TroubleKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.advice())?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}
