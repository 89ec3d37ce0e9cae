//! Points in time and the human form of durations.
//!
//! Core never reads a clock: every function that needs the time takes a [`Timestamp`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since the Unix epoch, UTC. The resolution of events and audit rows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `duration`; stays at the end of time instead of overflowing.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(clamp_micros(duration)))
    }

    /// Earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(clamp_micros(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with exactly six fractional digits: the form of events and audit rows.
    pub fn to_rfc3339_micros(self) -> String {
        self.print(Some(6))
    }

    /// RFC 3339 in UTC with whole seconds: the form of every other object.
    pub fn to_rfc3339(self) -> String {
        self.print(Some(0))
    }

    /// Reads RFC 3339 with any offset and up to nanosecond digits (cut to microseconds).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        Some(Self(parsed.as_microsecond()))
    }

    fn print(self, precision: Option<u8>) -> String {
        printer(precision).timestamp_to_string(&self.printable())
    }

    fn printable(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

fn printer(precision: Option<u8>) -> jiff::fmt::temporal::DateTimePrinter {
    jiff::fmt::temporal::DateTimePrinter::new().precision(precision)
}

/// The text of [`Timestamp::to_rfc3339`] without a place of its own in memory: for answers that are
/// made often.
#[derive(Clone, Copy)]
pub struct Rfc3339 {
    text: [u8; 32],
    length: usize,
}

impl Rfc3339 {
    /// Of this time.
    pub fn of(at: Timestamp) -> Self {
        let mut made = Self {
            text: [0; 32],
            length: 0,
        };
        let printed = printer(Some(0)).print_timestamp(&at.printable(), &mut made);
        debug_assert!(printed.is_ok(), "28 characters at most");
        made
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl jiff::fmt::Write for Rfc3339 {
    fn write_str(&mut self, part: &str) -> Result<(), jiff::Error> {
        let end = self.length + part.len();
        let room = self.text.get_mut(self.length..end);
        let room =
            room.ok_or_else(|| jiff::Error::from_args(format_args!("a time is too long")))?;
        room.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339_micros())
    }
}

fn clamp_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The longest duration accepted anywhere: one hundred years.
pub const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A duration as people write it: `90d`, `48h`, `1h30m`. Keeps the text it was given, so that
/// an object answers with the form it was created with.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    text: String,
    duration: Duration,
}

/// Why a duration was refused. The text says what is accepted and repeats no input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not `<n><unit>` repeated.
    #[error("a duration is a number and a unit, such as 90d, 48h, 30m, 10s, 2w or 1h30m")]
    Malformed,
    /// Zero or above [`SPAN_MAX`].
    #[error("a duration is at least 1s and at most 100 years")]
    OutOfRange,
}

impl Span {
    /// Reads `<n><unit>` with units `s`, `m`/`min`, `h`, `d`, `w`, combinable. No sign, no
    /// fraction, no white space, not zero.
    ///
    /// # Errors
    /// [`SpanError`] says whether form or range is wrong.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let mut rest = text;
        let mut total = 0u64;
        if rest.is_empty() || rest.len() > 64 {
            return Err(SpanError::Malformed);
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, next) = tail.split_at(letters);
            let factor = match unit {
                "s" => 1,
                "m" | "min" => 60,
                "h" => 3_600,
                "d" => 86_400,
                "w" => 604_800,
                _ => return Err(SpanError::Malformed),
            };
            if number.is_empty() {
                return Err(SpanError::Malformed);
            }
            let amount: u64 = number.parse().map_err(|_| SpanError::OutOfRange)?;
            total = amount
                .checked_mul(factor)
                .and_then(|part| total.checked_add(part))
                .ok_or(SpanError::OutOfRange)?;
            rest = next;
        }
        let duration = Duration::from_secs(total);
        if total == 0 || duration > SPAN_MAX {
            return Err(SpanError::OutOfRange);
        }
        Ok(Self {
            text: text.to_owned(),
            duration,
        })
    }

    /// The length.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whole seconds.
    pub fn as_secs(&self) -> u64 {
        self.duration.as_secs()
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<u64, SpanError>) {
        assert_eq!(
            Span::parse(text).map(|span| span.as_secs()),
            expect,
            "{text:?}"
        );
    }

    #[test]
    fn durations_are_read_as_documented() {
        check("90d", Ok(7_776_000));
        check("48h", Ok(172_800));
        check("15m", Ok(900));
        check("15min", Ok(900));
        check("1h30m", Ok(5_400));
        check("2w", Ok(1_209_600));
        check("3s", Ok(3));
        for bad in [
            "", "d", "90", "90 d", " 90d", "-1d", "1.5h", "90D", "1y", "1h30", "h1", "９d",
        ] {
            check(bad, Err(SpanError::Malformed));
        }
        check("0s", Err(SpanError::OutOfRange));
        check("36501d", Err(SpanError::OutOfRange));
        check("99999999999999999999d", Err(SpanError::OutOfRange));
        check("18446744073709551615w", Err(SpanError::OutOfRange));
    }

    #[test]
    fn timestamps_print_and_parse() {
        let at = Timestamp::from_micros(1_776_952_800_123_456);
        assert_eq!(at.to_rfc3339_micros(), "2026-04-23T14:00:00.123456Z");
        assert_eq!(at.to_rfc3339(), "2026-04-23T14:00:00Z");
        assert_eq!(
            Timestamp::from_secs(0).to_rfc3339_micros(),
            "1970-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp::parse_rfc3339("2026-04-23T16:00:00.123456+02:00"),
            Some(at)
        );
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    proptest! {
        #[test]
        fn every_timestamp_of_the_next_centuries_survives_its_text(micros in 0i64..9_000_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339_micros()), Some(at));
        }

        #[test]
        fn the_text_without_a_place_of_its_own_is_the_same(micros in proptest::num::i64::ANY) {
            let at = Timestamp::from_micros(micros);
            let text = Rfc3339::of(at);
            prop_assert_eq!(text.as_str(), at.to_rfc3339());
        }

        #[test]
        fn no_text_panics_the_duration_parser(text in "\\PC{0,40}") {
            let _ = Span::parse(&text);
        }

        #[test]
        fn sums_of_units_add_up(d in 0u64..1000, h in 0u64..100, m in 0u64..100, s in 1u64..100) {
            let span = Span::parse(&format!("{d}d{h}h{m}m{s}s")).unwrap();
            prop_assert_eq!(span.as_secs(), d * 86_400 + h * 3_600 + m * 60 + s);
        }
    }
}
