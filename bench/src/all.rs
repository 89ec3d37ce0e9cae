//! Everything, as it stands in `docs/performance.md`.

use anyhow::Result;
use clap::Args;

use crate::server::Place;
use crate::{due, machine, read, start, write};

#[derive(Args)]
pub(crate) struct AllArgs {
    #[command(flatten)]
    place: Place,
    /// Rounds of reads at each number of connections.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Requests per second of the open loop, at 64 connections.
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
}

pub(crate) async fn run(args: AllArgs) -> Result<()> {
    println!("`cargo run --release -p scaivault-bench -- all`\n");
    println!("{}\n", machine::describe(&args.place.dir)?);
    let reads = read::ReadArgs {
        place: args.place.clone(),
        connections: vec![1, 16, 64, 256],
        rounds: args.rounds,
        seconds: args.seconds,
        secrets: 1_000,
        rate: None,
        against: None,
    };
    println!("{}", read::measure(&reads).await?);
    let paced = read::ReadArgs {
        connections: vec![64],
        rate: Some(args.rate),
        ..reads
    };
    println!("{}", read::measure(&paced).await?);
    let writes = write::WriteArgs {
        place: args.place.clone(),
        connections: vec![16, 64, 256],
        rounds: args.rounds.div_ceil(2),
        seconds: args.seconds,
        secrets: 16,
    };
    println!("{}", write::measure(&writes).await?);
    let starts = start::StartArgs {
        place: args.place.clone(),
        secrets: 100_000,
        rounds: 5,
        reads: 30_000,
    };
    println!("{}", start::measure(&starts).await?);
    let schedules = due::DueArgs {
        dir: args.place.dir,
        few: 10_000,
        many: 1_000_000,
        rounds: 30,
    };
    println!("{}", due::measure(&schedules).await?);
    Ok(())
}
