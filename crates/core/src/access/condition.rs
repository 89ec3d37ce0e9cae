//! Conditions of a rule: where from, how recently proven, and when.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decide::Attempt;
use crate::time::{Span, Timestamp};

/// How long a second factor counts as fresh where a rule says `require_mfa` alone.
pub(super) const MFA_FRESH_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// The conditions of one rule. Empty means: always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// The caller's address must be inside one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_ranges: Option<Vec<Cidr>>,
    /// A fresh second factor is needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_mfa: bool,
    /// How old that proof may be; implies `require_mfa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_max_age: Option<Span>,
    /// Only on these days, between these times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
}

/// Which condition failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// `ip_ranges`
    IpRanges,
    /// `require_mfa` / `mfa_max_age`
    RequireMfa,
    /// `time_window`
    TimeWindow,
}

impl Condition {
    /// The field's name in a rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IpRanges => "ip_ranges",
            Self::RequireMfa => "require_mfa",
            Self::TimeWindow => "time_window",
        }
    }
}

impl Conditions {
    /// The first condition that does not hold, if any. An unknown address or an absent proof
    /// fails.
    pub(super) fn failed(&self, attempt: &Attempt<'_>) -> Option<Condition> {
        if let Some(ranges) = &self.ip_ranges {
            let inside = attempt
                .source_ip
                .is_some_and(|address| ranges.iter().any(|range| range.contains(address)));
            if !inside {
                return Some(Condition::IpRanges);
            }
        }
        if self.require_mfa || self.mfa_max_age.is_some() {
            let limit = self
                .mfa_max_age
                .as_ref()
                .map_or(MFA_FRESH_DEFAULT, Span::duration);
            // In full: cut to seconds, a proof would hold for almost a second too long.
            let fresh = attempt
                .mfa_at
                .is_some_and(|at| at <= attempt.now && attempt.now.since(at) <= limit);
            if !fresh {
                return Some(Condition::RequireMfa);
            }
        }
        match &self.time_window {
            Some(window) if !window.contains(attempt.now) => Some(Condition::TimeWindow),
            _ => None,
        }
    }
}

/// An address range. A bare address is the range of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or one address. Host bits must be zero, so that what
    /// is written is what is meant.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
                let bits: u8 = if plain {
                    bits.parse().ok()?
                } else {
                    return None;
                };
                (address.parse::<IpAddr>().ok()?, bits)
            }
            None => {
                let address: IpAddr = text.parse().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        let (address, bits) = unmapped(address, bits)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let range = Self { address, bits };
        (bits <= width && range.masked(address) == Some(range.number())).then_some(range)
    }

    /// Whether `address` is inside. An IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.masked(address.to_canonical()) == Some(self.number())
    }

    /// Whether every address of `other` is inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    /// How many bits are fixed: the more, the narrower.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    fn number(&self) -> u128 {
        match self.address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        }
    }

    fn masked(&self, address: IpAddr) -> Option<u128> {
        let bits = u32::from(self.bits);
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(v4)) => {
                let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
                Some(u128::from(u32::from(v4) & mask))
            }
            (IpAddr::V6(_), IpAddr::V6(v6)) => {
                let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
                Some(u128::from(v6) & mask)
            }
            _ => None,
        }
    }
}

/// A range of IPv4 written in IPv6 (`::ffff:10.0.0.0/104`) is that range: addresses are looked at as
/// IPv4, so otherwise it would hold none, and a list of what is closed would have a hole.
fn unmapped(address: IpAddr, bits: u8) -> Option<(IpAddr, u8)> {
    match (address, address.to_canonical()) {
        (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => Some((v4, bits.checked_sub(96)?)),
        (address, _) => Some((address, bits)),
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("an address range is CIDR with zero host bits: 10.0.0.0/8")
        })
    }
}

/// Days of the week, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Allowed hours. `start` is inside, `end` is outside; an `end` at or before `start` reaches
/// into the next day, which then counts as the day it began on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TimeWindowText", into = "TimeWindowText")]
pub struct TimeWindow {
    days: Vec<Weekday>,
    start_min: u16,
    end_min: u16,
    timezone: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeWindowText {
    #[serde(default)]
    days: Vec<Weekday>,
    start: String,
    end: String,
    #[serde(default = "utc")]
    timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl TimeWindow {
    fn contains(&self, now: Timestamp) -> bool {
        let Ok(zone) = jiff::tz::TimeZone::get(&self.timezone) else {
            return false;
        };
        let Ok(instant) = jiff::Timestamp::from_microsecond(now.as_micros()) else {
            return false;
        };
        let local = instant.to_zoned(zone);
        let minute =
            u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let today = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let yesterday = (today + 6) % 7;
        if self.start_min < self.end_min {
            return self.on(today) && (self.start_min..self.end_min).contains(&minute);
        }
        (self.on(today) && minute >= self.start_min)
            || (self.on(yesterday) && minute < self.end_min)
    }

    fn on(&self, day: usize) -> bool {
        self.days.is_empty() || self.days.iter().any(|d| *d as usize == day)
    }
}

impl TryFrom<TimeWindowText> for TimeWindow {
    type Error = &'static str;

    fn try_from(text: TimeWindowText) -> Result<Self, Self::Error> {
        let start_min = clock_minutes(&text.start).ok_or("start is a time of day such as 09:00")?;
        let end_min = clock_minutes(&text.end).ok_or("end is a time of day such as 17:00")?;
        jiff::tz::TimeZone::get(&text.timezone)
            .map_err(|_| "timezone is a name of the time zone database such as Europe/Berlin")?;
        Ok(Self {
            days: text.days,
            start_min,
            end_min,
            timezone: text.timezone,
        })
    }
}

impl From<TimeWindow> for TimeWindowText {
    fn from(window: TimeWindow) -> Self {
        let clock = |min: u16| format!("{:02}:{:02}", min / 60, min % 60);
        Self {
            days: window.days,
            start: clock(window.start_min),
            end: clock(window.end_min),
            timezone: window.timezone,
        }
    }
}

fn clock_minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let check = |range: &str, address: &str, expect: bool| {
            let range = Cidr::parse(range).unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                expect,
                "{range:?} {address}"
            );
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("::/0", "2001:db8::1", true);
        check("::ffff:10.0.0.0/104", "10.255.0.1", true);
        check("::ffff:10.0.0.0/104", "11.0.0.1", false);
        check("::ffff:192.0.2.7", "::ffff:192.0.2.7", true);
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0",
            "x/8",
            "::ffff:10.0.0.1/104",
            "::ffff:0.0.0.0/95",
        ] {
            assert!(Cidr::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn windows_follow_the_local_clock() {
        let window = |days: &str, start: &str, end: &str, zone: &str| -> TimeWindow {
            serde_json::from_str(&format!(
                r#"{{"days":{days},"start":"{start}","end":"{end}","timezone":"{zone}"}}"#
            ))
            .unwrap()
        };
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let office = window(r#"["mon","tue"]"#, "09:00", "17:00", "Europe/Berlin");
        assert!(office.contains(at("2026-11-23T08:00:00Z"))); // Monday 09:00 there
        assert!(!office.contains(at("2026-11-23T16:00:00Z"))); // 17:00 is outside
        assert!(!office.contains(at("2026-11-25T10:00:00Z"))); // Wednesday
        let night = window(r#"["fri"]"#, "22:00", "06:00", "UTC");
        assert!(night.contains(at("2026-11-27T23:00:00Z")));
        assert!(night.contains(at("2026-11-28T05:59:00Z"))); // Saturday, began on Friday
        assert!(!night.contains(at("2026-11-27T05:00:00Z")));
        let bad = r#"{"start":"9:00","end":"17:00"}"#;
        assert!(serde_json::from_str::<TimeWindow>(bad).is_err());
        let nowhere = r#"{"start":"09:00","end":"17:00","timezone":"Mars/Base"}"#;
        assert!(serde_json::from_str::<TimeWindow>(nowhere).is_err());
    }
}
