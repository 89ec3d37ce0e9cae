//! The one canonical path type. A raw path ends where a [`SecretPath`] begins: every decision,
//! every stored row and every audit row uses this value, so two spellings can never mean
//! different things to different parts of the server.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path, in characters.
pub const PATH_CHARS_MAX: usize = 512;
/// The deepest path, in segments.
pub const PATH_SEGMENTS_MAX: usize = 10;
/// Words a path may not end in: they are operations on the path before them.
pub const RESERVED_LAST: [&str; 7] = [
    "versions",
    "metadata",
    "rotate",
    "rotation",
    "undelete",
    "consumers",
    "ack",
];
/// Words that are not a path on their own: they are operations on all secrets.
pub const RESERVED_ALONE: [&str; 2] = ["batch", "expiring"];

/// A valid secret path: 1–10 segments of `a-z 0-9 - _`, at most 512 characters in total, not
/// ending in a reserved word. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPath(Arc<str>);

/// Why a path was refused (`invalid_path`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No characters.
    #[error("a path has at least one segment")]
    Empty,
    /// More than [`PATH_CHARS_MAX`].
    #[error("a path has at most {PATH_CHARS_MAX} characters")]
    TooLong,
    /// More than [`PATH_SEGMENTS_MAX`].
    #[error("a path has at most {PATH_SEGMENTS_MAX} levels")]
    TooDeep,
    /// Leading, trailing or doubled slash.
    #[error("a path has no leading or trailing slash and no empty segment")]
    EmptySegment,
    /// Upper case is refused rather than folded.
    #[error("a path is lower case: only a-z, 0-9, '-', '_' and '/' may occur")]
    UpperCase,
    /// Any other character.
    #[error("only a-z, 0-9, '-', '_' and '/' may occur in a path")]
    Character,
    /// Ends in (or is) an operation word.
    #[error("a path may not end in '{0}': that word is an operation on the path before it")]
    Reserved(&'static str),
}

impl SecretPath {
    /// Checks `text`; nothing is folded, decoded or trimmed.
    ///
    /// # Errors
    /// [`PathError`] names the broken rule.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check_characters(text)?;
        let last = text.rsplit('/').next().unwrap_or(text);
        if let Some(word) = RESERVED_LAST.iter().find(|word| **word == last) {
            return Err(PathError::Reserved(word));
        }
        if let Some(word) = RESERVED_ALONE.iter().find(|word| **word == text) {
            return Err(PathError::Reserved(word));
        }
        Ok(Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, in order; at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// A prefix filter for lists: empty, or path characters with an optional trailing slash. It
/// compares as text, so `app/d` finds `app/db`.
///
/// # Errors
/// [`PathError`] when it could not be the beginning of any path.
pub fn check_prefix(text: &str) -> Result<(), PathError> {
    if text.len() > PATH_CHARS_MAX {
        return Err(PathError::TooLong);
    }
    let body = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        Ok(())
    } else {
        check_characters(body)
    }
}

fn check_characters(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > PATH_CHARS_MAX {
        return Err(PathError::TooLong);
    }
    let (mut segments, mut empty, mut before) = (1, false, b'/');
    for byte in text.bytes() {
        match byte {
            b'/' => {
                segments += 1;
                empty |= before == b'/';
            }
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => return Err(PathError::UpperCase),
            _ => return Err(PathError::Character),
        }
        before = byte;
    }
    if empty || before == b'/' {
        return Err(PathError::EmptySegment);
    }
    if segments > PATH_SEGMENTS_MAX {
        return Err(PathError::TooDeep);
    }
    Ok(())
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for SecretPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for SecretPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<(), PathError>) {
        assert_eq!(SecretPath::parse(text).map(|_| ()), expect, "{text:?}");
    }

    #[test]
    fn rules() {
        check("integrations/salesforce/oauth", Ok(()));
        check("a", Ok(()));
        check("a/b/c/d/e/f/g/h/i/j", Ok(()));
        check("a/b/c/d/e/f/g/h/i/j/k", Err(PathError::TooDeep));
        check(&"a".repeat(512), Ok(()));
        check(&"a".repeat(513), Err(PathError::TooLong));
        check("", Err(PathError::Empty));
        for bad in ["/a", "a/", "a//b", "/", "//"] {
            check(bad, Err(PathError::EmptySegment));
        }
        check("App/db", Err(PathError::UpperCase));
        for bad in [
            "a.b",
            "a/../b",
            "a%2fb",
            "a b",
            "a\\b",
            "ä",
            "a\0b",
            "a*",
            "a?b",
            "a\u{2044}b",
        ] {
            check(bad, Err(PathError::Character));
        }
        check("app/versions", Err(PathError::Reserved("versions")));
        check("ack", Err(PathError::Reserved("ack")));
        check("app/versions/x", Ok(()));
        check("batch", Err(PathError::Reserved("batch")));
        check("app/batch", Ok(()));
    }

    proptest! {
        #[test]
        fn accepted_paths_are_exactly_their_text(text in "[a-zA-Z0-9_/.%\\- ]{0,40}") {
            if let Ok(path) = SecretPath::parse(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(path.segments().all(|s| !s.is_empty()));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,600}") {
            let _ = SecretPath::parse(&text);
            let _ = check_prefix(&text);
        }
    }
}
