//! What a policy means there, as its documentation reads: a second opinion, written for clarity alone.

use super::super::document::{Capability, CapabilitySet};

/// A path of a block and what it allows.
pub(super) type Said = (String, CapabilitySet);

/// Whether a token with this one policy may. Lists are asked with a slash at the end.
pub(super) fn allows(policy: &[Said], path: &str, capability: Capability) -> bool {
    let mut best: Option<&str> = None;
    for (pattern, _) in policy {
        if matches(pattern, path, capability == Capability::List)
            && best.is_none_or(|best| is_above(pattern, best))
        {
            best = Some(pattern);
        }
    }
    let Some(best) = best else {
        return false;
    };
    let same = policy.iter().filter(|(pattern, _)| pattern == best);
    let held = same.fold(CapabilitySet::default(), |all, (_, held)| all.or(*held));
    !held.contains(Capability::Deny) && held.contains(capability)
}

fn is_glob(pattern: &str) -> bool {
    pattern.ends_with('*')
}

fn pluses(pattern: &str) -> usize {
    pattern
        .trim_end_matches('*')
        .split('/')
        .filter(|part| *part == "+")
        .count()
}

/// A character at a time: `+` at the beginning of a segment takes up to the next slash, `*` at the end
/// takes everything.
fn matches(pattern: &str, path: &str, is_list: bool) -> bool {
    if !is_glob(pattern) && pluses(pattern) == 0 && is_list && format!("{pattern}/") == path {
        return true;
    }
    let (pattern, path): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), path.chars().collect());
    step(&pattern, &path, true)
}

fn step(pattern: &[char], path: &[char], at_segment: bool) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*'] => true,
        ['+', rest @ ..] if at_segment && (rest.is_empty() || rest[0] == '/') => {
            let end = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            step(rest, &path[end..], false)
        }
        [c, rest @ ..] => path.first() == Some(c) && step(rest, &path[1..], *c == '/'),
    }
}

/// The documented order, rule by rule.
fn is_above(one: &str, other: &str) -> bool {
    let wild = |pattern: &str| is_glob(pattern) || pluses(pattern) > 0;
    if wild(one) != wild(other) {
        return !wild(one);
    }
    // 1. The first + or * that stands earlier is lower.
    let first = |pattern: &str| {
        let mut at = 0;
        for part in pattern.split('/') {
            if part == "+" {
                return at;
            }
            if let Some(glob) = part.find('*') {
                return at + glob;
            }
            at += part.len() + 1;
        }
        usize::MAX
    };
    if first(one) != first(other) {
        return first(one) > first(other);
    }
    // 2. What ends in * is lower.
    if is_glob(one) != is_glob(other) {
        return !is_glob(one);
    }
    // 3. More + is lower.
    if pluses(one) != pluses(other) {
        return pluses(one) < pluses(other);
    }
    // 4. Shorter is lower. 5. Smaller is lower.
    (one.len(), one) > (other.len(), other)
}

#[test]
fn as_documented() {
    let said = |all: &[(&str, &[Capability])]| -> Vec<Said> {
        let one =
            |(path, words): &(&str, &[Capability])| ((*path).to_owned(), CapabilitySet::of(words));
        all.iter().map(one).collect()
    };
    use Capability::{Create, Deny, List, Read};
    let policy = said(&[
        ("secret/*", &[Read]),
        ("secret/+/teamb", &[Create]),
        ("secret/foo/*", &[List]),
        ("secret/bar/+/x", &[Deny]),
        ("secret/z", &[Create, List]),
    ]);
    for (path, capability, want) in [
        ("secret/a", Read, true),
        ("secret/", List, false),
        ("secret/q/teamb", Create, true),
        ("secret/q/teamb", Read, false),
        ("secret/foo/teamb", Read, false),
        ("secret/foo/", List, true),
        ("secret/bar/q/x", Read, false),
        ("secret/z/", List, true),
        ("secret/z", Create, true),
        ("secretz", Read, false),
    ] {
        assert_eq!(
            allows(&policy, path, capability),
            want,
            "{path} {capability:?}"
        );
    }
}
