//! Windows and patterns, also against a second evaluator that walks minute by minute.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> Calendar {
    let read: Calendar = serde_json::from_value(value).expect("a calendar");
    read.validate().expect("valid")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

fn window(zone: &str, days: Value, from: &str, to: &str) -> Calendar {
    read(json!({"time_zone": zone, "windows": [{"days": days, "from": from, "to": to}]}))
}

fn check(calendar: &Calendar, time: &str, opens: &str, closes: &str) {
    let opened = calendar.opens(at(time)).expect("it opens");
    assert_eq!(opened, at(opens), "{time} opens");
    assert_eq!(calendar.closes(opened), Some(at(closes)), "{time} closes");
}

#[test]
fn windows_open_and_close() {
    let nights = window("UTC", json!([]), "22:00", "04:00");
    check(
        &nights,
        "2026-01-05T12:00:00Z",
        "2026-01-05T22:00:00Z",
        "2026-01-06T04:00:00Z",
    );
    check(
        &nights,
        "2026-01-05T03:59:59Z",
        "2026-01-05T03:59:59Z",
        "2026-01-05T04:00:00Z",
    );
    check(
        &nights,
        "2026-01-05T04:00:00Z",
        "2026-01-05T22:00:00Z",
        "2026-01-06T04:00:00Z",
    );
    assert_eq!(nights.closes(at("2026-01-05T12:00:00Z")), None);

    // 2026-01-05 is a Monday.
    let sunday = window("Asia/Kolkata", json!(["sun"]), "00:00", "00:00");
    check(
        &sunday,
        "2026-01-05T00:00:00Z",
        "2026-01-10T18:30:00Z",
        "2026-01-11T18:30:00Z",
    );

    let always = Calendar::default();
    assert_eq!(
        always.opens(at("2026-01-05T12:00:00Z")),
        Some(at("2026-01-05T12:00:00Z"))
    );
    assert_eq!(always.closes(at("2026-01-05T12:00:00Z")), None);
    assert_eq!(always.next_cron(at("2026-01-05T12:00:00Z")), None);
}

/// Berlin skips 02:00 to 03:00 on 2026-03-29 and repeats it on 2026-10-25.
#[test]
fn skipped_and_repeated_hours() {
    let berlin = "Europe/Berlin";
    let partly = window(berlin, json!([]), "02:15", "03:30");
    check(
        &partly,
        "2026-03-29T00:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:30:00Z",
    );
    let whole = window(berlin, json!([]), "02:15", "02:45");
    check(
        &whole,
        "2026-03-29T00:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:30:00Z",
    );
    let once = window(berlin, json!([]), "02:15", "02:45");
    check(
        &once,
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:15:00Z",
        "2026-10-25T00:45:00Z",
    );
    // The second pass is over before it begins.
    check(
        &once,
        "2026-10-25T01:15:00Z",
        "2026-10-26T01:15:00Z",
        "2026-10-26T01:45:00Z",
    );

    let daily = read(json!({"time_zone": berlin, "cron": "30 2 * * *"}));
    let next = |time: &str| daily.next_cron(at(time));
    assert_eq!(
        next("2026-03-28T12:00:00Z"),
        Some(at("2026-03-29T01:00:00Z"))
    );
    assert_eq!(
        next("2026-03-29T01:00:00Z"),
        Some(at("2026-03-30T00:30:00Z"))
    );
    assert_eq!(
        next("2026-10-24T12:00:00Z"),
        Some(at("2026-10-25T00:30:00Z"))
    );
    assert_eq!(
        next("2026-10-25T00:30:00Z"),
        Some(at("2026-10-26T01:30:00Z"))
    );
}

#[test]
fn what_is_wrong_is_told_by_field() {
    for (value, field) in [
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"time_zone": ""}), "time_zone"),
        (json!({"cron": "* * * *"}), "cron"),
        (json!({"cron": "0 * * * * *"}), "cron"),
        (json!({"cron": "61 * * * *"}), "cron"),
        (json!({"cron": "0 0 30 2 *"}), "cron"),
        (json!({"cron": "0 ".repeat(200)}), "cron"),
        (
            json!({"windows": [{"from": "24:00", "to": "01:00"}]}),
            "windows[0].from",
        ),
        (
            json!({"windows": [{"from": "1:00", "to": "01:00"}]}),
            "windows[0].from",
        ),
        (
            json!({"windows": [{"from": "01:00", "to": "01:60"}]}),
            "windows[0].to",
        ),
        (
            json!({"windows": [{"from": "01:00", "to": "+1:00"}]}),
            "windows[0].to",
        ),
        (
            json!({"windows": vec![json!({"from": "01:00", "to": "02:00"}); 33]}),
            "windows",
        ),
    ] {
        let calendar: Calendar = serde_json::from_value(value.clone()).expect("a calendar");
        let problems = calendar.validate().expect_err("not valid");
        assert_eq!(problems.len(), 1, "{value}: {problems:?}");
        assert_eq!(problems[0].0, field, "{value}");
    }
    for value in [
        json!({"zone": "UTC"}),
        json!({"windows": [{"from": "01:00"}]}),
        json!({"windows": [{"from": "01:00", "to": "02:00", "on": []}]}),
        json!({"windows": [{"from": "01:00", "to": "02:00", "days": ["monday"]}]}),
    ] {
        assert!(
            serde_json::from_value::<Calendar>(value.clone()).is_err(),
            "{value}"
        );
    }
}

/// Zones with the first of days around a change of their clocks: hours, half hours, a date line.
const CHANGES: [(&str, &str); 8] = [
    ("Europe/Berlin", "2026-03-23T00:00:00Z"),
    ("Europe/Berlin", "2026-10-19T00:00:00Z"),
    ("America/New_York", "2026-03-02T00:00:00Z"),
    ("America/New_York", "2026-10-26T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-01T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-09-29T00:00:00Z"),
    ("Pacific/Apia", "2011-12-25T00:00:00Z"),
    ("Asia/Kathmandu", "2026-01-01T00:00:00Z"),
];

const MINUTES: i64 = 18 * 24 * 60;

/// Each minute of the weeks with what the wall clock shows.
fn minutes(zone: &str, first: &str) -> Vec<(Timestamp, DateTime)> {
    let zone = TimeZone::get(zone).expect("a zone");
    let begin = at(first).as_secs();
    let minute = |n| {
        let moment = Timestamp::from_secs(begin + n * 60);
        (moment, zone.to_datetime(instant(moment).expect("in range")))
    };
    (0..MINUTES).map(minute).collect()
}

/// The index of the first minute that shows `wall` or later, by looking at each.
fn reached(minutes: &[(Timestamp, DateTime)], wall: DateTime) -> usize {
    let found = minutes.iter().position(|(_, shown)| *shown >= wall);
    found.unwrap_or(minutes.len())
}

/// Which minutes are in a window.
fn inside(minutes: &[(Timestamp, DateTime)], window: &Window) -> Vec<bool> {
    let (from, to) = (time_of(&window.from).unwrap(), time_of(&window.to).unwrap());
    let mut out = vec![false; minutes.len()];
    let mut day = minutes[0].1.date();
    let last = minutes[minutes.len() - 1].1.date();
    while day <= last {
        let name = Weekday::of(day);
        if window.days.is_empty() || window.days.contains(&name) {
            let next = day.tomorrow().unwrap();
            let end = if to > from { day } else { next }.to_datetime(to);
            let begin = day.to_datetime(from);
            let (a, mut b) = (reached(minutes, begin), reached(minutes, end));
            if a == b {
                b = a + usize::try_from(end.duration_since(begin).as_mins()).unwrap();
            }
            let b = b.min(minutes.len());
            out[a.min(b)..b].fill(true);
        }
        day = day.tomorrow().unwrap();
    }
    out
}

fn any_window() -> impl Strategy<Value = Window> {
    let day = prop::sample::select(vec![
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
        Weekday::Sat,
        Weekday::Sun,
    ]);
    // Early hours more often: that is where clocks change.
    let hour = || prop_oneof![0u8..4, 0u8..24];
    let days = prop::collection::vec(day, 0..4);
    (days, hour(), 0u8..60, hour(), 0u8..60).prop_map(|(days, h, m, i, n)| Window {
        days,
        from: format!("{h:02}:{m:02}"),
        to: format!("{i:02}:{n:02}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_agree_with_a_walk_by_minutes(
        which in 0..CHANGES.len(),
        windows in prop::collection::vec(any_window(), 1..3),
        starts in prop::collection::vec(2 * 1440..8 * 1440usize, 12),
    ) {
        let (zone, first) = CHANGES[which];
        let minutes = minutes(zone, first);
        let each: Vec<Vec<bool>> = windows.iter().map(|w| inside(&minutes, w)).collect();
        let open = |n: usize| each.iter().any(|window| window[n]);
        let calendar = Calendar { windows, cron: None, time_zone: zone.to_owned() };
        for start in starts {
            let expect = (start..minutes.len()).find(|n| open(*n)).map(|n| minutes[n].0);
            prop_assert_eq!(calendar.opens(minutes[start].0), expect, "{} {}", zone, start);
            prop_assert_eq!(calendar.closes(minutes[start].0).is_some(), open(start));
        }
    }

    #[test]
    fn patterns_agree_with_a_walk_by_minutes(
        which in 0..CHANGES.len(),
        minute in 0u8..60,
        hour in prop_oneof![0u8..4, 0u8..24],
        hourly in any::<bool>(),
        start in 2 * 1440..8 * 1440usize,
    ) {
        let (zone, first) = CHANGES[which];
        let minutes = minutes(zone, first);
        let hours: Vec<u8> = if hourly { (0..24).collect() } else { vec![hour] };
        let mut days: Vec<Date> = minutes.iter().map(|(_, wall)| wall.date()).collect();
        // The skipped day of a date line is a day as well.
        days.extend(days.clone().iter().filter_map(|day| day.tomorrow().ok()));
        days.sort();
        days.dedup();
        let minute_of_day = i8::try_from(minute).unwrap();
        let expect = days.iter().flat_map(|day| {
            hours.iter().map(|h| day.at(i8::try_from(*h).unwrap(), minute_of_day, 0, 0))
        }).filter(|wall| *wall > minutes[0].1).map(|wall| reached(&minutes, wall))
            .filter(|n| *n > start && *n < minutes.len()).min().map(|n| minutes[n].0);
        let hour = if hourly { "*".to_owned() } else { hour.to_string() };
        let calendar = read(json!({"time_zone": zone, "cron": format!("{minute} {hour} * * *")}));
        prop_assert_eq!(calendar.next_cron(minutes[start].0), expect);
    }

    #[test]
    fn what_opens_is_open_and_not_before(
        which in 0..CHANGES.len(),
        windows in prop::collection::vec(any_window(), 1..6),
        micros in 0i64..4_000_000_000_000_000,
    ) {
        let calendar = Calendar { windows, cron: None, time_zone: CHANGES[which].0.to_owned() };
        let time = Timestamp::from_micros(micros);
        let opens = calendar.opens(time).expect("it opens");
        prop_assert!(opens >= time);
        prop_assert_eq!(calendar.opens(opens), Some(opens));
        let closes = calendar.closes(opens).expect("it is open");
        prop_assert!(closes > opens);
        // A day of 25 hours and a date line are the longest.
        prop_assert!(closes.since(opens) <= Duration::from_secs(49 * 3_600));
    }

    #[test]
    fn patterns_move_on(text in "[0-9*/,L# -]{1,20}", micros in any::<i64>()) {
        let calendar = Calendar { cron: Some(text), ..Calendar::default() };
        let time = Timestamp::from_micros(micros);
        if let Some(next) = calendar.next_cron(time) {
            prop_assert!(next > time);
        }
        let _ = calendar.opens(time);
    }
}
