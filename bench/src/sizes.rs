//! What a read costs among few secrets and among many: the product alone, one server for each
//! number of secrets, stretch by stretch in turn. Also how soon each is ready when it starts again,
//! and the memory it has after the reads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::figures;
use crate::latency::Outcome;
use crate::machine;
use crate::peer::{Kind, Rounds, Stretch, Subject, Work};
use crate::ratio::Spread;
use crate::results::{Results, Size};
use crate::server::Place;

#[derive(Args)]
pub(crate) struct SizesArgs {
    #[command(flatten)]
    place: Place,
    /// Where the data is kept.
    #[arg(long, value_enum, default_value_t = Kind::Sqlite)]
    store: Kind,
    /// Secrets, a server for each; others are compared with the first.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    secrets: Vec<usize>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Rounds: one stretch of each server.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Starts of each.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Takes the figures into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One server.
struct Sized {
    subject: Subject,
    secrets: usize,
    starts: Vec<f64>,
    rounds: Rounds,
    _dir: tempfile::TempDir,
}

pub(crate) async fn run(args: SizesArgs) -> Result<()> {
    let machine = machine::describe(&args.place.dir)?;
    println!("{machine}\n");
    let mut all = Vec::with_capacity(args.secrets.len());
    for &secrets in &args.secrets {
        all.push(filled(&args, secrets).await?);
    }
    let stretch = Stretch {
        connections: args.connections,
        duration: Duration::from_secs_f64(args.seconds),
        rate: None,
    };
    for _ in 0..args.rounds {
        for one in &mut all {
            let requests = one.subject.requests(Work::Read, args.connections);
            one.rounds
                .add(one.subject.stretch(&requests, stretch).await?);
        }
    }
    let sizes = measured(&args, all)?;
    println!("\n{}", figures::sizes(&sizes));
    if let Some(file) = &args.json {
        let mut results = Results::load(file)?;
        results.machine = machine;
        for size in sizes {
            results.sized(size);
        }
        results.save(file)?;
    }
    Ok(())
}

async fn filled(args: &SizesArgs, secrets: usize) -> Result<Sized> {
    let dir = args.place.data()?;
    let mut subject = Subject::product(&args.place, dir.path(), args.store, None).await?;
    let begin = Instant::now();
    subject.fill(secrets).await?;
    println!("{secrets} secrets stored in {:.0?}", begin.elapsed());
    let mut starts = Vec::with_capacity(args.starts);
    for _ in 0..args.starts {
        starts.push(subject.restart().await?.as_secs_f64() * 1_000.0);
    }
    subject.warm().await?;
    Ok(Sized {
        subject,
        secrets,
        starts,
        rounds: Rounds::default(),
        _dir: dir,
    })
}

/// Each beside the first.
fn measured(
    &SizesArgs {
        store, connections, ..
    }: &SizesArgs,
    all: Vec<Sized>,
) -> Result<Vec<Size>> {
    // The time of a read is what its rate leaves: more reads a second are cheaper reads.
    let time = |outcome: &Outcome| 1.0 / outcome.rate();
    let Some(first) = all.first() else {
        return Ok(Vec::new());
    };
    let costs: Vec<Spread> = all
        .iter()
        .map(|one| one.rounds.by(&first.rounds, time))
        .collect();
    let mut sizes = Vec::with_capacity(all.len());
    let mut first_cpu = None;
    for (one, cost) in all.into_iter().zip(costs) {
        let resident_mib = one.subject.server.memory()?.resident;
        let side = one.rounds.side();
        let least = *first_cpu.get_or_insert(side.cpu_us);
        sizes.push(Size {
            store,
            connections,
            secrets: one.secrets,
            rate: side.rate,
            p50_ms: side.p50_ms,
            p99_ms: side.p99_ms,
            cpu_us: side.cpu_us,
            cost,
            cpu_cost: side.cpu_us / least,
            start_ms: Spread::of(one.starts),
            resident_mib,
        });
    }
    Ok(sizes)
}
