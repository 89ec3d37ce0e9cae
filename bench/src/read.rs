//! Audited reads: each is authenticated, decided by policy, decrypted, and on the synced audit
//! trail before it is answered. In turn with a server that answers a constant, round by round, so
//! that whatever else the machine does touches both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::latency::Outcome;
use crate::load::{Load, Requests};
use crate::ratio::Spread;
use crate::seed;
use crate::server::{Place, Server};
use crate::table::Table;
use crate::wire::Connection;

#[derive(Args, Clone)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Connections, in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub(crate) connections: Vec<usize>,
    /// Rounds of each: one stretch against each server.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Secrets that are read, by chance.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) secrets: usize,
    /// Compare with this other build of the server instead of the constant.
    #[arg(long)]
    pub(crate) against: Option<PathBuf>,
    /// Open loop: so many requests per second; the latency counts from the intended time.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

pub(crate) async fn run(args: ReadArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &ReadArgs) -> Result<Table> {
    let data = args.place.data()?;
    let (vault, body_bytes) = seeded(&args.place, data.path(), args.secrets).await?;
    let other_data = args.place.data()?;
    let (other, other_name) = match &args.against {
        None => {
            let server = Server::constant(body_bytes)?;
            let requests = Arc::clone(&vault.requests);
            (Subject { server, requests }, "constant")
        }
        Some(binary) => {
            let server = Some(binary.clone());
            let place = Place {
                server,
                ..args.place.clone()
            };
            (
                seeded(&place, other_data.path(), args.secrets).await?.0,
                "other",
            )
        }
    };
    let loop_kind = match args.rate {
        None => "closed loop".to_owned(),
        Some(rate) => format!("open loop at {rate} requests/s"),
    };
    let title = format!(
        "Audited reads, {loop_kind} ({} secrets, {body_bytes}-byte answers, {} rounds of {} s)",
        args.secrets, args.rounds, args.seconds
    );
    let columns = [
        "connections",
        "reads/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/read",
        &format!("{other_name}/s"),
        &format!("{other_name} p99 ms"),
        &format!("{other_name} CPU µs"),
        "ratio",
    ];
    let mut table = Table::new(title, &columns);
    for &connections in &args.connections {
        let stretch = Stretch {
            connections,
            duration: Duration::from_secs_f64(args.seconds),
            rate: args.rate,
        };
        let pairs = Pairs::measure(&vault, &other, &stretch, args.rounds).await?;
        table.row(pairs.row(connections));
    }
    other.server.stop()?;
    vault.server.stop()?;
    Ok(table)
}

/// A server and what it is asked.
struct Subject {
    server: Server,
    requests: Arc<Vec<Vec<u8>>>,
}

/// A server with secrets and a reader, and the length of an answer. Every secret was read once:
/// what is measured is the usual read, not the first one after a start.
async fn seeded(place: &Place, data: &Path, secrets: usize) -> Result<(Subject, usize)> {
    let server = Server::scaivault(place, data)?;
    server.ready().await?;
    seed::secrets(&server, secrets).await?;
    let requests = seed::reads(secrets, &seed::reader(&server).await?);
    let mut connection = Connection::open(&server.endpoint).await?;
    let mut body_bytes = 0;
    for request in requests.iter() {
        body_bytes = connection.ask_well(request).await?.len();
    }
    server.settle().await?;
    Ok((Subject { server, requests }, body_bytes))
}

struct Stretch {
    connections: usize,
    duration: Duration,
    rate: Option<f64>,
}

/// Rounds at one number of connections.
struct Pairs {
    vault: Side,
    other: Side,
    ratio: Spread,
}

struct Side {
    all: Outcome,
    rate: Spread,
    cpu_us: f64,
}

impl Pairs {
    async fn measure(
        vault: &Subject,
        other: &Subject,
        stretch: &Stretch,
        rounds: usize,
    ) -> Result<Self> {
        let (mut reads, mut others) = (Stretches::default(), Stretches::default());
        for _ in 0..rounds {
            others.one_more(other, stretch).await?;
            reads.one_more(vault, stretch).await?;
        }
        let rates = reads.outcomes.iter().zip(&others.outcomes);
        let ratio = Spread::of(rates.map(|(read, other)| read.rate() / other.rate()));
        Ok(Self {
            vault: reads.side(),
            other: others.side(),
            ratio,
        })
    }

    fn row(&self, connections: usize) -> [String; 9] {
        let Self {
            vault,
            other,
            ratio,
        } = self;
        [
            connections.to_string(),
            vault.rate.show(0),
            format!("{:.2}", vault.all.quantile_ms(0.5)),
            format!("{:.2}", vault.all.quantile_ms(0.99)),
            format!("{:.1}", vault.cpu_us),
            other.rate.show(0),
            format!("{:.2}", other.all.quantile_ms(0.99)),
            format!("{:.1}", other.cpu_us),
            ratio.show(2),
        ]
    }
}

#[derive(Default)]
struct Stretches {
    outcomes: Vec<Outcome>,
    /// Of the server, warming up included, and so are the answers it is divided by.
    cpu: Duration,
}

impl Stretches {
    /// Ends when the server rests: what it does later on account of these requests (the audit
    /// index) is in its processor time, and takes none from the stretch of the other one.
    async fn one_more(&mut self, subject: &Subject, stretch: &Stretch) -> Result<()> {
        let server = &subject.server;
        let load = Load {
            to: server.endpoint.clone(),
            requests: Requests::Any(Arc::clone(&subject.requests)),
            connections: stretch.connections,
            duration: stretch.duration,
            rate: stretch.rate,
        };
        let before = server.cpu()?;
        self.outcomes.push(load.run().await?);
        server.settle().await?;
        self.cpu += server.cpu()? - before;
        Ok(())
    }

    fn side(self) -> Side {
        let rate = Spread::of(self.outcomes.iter().map(Outcome::rate));
        let all = Outcome::merge(self.outcomes);
        let answers = all.answers() as f64;
        Side {
            cpu_us: self.cpu.as_secs_f64() * 1e6 / answers,
            all,
            rate,
        }
    }
}
