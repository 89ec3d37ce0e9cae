//! `--since`: a moment, a day, or how long ago.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::exit::CliError;

/// The moment as RFC 3339, in UTC.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<String, CliError> {
    let moment = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| midnight(text))
        .or_else(|| {
            now.checked_sub(SignedDuration::from_secs(seconds(text)?))
                .ok()
        });
    moment.map(|moment| moment.to_string()).ok_or_else(|| {
        CliError::Input(format!(
            "'{text}' is no time: give how long ago (30m, 24h, 7d), a day (2026-04-23) or a \
             moment (2026-04-23T14:00:00Z)"
        ))
    })
}

/// The time now. This is the outer edge of the program: there is nobody to be given it by.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the program, see above"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn midnight(text: &str) -> Option<Timestamp> {
    // Only `YYYY-MM-DD`: the parser would also read the day out of longer text.
    let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    date.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// `<n><unit>`, one after the other, as in the API.
fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|char: char| char.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit_s = match &rest[..unit] {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        rest = &rest[unit..];
        total = total.checked_add(number.checked_mul(unit_s)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-04-23T14:00:00Z".parse().expect("time");
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(moment(text, now).ok().as_deref(), expect, "{text}");
        };
        check("24h", Some("2026-04-22T14:00:00Z"));
        check("1h30m", Some("2026-04-23T12:30:00Z"));
        check("90min", Some("2026-04-23T12:30:00Z"));
        check("2w1d", Some("2026-04-08T14:00:00Z"));
        check("2026-04-01", Some("2026-04-01T00:00:00Z"));
        check("2026-04-01T02:00:00+02:00", Some("2026-04-01T00:00:00Z"));
        for bad in [
            "",
            "h",
            "5",
            "5y",
            "yesterday",
            "-5m",
            "99999999999999999999d",
            "9999999999999w",
        ] {
            check(bad, None);
        }
    }
}
