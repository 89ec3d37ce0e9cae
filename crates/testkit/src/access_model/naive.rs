//! The answer by the documentation alone: every rule of every policy is looked at, each time.

use std::net::IpAddr;

use super::zones;
use super::{Answer, Ask, Asker, Rule, Window, World};

/// The zones a window may name.
pub const ZONES: [&str; 8] = zones::NAMES;

/// A second factor is fresh for this long unless the rule says otherwise.
const FRESH_S: i64 = 15 * 60;

/// The answer to one question.
pub fn answer(world: &World, asker: &Asker, ask: &Ask) -> Answer {
    if asker.is_root {
        return Answer::Allowed;
    }
    let mut answers: Vec<Answer> = Vec::new();
    for (policy, rule) in rules_of(world, asker, ask) {
        answers.push(rule_says(&world.policies[policy].rules[rule], ask));
    }
    for first in [
        Answer::Allowed,
        Answer::Address,
        Answer::SecondFactor,
        Answer::TimeWindow,
    ] {
        if answers.contains(&first) {
            return first;
        }
    }
    Answer::NoRule
}

/// Whether this rule of this policy allows it.
pub fn allows(world: &World, asker: &Asker, ask: &Ask, policy: usize, rule: usize) -> bool {
    rules_of(world, asker, ask).contains(&(policy, rule))
        && rule_says(&world.policies[policy].rules[rule], ask) == Answer::Allowed
}

/// Every rule that reaches the asker now, as places of policy and rule.
fn rules_of(world: &World, asker: &Asker, ask: &Ask) -> Vec<(usize, usize)> {
    let mut reached = Vec::new();
    for binding in &world.bindings {
        let policy = &world.policies[binding.policy];
        let is_me = binding.identity == asker.identity || asker.groups.contains(&binding.identity);
        let has_ended = match binding.expires_at {
            Some(end) => ask.now >= end,
            None => false,
        };
        let reaches = match policy.is_partner_wide {
            true => partner_of(&policy.tenant) == partner_of(&asker.tenant),
            false => policy.tenant == asker.tenant,
        };
        if reaches && policy.is_active && is_me && !has_ended {
            for rule in 0..policy.rules.len() {
                reached.push((binding.policy, rule));
            }
        }
    }
    reached
}

/// The tenants of the model are named by their partner: `tnt_<partner>` and `tnt_<partner>_…`.
pub fn partner_of(tenant: &str) -> &str {
    let name = tenant.strip_prefix("tnt_").unwrap();
    name.split('_').next().unwrap()
}

fn rule_says(rule: &Rule, ask: &Ask) -> Answer {
    let permitted =
        rule.permissions.contains(&ask.permission) || rule.permissions.contains(&"admin");
    if !permitted || !pattern_matches(&rule.pattern, &ask.path) {
        Answer::NoRule
    } else if !address_holds(rule, ask.source_ip) {
        Answer::Address
    } else if !second_factor_holds(rule, ask) {
        Answer::SecondFactor
    } else if !window_holds(rule.window.as_ref(), ask.now) {
        Answer::TimeWindow
    } else {
        Answer::Allowed
    }
}

/// Whether a pattern matches a path as a whole.
pub fn pattern_matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    segments_match(&pattern, &path)
}

fn segments_match(pattern: &[&str], path: &[&str]) -> bool {
    match pattern {
        [] => path.is_empty(),
        // At the end it stands for at least one.
        ["**"] => !path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|skipped| segments_match(rest, &path[skipped..])),
        [first, rest @ ..] => match path {
            [] => false,
            [segment, below @ ..] => {
                characters_match(first.as_bytes(), segment.as_bytes())
                    && segments_match(rest, below)
            }
        },
    }
}

fn characters_match(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|eaten| characters_match(rest, &text[eaten..])),
        [b'?', rest @ ..] => !text.is_empty() && characters_match(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && characters_match(rest, &text[1..]),
    }
}

fn address_holds(rule: &Rule, source: Option<IpAddr>) -> bool {
    let Some(ranges) = &rule.ip_ranges else {
        return true;
    };
    let Some(source) = source else {
        return false;
    };
    ranges.iter().any(|range| is_inside(range, source))
}

/// The range's leading digits, in base two and as text, begin the address.
fn is_inside(range: &str, source: IpAddr) -> bool {
    let (network, length) = match range.split_once('/') {
        Some((network, length)) => (digits(network.parse().unwrap()), length.parse().unwrap()),
        None => (digits(range.parse().unwrap()), usize::MAX),
    };
    let source = digits(source);
    let length = length.min(network.len());
    network.len() == source.len() && network[..length] == source[..length]
}

fn digits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.octets().iter().map(|o| format!("{o:08b}")).collect(),
        IpAddr::V6(v6) => match v6.segments() {
            // An IPv4 address written in IPv6.
            [0, 0, 0, 0, 0, 0xffff, high, low] => format!("{high:016b}{low:016b}"),
            all => all.iter().map(|s| format!("{s:016b}")).collect(),
        },
    }
}

fn second_factor_holds(rule: &Rule, ask: &Ask) -> bool {
    let oldest_s = match (rule.mfa_max_age_s, rule.require_mfa) {
        (Some(seconds), _) => seconds,
        (None, true) => FRESH_S,
        (None, false) => return true,
    };
    match ask.mfa_at {
        // A proof of a time to come proves nothing.
        Some(proven) => proven <= ask.now && ask.now <= proven + oldest_s * 1_000_000,
        None => false,
    }
}

/// Whether a window that began today or yesterday is still open.
fn window_holds(window: Option<&Window>, now: i64) -> bool {
    let Some(window) = window else {
        return true;
    };
    let minute = zones::local_second(window.zone, now.div_euclid(1_000_000)).div_euclid(60);
    let today = minute.div_euclid(24 * 60);
    let mut is_open = false;
    for day in [today - 1, today] {
        let begins = day * 24 * 60 + window.start_min;
        let mut ends = day * 24 * 60 + window.end_min;
        if window.end_min <= window.start_min {
            ends += 24 * 60;
        }
        let counts = window.days.is_empty() || window.days.contains(&zones::weekday(day));
        is_open |= counts && begins <= minute && minute < ends;
    }
    is_open
}
