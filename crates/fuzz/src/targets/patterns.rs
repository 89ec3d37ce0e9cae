//! Patterns over claims of foreign tokens: the matcher answers as the definition does. The input is a
//! pattern, a line end and a claim.

use scaivault_core::issuer::Pattern;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "patterns",
    seeds: || {
        texts(&[
            "repo:acme/*:ref:refs/heads/main\nrepo:acme/shop:ref:refs/heads/main",
            "system:serviceaccount:prod:*\nsystem:serviceaccount:prod:shop",
            "**\nanything:at:all",
            "a*b**c\naxbyc",
        ])
    },
    words: &["*", "**", ":", "\n", "a", "\u{e9}", "repo:"],
    run,
};

fn run(data: &[u8]) {
    let Some((pattern, claim)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    let Some(parsed) = Pattern::parse(pattern) else {
        return;
    };
    let anything = parsed.matches("") && parsed.matches("a:b") && parsed.matches("\u{e9}:");
    assert!(anything || !parsed.is_anything(), "{pattern}");
    if claim.len() > 400 || pattern.len() > 400 {
        let _ = parsed.matches(claim);
        return;
    }
    let pieces = pieces(pattern);
    let expect = matches(&pieces, &claim.chars().collect::<Vec<_>>());
    assert_eq!(parsed.matches(claim), expect, "{pattern} {claim}");
}

enum Piece {
    One(char),
    Part,
    Rest,
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => Piece::Rest,
            '*' => Piece::Part,
            c => Piece::One(c),
        });
    }
    pieces
}

fn matches(pattern: &[Piece], text: &[char]) -> bool {
    let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    table[pattern.len()][text.len()] = true;
    for p in (0..pattern.len()).rev() {
        for t in (0..=text.len()).rev() {
            table[p][t] = match (&pattern[p], text.get(t)) {
                (Piece::One(c), Some(have)) => c == have && table[p + 1][t + 1],
                (Piece::One(_), None) => false,
                (Piece::Part, Some(':')) => table[p + 1][t],
                (_, next) => table[p + 1][t] || (next.is_some() && table[p][t + 1]),
            };
        }
    }
    table[0][0]
}
