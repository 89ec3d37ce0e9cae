//! The few notations of time that services use, as seconds since 1970. Times are compared only
//! with the service's own: its `Date` header tells what time it takes it to be.

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the odd day comes last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let month_of = (month + 9) % 12;
    let day_of_year = (153 * month_of + 2) / 5 + day - 1;
    Some(shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468)
}

fn number(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second)
}

/// An HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?)?;
    let month = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let year = number(parts.next()?)?;
    let seconds = clock(parts.next()?)?;
    (parts.next() == Some("GMT") && parts.next().is_none())
        .then(|| days(year, month, day).map(|days| days * 86_400 + seconds))?
}

/// A time of RFC 3339: `1994-11-06T08:49:37.5Z` or with an offset. Fractions are cut off.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    let date = text.get(..10)?;
    let (seconds, rest) = (clock(text.get(11..19)?)?, text.get(19..)?);
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let mut parts = date.split('-').map(number);
    let days = days(parts.next()??, parts.next()??, parts.next()??)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match zone.as_bytes().first()? {
        b'Z' | b'z' if zone.len() == 1 => 0,
        sign @ (b'+' | b'-') => {
            let seconds = clock(&format!("{}:00", zone.get(1..)?))?;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    Some(days * 86_400 + seconds - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_give_the_same_second() {
        assert_eq!(http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T08:49:37Z"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T10:49:37.25+02:00"), Some(784_111_777));
        assert_eq!(rfc3339("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(http("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "yesterday",
            "1994-13-06T08:49:37Z",
            "1994-11-06",
            "1994-11-06T08:49:37",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
            assert_eq!(http(text), None, "{text}");
        }
        assert_eq!(http("Sun, 06 Nov 1994 08:49:37 CET"), None);
        assert_eq!(rfc3339("1994-11-06T08:49:37é"), None);
    }
}
