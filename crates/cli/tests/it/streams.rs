//! Events as a stream: as they happen, going on where a reader stopped, to nobody who may not.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::first_integration::{grant, service_token};
use crate::harness::server::{ready, scaivault};
use crate::harness::{Api, Process, SOON, Server, eventually};

/// Somebody who reads a stream.
struct Reader {
    response: Response,
    text: String,
}

/// A part of a stream: an event, or a comment.
#[derive(Debug, Default, PartialEq)]
struct Part {
    id: String,
    kind: String,
    data: Value,
    is_comment: bool,
}

async fn open(url: &str, token: &str, subscription: &str, last: Option<&str>) -> Response {
    let http = reqwest::Client::builder().no_proxy().build();
    let mut request = http
        .expect("a client")
        .get(format!("{url}{subscription}/stream"))
        .bearer_auth(token);
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    request.send().await.expect("an answer")
}

impl Reader {
    async fn open(url: &str, token: &str, subscription: &str, last: Option<&str>) -> Self {
        let response = open(url, token, subscription, last).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut reader = Self {
            response,
            text: String::new(),
        };
        let first = reader.raw().await;
        assert_eq!(first.as_deref(), Some("retry: 3000"));
        reader
    }

    /// The next part as it came; `None` at the end.
    async fn raw(&mut self) -> Option<String> {
        loop {
            if let Some((part, rest)) = self.text.split_once("\n\n") {
                let part = part.to_owned();
                self.text = rest.to_owned();
                return Some(part);
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await;
            let chunk = chunk.expect("a part in time").expect("a whole stream")?;
            self.text += std::str::from_utf8(&chunk).expect("text");
        }
    }

    async fn part(&mut self) -> Option<Part> {
        let raw = self.raw().await?;
        let mut part = Part::default();
        for line in raw.lines() {
            match line.split_once(": ").expect("a field") {
                ("id", id) => part.id = id.to_owned(),
                ("event", kind) => part.kind = kind.to_owned(),
                ("data", data) => part.data = serde_json::from_str(data).expect("JSON"),
                ("", _) => part.is_comment = true,
                other => panic!("unexpected line {other:?}"),
            }
        }
        Some(part)
    }

    /// The next event, over signs of life.
    async fn event(&mut self) -> Part {
        loop {
            let part = self.part().await.expect("the stream goes on");
            if !part.is_comment {
                return part;
            }
        }
    }

    /// The reason it ended with; nothing comes after it.
    async fn end(mut self) -> String {
        let last = self.event().await;
        assert_eq!(last.kind, "stream.end", "{last:?}");
        assert_eq!(self.part().await, None);
        last.data["reason"].as_str().expect("a reason").to_owned()
    }
}

async fn subscribe(api: &Api) -> String {
    let body = json!({
        "name": "stream", "paths": ["app/**"],
        "events": ["secret.created", "secret.updated"],
        "delivery": { "type": "polling" },
    });
    let made = api.post("/v1/subscriptions", body).await.ok(201);
    format!("/v1/subscriptions/{}", made["id"].as_str().expect("an id"))
}

async fn write(api: &Api, path: &str) {
    let body = json!({ "data": { "k": "v" } });
    let reply = api.put(&format!("/v1/secrets/{path}"), body).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
}

fn brisk() -> crate::harness::server::ServerBuilder {
    Server::dev().env("SCAIVAULT_SUBSCRIPTIONS_STREAM_HEARTBEAT", "1s")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_happen_and_a_reader_goes_on_where_it_was() {
    let server = brisk().start().await;
    let (root, url, token) = (server.root(), server.url(), server.root_token());
    let subscription = subscribe(root).await;
    let mut reader = Reader::open(url, token, &subscription, None).await;
    let silence = reader.part().await.expect("a sign of life");
    assert!(silence.is_comment, "{silence:?}");
    for path in ["app/one", "other/ignored", "app/two"] {
        write(root, path).await;
    }
    let (one, two) = (reader.event().await, reader.event().await);
    assert_eq!(
        (one.kind.as_str(), &one.data["path"]),
        ("secret.created", &json!("app/one"))
    );
    assert_eq!(
        (&two.data["path"], &two.data["data"]["version"]),
        (&json!("app/two"), &json!(1))
    );
    assert_eq!(one.data["event_id"], json!(one.id));
    drop(reader);

    // Behind the last one received; without that, what is not acknowledged comes again.
    write(root, "app/three").await;
    let mut behind = Reader::open(url, token, &subscription, Some(&two.id)).await;
    assert_eq!(behind.event().await.data["path"], "app/three");
    let mut anew = Reader::open(url, token, &subscription, None).await;
    assert_eq!(anew.event().await.id, one.id);
    let ids = json!({ "event_ids": [one.id, two.id] });
    root.post(&format!("{subscription}/ack"), ids).await.ok(200);
    let mut acknowledged = Reader::open(url, token, &subscription, None).await;
    assert_eq!(acknowledged.event().await.data["path"], "app/three");

    // The same events as the poll's, and no way in with nonsense.
    let polled = root
        .get(&format!("{subscription}/poll?timeout=0"))
        .await
        .ok(200);
    assert_eq!(polled["events"][0]["path"], "app/three");
    for bad in ["x", "sub_1", "evt_\u{e9}"] {
        assert_eq!(
            open(url, token, &subscription, Some(bad)).await.status(),
            400,
            "{bad}"
        );
    }
    let other = service_token(root, "sa:other", &["subscriptions:read"]).await;
    let other = other["token"].as_str().expect("a token");
    assert_eq!(open(url, other, &subscription, None).await.status(), 404);
    assert_eq!(
        open(url, "skt_nobody", &subscription, None).await.status(),
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_token_the_right_and_the_subscription() {
    let server = brisk().start().await;
    let (root, url) = (server.root(), server.url());
    let policy = grant(root, "sa:reader", "app/*", &["read"]).await;
    let issued = service_token(root, "sa:reader", &["subscriptions:write"]).await;
    let token = issued["token"].as_str().expect("a token");
    let subscription = subscribe(&root.with_token(token)).await;
    let mut reader = Reader::open(url, token, &subscription, None).await;
    write(root, "app/seen").await;
    assert_eq!(reader.event().await.data["path"], "app/seen");

    // The right is taken away: the next event of the stream is not about what it may not see.
    let off = json!({ "is_active": false });
    root.patch(&format!("/v1/policies/{policy}"), off)
        .await
        .ok(200);
    write(root, "app/hidden").await;
    grant(root, "sa:reader", "app/open/*", &["read"]).await;
    write(root, "app/open/shown").await;
    assert_eq!(reader.event().await.data["path"], "app/open/shown");

    let id = issued["id"].as_str().expect("an id");
    root.delete(&format!("/v1/auth/tokens/{id}")).await.ok(204);
    assert_eq!(reader.end().await, "token_revoked");

    let own = subscribe(root).await;
    let reader = Reader::open(url, server.root_token(), &own, None).await;
    root.delete(&own).await.ok(204);
    assert_eq!(reader.end().await, "subscription_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_a_server_that_stops_ends_them() {
    let server = brisk()
        .env("SCAIVAULT_SUBSCRIPTIONS_STREAMS_PER_IDENTITY", "1")
        .env("SCAIVAULT_SUBSCRIPTIONS_MAX_STREAMS", "2")
        .start()
        .await;
    let (root, url, token) = (server.root(), server.url(), server.root_token());
    let subscription = subscribe(root).await;
    let first = Reader::open(url, token, &subscription, None).await;
    let refused = open(url, token, &subscription, None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let mut others = Vec::new();
    for (name, status) in [("sa:b", 200), ("sa:c", 503)] {
        let issued = service_token(root, name, &["subscriptions:write"]).await;
        let token = issued["token"].as_str().expect("a token");
        let own = subscribe(&root.with_token(token)).await;
        let answer = open(url, token, &own, None).await;
        assert_eq!(answer.status(), status, "{name}");
        others.push(answer);
    }
    let metrics = root.get("/v1/metrics").await.text;
    assert!(
        metrics.contains("scaivault_subscription_streams 2"),
        "{metrics}"
    );
    drop(first);
    let again = eventually("the place comes back", SOON, async || {
        let answer = open(url, token, &subscription, None).await;
        (answer.status() == 200).then_some(answer)
    })
    .await;
    let mut again = Reader {
        response: again,
        text: String::new(),
    };
    assert_eq!(again.raw().await.as_deref(), Some("retry: 3000"));
    server.process().terminate();
    assert_eq!(again.end().await, "stopping");
    drop(others);
    let (_stderr, _home) = server.stop().await;
}

/// 700 events of 15 KB: more than the system holds for a connection. What the server did not hand
/// out yet stays in the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_a_page_and_misses_nothing() {
    const EVENTS: usize = 700;
    let server = brisk().start().await;
    let root = server.root();
    let subscription = subscribe(root).await;
    let address: SocketAddr = server.url()["http://".len()..].parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(1 << 16)
        .expect("a small buffer");
    let mut stream = socket.connect(address).await.expect("a connection");
    let request = format!(
        "GET {subscription}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        server.root_token()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let tags: Vec<String> = (0..30)
        .map(|n| format!("{n:03}{}", "\u{1f511}".repeat(120)))
        .collect();
    for n in 0..EVENTS {
        let body = json!({ "data": { "k": "v" }, "metadata": { "tags": tags } });
        root.put(&format!("/v1/secrets/app/n{n:03}"), body)
            .await
            .ok(201);
    }
    let handed_out = async || {
        let logs = root
            .get("/v1/audit/logs?action=subscription_event&limit=1000")
            .await
            .ok(200);
        let counts = logs["logs"].as_array().expect("rows").iter();
        counts
            .filter_map(|row| row["extra_data"]["count"].as_u64())
            .sum::<u64>()
    };
    // The server goes on until the connection takes no more, and stops there: two looks some time
    // apart find the same. Looks too close only find less than there will be.
    let held = eventually("it stops handing out", SOON, async || {
        let before = handed_out().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        (before > 0 && handed_out().await == before).then_some(before)
    })
    .await;
    assert!(
        held < 650,
        "{held} of {EVENTS} were taken from the store for nobody"
    );
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let all = async {
        let last = format!("app/n{:03}", EVENTS - 1);
        let tail = |bytes: &[u8]| bytes[bytes.len().saturating_sub(1 << 17)..].to_vec();
        while !String::from_utf8_lossy(&tail(&bytes)).contains(&last) {
            let read = stream.read(&mut buffer).await.expect("bytes");
            assert!(read > 0, "it ended early");
            bytes.extend_from_slice(&buffer[..read]);
        }
    };
    tokio::time::timeout(3 * SOON, all)
        .await
        .expect("all in time");
    let text = String::from_utf8_lossy(&bytes);
    let mut at = 0;
    for n in 0..EVENTS {
        let path = format!("\"path\":\"app/n{n:03}\"");
        at += text[at..]
            .find(&path)
            .unwrap_or_else(|| panic!("{path} in order"));
    }
}

/// A store in this database, and the token of root.
pub(crate) fn initialised(home: &Path, peer: &Postgresql, key: &Path) -> (String, String) {
    let store = format!(
        "postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres",
        peer.port()
    );
    let made = scaivault(home)
        .args(["init", "--json"])
        .env("DATABASE_URL", &store)
        .env("SCAIVAULT_SEAL_KEY_FILE", key)
        .env("SCAIVAULT_NODE_NAME", "node-1")
        .output()
        .expect("the command runs");
    let out = String::from_utf8_lossy(&made.stdout);
    let end = |c: char| c.is_whitespace() || c == '"';
    let token = out.find("skt_").and_then(|at| out[at..].split(end).next());
    let token = token
        .unwrap_or_else(|| panic!("a token in {out}"))
        .to_owned();
    (store, token)
}

/// A node over this store, ready.
pub(crate) async fn node(home: &Path, store: &str, key: &Path, name: &str) -> (Process, String) {
    let mut command = scaivault(home);
    command
        .arg("server")
        .env("DATABASE_URL", store)
        .env("KMS_PROVIDER", "local")
        .env("SCAIVAULT_SEAL_KEY_FILE", key)
        .env("SCAIVAULT_NODE_NAME", name)
        .env("BIND_ADDRESS", "127.0.0.1:0");
    let mut process = Process::start("scaivault server", command);
    let url = eventually("it says where it serves", SOON, async || {
        assert!(!process.is_gone(), "{}", process.stderr());
        let said = process.stderr() + &process.stdout().join("\n");
        let from = said.find("http://127.0.0.1:")?;
        let end = |c: char| c.is_whitespace() || c == '"';
        said[from..].split(end).next().map(str::to_owned)
    })
    .await;
    ready(&mut process, &Api::new(&url, "skt_none")).await;
    (process, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_node_appear() {
    let places = tempfile::tempdir().expect("a directory");
    let (home, key) = (places.path(), places.path().join("root.key"));
    let peer = Postgresql::start();
    let (store, token) = initialised(home, &peer, &key);
    let (_one, one) = node(home, &store, &key, "node-1").await;
    let (_two, two) = node(home, &store, &key, "node-2").await;
    let (here, there) = (Api::new(&one, &token), Api::new(&two, &token));
    let subscription = subscribe(&here).await;
    let mut reader = Reader::open(&one, &token, &subscription, None).await;
    for n in 0..3 {
        write(&there, &format!("app/n{n}")).await;
        assert_eq!(reader.event().await.data["path"], format!("app/n{n}"));
    }
}

/// An admin's streams are his own, in whichever tenant he reads.
#[tokio::test(flavor = "multi_thread")]
async fn streams_in_other_tenants_count_at_home() {
    let server = brisk()
        .env("SCAIVAULT_SUBSCRIPTIONS_STREAMS_PER_IDENTITY", "1")
        .start()
        .await;
    let (root, url) = (server.root(), server.url());
    let mut streams = Vec::new();
    for (name, status) in [("A", 200), ("B", 429)] {
        let made = root.post("/v1/identity/tenants", json!({ "name": name }));
        let tenant = made.await.ok(201)["id"].as_str().expect("an id").to_owned();
        let subscription = subscribe(&root.in_tenant(&tenant)).await;
        let http = reqwest::Client::builder().no_proxy().build();
        let answer = http
            .expect("a client")
            .get(format!("{url}{subscription}/stream"))
            .bearer_auth(server.root_token())
            .header("X-Tenant-ID", &tenant)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), status, "{name}");
        streams.push(answer);
    }
}
