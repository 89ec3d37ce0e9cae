//! Lives by the thousand. `SCAIVAULT_SIM_SEEDS` says how many, `SCAIVAULT_SIM_FROM` where they
//! begin.

use scaivault_simulation::{Options, live, minimised};

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_happens_the_promises_hold() {
    let seeds = number("SCAIVAULT_SIM_SEEDS", 20_000);
    let from = number("SCAIVAULT_SIM_FROM", 0);
    let mut rotations = 0;
    for seed in from..from + seeds {
        let lived = live(seed, &Options::default());
        rotations += lived.rotations;
        if let Some(failure) = lived.failure {
            let least = minimised(seed, &Options::default());
            panic!(
                "seed {seed} breaks {}: {}\nwith the fewest faults: {:?}\n{}\nagain: \
                 SCAIVAULT_SIM_SEEDS=1 SCAIVAULT_SIM_FROM={seed} cargo test -p \
                 scaivault-simulation whatever_happens",
                failure.promise,
                failure.seen,
                least.failure,
                least.trace.join("\n  "),
            );
        }
    }
    assert!(rotations > 0 || seeds == 0, "no rotation was begun");
}

#[test]
fn a_seed_fixes_the_life() {
    for seed in [3, 77, 1_024] {
        let options = Options {
            trace: true,
            ..Options::default()
        };
        let (one, two) = (live(seed, &options), live(seed, &options));
        assert_eq!(one.trace, two.trace);
        assert_eq!(one.faults, two.faults);
        assert!(one.trace.len() > 10);
    }
}
