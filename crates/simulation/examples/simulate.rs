//! Lives any number of seeds: `cargo run -p scaivault-simulation --example simulate -- 100000 0`.

use std::time::Instant;

use scaivault_simulation::{Options, live, minimised};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let count = numbers.next().and_then(Result::ok).unwrap_or(100_000);
    let from = numbers.next().and_then(Result::ok).unwrap_or(0);
    let began = Instant::now();
    let (mut rotations, mut failed) = (0, 0);
    for seed in from..from + count {
        let lived = live(seed, &Options::default());
        rotations += lived.rotations;
        if lived.failure.is_some() {
            failed += 1;
            let least = minimised(seed, &Options::default());
            println!("seed {seed}: {:?}", lived.failure);
            for line in least
                .trace
                .iter()
                .filter(|line| failed <= 1 && !line.contains(" got v"))
            {
                println!("  {line}");
            }
            println!("  faults: {:?}\n  {:?}", least.faults, least.failure);
            if failed >= 6 {
                break;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_second = f64::from(u32::try_from(rotations).unwrap_or(u32::MAX)) / seconds;
    println!("{count} seeds, {rotations} rotations, {per_second:.0} rotations per second");
}
