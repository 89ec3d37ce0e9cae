//! Path patterns of access policies and subscriptions.
//!
//! `*` is one whole segment, or part of one where it stands beside other characters; `?` is
//! one character, never `/`; `**` stands alone in its segment and is any number of segments,
//! zero included, except at the end, where it is at least one (`a/**` does not match `a`).
//! A pattern matches the whole path or not at all. Matching allocates nothing and takes time
//! proportional to pattern × path.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::SecretPath;

/// The longest pattern, in characters.
pub const PATTERN_CHARS_MAX: usize = 512;

/// A parsed pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    Any,
    /// No wildcard inside: compared as text.
    Literal(Box<str>),
    /// `*` or `?` inside.
    Wild(Box<[u8]>),
}

/// Why a pattern was refused (`invalid_glob`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// No characters, or too many.
    #[error("a pattern has 1 to {PATTERN_CHARS_MAX} characters")]
    Length,
    /// Leading, trailing or doubled slash.
    #[error("a pattern has no leading or trailing slash and no empty segment")]
    EmptySegment,
    /// `**` beside other characters.
    #[error("'**' stands alone between slashes; use '*' for a part of a segment")]
    DoubleStar,
    /// A character no path and no wildcard has.
    #[error("only a-z, 0-9, '-', '_', '.', '/', '*' and '?' may occur in a pattern")]
    Character,
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`GlobError`] names the broken rule.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() || text.len() > PATTERN_CHARS_MAX {
            return Err(GlobError::Length);
        }
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'*' | b'?');
        if !text.bytes().all(allowed) {
            return Err(GlobError::Character);
        }
        let segments = text
            .split('/')
            .map(parse_segment)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &SecretPath) -> bool {
        self.matches_text(path.as_str())
    }

    /// Whether a path below this folder (segments with single slashes, or nothing for all paths) could
    /// match: what a list of the folder may show at all.
    pub fn reaches_below(&self, folder: &str) -> bool {
        // Every place in the pattern that the folder can have led to. From any but the end, more
        // segments lead to the end.
        let end = self.segments.len();
        let mut places = vec![false; end + 1];
        places[0] = true;
        for head in folder.split('/').filter(|head| !head.is_empty()) {
            let mut next = vec![false; end + 1];
            for (at, segment) in self.segments.iter().enumerate() {
                if matches!(segment, Segment::Any) && places[at] && at + 1 < end {
                    places[at + 1] = true;
                }
                if places[at] && segment.matches(head) {
                    next[at + 1] = true;
                    next[at] |= matches!(segment, Segment::Any);
                }
            }
            places = next;
        }
        places[..end].contains(&true)
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn matches_text(&self, path: &str) -> bool {
        // The classic two-pointer wildcard walk, over segments: on a mismatch the last `**`
        // takes one segment more. Earlier `**` need no revisiting.
        let mut pattern_at = 0;
        let mut rest = Some(path);
        let mut retry: Option<(usize, &str)> = None;
        while let Some(text) = rest {
            let (head, tail) = split_head(text);
            match self.segments.get(pattern_at) {
                Some(Segment::Any) => {
                    pattern_at += 1;
                    if pattern_at == self.segments.len() {
                        return true; // trailing `**` and at least one segment left
                    }
                    retry = Some((pattern_at, text));
                    continue;
                }
                Some(segment) if segment.matches(head) => {
                    pattern_at += 1;
                    rest = tail;
                    continue;
                }
                _ => {}
            }
            let Some((resume_at, taken_from)) = retry else {
                return false;
            };
            let (_, next) = split_head(taken_from);
            let Some(next) = next else {
                return false;
            };
            retry = Some((resume_at, next));
            pattern_at = resume_at;
            rest = Some(next);
        }
        pattern_at == self.segments.len()
    }
}

fn split_head(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    }
}

fn parse_segment(text: &str) -> Result<Segment, GlobError> {
    if text.is_empty() {
        return Err(GlobError::EmptySegment);
    }
    if text == "**" {
        return Ok(Segment::Any);
    }
    if text.contains("**") {
        return Err(GlobError::DoubleStar);
    }
    if text.contains(['*', '?']) {
        return Ok(Segment::Wild(text.as_bytes().into()));
    }
    Ok(Segment::Literal(text.into()))
}

impl Segment {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => **literal == *text,
            Self::Wild(pattern) => wild(pattern, text.as_bytes()),
        }
    }
}

/// `*` and `?` inside one segment; `*` may match nothing only beside other characters, since a
/// segment is never empty.
fn wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                p = star_at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let parsed = PathPattern::parse(pattern).unwrap();
        for path in yes {
            assert!(parsed.matches_text(path), "{pattern} must match {path}");
        }
        for path in no {
            assert!(
                !parsed.matches_text(path),
                "{pattern} must not match {path}"
            );
        }
    }

    #[test]
    fn documented_cases() {
        check(
            "app/db",
            &["app/db"],
            &["app/db/password", "app", "app/d", "x/app/db"],
        );
        check("app/db/*", &["app/db/a"], &["app/db", "app/db/a/b"]);
        check(
            "app/**",
            &["app/db", "app/a/b/c"],
            &["app", "other/app/db", "apps/x"],
        );
        check(
            "**/ssl/*",
            &["ssl/cert", "app/ssl/cert", "a/b/ssl/key"],
            &["ssl", "app/ssl/a/b"],
        );
        check("**", &["a", "a/b/c"], &[]);
        check(
            "a/**/b",
            &["a/b", "a/x/b", "a/x/y/b", "a/b/b"],
            &["a", "b", "a/b/c"],
        );
        check("**/a/**", &["a/b", "x/a/b", "a/a"], &["a", "x/a", "b"]);
        check("s/*-key", &["s/my-key", "s/-key"], &["s/key", "s/my-key/x"]);
        check("s/k?y", &["s/key", "s/kay"], &["s/ky", "s/keey", "s/k/y"]);
        check("*/*", &["a/b"], &["a", "a/b/c"]);
        check("a*b*c/d", &["abc/d", "axxbyyc/d"], &["ab/d", "abcd/d"]);
    }

    #[test]
    fn bad_patterns() {
        for (pattern, error) in [
            ("", GlobError::Length),
            ("/a", GlobError::EmptySegment),
            ("a/", GlobError::EmptySegment),
            ("a//b", GlobError::EmptySegment),
            ("a**", GlobError::DoubleStar),
            ("***", GlobError::DoubleStar),
            ("A/*", GlobError::Character),
            ("[a-z]", GlobError::Character),
            ("{a,b}", GlobError::Character),
            ("!a", GlobError::Character),
        ] {
            assert_eq!(PathPattern::parse(pattern), Err(error), "{pattern}");
        }
        assert_eq!(PathPattern::parse(&"a".repeat(513)), Err(GlobError::Length));
    }

    /// A second opinion, written as the definition reads.
    fn naive(pattern: &[&str], path: &[&str]) -> bool {
        match pattern {
            [] => path.is_empty(),
            ["**"] => !path.is_empty(),
            ["**", rest @ ..] => (0..=path.len()).any(|skip| naive(rest, &path[skip..])),
            [first, rest @ ..] => match path {
                [] => false,
                [head, tail @ ..] => {
                    naive_segment(first.as_bytes(), head.as_bytes()) && naive(rest, tail)
                }
            },
        }
    }

    fn naive_segment(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| naive_segment(rest, &text[skip..])),
            [b'?', rest @ ..] => !text.is_empty() && naive_segment(rest, &text[1..]),
            [byte, rest @ ..] => text.first() == Some(byte) && naive_segment(rest, &text[1..]),
        }
    }

    fn pattern_text() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            3 => "[ab]{1,2}",
            2 => Just("**".to_owned()),
            2 => Just("*".to_owned()),
            2 => "[ab?*]{1,3}".prop_filter("no double star inside", |s| !s.contains("**")),
        ];
        proptest::collection::vec(segment, 1..6).prop_map(|segments| segments.join("/"))
    }

    fn path_text() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]{1,3}", 1..7).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn agrees_with_the_naive_matcher(pattern in pattern_text(), path in path_text()) {
            let segments: Vec<&str> = pattern.split('/').collect();
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(
                PathPattern::parse(&pattern).unwrap().matches_text(&path),
                naive(&segments, &parts)
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn agrees_with_globset(pattern in pattern_text(), path in path_text()) {
            let theirs = globset::GlobBuilder::new(&pattern)
                .literal_separator(true)
                .build()
                .unwrap()
                .compile_matcher();
            // globset lets a trailing `a/**` match nothing below `a/`; a path has no such form.
            prop_assert_eq!(
                PathPattern::parse(&pattern).unwrap().matches_text(&path),
                theirs.is_match(&path)
            );
        }

        #[test]
        fn what_is_below_is_reached(pattern in pattern_text(), path in path_text()) {
            let parsed = PathPattern::parse(&pattern).unwrap();
            let segments: Vec<&str> = path.split('/').collect();
            for at in 0..segments.len() {
                if parsed.matches_text(&path) {
                    prop_assert!(parsed.reaches_below(&segments[..at].join("/")));
                }
            }
            // The other way: every place that is reached has a path that matches.
            let tails = ["a", "b", "ab", "aa", "aaa", "bb", "ba"];
            let mut found = false;
            let mut ends = vec![path.clone()];
            for _ in 0..5 {
                ends = ends.iter().flat_map(|end| tails.map(|tail| format!("{end}/{tail}"))).collect();
                found |= ends.iter().any(|end| parsed.matches_text(end));
                ends.retain(|end| segments.len() < 3 && end.len() < path.len() + 12);
                ends.truncate(400);
            }
            if found {
                prop_assert!(parsed.reaches_below(&path));
            }
            if !parsed.reaches_below(&path) {
                prop_assert!(!found);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = PathPattern::parse(&text);
        }
    }
}
