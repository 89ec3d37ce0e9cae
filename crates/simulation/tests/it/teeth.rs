//! The simulation has teeth: engines broken on purpose are caught, each within so many seeds.

use scaivault_simulation::{Options, Variant, live};

/// Seeds a broken engine may live through before one has to catch it.
const SEEDS_MAX: u64 = 20_000;

fn caught(variant: Variant) -> Option<(u64, &'static str)> {
    let options = Options {
        variant: Some(variant),
        ..Options::default()
    };
    (0..SEEDS_MAX).find_map(|seed| {
        let failure = live(seed, &options).failure?;
        Some((seed, failure.promise))
    })
}

#[test]
fn every_broken_engine_is_caught() {
    let mut missed = Vec::new();
    for variant in Variant::ALL {
        match caught(variant) {
            Some((seed, promise)) => println!("{variant:?}: seed {seed} breaks {promise}"),
            None => missed.push(variant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
