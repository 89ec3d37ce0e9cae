//! When a rotation may begin: windows of the week and a cron pattern, both on the wall clock of
//! one time zone.
//!
//! The wall clock is read as a person reads it: a time is there when the clock first shows it or
//! a later one. What falls into a skipped hour therefore happens at the end of the gap, and what
//! falls into a repeated hour happens in its first pass alone.

use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The most windows of one calendar.
pub const WINDOWS_MAX: usize = 32;
/// The longest cron pattern.
const CRON_MAX: usize = 128;
/// Days that are looked at from two days ago: every window comes again within a week, and a whole
/// day may be skipped.
const DAYS: i32 = 12;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the days have names")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// Every day.
    pub const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == text)
    }

    fn of(date: Date) -> Self {
        match date.weekday() {
            jiff::civil::Weekday::Monday => Self::Mon,
            jiff::civil::Weekday::Tuesday => Self::Tue,
            jiff::civil::Weekday::Wednesday => Self::Wed,
            jiff::civil::Weekday::Thursday => Self::Thu,
            jiff::civil::Weekday::Friday => Self::Fri,
            jiff::civil::Weekday::Saturday => Self::Sat,
            jiff::civil::Weekday::Sunday => Self::Sun,
        }
    }
}

/// A part of some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; empty means every day.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// When it begins, as `HH:MM`.
    pub from: String,
    /// When it ends, as `HH:MM`: on the next day when it is not after `from`, so that equal times
    /// make a whole day.
    pub to: String,
}

/// When rotations may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendar {
    /// The windows; none means always.
    pub windows: Vec<Window>,
    /// A pattern of five fields: minute, hour, day of the month, month, day of the week.
    pub cron: Option<String>,
    /// The IANA name of the zone whose wall clock counts.
    pub time_zone: String,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            windows: Vec::new(),
            cron: None,
            time_zone: "UTC".to_owned(),
        }
    }
}

impl Calendar {
    /// Checks every field.
    ///
    /// # Errors
    /// Each field that is wrong and what is wrong with it, without repeating it.
    pub fn validate(self) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut bad = |field: String, problem: &str| problems.push((field, problem.to_owned()));
        if self.zone().is_none() {
            bad(
                "time_zone".into(),
                "is the IANA name of a time zone, such as Europe/Berlin",
            );
        }
        if self.cron.is_some() && self.pattern().is_none() {
            bad(
                "cron".into(),
                "is a pattern of five fields, such as `0 3 * * sun`, that comes about some day",
            );
        }
        if self.windows.len() > WINDOWS_MAX {
            bad("windows".into(), "are at most 32");
        }
        for (at, window) in self.windows.iter().enumerate().take(WINDOWS_MAX) {
            for (name, text) in [("from", &window.from), ("to", &window.to)] {
                if time_of(text).is_none() {
                    bad(
                        format!("windows[{at}].{name}"),
                        "is a time from 00:00 to 23:59",
                    );
                }
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }

    /// The earliest moment not before `at` that lies in a window; `at` itself when there are no
    /// windows. `None`: never, or the calendar is not valid.
    pub fn opens(&self, at: Timestamp) -> Option<Timestamp> {
        if self.windows.is_empty() {
            return Some(at);
        }
        let around = self.around(at)?;
        let next = around.iter().filter(|(_, to)| *to > at);
        next.map(|(from, _)| (*from).max(at)).min()
    }

    /// When the window that holds `at` ends; of several that hold it, the last to end. `None`: no
    /// window holds it, or there are none.
    pub fn closes(&self, at: Timestamp) -> Option<Timestamp> {
        let around = self.around(at)?;
        let holding = around.iter().filter(|(from, to)| *from <= at && at < *to);
        holding.map(|(_, to)| *to).max()
    }

    /// The first moment after `after` that the cron pattern names. `None`: there is no pattern, or
    /// it names none.
    pub fn next_cron(&self, after: Timestamp) -> Option<Timestamp> {
        let (zone, cron) = (self.zone()?, self.pattern()?);
        let mut wall = zone.to_datetime(instant(after)?);
        wall = wall.with().subsec_nanosecond(0).build().ok()?;
        // In the second pass of a repeated hour the pattern's times are over: they are stepped
        // through, a minute each at least.
        loop {
            wall = cron.find_next_occurrence(&wall, false).ok()?;
            let moment = first_shown(&zone, wall)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    fn zone(&self) -> Option<TimeZone> {
        TimeZone::get(&self.time_zone).ok()
    }

    /// A pattern that never comes about, such as one of 30 February, is none.
    fn pattern(&self) -> Option<Cron> {
        let text = self.cron.as_deref()?;
        if text.len() > CRON_MAX || text.split_whitespace().count() != 5 {
            return None;
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).ok()?;
        let begin = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        cron.find_next_occurrence(&begin, true).ok()?;
        Some(cron)
    }

    /// The windows that begin from two days before `at` on, as moments from and to.
    fn around(&self, at: Timestamp) -> Option<Vec<(Timestamp, Timestamp)>> {
        let zone = self.zone()?;
        let today = zone.to_datetime(instant(at)?).date();
        let mut out = Vec::new();
        for window in &self.windows {
            let (from, to) = (time_of(&window.from)?, time_of(&window.to)?);
            for offset in -2..DAYS - 2 {
                // At the end of the calendar days run out.
                let Ok(day) = today.checked_add(offset.days()) else {
                    continue;
                };
                if window.days.is_empty() || window.days.contains(&Weekday::of(day)) {
                    out.extend(span(&zone, day, from, to));
                }
            }
        }
        Some(out)
    }
}

/// A window of one day. One that a gap swallows whole begins at the gap's end and keeps its length.
fn span(zone: &TimeZone, day: Date, from: Time, to: Time) -> Option<(Timestamp, Timestamp)> {
    let last = if to > from { day } else { day.tomorrow().ok()? };
    let (begin, end) = (day.to_datetime(from), last.to_datetime(to));
    let (opens, closes) = (first_shown(zone, begin)?, first_shown(zone, end)?);
    if closes > opens {
        return Some((opens, closes));
    }
    let length = end.duration_since(begin);
    Some((opens, opens.plus(length.try_into().ok()?)))
}

/// When the wall clock first shows this time or a later one.
fn first_shown(zone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    let moment = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
        AmbiguousOffset::Gap { before, .. } => {
            let inside = before.to_timestamp(wall).ok()?;
            let just_after = inside.checked_add(SignedDuration::from_nanos(1)).ok()?;
            zone.preceding(just_after).next()?.timestamp()
        }
    };
    Some(Timestamp::from_micros(moment.as_microsecond()))
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok()
}

/// `HH:MM` and nothing else.
fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| i8::from_str(part).ok()).flatten()
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
