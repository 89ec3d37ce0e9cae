//! Durable writes: each is one more version of a secret, with its audit row and its event, synced
//! before it is answered. Every connection writes its own secrets, so nobody loses a race.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::latency::Outcome;
use crate::load::{Load, Requests};
use crate::ratio::Spread;
use crate::seed;
use crate::server::{Place, ROOT_TOKEN, Server};
use crate::table::Table;
use crate::wire::request;

#[derive(Args, Clone)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Connections, in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64, 256])]
    pub(crate) connections: Vec<usize>,
    /// Stretches of each.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Secrets of one connection.
    #[arg(long, default_value_t = 16)]
    pub(crate) secrets: usize,
}

pub(crate) async fn run(args: WriteArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &WriteArgs) -> Result<Table> {
    let data = args.place.data()?;
    let vault = Server::scaivault(&args.place, data.path())?;
    vault.ready().await?;
    let title = format!(
        "Durable writes ({} rounds of {} s)",
        args.rounds, args.seconds
    );
    let columns = [
        "connections",
        "writes/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/write",
    ];
    let mut table = Table::new(title, &columns);
    for &connections in &args.connections {
        let put = |number| request("PUT", &seed::path(number), ROOT_TOKEN, &seed::body(number));
        let load = Load {
            to: vault.endpoint.clone(),
            requests: Requests::Own(Arc::new((0..connections * args.secrets).map(put).collect())),
            connections,
            duration: Duration::from_secs_f64(args.seconds),
            rate: None,
        };
        let before = vault.cpu()?;
        let mut outcomes = Vec::with_capacity(args.rounds);
        for _ in 0..args.rounds {
            outcomes.push(load.run().await?);
        }
        let cpu = vault.cpu()? - before;
        let rate = Spread::of(outcomes.iter().map(Outcome::rate));
        let all = Outcome::merge(outcomes);
        table.row([
            connections.to_string(),
            rate.show(0),
            format!("{:.2}", all.quantile_ms(0.5)),
            format!("{:.2}", all.quantile_ms(0.99)),
            format!("{:.0}", cpu.as_secs_f64() * 1e6 / (all.answers() as f64)),
        ]);
    }
    vault.stop()?;
    Ok(table)
}
