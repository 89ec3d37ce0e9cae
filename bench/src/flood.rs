//! Reads of those who have a token, while strangers ask as fast as they are answered. In turn, on one
//! server: nobody else; strangers; as many others who do have a token and read. What strangers
//! cost the first is bounded by what as many readers would cost them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::latency::Outcome;
use crate::load::{Load, Requests};
use crate::machine;
use crate::ratio::Spread;
use crate::seed;
use crate::server::{Place, Server};
use crate::table::Table;
use crate::wire::{Connection, Endpoint, request};

#[derive(Args)]
pub(crate) struct FloodArgs {
    #[command(flatten)]
    place: Place,
    /// Connections of the flood, each of which asks again as soon as it was answered.
    #[arg(long, default_value_t = 64)]
    strangers: usize,
    /// Reads per second of those whose latency is measured (open loop).
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Their connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Rounds: a stretch of each kind. One more goes before, uncounted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one stretch.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Secrets that are read, and tokens nobody has.
const SECRETS: usize = 1_000;

/// Who asks beside the readers that are measured.
struct Beside {
    name: &'static str,
    /// What they send and are answered; nobody is there without.
    requests: Option<(Arc<Vec<Vec<u8>>>, u16)>,
}

pub(crate) async fn run(args: FloodArgs) -> Result<()> {
    println!("{}\n", machine::describe(&args.place.dir)?);
    println!("{}", measure(&args).await?);
    Ok(())
}

async fn measure(args: &FloodArgs) -> Result<Table> {
    let data = args.place.data()?;
    let server = Server::scaivault(&args.place, data.path())?;
    server.ready().await?;
    seed::secrets(&server, SECRETS).await?;
    let reads = seed::reads(SECRETS, &seed::reader(&server).await?);
    let load = Load {
        to: server.endpoint.clone(),
        requests: Requests::Any(Arc::clone(&reads)),
        connections: args.connections,
        duration: Duration::from_secs_f64(args.seconds),
        rate: Some(args.rate),
    };
    let kinds = kinds(reads);
    let mut stretches: Vec<Vec<(Outcome, f64)>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 0..=args.rounds {
        for (kind, stretches) in kinds.iter().zip(&mut stretches) {
            let flood = Flood::begin(kind, &server.endpoint, args.strangers)?;
            let outcome = load.run().await?;
            let asked = flood.end()?;
            if round > 0 {
                stretches.push((outcome, asked as f64 / (args.seconds * 1.1)));
            }
        }
    }
    let title = format!(
        "{} reads/s of those with a token, beside {} connections of others that ask as fast as they are answered, {} rounds of {} s",
        args.rate, args.strangers, args.rounds, args.seconds
    );
    let columns = [
        "the others",
        "their answers/s",
        "reads/s",
        "p50 ms",
        "p99 ms",
        "p99 by that beside readers",
    ];
    let mut table = Table::new(title, &columns);
    let p99 = |(outcome, _): &(Outcome, f64)| outcome.quantile_ms(0.99);
    let readers = stretches.last().context("there is a kind")?;
    for (kind, own) in kinds.iter().zip(&stretches) {
        let of = |figure: &dyn Fn(&(Outcome, f64)) -> f64| Spread::of(own.iter().map(figure));
        let by = own
            .iter()
            .zip(readers)
            .map(|(own, other)| p99(own) / p99(other));
        table.row([
            kind.name.to_owned(),
            of(&|(_, asked)| *asked).show(0),
            of(&|(outcome, _)| outcome.rate()).show(0),
            of(&|(outcome, _)| outcome.quantile_ms(0.5)).show(2),
            of(&p99).show(2),
            Spread::of(by).show(2),
        ]);
    }
    server.stop()?;
    Ok(table)
}

fn kinds(reads: Arc<Vec<Vec<u8>>>) -> Vec<Beside> {
    let each = |make: &dyn Fn(usize) -> Vec<u8>| Some((0..SECRETS).map(make).collect::<Vec<_>>());
    let refused = |all: Option<Vec<Vec<u8>>>| all.map(|all| (Arc::new(all), 401));
    let wrong = each(&|number| {
        let token = format!("skt_{number:043}");
        request("GET", &seed::path(number), &token, "")
    });
    let none = each(&|number| {
        let path = seed::path(number);
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
    });
    let forged = each(&|number| {
        let token = format!(
            "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.eyJpc3MiOiJodHRwczovL25vYm9keS5leGFtcGxlIn0.{number:0342}"
        );
        request("GET", &seed::path(number), &token, "")
    });
    vec![
        Beside {
            name: "nobody",
            requests: None,
        },
        Beside {
            name: "without a token",
            requests: refused(none),
        },
        Beside {
            name: "with tokens nobody has",
            requests: refused(wrong),
        },
        Beside {
            name: "with JWTs of no issuer that is known",
            requests: refused(forged),
        },
        Beside {
            name: "readers with a token",
            requests: Some((reads, 200)),
        },
    ]
}

/// Others at work, on a thread of their own so that those who are measured wait for the server alone.
struct Flood {
    until: Arc<AtomicBool>,
    /// None where nobody else asks.
    thread: Option<JoinHandle<Result<usize>>>,
}

impl Flood {
    fn begin(kind: &Beside, to: &Endpoint, connections: usize) -> Result<Self> {
        let until = Arc::new(AtomicBool::new(false));
        let Some((requests, status)) = kind.requests.clone() else {
            return Ok(Self {
                until,
                thread: None,
            });
        };
        let (stop, to) = (Arc::clone(&until), to.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(ask(requests, status, to, connections, stop))
        });
        Ok(Self {
            until,
            thread: Some(thread),
        })
    }

    /// How many answers they got.
    fn end(self) -> Result<usize> {
        self.until.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread else {
            return Ok(0);
        };
        let ended = thread.join();
        ended.map_err(|_| anyhow::anyhow!("the flood ended early"))?
    }
}

async fn ask(
    requests: Arc<Vec<Vec<u8>>>,
    status: u16,
    to: Endpoint,
    connections: usize,
    stop: Arc<AtomicBool>,
) -> Result<usize> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..connections {
        let (requests, to, stop) = (Arc::clone(&requests), to.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut connection = Connection::open(&to).await?;
            let mut answers = 0;
            while !stop.load(Ordering::Relaxed) {
                let next = &requests[(number * 31 + answers) % requests.len()];
                let answered = connection.ask(next).await?.status;
                ensure!(answered == status, "answer {answered} instead of {status}");
                answers += 1;
            }
            Ok(answers)
        });
    }
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done??;
    }
    Ok(all)
}
