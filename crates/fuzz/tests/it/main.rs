//! Every target as an ordinary test. `SCAIVAULT_FUZZ_INPUTS` sets how many inputs each makes.

use scaivault_fuzz::{TARGETS, short};

fn check(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("no target {name}"));
    let made = std::env::var("SCAIVAULT_FUZZ_INPUTS");
    let made = made.map_or(2_000, |text| text.parse().expect("a number"));
    // Those that write files take a hundred times as long.
    let slow = ["backup", "export"].contains(&name);
    short::run(target, if slow { made / 20 } else { made });
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    acl addresses audit backup bodies calendar certificate config cursors durations export glob headers issuers
    jwks jwt key_file names path patterns pem policy query replies sealed settings templates times
    url
}

#[test]
fn every_target_is_here() {
    let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(known, NAMES);
}
