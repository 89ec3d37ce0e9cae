//! From asking for a rotation to the last of many consumers holding the new value. Each consumer
//! has an identity, a token and a subscription of its own, waits for `secret.rotated` by long poll,
//! and then reads the secret: audited, decided by a policy, over its own connection. The time
//! begins when the request for the rotation is sent, so that it holds making the value, sealing it
//! and making it current, each synced.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ratio::Spread;
use crate::server::{Place, ROOT_TOKEN, Server};
use crate::table::Table;
use crate::wire::{Connection, request};

#[derive(Args, Clone)]
pub(crate) struct MovedArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Consumers.
    #[arg(long, default_value_t = 50)]
    pub(crate) consumers: usize,
    /// Rotations.
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: usize,
}

const SECRET: &str = "/v1/secrets/bench/moved";
const MOVED_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: MovedArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &MovedArgs) -> Result<Table> {
    let data = args.place.data()?;
    let server = Server::scaivault(&args.place, data.path())?;
    server.ready().await?;
    let mut root = Connection::open(&server.endpoint).await?;
    ask(
        &mut root,
        "PUT",
        SECRET,
        ROOT_TOKEN,
        &json!({"data": {"value": "first"}}),
    )
    .await?;
    let policy =
        json!({"name": "bench", "interval": "90d", "grace_period": "1s", "auto_generate": true});
    let policy = ask(
        &mut root,
        "POST",
        "/v1/rotation/policies",
        ROOT_TOKEN,
        &policy,
    )
    .await?;
    let attach = format!("/v1/rotation/policies/{}/secrets", text(&policy, "id")?);
    ask(
        &mut root,
        "POST",
        &attach,
        ROOT_TOKEN,
        &json!({"secret_path": "bench/moved"}),
    )
    .await?;
    let rules = json!({
        "name": "bench",
        "rules": [{"path_pattern": "bench/**", "permissions": ["read", "list"]}],
    });
    let access = ask(&mut root, "POST", "/v1/policies", ROOT_TOKEN, &rules).await?;
    let bind = format!("/v1/policies/{}/bindings", text(&access, "id")?);
    let (holds, mut held) = mpsc::channel(args.consumers * 4);
    let mut consumers = JoinSet::new();
    for number in 0..args.consumers {
        let who =
            json!({"identity_type": "service_account", "identity_id": format!("sa:c-{number}")});
        ask(&mut root, "POST", &bind, ROOT_TOKEN, &who).await?;
        let mut token = who.clone();
        token["scopes"] = json!(["secrets:read", "subscriptions:read", "subscriptions:write"]);
        token["ttl"] = "1h".into();
        let token = ask(&mut root, "POST", "/v1/auth/tokens", ROOT_TOKEN, &token).await?;
        let token = text(&token, "token")?.to_owned();
        let mut connection = Connection::open(&server.endpoint).await?;
        let subscription = json!({
            "name": "moved", "paths": ["bench/**"], "events": ["secret.rotated"],
            "delivery": {"type": "polling", "buffer_size": 1000},
        });
        let made = ask(
            &mut connection,
            "POST",
            "/v1/subscriptions",
            &token,
            &subscription,
        )
        .await?;
        let id = text(&made, "id")?.to_owned();
        consumers.spawn(follow(connection, id, token, holds.clone()));
    }
    let mut last = Vec::with_capacity(args.rounds);
    let mut first = Vec::with_capacity(args.rounds);
    for round in 0..args.rounds {
        // Everybody waits again.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let version = round as u64 + 2;
        let begin = Instant::now();
        ask(
            &mut root,
            "POST",
            &format!("{SECRET}/rotate"),
            ROOT_TOKEN,
            &Value::Null,
        )
        .await?;
        let mut moved = 0;
        while moved < args.consumers {
            let told = tokio::time::timeout(MOVED_MAX, held.recv()).await?;
            let (holds, at): (u64, Instant) = told.context("the consumers are gone")?;
            if holds != version {
                continue;
            }
            moved += 1;
            let took = at.duration_since(begin).as_secs_f64() * 1e3;
            match moved {
                1 => first.push(took),
                number if number == args.consumers => last.push(took),
                _ => {}
            }
        }
    }
    consumers.shutdown().await;
    server.stop()?;
    let title = format!("{} consumers move to a new value", args.consumers);
    let mut table = Table::new(title, &["", "ms"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row(
        "asked for, until the first consumer holds it",
        Spread::of(first).show(1),
    );
    row(
        "asked for, until the last consumer holds it",
        Spread::of(last).show(1),
    );
    Ok(table)
}

/// Waits for the event, reads the secret, acknowledges the event, and so on.
async fn follow(
    mut connection: Connection,
    id: String,
    token: String,
    holds: mpsc::Sender<(u64, Instant)>,
) -> Result<()> {
    let poll = request(
        "GET",
        &format!("/v1/subscriptions/{id}/poll?timeout=30"),
        &token,
        "",
    );
    let read = request("GET", SECRET, &token, "");
    loop {
        let polled: Value = serde_json::from_slice(connection.ask_well(&poll).await?)?;
        let events = polled["events"].as_array().context("events")?.clone();
        if events.is_empty() {
            continue;
        }
        let secret: Value = serde_json::from_slice(connection.ask_well(&read).await?)?;
        let version = secret["version"].as_u64().context("a version")?;
        let _ = holds.send((version, Instant::now())).await;
        let ids: Vec<&Value> = events.iter().map(|event| &event["event_id"]).collect();
        let ack = json!({"event_ids": ids});
        let path = format!("/v1/subscriptions/{id}/ack");
        ask(&mut connection, "POST", &path, &token, &ack).await?;
    }
}

async fn ask(
    connection: &mut Connection,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> Result<Value> {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let answer = connection
        .ask_well(&request(method, path, token, &body))
        .await?;
    match answer {
        [] => Ok(Value::Null),
        answer => Ok(serde_json::from_slice(answer)?),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field].as_str().with_context(|| format!("no {field}"))
}
