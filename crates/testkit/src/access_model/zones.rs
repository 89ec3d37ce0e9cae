//! Local time by the published rules of a few zones, in whole numbers: no time zone database.

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;

/// Zones whose rules are written here.
pub(super) const NAMES: [&str; 8] = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "Europe/Berlin",
    "America/New_York",
];

/// Days since the epoch of a date, counted year by year and month by month.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let mut days = 0;
    for y in 1970..year {
        days += if leap(y) { 366 } else { 365 };
    }
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for m in 1..month {
        days += lengths[usize::try_from(m - 1).unwrap()];
        if m == 2 && leap(year) {
            days += 1;
        }
    }
    days + day - 1
}

/// Monday = 0. The epoch was a Thursday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

fn year_of(second: i64) -> i64 {
    let mut year = 1970;
    while days_until(year + 1, 1, 1) * DAY_S <= second {
        year += 1;
    }
    year
}

fn sunday_from(year: i64, month: i64, first: i64) -> i64 {
    let mut day = days_until(year, month, first);
    while weekday(day) != 6 {
        day += 1;
    }
    day
}

/// When summer time begins and ends in the year of `second`, if the zone has it.
pub(super) fn summer(zone: &str, second: i64) -> Option<(i64, i64)> {
    let year = year_of(second);
    match zone {
        // The last Sundays of March and October at 01:00 UTC: the first on or after the 25th.
        "Europe/Berlin" => Some((
            sunday_from(year, 3, 25) * DAY_S + HOUR_S,
            sunday_from(year, 10, 25) * DAY_S + HOUR_S,
        )),
        // Second Sunday of March and first of November at 02:00 of the clock then on the wall.
        "America/New_York" => Some((
            sunday_from(year, 3, 8) * DAY_S + 7 * HOUR_S,
            sunday_from(year, 11, 1) * DAY_S + 6 * HOUR_S,
        )),
        _ => None,
    }
}

/// Seconds since the epoch as the clock on the wall shows them.
pub(super) fn local_second(zone: &str, second: i64) -> i64 {
    let standard = match zone {
        "UTC" => 0,
        "Asia/Kolkata" => 5 * HOUR_S + HOUR_S / 2,
        "Asia/Kathmandu" => 5 * HOUR_S + HOUR_S * 3 / 4,
        "Asia/Tokyo" => 9 * HOUR_S,
        "Pacific/Kiritimati" => 14 * HOUR_S,
        "Etc/GMT+12" => -12 * HOUR_S,
        "Europe/Berlin" => HOUR_S,
        "America/New_York" => -5 * HOUR_S,
        other => panic!("no rules for {other}"),
    };
    let is_summer = summer(zone, second).is_some_and(|(from, to)| from <= second && second < to);
    second + standard + if is_summer { HOUR_S } else { 0 }
}
