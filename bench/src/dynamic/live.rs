//! Reads beside many leases that live, and beside none: two servers, in turn.

use std::time::Duration;

use anyhow::Result;
use scaivault_core::ports::Clock;
use scaivault_server::SystemClock;

use super::world::World;
use super::{DynamicArgs, READERS, fill, p99, quantile, seconds};
use crate::latency::Outcome;
use crate::peer::{Rounds, Stretch, stretch};
use crate::ratio::Spread;
use crate::table::Table;

const LIVE: Duration = Duration::from_secs(12 * 3_600);

pub(super) async fn measure(args: &DynamicArgs, world: &World) -> Result<Table> {
    let without = world.product(&args.place).await?;
    let mut with = world.product(&args.place).await?;
    let engine_id = with.engine_id.clone();
    let ends_at = SystemClock.now().plus(LIVE);
    with.meanwhile(async |product| fill::leases(product, &engine_id, args.live, ends_at).await)
        .await?;
    let title = format!(
        "Reads beside {} live leases and beside none, {} rounds of {} s",
        args.live, args.rounds, args.seconds
    );
    let columns = ["", "reads/s", "p50 ms", "p99 ms", "p99 with by without"];
    let mut table = Table::new(title, &columns);
    for rate in [None, Some(args.rate)] {
        let how = Stretch {
            connections: READERS,
            duration: seconds(args),
            rate,
        };
        let (mut few, mut many) = (Rounds::default(), Rounds::default());
        for round in 0..=args.rounds {
            let one = stretch(&without.server, &without.reads(), how).await?;
            let other = stretch(&with.server, &with.reads(), how).await?;
            if round > 0 {
                few.add(one);
                many.add(other);
            }
        }
        let kind = match rate {
            None => "closed loop".to_owned(),
            Some(rate) => format!("{rate} reads/s offered"),
        };
        let ratio = many.by(&few, p99).show(2);
        for (name, rounds, ratio) in [("without", &few, String::new()), ("with", &many, ratio)] {
            let reads = Spread::of(rounds.outcomes.iter().map(Outcome::rate));
            table.row([
                format!("{name}, {kind}"),
                reads.show(0),
                quantile(rounds, 0.5).show(2),
                quantile(rounds, 0.99).show(2),
                ratio,
            ]);
        }
    }
    let memory = |vault: &super::world::Vault| vault.server.memory();
    let (few, many) = (memory(&without)?.resident, memory(&with)?.resident);
    table.row([
        "resident without, with, MiB".to_owned(),
        format!("{few:.0}, {many:.0}"),
        String::new(),
        String::new(),
        String::new(),
    ]);
    Ok(table)
}
