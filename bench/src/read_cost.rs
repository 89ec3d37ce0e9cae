//! What one audited read costs in instructions and allocations, and whether that is still within
//! `read-budget.toml`.
//!
//! One connection reads again and again, so every read is a commit of its own: what the thread
//! that serves requests does for a read and what the store's writer does for a commit are both
//! counted in full, and the same each time. (Under load many reads share a commit.)

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::callgrind::{Count, Counted};
use crate::seed;
use crate::server::Place;
use crate::table::Table;
use crate::wire::Connection;

#[derive(Args, Clone)]
pub(crate) struct ReadCostArgs {
    #[command(flatten)]
    place: Place,
    /// Reads that are counted.
    #[arg(long, default_value_t = 500)]
    count: usize,
    /// Secrets that are read, in turn.
    #[arg(long, default_value_t = 50)]
    secrets: usize,
    /// Fail when a figure is above this file's.
    #[arg(long)]
    check: Option<PathBuf>,
    /// Keep the profiles in this directory, for `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// A read's cost, by where it arises.
struct Cost {
    /// All threads but the writer.
    serving: PerRead,
    /// The store's writer.
    writing: PerRead,
}

#[derive(Clone, Copy)]
struct PerRead {
    instructions: f64,
    allocations: f64,
}

impl PerRead {
    fn of(count: Count, reads: usize) -> Self {
        Self {
            instructions: count.instructions as f64 / reads as f64,
            allocations: count.allocations as f64 / reads as f64,
        }
    }
}

pub(crate) async fn run(args: ReadCostArgs) -> Result<()> {
    let cost = measure(&args).await?;
    let title = format!("Cost of an audited read ({} reads in turn)", args.count);
    let mut table = Table::new(title, &["", "instructions", "allocations"]);
    for (name, part) in [
        ("serving the request", cost.serving),
        ("committing it alone", cost.writing),
    ] {
        table.row([
            name.to_owned(),
            format!("{:.0}", part.instructions),
            format!("{:.2}", part.allocations),
        ]);
    }
    println!("{table}");
    match &args.check {
        Some(file) => check(&cost, file),
        None => Ok(()),
    }
}

async fn measure(args: &ReadCostArgs) -> Result<Cost> {
    let data = args.place.data()?;
    let profiles = args.place.data()?;
    let directory = match &args.keep {
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            directory.as_path()
        }
        None => profiles.path(),
    };
    let mut counted = Counted::start(&args.place, data.path(), directory)?;
    counted.server.ready().await?;
    seed::secrets(&counted.server, args.secrets).await?;
    let requests = seed::reads(args.secrets, &seed::reader(&counted.server).await?);
    let mut connection = Connection::open(&counted.server.endpoint).await?;
    // Everything is in the caches, and buffers have grown.
    for request in requests.iter().cycle().take(2 * args.secrets + 100) {
        connection.ask_well(request).await?;
    }
    counted.zero()?;
    for request in requests.iter().cycle().take(args.count) {
        connection.ask_well(request).await?;
    }
    let threads = counted.look()?;
    counted.server.stop()?;
    // The one that executes statements; all else is answered from caches.
    let writer = (0..threads.len()).max_by_key(|number| threads[*number].steps);
    let writer = writer.context("no thread did anything")?;
    if threads[writer].steps < args.count as u64 {
        bail!(
            "no thread is seen to write {} rows: are names stripped?",
            args.count
        );
    }
    let mut serving = Count::default();
    for (number, thread) in threads.iter().enumerate() {
        if number != writer {
            serving += *thread;
        }
    }
    let cost = Cost {
        serving: PerRead::of(serving, args.count),
        writing: PerRead::of(threads[writer], args.count),
    };
    if cost.serving.allocations < 1.0 {
        bail!("no allocation is seen: the program does not use the C library's");
    }
    Ok(cost)
}

/// What is allowed, for one build on one kind of machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// `rustc --version`: other versions make other instructions.
    compiler: String,
    /// Of instructions, in per cent.
    margin: f64,
    /// The same where another compiler built it.
    margin_elsewhere: f64,
    serving: Allowed,
    writing: Allowed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    instructions: f64,
    allocations: f64,
}

fn check(cost: &Cost, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let budget: Budget = toml::from_str(&text)?;
    let said = Command::new("rustc").arg("--version").output();
    let compiler = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    let margin = match compiler {
        Ok(compiler) if compiler == budget.compiler => budget.margin,
        _ => budget.margin_elsewhere,
    };
    let mut over = Vec::new();
    let parts = [
        ("serving", cost.serving, &budget.serving),
        ("writing", cost.writing, &budget.writing),
    ];
    for (name, found, allowed) in parts {
        let most = allowed.instructions * (1.0 + margin / 100.0);
        if found.instructions > most {
            over.push(format!(
                "{name}: {:.0} instructions, the budget is {:.0} and {margin} %",
                found.instructions, allowed.instructions
            ));
        }
        // Half an allocation for what is not done at every read.
        if found.allocations > allowed.allocations + 0.5 {
            over.push(format!(
                "{name}: {:.2} allocations, the budget is {:.2}",
                found.allocations, allowed.allocations
            ));
        }
    }
    if over.is_empty() {
        println!("Within the budget of {}.", file.display());
        return Ok(());
    }
    bail!(
        "a read costs more than {} allows:\n  {}\nIf that is worth it, say why in \
         docs/performance.md and put the figures above into the file. To see where it comes from, \
         measure again with '--keep DIR' before and after the change and compare what \
         'callgrind_annotate --inclusive=yes DIR/counts.1-*' says.",
        file.display(),
        over.join("\n  ")
    )
}
