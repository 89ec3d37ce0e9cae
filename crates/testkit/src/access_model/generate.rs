//! Worlds and questions at random, close to the edges: paths a pattern was made from, the last
//! microsecond of a binding, the age at which a proof is too old, hours that exist twice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Ask, Asker, Binding, Policy, Rule, Window, World, naive, zones};

/// A small generator of numbers; the same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True this often in a hundred.
    pub fn percent(&mut self, often: usize) -> bool {
        self.below(100) < often
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.next() % u64::try_from(to - from).unwrap()).unwrap()
    }
}

const SECOND: i64 = 1_000_000;
const HALF_HOUR: i64 = 1_800 * SECOND;
const SEGMENTS: [&str; 8] = ["a", "b", "ab", "app", "db", "ssl", "x-1", "key_2"];
/// What `*` stands for beside other characters.
const PARTS: [&str; 8] = ["", "", "a", "a", "b", "b-b", "ssl", "1"];
const PERMISSIONS: [&str; 6] = ["read", "write", "delete", "list", "rotate", "admin"];
const IDENTITIES: [&str; 4] = ["sa:one", "sa:two", "user:one", "user:two"];
const GROUPS: [&str; 3] = ["group:one", "group:sre", "group:two"];
const TENANTS: [&str; 3] = ["tnt_a", "tnt_a_2", "tnt_b"];
const AGES_S: [i64; 4] = [30, 900, 3_600, 28_800];

/// A world and the point in time its questions are around.
#[derive(Debug)]
pub struct Scene {
    /// Policies and bindings.
    pub world: World,
    base: i64,
}

impl Scene {
    /// One at random.
    pub fn roll(dice: &mut Dice) -> Self {
        let base = base_of(dice);
        let mut world = World::default();
        for place in 0..dice.between(1, 6) {
            let rules = (0..dice.between(1, 4)).map(|_| rule(dice)).collect();
            world.policies.push(Policy {
                tenant: TENANTS[usize::from(dice.percent(10))].to_owned(),
                is_active: !dice.percent(7),
                is_partner_wide: dice.percent(25),
                rules,
            });
            for _ in 0..dice.between(2, 6) {
                let expires_at = dice
                    .percent(20)
                    .then(|| base + dice.between(0, 96) * HALF_HOUR);
                let identity = match dice.percent(45) {
                    true => *dice.pick(&GROUPS),
                    false => *dice.pick(&IDENTITIES),
                };
                let policy = usize::try_from(place).unwrap();
                // A policy is bound to an identity once.
                let bound = |other: &Binding| other.policy == policy && other.identity == identity;
                if !world.bindings.iter().any(bound) {
                    world.bindings.push(Binding {
                        policy,
                        identity: identity.to_owned(),
                        expires_at,
                    });
                }
            }
        }
        Self { world, base }
    }

    /// Questions are of this time, in microseconds since the epoch, and up to two days after.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Somebody to ask.
    pub fn asker(&self, dice: &mut Dice) -> Asker {
        let mut groups: Vec<String> = Vec::new();
        for group in GROUPS {
            if dice.percent(60) {
                groups.push(group.to_owned());
            }
        }
        Asker {
            tenant: TENANTS[usize::from(dice.percent(6))].to_owned(),
            identity: (*dice.pick(&IDENTITIES)).to_owned(),
            groups,
            is_root: dice.percent(1),
        }
    }

    /// Something to ask; mostly what one of the rules is about.
    pub fn ask(&self, dice: &mut Dice, asker: &Asker) -> Ask {
        let near = self.near(dice, asker);
        let path = match near {
            Some(rule) if dice.percent(95) => path_like(dice, &rule.pattern),
            _ => path(dice),
        };
        let permission = match near {
            Some(rule) if dice.percent(94) => *dice.pick(&rule.permissions),
            _ => *dice.pick(&PERMISSIONS),
        };
        let nudge = *dice.pick(&[-1, 0, 0, 1, 7 * SECOND]);
        let now = self.base + dice.between(0, 96) * HALF_HOUR + nudge;
        let source_ip = match near.and_then(|rule| rule.ip_ranges.as_ref()) {
            Some(ranges) if dice.percent(80) => {
                let range = dice.pick(ranges).split('/').next().unwrap().to_owned();
                Some(neighbour(dice, range.parse().unwrap()))
            }
            _ if dice.percent(10) => None,
            _ => Some(address(dice)),
        };
        let mfa_at = dice.percent(75).then(|| {
            let age = match near.and_then(|rule| rule.mfa_max_age_s) {
                Some(age) if dice.percent(60) => age,
                _ => *dice.pick(&AGES_S),
            };
            now - age * SECOND + *dice.pick(&[-1, 0, 1, SECOND, age * SECOND, age * SECOND + 1])
        });
        Ask {
            permission,
            path,
            source_ip,
            mfa_at,
            now,
        }
    }

    /// A rule to be near to, mostly one that reaches the asker.
    fn near(&self, dice: &mut Dice, asker: &Asker) -> Option<&Rule> {
        let reaches = |binding: &&Binding| {
            self.world.policies[binding.policy].tenant == asker.tenant
                && (binding.identity == asker.identity || asker.groups.contains(&binding.identity))
        };
        let mine: Vec<&Binding> = self.world.bindings.iter().filter(reaches).collect();
        let policy = match mine.is_empty() || dice.percent(4) {
            true => dice.pick(&self.world.policies),
            false => &self.world.policies[dice.pick(&mine).policy],
        };
        (!policy.rules.is_empty()).then(|| dice.pick(&policy.rules))
    }
}

/// A full half hour of three years; one in four within a day of a change of the clocks.
fn base_of(dice: &mut Dice) -> i64 {
    const FROM_S: i64 = 1_767_225_600;
    let second = FROM_S + dice.between(0, 3 * 365 * 48) * 1_800;
    if !dice.percent(25) {
        return second * SECOND;
    }
    let zone = *dice.pick(&["Europe/Berlin", "America/New_York"]);
    let (from, to) = zones::summer(zone, second).unwrap();
    (*dice.pick(&[from, to]) - 86_400) * SECOND
}

fn path(dice: &mut Dice) -> String {
    let segments: Vec<&str> = (0..dice.between(1, 6))
        .map(|_| *dice.pick(&SEGMENTS))
        .collect();
    segments.join("/")
}

fn rule(dice: &mut Dice) -> Rule {
    let mut permissions: Vec<&str> = Vec::new();
    for _ in 0..dice.between(1, 4) {
        let word = match dice.percent(6) {
            true => "admin",
            false => *dice.pick(&PERMISSIONS[..5]),
        };
        if !permissions.contains(&word) {
            permissions.push(word);
        }
    }
    Rule {
        pattern: pattern(dice),
        permissions,
        ip_ranges: dice
            .percent(22)
            .then(|| (0..dice.between(1, 3)).map(|_| range(dice)).collect()),
        require_mfa: dice.percent(15),
        mfa_max_age_s: dice.percent(15).then(|| *dice.pick(&AGES_S)),
        window: dice.percent(25).then(|| window(dice)),
    }
}

fn pattern(dice: &mut Dice) -> String {
    let mut segments: Vec<String> = Vec::new();
    for _ in 0..dice.between(1, 5) {
        let plain = *dice.pick(&SEGMENTS);
        segments.push(match dice.below(20) {
            0..=10 => plain.to_owned(),
            11..=13 => "*".to_owned(),
            14 | 15 => "**".to_owned(),
            16 => format!("*{}", &plain[1..]),
            17 => format!("{}*", &plain[..1]),
            18 => format!("{}?", &plain[..plain.len() - 1]),
            _ => format!("?*{}", &plain[plain.len() - 1..]),
        });
    }
    segments.join("/")
}

/// A path the pattern matches, or nearly.
fn path_like(dice: &mut Dice, pattern: &str) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in pattern.split('/') {
        if segment == "**" {
            for _ in 0..dice.between(0, 3) {
                segments.push((*dice.pick(&SEGMENTS)).to_owned());
            }
            continue;
        }
        let mut text = String::new();
        for character in segment.chars() {
            match character {
                '*' => {
                    let alone = segment.len() == 1;
                    let part = *dice.pick(if alone { &SEGMENTS } else { &PARTS });
                    text.push_str(part);
                }
                '?' => text.push(*dice.pick(&['a', 'b', '1'])),
                plain => text.push(plain),
            }
        }
        segments.push(text);
    }
    match dice.below(36) {
        0 => segments.push("a".to_owned()),
        1 => segments.insert(0, "app".to_owned()),
        2 => drop(segments.pop()),
        _ => {}
    }
    if segments.is_empty() {
        return path(dice);
    }
    segments.truncate(10);
    segments.join("/")
}

fn address(dice: &mut Dice) -> IpAddr {
    let low = u8::try_from(dice.below(4)).unwrap();
    let v4 = Ipv4Addr::new(*dice.pick(&[10, 11, 192]), 0, low, *dice.pick(&[0, 1, 255]));
    match dice.below(10) {
        0..=6 => v4.into(),
        7 => v4.to_ipv6_mapped().into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, low.into(), 0, 0, 0, 1).into(),
    }
}

/// The address, itself or with one bit turned, an IPv4 one sometimes written in IPv6.
fn neighbour(dice: &mut Dice, of: IpAddr) -> IpAddr {
    let turned: IpAddr = match of {
        IpAddr::V4(v4) => {
            let bit = 1_u32 << dice.below(32);
            Ipv4Addr::from(u32::from(v4) ^ bit).into()
        }
        IpAddr::V6(v6) => {
            let bit = 1_u128 << dice.below(128);
            Ipv6Addr::from(u128::from(v6) ^ bit).into()
        }
    };
    match if dice.percent(25) { turned } else { of } {
        IpAddr::V4(v4) if dice.percent(15) => v4.to_ipv6_mapped().into(),
        other => other,
    }
}

/// A range around some address, host bits zero.
fn range(dice: &mut Dice) -> String {
    match address(dice).to_canonical() {
        IpAddr::V4(v4) => match *dice.pick(&[0_u32, 1, 7, 8, 16, 22, 23, 24, 31, 32, 99]) {
            99 => v4.to_string(),
            length => {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                format!("{}/{length}", Ipv4Addr::from(u32::from(v4) & mask))
            }
        },
        IpAddr::V6(v6) => {
            let length = *dice.pick(&[0_u32, 1, 32, 62, 63, 64, 127, 128]);
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            format!("{}/{length}", Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

fn window(dice: &mut Dice) -> Window {
    let days = match dice.percent(40) {
        true => Vec::new(),
        false => (0..7).filter(|_| dice.percent(60)).collect(),
    };
    let zone = *dice.pick(&naive::ZONES);
    Window {
        days,
        start_min: dice.between(0, 48) * 30,
        end_min: dice.between(0, 48) * 30,
        zone,
    }
}
