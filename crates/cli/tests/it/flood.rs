//! Many strangers, slow clients and bodies made to be large inside: whoever has a token is served,
//! and what they come to hold is bounded.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::raw::{exchange, request};
use crate::harness::{Api, SOON, Server, eventually};

/// The most that was resident of the server, in bytes.
fn most(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process().pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.expect("a number") * 1_024
}

/// From here on the most is counted anew.
fn forget(server: &Server) {
    let at = format!("/proc/{}/clear_refs", server.process().pid());
    std::fs::write(at, "5").expect("one's own child may be told");
}

async fn reader(root: &Api) {
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_strangers_knock_those_with_a_token_are_served() {
    let server = Server::dev().start().await;
    let root = server.root();
    reader(root).await;
    root.get("/v1/secrets/app/db").await.ok(200);
    forget(&server);
    let before = most(&server);
    let strangers: Vec<_> = (0..16)
        .map(|number| {
            let wrong = root.with_token(&format!("skt_nobody{number}"));
            tokio::spawn(async move {
                let mut refused = 0;
                for _ in 0..250 {
                    let body = json!({ "data": { "k": "x".repeat(1_000) } });
                    wrong
                        .put("/v1/secrets/app/db", body)
                        .await
                        .refused(401, "token_invalid");
                    refused += 1;
                }
                refused
            })
        })
        .collect();
    let mut served = 0;
    while strangers.iter().any(|one| !one.is_finished()) {
        root.get("/v1/secrets/app/db").await.ok(200);
        served += 1;
    }
    let mut refused = 0;
    for one in strangers {
        refused += one.await.expect("it ends");
    }
    assert_eq!(refused, 4_000);
    assert!(served >= 20, "{served} reads during {refused} refusals");
    let grown = most(&server).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for strangers");
    // None of it is on the trail as somebody's act.
    let trail = root
        .get("/v1/audit/logs?action=write&limit=1000")
        .await
        .ok(200);
    assert_eq!(trail["logs"].as_array().map(Vec::len), Some(1));
}

/// A body of the largest size there may be, made so that a reader holds the most of it.
fn worst(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let fill = |before: &str, part: &str, after: &str| {
        let mut body = String::from(before);
        while body.len() + part.len() + after.len() < size {
            body.push_str(part);
        }
        body.push_str(after);
        body.into_bytes()
    };
    vec![
        ("deep lists", fill("{\"data\":{\"k\":", "[", "")),
        ("deep objects", fill("{\"data\":", "{\"k\":", "")),
        ("wide list", fill("{\"data\":{\"k\":[1", ",1", "]}}")),
        ("list of lists", fill("{\"data\":{\"k\":[[]", ",[]", "]}}")),
        (
            "list of objects",
            fill("{\"data\":{\"k\":[{}", ",{}", "]}}"),
        ),
        ("escapes", fill("{\"data\":{\"k\":\"", "\\u0001", "\"}}")),
        ("one text", fill("{\"data\":{\"k\":\"", "x", "\"}}")),
        (
            "metadata",
            fill(
                "{\"data\":{\"k\":1},\"metadata\":{\"custom\":{\"k\":[[]",
                ",[]",
                "]}}}",
            ),
        ),
    ]
}

/// How many times its size a body may come to while it is read and answered.
const TIMES: u64 = 4;
/// What the server holds besides, for whatever a request needs.
const BESIDES: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_body_comes_to_more_than_a_multiple_of_its_size() {
    let server = Server::dev().start().await;
    let root = server.root();
    reader(root).await;
    let size = 1 << 20;
    let token = format!("Bearer {}", server.root_token());
    for (what, body) in worst(size) {
        forget(&server);
        let before = most(&server);
        let at = "/v1/secrets/app/large";
        let sent = request("PUT", at, &[("authorization", &token)], &body);
        let reply = exchange(server.url(), sent).await;
        assert!(
            (200..500).contains(&reply.status),
            "{what}: {} {}",
            reply.status,
            reply.text
        );
        let grown = most(&server).saturating_sub(before);
        let bound = TIMES * u64::try_from(body.len()).expect("it fits") + BESIDES;
        println!(
            "{what}: {} bytes, {} answered, {grown} more",
            body.len(),
            reply.status
        );
        assert!(
            grown <= bound,
            "{what}: {grown} bytes for {} of body",
            body.len()
        );
    }
    root.get("/v1/secrets/app/db").await.ok(200);
}

/// Connections that send a byte now and then hold a place each and nobody up; past the deadline of a
/// head, or of a request, they are cut.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_nobody_up_and_are_cut() {
    let server = Server::dev()
        .env("SCAIVAULT_SERVER_REQUEST_TIMEOUT", "2s")
        .start()
        .await;
    let root = server.root();
    reader(root).await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let token = server.root_token();
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(&address).await.expect("it listens");
        let head = match number % 2 {
            // A head without an end.
            0 => "GET /v1/secrets/app/db HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
            // A body of which only the beginning comes.
            _ => format!(
                "PUT /v1/secrets/app/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"data\":"
            ),
        };
        stream
            .write_all(head.as_bytes())
            .await
            .expect("it takes it");
        slow.push(stream);
    }
    for _ in 0..50 {
        root.get("/v1/secrets/app/db").await.ok(200);
    }
    let ended = slow.into_iter().map(|stream| {
        tokio::spawn(async move {
            let (mut read, mut write) = stream.into_split();
            let mut said = Vec::new();
            // A byte now and then is no progress that counts.
            let drip = async {
                let mut every = tokio::time::interval(Duration::from_millis(200));
                loop {
                    every.tick().await;
                    if write.write_all(b"a").await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                _ = read.read_to_end(&mut said) => {}
                () = drip => {}
            }
        })
    });
    let ended: Vec<_> = ended.collect();
    eventually("all are cut", SOON, async || {
        ended.iter().all(|one| one.is_finished()).then_some(())
    })
    .await;
    root.get("/v1/secrets/app/slow")
        .await
        .refused(404, "secret_not_found");
    root.get("/v1/secrets/app/db").await.ok(200);
}
