//! Tables of measured figures. Nothing is measured here.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::peer::Kind;
use crate::results::{Comparison, Results, Side, Size};
use crate::table::Table;

#[derive(Args)]
pub(crate) struct TableArgs {
    /// Figures, as `peer --json` and `sizes --json` left them.
    #[arg(long, default_value = "docs/plots/results.json")]
    from: PathBuf,
    /// A document that gets them between its two marks, in the place of older ones; without, they
    /// are printed.
    #[arg(long)]
    into: Option<PathBuf>,
}

/// Lines of a document, with the figures between.
const BEGIN: &str = "<!-- figures: begin; written by scaivault-bench table -->\n";
const END: &str = "<!-- figures: end -->\n";

pub(crate) fn run(args: &TableArgs) -> Result<()> {
    if !args.from.is_file() {
        bail!("{} is not there: measure first", args.from.display());
    }
    let results = Results::load(&args.from)?;
    let mut text = format!("{}\n\n", results.machine);
    text += &compared(&results.peer, &results.comparisons);
    if !results.sizes.is_empty() {
        writeln!(text, "{}", sizes(&results.sizes))?;
    }
    match &args.into {
        None => print!("{text}"),
        Some(file) => {
            let document = fs::read_to_string(file)?;
            let document = between_marks(&document, &text);
            let document = document.with_context(|| format!("{}: no marks", file.display()))?;
            fs::write(file, document)?;
        }
    }
    Ok(())
}

/// A document with this text between its marks.
fn between_marks(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}{END}{after}"))
}

/// The product beside the peer: a table for each way that both were set up, and one of the open
/// loop.
pub(crate) fn compared(peer: &str, all: &[Comparison]) -> String {
    let key = |one: &Comparison| (one.store, one.tls, one.secrets);
    let mut keys: Vec<_> = all.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut text = String::new();
    let mut put = |table: Table| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{table}");
    };
    for key_of_one in keys {
        let of_it: Vec<_> = all.iter().filter(|one| key(one) == key_of_one).collect();
        put(closed(peer, &of_it));
    }
    for one in all.iter().filter(|one| one.offered.is_some()) {
        put(open(peer, one));
    }
    text
}

fn setting(one: &Comparison, peer: &str) -> String {
    let stores = match one.store {
        Kind::Sqlite => format!("embedded store, {peer} on Raft"),
        Kind::Postgresql => format!("PostgreSQL, {peer} likewise"),
    };
    let tls = if one.tls { "TLS" } else { "no TLS" };
    format!(
        "{stores}, {tls}, {} secrets, {} rounds of {} s",
        one.secrets, one.rounds, one.seconds
    )
}

fn closed(peer: &str, all: &[&Comparison]) -> Table {
    let first = all.first().map(|one| setting(one, peer));
    let title = format!("Closed loop: {}", first.unwrap_or_default());
    let columns = [
        "work",
        "connections",
        "product/s",
        "peer/s",
        "ratio",
        "product p50, p99 ms",
        "peer p50, p99 ms",
        "product CPU µs",
        "peer CPU µs",
    ];
    let mut table = Table::new(title, &columns);
    for one in all.iter().filter(|one| one.offered.is_none()) {
        let latency = |side: &Side| format!("{:.2}, {:.2}", side.p50_ms, side.p99_ms);
        table.row([
            one.work.name().to_owned(),
            one.connections.to_string(),
            one.product.rate.show(0),
            one.peer.rate.show(0),
            one.ratio.show(2),
            latency(&one.product),
            latency(&one.peer),
            format!("{:.0}", one.product.cpu_us),
            format!("{:.0}", one.peer.cpu_us),
        ]);
    }
    table
}

fn open(peer: &str, one: &Comparison) -> Table {
    let title = format!(
        "Open loop, {} of {} requests/s offered to each over {} connections: {}",
        one.work.name(),
        one.offered.unwrap_or(f64::NAN),
        one.connections,
        setting(one, peer)
    );
    let columns = ["", "kept/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"];
    let mut table = Table::new(title, &columns);
    for (name, side) in [("product", &one.product), ("peer", &one.peer)] {
        table.row([
            name.to_owned(),
            side.rate.show(0),
            format!("{:.2}", side.p50_ms),
            format!("{:.2}", side.p90_ms),
            format!("{:.2}", side.p99_ms),
            format!("{:.2}", side.p999_ms),
        ]);
    }
    let none = String::new;
    table.row([
        "p99, product by peer".to_owned(),
        none(),
        none(),
        none(),
        one.p99_ratio.show(2),
        none(),
    ]);
    table
}

/// The product's reads by the number of secrets.
pub(crate) fn sizes(sizes: &[Size]) -> Table {
    let title = sizes.first().map(|size| {
        format!(
            "Audited reads by the number of secrets, {}, {} connections",
            size.store.name(),
            size.connections
        )
    });
    let columns = [
        "secrets",
        "reads/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/read",
        "cost of a read, ratio",
        "CPU, ratio",
        "start to ready, ms",
        "resident after the reads",
    ];
    let mut table = Table::new(title.unwrap_or_default(), &columns);
    for size in sizes {
        table.row([
            size.secrets.to_string(),
            size.rate.show(0),
            format!("{:.2}", size.p50_ms),
            format!("{:.2}", size.p99_ms),
            format!("{:.1}", size.cpu_us),
            size.cost.show(2),
            format!("{:.2}", size.cpu_cost),
            size.start_ms.show(0),
            format!("{:.0} MiB", size.resident_mib),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("before\n{BEGIN}old\nfigures\n{END}after\n");
        let new = between_marks(&document, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}after\n"));
        assert_eq!(between_marks("no marks\n", "new\n"), None);
    }
}
