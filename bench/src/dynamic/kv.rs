//! Reads of versioned values in the words of Vault's API, of the product and of the peer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{DynamicArgs, SECRETS, quantile, seconds};
use crate::latency::Outcome;
use crate::load::Requests;
use crate::peer::{self, Kind, Product, Rounds, Stretch, Subject, Work, stretch};
use crate::ratio::Spread;
use crate::seed;
use crate::table::Table;
use crate::wire::{Connection, request};

/// In turn.
const CONNECTIONS: [usize; 2] = [16, 64];

pub(super) async fn measure(args: &DynamicArgs) -> Result<Table> {
    let (dir, peer_dir) = (args.place.data()?, args.place.data()?);
    let product = Product::init(&args.place, dir.path(), Kind::Sqlite, None)?;
    let file = super::world::file_of(&product)?;
    let secrets = (0..SECRETS).map(|number| (below(number), number));
    peer::direct::fill(file, product.key_file(), secrets).await?;
    let server = product.start().await?;
    let rules = json!([{ "path_pattern": "secret/**", "permissions": ["read"] }]);
    let scopes = ["secrets:read".to_owned()];
    let token = seed::caller(&server, &product.root_token, rules, &scopes).await?;
    let reads = |number: usize| {
        let path = format!("/v1/secret/data/{}", seed::name(number));
        request("GET", &path, &token, "")
    };
    let all: Vec<Vec<u8>> = (0..SECRETS).map(reads).collect();
    let mut connection = Connection::open(&server.endpoint).await?;
    let first: Value = serde_json::from_slice(connection.ask_well(&all[0]).await?)?;
    ensure!(
        first["data"]["data"] == seed::data(0),
        "another value: {first}"
    );
    let asked = Requests::Any(Arc::new(all));
    let mut other = Subject::openbao(peer_dir.path(), Kind::Sqlite, None).await?;
    other.fill(SECRETS).await?;
    other.warm().await?;
    let title = format!(
        "Reads of versioned values through Vault's API, {SECRETS} secrets, {} rounds of {} s",
        args.rounds, args.seconds
    );
    let columns = [
        "connections",
        "product/s",
        "peer/s",
        "ratio",
        "product p50, p99 ms",
        "peer p50, p99 ms",
    ];
    let mut table = Table::new(title, &columns);
    for connections in CONNECTIONS {
        let how = Stretch {
            connections,
            duration: seconds(args),
            rate: None,
        };
        let peer_asked = other.requests(Work::Read, connections);
        let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
        for round in 0..=args.rounds {
            let one = stretch(&server, &asked, how).await?;
            let peer = other.stretch(&peer_asked, how).await?;
            if round > 0 {
                ours.add(one);
                theirs.add(peer);
            }
        }
        let rate = |side: &Rounds| Spread::of(side.outcomes.iter().map(Outcome::rate)).show(0);
        let both = |side: &Rounds| {
            format!(
                "{:.2}, {:.2}",
                quantile(side, 0.5).median,
                quantile(side, 0.99).median
            )
        };
        table.row([
            connections.to_string(),
            rate(&ours),
            rate(&theirs),
            ours.by(&theirs, Outcome::rate).show(2),
            both(&ours),
            both(&theirs),
        ]);
    }
    Ok(table)
}

/// Where the mount `secret/` has it.
fn below(number: usize) -> String {
    format!("secret/{}", seed::name(number))
}
