//! Writers and readers of plain secrets.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use crate::client::{Client, PAUSE};
use crate::record::{Outcome, Read, Record};

/// Writes to one path before the next is begun.
const WRITES_PER_PATH: u64 = 40;

/// The paths that are being written, for readers.
pub(crate) type Paths = Arc<Mutex<Vec<String>>>;

/// Writes value after value, each once, to paths of its own.
pub(crate) async fn write(mut client: Client, writer: String, paths: Paths) {
    for number in 0_u64.. {
        let path = format!("load/{writer}/p{}", number / WRITES_PER_PATH);
        if number % WRITES_PER_PATH == 0 {
            let mut paths = paths.lock().expect("nobody panics holding it");
            paths.push(path.clone());
        }
        let value = format!("{writer}-{number}");
        let body = json!({ "data": { "v": value }, "options": { "max_versions": 1000 } });
        put(&mut client, &path, &value, body).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes to paths that others write, too, each time on the version it read.
pub(crate) async fn compete(mut client: Client, writer: String, contended: Vec<String>) {
    for number in 0_u64.. {
        let path = client.random.of(&contended).clone();
        let Some((version, _)) = get(&mut client, &path).await else {
            continue;
        };
        let value = format!("{writer}-{number}");
        let options = json!({ "max_versions": 1000, "cas": version });
        let body = json!({ "data": { "v": value }, "options": options });
        if let Some(wrote) = put(&mut client, &path, &value, body).await {
            follows(&client.record, &path, version, wrote);
        }
        tokio::time::sleep(PAUSE * 4).await;
    }
}

/// What was written on a version became the next one.
pub(crate) fn follows(record: &Record, path: &str, on: u64, became: u64) {
    if became != on + 1 {
        record.broken(format!("{path}: written on {on}, became {became}"));
    }
}

/// Reads whatever is there.
pub(crate) async fn read(mut client: Client, paths: Paths) {
    loop {
        let path = {
            let paths = paths.lock().expect("nobody panics holding it");
            (!paths.is_empty()).then(|| client.random.of(&paths).clone())
        };
        if let Some(path) = path {
            get(&mut client, &path).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes a value that no other write has; the version, when it was acknowledged.
pub(crate) async fn put(
    client: &mut Client,
    path: &str,
    value: &str,
    body: serde_json::Value,
) -> Option<u64> {
    let to = format!("/v1/secrets/{path}");
    let number = client.record.writes(path, value);
    let reply = client.ask(Method::PUT, &to, Some(body)).await;
    let outcome = Outcome::of(reply.as_ref());
    let version = reply
        .as_ref()
        .and_then(|reply| reply.body["version"].as_u64());
    if outcome == Outcome::Refused
        && let Some(reply) = reply
        && !matches!(reply.status, 409 | 412 | 503)
    {
        client.record.broken(format!("{to}: {}", reply.text));
    }
    client.record.wrote(number, outcome, version);
    version.filter(|_| outcome == Outcome::Acknowledged)
}

/// The current version and value as a node says. What was acknowledged a second before the
/// question is in the answer.
pub(crate) async fn get(client: &mut Client, path: &str) -> Option<(u64, String)> {
    let (asked, of) = (Instant::now(), format!("/v1/secrets/{path}"));
    let reply = client.get(&of).await?;
    let floor = client.record.floor(path, asked);
    let stale = |found: u64| {
        let what = format!("{path}: v{floor} was acknowledged, v{found} was read");
        client.record.broken(what);
    };
    match reply.status {
        200 => {}
        404 if floor > 0 => {
            stale(0);
            return None;
        }
        404 | 503 => return None,
        _ => {
            client.record.broken(format!("{of}: {}", reply.text));
            return None;
        }
    }
    let version = reply.body["version"].as_u64().expect("a version");
    let value = reply.body["data"]["v"]
        .as_str()
        .expect("a value")
        .to_owned();
    if version < floor {
        stale(version);
    }
    client.record.read(Read {
        path: path.to_owned(),
        version,
        value: value.clone(),
        request_id: reply.header("x-request-id").to_owned(),
    });
    Some((version, value))
}

/// The first value of a contended path.
pub(crate) async fn first(client: &mut Client, path: &str) {
    let value = format!("{path}-first");
    let body = json!({ "data": { "v": value }, "options": { "max_versions": 1000 } });
    put(client, path, &value, body).await;
}
