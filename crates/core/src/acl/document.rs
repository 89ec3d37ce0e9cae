//! A policy text as it was read, and why one is not taken.

use std::fmt;

use super::pattern::AclPattern;

/// What a block allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Capability {
    Create,
    Read,
    Update,
    Patch,
    Delete,
    List,
    Sudo,
    Deny,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::List,
        Self::Sudo,
        Self::Deny,
    ];

    /// The word in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Sudo => "sudo",
            Self::Deny => "deny",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CapabilitySet(u8);

impl CapabilitySet {
    /// Of these.
    pub const fn of(all: &[Capability]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < all.len() {
            set |= 1 << all[at] as u8;
            at += 1;
        }
        Self(set)
    }

    /// Whether it is in it.
    pub fn contains(self, one: Capability) -> bool {
        self.0 & (1 << one as u8) != 0
    }

    /// Whether all of those are in it.
    pub fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in it and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The capabilities.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = Capability::ALL.into_iter();
        all.filter(move |one| self.contains(*one))
    }

    /// As a list for people: `read, list`.
    pub fn words(self) -> String {
        let words: Vec<&str> = self.iter().map(Capability::as_str).collect();
        words.join(", ")
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |set, one| set | (1 << one as u8)))
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// One `path` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where it stands, from 1.
    pub line: u32,
    /// Which paths.
    pub pattern: AclPattern,
    /// What is allowed there.
    pub capabilities: CapabilitySet,
}

/// A policy text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Its blocks, in their order.
    pub blocks: Vec<Block>,
}

/// Why a text, or a part of it, is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// Where, from 1.
    pub line: u32,
    /// The block's path, if it is about one.
    pub path: Option<String>,
    /// Why, and what to do.
    pub reason: String,
}

impl Refusal {
    pub(super) fn at(line: u32, reason: impl Into<String>) -> Self {
        Self {
            line,
            path: None,
            reason: reason.into(),
        }
    }

    pub(super) fn of(block: &Block, reason: impl Into<String>) -> Self {
        Self {
            path: Some(block.pattern.as_str().to_owned()),
            ..Self::at(block.line, reason)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(path) = &self.path {
            write!(f, ", path {path:?}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
