//! Start-up and memory of a server with many secrets. They are written through the API by one
//! server; others then start on its files, from the process's start to the first 200 of
//! `/v1/health/ready`. The files are in the page cache by then.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::load::{Load, Requests};
use crate::ratio::Spread;
use crate::seed;
use crate::server::{Place, Server};
use crate::table::Table;

#[derive(Args, Clone)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Secrets in the store.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) secrets: usize,
    /// Starts.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Reads, by chance among all secrets, before memory is looked at again.
    #[arg(long, default_value_t = 30_000)]
    pub(crate) reads: usize,
}

const CONNECTIONS: usize = 64;

pub(crate) async fn run(args: StartArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &StartArgs) -> Result<Table> {
    let data = args.place.data()?;
    let first = Server::scaivault(&args.place, data.path())?;
    first.ready().await?;
    seed::secrets(&first, args.secrets).await?;
    let token = seed::reader(&first).await?;
    let after_seeding = first.memory()?;
    first.stop()?;
    let mut times_ms = Vec::with_capacity(args.rounds);
    let mut at_start = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        let server = Server::scaivault(&args.place, data.path())?;
        times_ms.push(server.ready().await?.as_secs_f64() * 1_000.0);
        at_start.push(server.memory()?.resident);
        server.stop()?;
    }
    let server = Server::scaivault(&args.place, data.path())?;
    server.ready().await?;
    let reads = read(&server, args, &token).await?;
    let after_reads = server.memory()?;
    server.stop()?;

    let mib = |mib: f64| format!("{mib:.0} MiB");
    let title = format!("Start-up and memory with {} secrets", args.secrets);
    let mut table = Table::new(title, &["", "figure"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("start to ready, ms", Spread::of(times_ms).show(0));
    row("resident when ready, MiB", Spread::of(at_start).show(0));
    row(
        &format!("resident after {reads} reads"),
        mib(after_reads.resident),
    );
    row("peak until then", mib(after_reads.peak));
    row(
        "resident after writing them all",
        mib(after_seeding.resident),
    );
    row("peak while writing them", mib(after_seeding.peak));
    Ok(table)
}

/// Reads for as long as it takes to reach the number.
async fn read(server: &Server, args: &StartArgs, token: &str) -> Result<usize> {
    let requests = Requests::Any(seed::reads(args.secrets, token));
    let mut done = 0;
    while done < args.reads {
        let load = Load {
            to: server.endpoint.clone(),
            requests: requests.clone(),
            connections: CONNECTIONS,
            duration: Duration::from_millis(250),
            rate: None,
        };
        done += load.run().await?.count();
    }
    Ok(done)
}
