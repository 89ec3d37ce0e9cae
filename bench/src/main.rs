//! `scaivault-bench`: the figures of `docs/performance.md`, each by one command.
//!
//! It measures the real server process over real sockets, and beside it, in turn and in the same
//! run, a process that answers a constant through the same HTTP stack. On a machine that is busy
//! with other things, the ratio of the two says more than either.
//!
//! ```text
//! cargo build --release -p scaivault
//! cargo run --release -p scaivault-bench -- all
//! ```
//!
//! To add one: a file with its arguments and a `run` that makes tables, a line in [`What`], and
//! one in `all.rs`.

mod all;
mod callgrind;
mod chart;
mod constant;
mod constant_time;
mod due;
mod dynamic;
mod engine;
mod figures;
mod flood;
mod latency;
mod load;
mod machine;
mod moved;
mod peer;
mod plot;
mod ratio;
mod read;
mod read_cost;
mod results;
mod rotate;
mod rotate_database;
mod seed;
mod server;
mod sizes;
mod start;
mod table;
mod timer;
mod tls;
mod wire;
mod write;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures ScaiVault; prints Markdown tables")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Audited reads, beside a server that answers a constant.
    Read(read::ReadArgs),
    /// Instructions and allocations of a read, counted by callgrind.
    ReadCost(read_cost::ReadCostArgs),
    /// Durable writes.
    Write(write::WriteArgs),
    /// Start-up time and memory with many secrets.
    Start(start::StartArgs),
    /// Finding and claiming due work among few and many schedules.
    Due(due::DueArgs),
    /// Rotations of generated values, all due at once.
    Rotate(rotate::RotateArgs),
    /// Rotations of a PostgreSQL account, beside the bare statements.
    RotateDatabase(rotate_database::RotateDatabaseArgs),
    /// How soon many consumers hold a new value.
    Moved(moved::MovedArgs),
    /// The same work on the product and on a peer, in turn.
    Peer(peer::PeerArgs),
    /// Credentials on request, beside the bare statements and a peer; their ends; reads meanwhile.
    Dynamic(dynamic::DynamicArgs),
    /// Reads of those with a token, while strangers ask as fast as they can.
    Flood(flood::FloodArgs),
    /// What a read costs among few secrets and among many.
    Sizes(sizes::SizesArgs),
    /// Draws the figures of `peer` and `sizes`.
    Plot(plot::PlotArgs),
    /// Their tables, printed or put into a document.
    Table(figures::TableArgs),
    /// Whether the time of a comparison tells where the first difference is.
    ConstantTime(constant_time::ConstantTimeArgs),
    /// Everything that needs no other program.
    All(all::AllArgs),
    /// The server that answers a constant (`read` starts it).
    #[command(hide = true)]
    Constant(constant::ConstantArgs),
}

fn main() -> Result<()> {
    match Cli::parse().what {
        What::Read(args) => on_one_thread(read::run(args)),
        What::ReadCost(args) => on_one_thread(read_cost::run(args)),
        What::Write(args) => on_one_thread(write::run(args)),
        What::Start(args) => on_one_thread(start::run(args)),
        What::Due(args) => on_one_thread(due::run(args)),
        What::Rotate(args) => on_one_thread(rotate::run(args)),
        What::RotateDatabase(args) => on_one_thread(rotate_database::run(args)),
        What::Moved(args) => on_one_thread(moved::run(args)),
        What::Peer(args) => on_one_thread(peer::run(args)),
        What::Dynamic(args) => on_one_thread(dynamic::run(args)),
        What::Flood(args) => on_one_thread(flood::run(args)),
        What::Sizes(args) => on_one_thread(sizes::run(args)),
        What::Plot(args) => plot::run(&args),
        What::Table(args) => figures::run(&args),
        What::ConstantTime(args) => constant_time::run(&args),
        What::All(args) => on_one_thread(all::run(args)),
        What::Constant(args) => constant::run(args),
    }
}

/// The load generator has one thread: it takes less from the server beside it than several that
/// wake each other would.
fn on_one_thread(benchmark: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(benchmark)
}
