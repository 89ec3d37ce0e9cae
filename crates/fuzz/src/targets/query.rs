//! Query strings: no name twice, and what was read, written again, reads the same.

use std::collections::BTreeSet;

use scaivault_server::probes;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "query",
    seeds: || {
        texts(&[
            "limit=5&prefix=a%2Fb&flag=true&x=",
            "tag=a&cursor=&q=%C3%A9+b",
            "a=1;b=2",
        ])
    },
    words: &[
        "&", "=", "%", "%2", "%ff", "%26", "+", "%2B", "%00", "limit",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(pairs) = text(data).and_then(probes::query) else {
        return;
    };
    let names: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), pairs.len(), "a name twice");
    let encoded =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let written = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let written = written.collect::<Vec<_>>().join("&");
    // The name of a part `=…` is empty, which no part is written as but this way.
    assert_eq!(probes::query(&written), Some(pairs));
}
