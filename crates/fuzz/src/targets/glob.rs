//! Patterns over paths: the matcher answers as the definition does, read as a table. The input is a
//! pattern, a line end and a path.

use scaivault_core::glob::PathPattern;
use scaivault_core::path::SecretPath;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "glob",
    seeds: || {
        texts(&[
            "app/**\napp/db/password",
            "**/a/**/b\nx/a/b/a/b",
            "a*b?c/**/d*\naxxbyc/q/dd",
            "**\na",
            "*/*\na/b",
        ])
    },
    words: &["**", "*", "?", "/", "\n", "**/", "/**", "a", "b"],
    run,
};

fn run(data: &[u8]) {
    let Some((pattern, path)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    let Ok(parsed) = PathPattern::parse(pattern) else {
        return;
    };
    assert_eq!(parsed.as_str(), pattern);
    let Ok(path) = SecretPath::parse(path) else {
        return;
    };
    let parts: Vec<&str> = path.segments().collect();
    let segments: Vec<&str> = pattern.split('/').collect();
    assert_eq!(
        parsed.matches(&path),
        matches(&segments, &parts),
        "{pattern} {path}"
    );
}

/// `table[p][t]`: whether the pattern from `p` on matches the path from `t` on.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    let mut table = vec![vec![false; path.len() + 1]; pattern.len() + 1];
    table[pattern.len()][path.len()] = true;
    for p in (0..pattern.len()).rev() {
        for t in (0..=path.len()).rev() {
            table[p][t] = match (pattern[p], path.get(t)) {
                ("**", Some(_)) if p + 1 == pattern.len() => true,
                ("**", None) if p + 1 == pattern.len() => false,
                ("**", next) => table[p + 1][t] || (next.is_some() && table[p][t + 1]),
                (segment, Some(part)) => {
                    within(segment.as_bytes(), part.as_bytes()) && table[p + 1][t + 1]
                }
                (_, None) => false,
            };
        }
    }
    table[0][0]
}

fn within(pattern: &[u8], text: &[u8]) -> bool {
    let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    table[pattern.len()][text.len()] = true;
    for p in (0..pattern.len()).rev() {
        for t in (0..=text.len()).rev() {
            table[p][t] = match (pattern[p], text.get(t)) {
                (b'*', next) => table[p + 1][t] || (next.is_some() && table[p][t + 1]),
                (b'?', Some(_)) => table[p + 1][t + 1],
                (byte, Some(have)) => byte == *have && table[p + 1][t + 1],
                (_, None) => false,
            };
        }
    }
    table[0][0]
}
