//! Durations as people write them: the text is kept, and means the sum of its parts.

use scaivault_core::time::{SPAN_MAX, Span};

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "durations",
    seeds: || texts(&["90d", "48h", "1h30m", "2w3d4h5m6s", "10min", "36500d"]),
    words: &[
        "s",
        "m",
        "min",
        "h",
        "d",
        "w",
        "0",
        "18446744073709551615",
        "9",
        "ms",
        "y",
        " ",
        "+",
        "-",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(span) = Span::parse(text) else { return };
    assert_eq!(span.as_str(), text);
    assert_eq!(Some(u128::from(span.as_secs())), naive(text), "{text}");
    assert!(span.as_secs() >= 1 && span.duration() <= SPAN_MAX);
    assert_eq!(Span::parse(span.as_str()).ok().as_ref(), Some(&span));
    let written = serde_json::to_string(&span).expect("a text");
    assert_eq!(serde_json::from_str::<Span>(&written).ok(), Some(span));
}

fn naive(text: &str) -> Option<u128> {
    let mut total = 0u128;
    let (mut number, mut unit) = (String::new(), String::new());
    let mut parts = Vec::new();
    for c in text.chars() {
        if c.is_ascii_digit() && !unit.is_empty() {
            parts.push((std::mem::take(&mut number), std::mem::take(&mut unit)));
        }
        match c.is_ascii_digit() {
            true => number.push(c),
            false => unit.push(c),
        }
    }
    parts.push((number, unit));
    for (number, unit) in parts {
        let factor = match unit.as_str() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u128>().ok()?.checked_mul(factor)?)?;
    }
    Some(total)
}
