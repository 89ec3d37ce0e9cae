//! Credentials per second: the bare statements, the product, the peer, in turn, at one server.

use anyhow::Result;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

use super::bare::{Bare, Sent};
use super::world::World;
use super::{DynamicArgs, quantile, seconds};
use crate::latency::Outcome;
use crate::load::Requests;
use crate::peer::{self, Rounds, Stretch, stretch};
use crate::ratio::Spread;
use crate::table::Table;
use crate::wire::{Connection, request};

const CREDS: &str = "/v1/dynamic/engines/shop/creds/reader";

pub(super) async fn measure(args: &DynamicArgs, world: &World) -> Result<Table> {
    let peer_dir = args.place.data()?;
    let vault = world.product(&args.place).await?;
    let (peer, peer_token) = world.peer(peer_dir.path()).await?;
    let one = |request: Vec<u8>| Requests::Any(Arc::new(vec![request]));
    let asked = request("POST", CREDS, &vault.token, "");
    works(world, &vault.server.endpoint, &asked).await?;
    let asked = one(asked);
    let peer_asked = one(request("GET", "/v1/database/creds/reader", &peer_token, ""));
    let mut bare = Bare::open(world.target.port(), args.connections).await?;
    let how = Stretch {
        connections: args.connections,
        duration: seconds(args),
        rate: None,
    };
    let [mut text, mut verifier, mut product, mut others] = [(); 4].map(|()| Rounds::default());
    for round in 0..=args.rounds {
        let none = Duration::ZERO;
        let one = [
            (bare.stretch(Sent::Text, how.duration).await?, none),
            stretch(&vault.server, &asked, how).await?,
            (bare.stretch(Sent::Verifier, how.duration).await?, none),
            stretch(&peer, &peer_asked, how).await?,
        ];
        // The first opens sessions and warms caches.
        if round > 0 {
            let sides = [&mut text, &mut product, &mut verifier, &mut others];
            sides
                .into_iter()
                .zip(one)
                .for_each(|(side, one)| side.add(one));
        }
    }
    let ratio = |other: &Rounds| product.by(other, Outcome::rate).show(2);
    let title = format!(
        "Credentials of PostgreSQL{}, {} at a time, {} rounds of {} s",
        match args.apart {
            true => ", which has a processor to itself",
            false => "",
        },
        args.connections,
        args.rounds,
        args.seconds
    );
    let columns = ["", "per second", "p50 ms", "p99 ms", "product by this"];
    let mut table = Table::new(title, &columns);
    let mut row = |name: &str, rounds: &Rounds, ratio: String| {
        let rate = Spread::of(rounds.outcomes.iter().map(Outcome::rate));
        let (p50, p99) = (quantile(rounds, 0.5), quantile(rounds, 0.99));
        table.row([
            name.to_owned(),
            rate.show(0),
            p50.show(2),
            p99.show(2),
            ratio,
        ]);
    };
    row("product", &product, String::new());
    row("bare CREATE ROLE and GRANT", &text, ratio(&text));
    row(
        "the same, the password's verifier made before",
        &verifier,
        ratio(&verifier),
    );
    row(peer::openbao::NAME, &others, ratio(&others));
    Ok(table)
}

/// What is measured is a credential that is let in.
async fn works(world: &World, to: &crate::wire::Endpoint, asked: &[u8]) -> Result<()> {
    let mut connection = Connection::open(to).await?;
    let made: Value = serde_json::from_slice(connection.ask_well(asked).await?)?;
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(world.target.port());
    config
        .dbname("postgres")
        .user(made["username"].as_str().unwrap_or_default())
        .password(made["password"].as_str().unwrap_or_default());
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.query("SELECT * FROM orders", &[]).await?;
    drop(client);
    let _ = connection.await;
    Ok(())
}
