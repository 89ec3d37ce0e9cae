//! Many leases that end at one moment: how long until the last account is gone, and what reads
//! notice of it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use scaivault_core::ports::Clock;
use scaivault_server::SystemClock;

use super::world::World;
use super::{DynamicArgs, READERS, fill, p99};
use crate::latency::Outcome;
use crate::load::Load;
use crate::ratio::Spread;
use crate::table::Table;

/// From filling the store to their end: what is measured before comes from the last part of it.
const UNTIL: Duration = Duration::from_secs(15);
/// How many more are filled in a second of it.
const FILLED: usize = 2_000;
/// Uncounted after the start.
const WARM: Duration = Duration::from_secs(2);
/// One stretch of reads.
const STRETCH: Duration = Duration::from_millis(500);
/// It takes no longer, or something is wrong.
const GIVEN_UP: Duration = Duration::from_secs(300);

pub(super) async fn measure(args: &DynamicArgs, world: &World) -> Result<Table> {
    let mut vault = world.product(&args.place).await?;
    let left_before = world.accounts("filled_")?;
    ensure!(
        left_before == 0,
        "{left_before} accounts of before are there"
    );
    world.target.sql(&format!(
        "SET SESSION AUTHORIZATION product;
         DO $$ BEGIN FOR n IN 0..{} LOOP
           EXECUTE format('CREATE ROLE %I LOGIN', 'filled_reader_' || lpad(n::text, 6, '0'));
           EXECUTE format('GRANT app TO %I', 'filled_reader_' || lpad(n::text, 6, '0'));
         END LOOP; END $$",
        args.ending.saturating_sub(1)
    ));
    ensure!(
        world.accounts(&fill::account(0)[..7])? == args.ending,
        "accounts are missing"
    );
    let engine_id = vault.engine_id.clone();
    let until = UNTIL + Duration::from_secs((args.ending / FILLED) as u64);
    let ends = Instant::now() + until;
    let ends_at = SystemClock.now().plus(until);
    vault
        .meanwhile(async |product| fill::leases(product, &engine_id, args.ending, ends_at).await)
        .await?;
    let reads = Load {
        to: vault.server.endpoint.clone(),
        requests: vault.reads(),
        connections: READERS,
        duration: WARM,
        rate: Some(args.rate),
    };
    reads.run().await?;
    let reads = Load {
        duration: STRETCH,
        ..reads
    };
    let (mut before, mut during) = (Vec::new(), Vec::new());
    let mut left = args.ending;
    let took = loop {
        let begin = Instant::now();
        let outcome = reads.run().await?;
        if Instant::now() < ends {
            before.push(outcome);
            continue;
        }
        left = world.accounts("filled_")?.min(left);
        if begin >= ends && left > 0 {
            during.push(outcome);
        }
        if left == 0 {
            break ends.elapsed();
        }
        ensure!(ends.elapsed() < GIVEN_UP, "{left} accounts are still there");
    };
    ensure!(
        !before.is_empty() && !during.is_empty(),
        "it took too long to begin, or there were too few leases to see anything"
    );
    let title = format!(
        "{} leases that end at once, {} reads/s all the while",
        args.ending, args.rate
    );
    let mut table = Table::new(title, &["", "figure"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row(
        "until the last account is gone, s",
        format!("{:.1}", took.as_secs_f64()),
    );
    row(
        "accounts removed per second",
        format!("{:.0}", args.ending as f64 / took.as_secs_f64()),
    );
    let stretches = |all: &[Outcome]| Spread::of(all.iter().map(p99)).show(2);
    row(
        "p99 of reads before, ms (each half second)",
        stretches(&before),
    );
    row(
        "p99 of reads meanwhile, ms (each half second)",
        stretches(&during),
    );
    let (before, during) = (Outcome::merge(before), Outcome::merge(during));
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        let (b, d) = (before.quantile_ms(share), during.quantile_ms(share));
        row(
            &format!("{name} of all reads before, meanwhile, ms; ratio"),
            format!("{b:.2}, {d:.2}; {:.2}", d / b),
        );
    }
    Ok(table)
}
