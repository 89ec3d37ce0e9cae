//! Credentials on request: how many are made in a second beside the bare statements at the same
//! server and beside the peer, what it costs when many leases end at once, and what those that live
//! cost. Also reads of versioned values through Vault's API, beside the peer's.

mod bare;
mod credentials;
mod expiry;
mod fill;
mod kv;
mod live;
mod world;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::latency::Outcome;
use crate::machine;
use crate::peer::Rounds;
use crate::ratio::Spread;
use crate::server::Place;

use world::World;

#[derive(Args)]
pub(crate) struct DynamicArgs {
    #[command(flatten)]
    place: Place,
    /// Parts, in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    part: Vec<Part>,
    /// Rounds: one stretch of each side. One more goes before, uncounted.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Who ask for credentials at a time, on every side.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Leases that end at once.
    #[arg(long, default_value_t = 10_000)]
    ending: usize,
    /// Leases that live while others read.
    #[arg(long, default_value_t = 100_000)]
    live: usize,
    /// The target has the first processor to itself, and everybody else the others, as if it were
    /// another machine.
    #[arg(long)]
    apart: bool,
    /// Reads per second while leases end, and beside those that live.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// Credentials per second.
    Credentials,
    /// Reads of versioned values through Vault's API.
    Kv,
    /// Leases that end at once.
    Expiry,
    /// Leases that live.
    Live,
}

impl Part {
    const ALL: [Self; 4] = [Self::Credentials, Self::Kv, Self::Expiry, Self::Live];
}

/// Secrets that are read.
const SECRETS: usize = 1_000;
/// Connections of reads.
const READERS: usize = 16;

pub(crate) async fn run(args: DynamicArgs) -> Result<()> {
    println!("{}\n", machine::describe(&args.place.dir)?);
    let world = World::start(args.apart).await?;
    for part in &args.part {
        let table = match part {
            Part::Credentials => credentials::measure(&args, &world).await?,
            Part::Kv => kv::measure(&args).await?,
            Part::Expiry => expiry::measure(&args, &world).await?,
            Part::Live => live::measure(&args, &world).await?,
        };
        println!("{table}");
    }
    Ok(())
}

fn seconds(args: &DynamicArgs) -> Duration {
    Duration::from_secs_f64(args.seconds)
}

fn p99(outcome: &Outcome) -> f64 {
    outcome.quantile_ms(0.99)
}

/// Medians of the rounds' quantiles.
fn quantile(rounds: &Rounds, share: f64) -> Spread {
    Spread::of(rounds.outcomes.iter().map(|one| one.quantile_ms(share)))
}
