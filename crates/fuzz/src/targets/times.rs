//! Times on the wire: what was read prints and reads back as the same moment.

use scaivault_core::time::{Rfc3339, Timestamp};

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "times",
    seeds: || {
        texts(&[
            "2026-04-23T14:00:00Z",
            "2026-04-23T14:00:00.123456Z",
            "2026-04-23T14:00:00.999999999+02:00",
            "-009999-01-02T01:59:59Z",
            "9999-12-30T22:00:00Z",
        ])
    },
    words: &[
        "Z", "T", "+00:00", "-23:59", "[UTC]", ".", ":60", "9999", "-009999", "24:00",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(at) = Timestamp::parse_rfc3339(text) else {
        return;
    };
    let printed = at.to_rfc3339_micros();
    assert_eq!(
        Timestamp::parse_rfc3339(&printed),
        Some(at),
        "{text} {printed}"
    );
    let whole = at.to_rfc3339();
    assert_eq!(Rfc3339::of(at).as_str(), whole);
    let cut = Timestamp::parse_rfc3339(&whole).expect("what was printed reads");
    assert!(
        (at.as_micros() - cut.as_micros()).abs() < 1_000_000,
        "{text} {whole}"
    );
}
