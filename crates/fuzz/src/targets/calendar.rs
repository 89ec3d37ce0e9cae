//! Windows and cron patterns: the next moment is later than the one asked from, and lies in them.

use scaivault_core::rotation::Calendar;
use scaivault_core::time::Timestamp;

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "calendar",
    seeds: || {
        texts(&[
            r#"{"cron":"0 3 * * sun","time_zone":"Europe/Berlin"}"#,
            r#"{"cron":"*/15 9-17 1,15 */2 mon-fri"}"#,
            r#"{"cron":"30 2 29 2 *","time_zone":"America/New_York"}"#,
            r#"{"windows":[{"days":["sat","sun"],"from":"22:00","to":"04:00"}],"time_zone":"Pacific/Apia"}"#,
            r#"{"windows":[{"from":"00:00","to":"00:00"},{"days":["wed"],"from":"02:15","to":"02:45"}],"time_zone":"Australia/Lord_Howe"}"#,
        ])
    },
    words: &[
        "* * * * *",
        "L",
        "W",
        "#2",
        "1-5",
        "*/7",
        "mon",
        "feb",
        "31",
        "30 2",
        "@daily",
        "?",
        "2-1",
        "60",
        "0-59/1",
        "Europe/Berlin",
        "Antarctica/Troll",
        "Asia/Kathmandu",
        "23:59",
        "\"mon\"",
        "29 2",
        "LW",
        "15W",
        "mon#5",
        "7",
        ",",
    ],
    run,
};

fn run(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Calendar>(data) else {
        return;
    };
    let Ok(calendar) = read.validate() else {
        return;
    };
    let printed = serde_json::to_vec(&calendar).expect("it prints");
    let again: Calendar = serde_json::from_slice(&printed).expect("what was printed reads");
    assert_eq!(again, calendar);
    // Around both changes of the clocks, and in between.
    for text in [
        "2026-03-29T00:59:59Z",
        "2026-10-25T00:30:00Z",
        "2027-06-01T12:00:00.5Z",
    ] {
        let at = Timestamp::parse_rfc3339(text).expect("a time");
        let opens = calendar
            .opens(at)
            .expect("a window comes again within a week");
        assert!(opens >= at);
        assert_eq!(calendar.opens(opens), Some(opens), "open when it opens");
        if !calendar.windows.is_empty() {
            let closes = calendar.closes(opens).expect("it is open then");
            assert!(closes > opens);
        }
        match calendar.next_cron(at) {
            Some(next) => assert!(next > at, "{next} after {at}"),
            None => assert!(
                calendar.cron.is_none(),
                "a pattern that comes about, comes about"
            ),
        }
    }
}
