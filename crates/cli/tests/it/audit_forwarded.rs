//! The trail handed to collectors by the server itself: over what goes away on both sides.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Api, SOON, Server, eventually};

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "canary-of-a-value" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

/// What a collector was handed.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) ids: Vec<String>,
    pub(crate) paths: BTreeSet<String>,
}

impl Got {
    fn take(&mut self, row: &Value) {
        self.ids.push(row["id"].as_str().expect("an id").to_owned());
        self.paths
            .extend(row["secret_path"].as_str().map(str::to_owned));
    }

    /// In the order of the chain, and none left out, but where something came again.
    #[track_caller]
    pub(crate) fn check(&self) {
        let mut last = 0;
        for id in &self.ids {
            let (_, place) = id.rsplit_once('_').expect("a place");
            let place = place.bytes().fold(0, |sum, c| {
                let digit = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
                    .iter()
                    .position(|d| *d == c);
                sum * 32 + digit.expect("a digit")
            });
            assert!(
                place <= last + 1,
                "rows between {last} and {place} are left out"
            );
            last = last.max(place);
        }
    }
}

/// One message of a connection: counted, with structured data; its row.
async fn message(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        match stream.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await.ok()?;
    let text = String::from_utf8(text).expect("text");
    let (head, row) = text.split_once("] {").expect("structured data and a row");
    assert!(head.contains(" [scaivault@32473 id=\"log_"), "{head}");
    Some(serde_json::from_str(&format!("{{{row}")).expect("JSON"))
}

async fn until(stream: &mut BufReader<TcpStream>, path: &str, got: &mut Got) {
    let all = async {
        while !got.paths.contains(path) {
            got.take(&message(stream).await.expect("it ended early"));
        }
    };
    tokio::time::timeout(SOON, all).await.expect("in time");
}

async fn figure(api: &Api, name: &str) -> Option<i64> {
    let text = api.get("/v1/metrics").await.text;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_out_when_the_collector_or_the_server_dies() {
    let home = tempfile::tempdir().expect("a directory");
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("tcp://{}", collector.local_addr().expect("an address"));
    let start = async || {
        let server = Server::dev()
            .data(&home.path().join("data"))
            .env("SCAIVAULT_AUDIT_FORWARD", &to)
            .env("SCAIVAULT_AUDIT_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");
        server.start().await
    };
    let accept = async || {
        let accepted = tokio::time::timeout(SOON, collector.accept()).await;
        BufReader::new(accepted.expect("it comes").expect("a connection").0)
    };
    let mut got = Got::default();
    let mut server = start().await;
    write(server.root(), 0, 10).await;
    let mut first = accept().await;
    until(&mut first, "app/n9", &mut got).await;
    // The collector hangs up.
    drop(first);
    write(server.root(), 10, 20).await;
    let mut second = accept().await;
    until(&mut second, "app/n19", &mut got).await;
    eventually("it has caught up", SOON, async || {
        let lag = figure(server.root(), "scaivault_audit_forward_lag_rows{").await;
        (lag == Some(0)).then_some(())
    })
    .await;
    let before = got.ids.len();
    // Killed; the next goes on from its place, not from the beginning.
    server.kill();
    drop(second);
    drop(server);
    let server = start().await;
    write(server.root(), 20, 30).await;
    let mut third = accept().await;
    until(&mut third, "app/n29", &mut got).await;
    let expect: BTreeSet<String> = (0..30).map(|n| format!("app/n{n}")).collect();
    assert_eq!(got.paths, expect);
    got.check();
    let again = got.ids[..before]
        .iter()
        .filter(|id| got.ids[before..].contains(id))
        .count();
    assert!(again < 10, "{again} rows came again after the crash");
    // Nobody reads, and everything is answered all the same.
    write(server.root(), 30, 60).await;
    assert!(figure(server.root(), "scaivault_audit_forward_rows_total{").await > Some(0));
    let (said, _home) = server.stop().await;
    assert!(!said.contains("canary-of-a-value"));
}

/// Answers posts: the first ones with 503, then it takes them in.
async fn endpoint(listener: TcpListener, refusals: usize, got: Arc<Mutex<Vec<String>>>) {
    let mut refused = 0;
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let Some(length) = length.and_then(|text| text.parse().ok()) else {
            continue;
        };
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("a body");
        assert!(head.starts_with("post /services/collector "), "{head}");
        assert!(
            head.contains("authorization: splunk canary-of-a-header"),
            "{head}"
        );
        let status = match refused < refusals {
            true => {
                refused += 1;
                "503 Service Unavailable"
            }
            false => {
                let text = String::from_utf8(body).expect("text");
                got.lock().expect("a lock").push(text);
                "200 OK"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream
            .write_all(answer.as_bytes())
            .await
            .expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_posted_in_batches_until_they_are_taken() {
    use crate::harness::Process;
    use crate::harness::server::{ready, scaivault};

    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let got = Arc::new(Mutex::new(Vec::new()));
    let serving = tokio::spawn(endpoint(listener, 3, got.clone()));
    let of = |name: &str| home.join(name).display().to_string();
    let (header, config) = (of("header"), of("config.toml"));
    std::fs::write(&header, "Splunk canary-of-a-header\n").expect("a file");
    let text = format!(
        "[server]\nbind_address = \"127.0.0.1:0\"\n[store]\ndatabase_url = \"{}\"\n[seal]\n\
         key_file = \"{}\"\n[audit]\nallow_http = true\nallow_private_networks = [\"127.0.0.1\"]\n\
         [[audit.forward]]\nname = \"splunk\"\nformat = \"splunk_hec\"\nheader_file = \"{header}\"\n\
         to = \"http://127.0.0.1:{port}/services/collector\"\n",
        of("store.db"),
        of("root.key"),
    );
    std::fs::write(&config, text).expect("a file");
    let init = scaivault(home).args(["init", "--config", &config]).output();
    let init = init.expect("init runs");
    let told = String::from_utf8_lossy(&init.stdout).into_owned();
    assert!(
        init.status.success(),
        "{told} {}",
        String::from_utf8_lossy(&init.stderr)
    );
    let token = told
        .split_whitespace()
        .find(|word| word.starts_with("skt_"))
        .expect("a token");
    let mut command = scaivault(home);
    command.args(["server", "--config", &config]);
    let mut process = Process::start("scaivault server", command);
    let url = eventually("it serves", SOON, async || {
        let said = process.stderr();
        let (_, rest) = said.split_once("http://127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(format!("http://127.0.0.1:{port}"))
    })
    .await;
    let root = Api::new(&url, token);
    ready(&mut process, &root).await;
    write(&root, 0, 25).await;
    let rows = eventually("all rows are posted", SOON, async || {
        let text = got.lock().expect("a lock").concat();
        text.contains("app/n24").then_some(text)
    })
    .await;
    let mut all = Got::default();
    for line in rows.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["sourcetype"], "scaivault:audit");
        assert!(event["time"].as_f64() > Some(1.7e9));
        all.take(&event["event"]);
    }
    all.check();
    let distinct: BTreeSet<_> = all.ids.iter().collect();
    assert_eq!(
        distinct.len(),
        all.ids.len(),
        "what was not taken is all that comes again"
    );
    assert!(figure(&root, "scaivault_audit_forward_errors_total{").await >= Some(3));
    let said = process.stderr();
    assert!(
        said.contains("it answered with the status 503") && !said.contains("canary"),
        "{said}"
    );
    process.kill();
    serving.abort();
}

/// A collector that takes rows in as slowly as it likes: it holds up neither the figures nor the end of
/// the server, and gets what it did not take when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_read_keeps_nobody() {
    let home = tempfile::tempdir().expect("a directory");
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    // So that its system takes in little for it.
    socket.set_recv_buffer_size(4_096).expect("a size");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let collector = socket.listen(4).expect("it listens");
    let to = format!("tcp://{}", collector.local_addr().expect("an address"));
    let start = async || {
        let server = Server::dev()
            .data(&home.path().join("data"))
            .env("SCAIVAULT_AUDIT_FORWARD", &to)
            .env("SCAIVAULT_RATE_LIMITS_BATCH_READ", "100000")
            .env("SCAIVAULT_AUDIT_FORWARD_LAG_WARNING", "1s")
            .env("SCAIVAULT_AUDIT_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");
        server.start().await
    };
    let server = start().await;
    let root = server.root();
    write(root, 0, 100).await;
    // Each read of them all is a row for each: more than systems keep for a connection.
    let paths: Vec<String> = (0..100).map(|n| format!("app/n{n}")).collect();
    for _ in 0..200 {
        let read = root.post("/v1/secrets/batch", json!({ "paths": paths }));
        read.await.ok(200);
    }
    eventually("it is known to be behind", SOON, async || {
        let lag = figure(root, "scaivault_audit_forward_lag_seconds{").await;
        let ready = root.get("/v1/health/ready").await.ok(200);
        (lag >= Some(2) && ready["checks"]["audit_forward"] == "lagging").then_some(())
    })
    .await;
    // The harness bounds how long that may take.
    let (said, _) = server.stop().await;
    assert!(!said.contains("workers did not end in time"), "{said}");
    // What its system took in is read after all.
    let mut got = Got::default();
    let mut first = BufReader::new(collector.accept().await.expect("the connection").0);
    while let Some(row) = message(&mut first).await {
        got.take(&row);
    }
    let server = start().await;
    let reading = async {
        let (stream, _) = collector.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        while got.ids.len() < 20_001 {
            got.take(&message(&mut stream).await.expect("it ended early"));
        }
    };
    tokio::time::timeout(SOON * 3, reading)
        .await
        .expect("in time");
    got.check();
    drop(server);
}

/// Where it cannot be said how far behind a collector is, that is not "not at all".
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_somebody_changed_is_lag() {
    let home = tempfile::tempdir().expect("a directory");
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("tcp://{}", collector.local_addr().expect("an address"));
    let start = async || {
        let server = Server::dev()
            .data(&home.path().join("data"))
            .env("SCAIVAULT_AUDIT_FORWARD", &to)
            .env("SCAIVAULT_AUDIT_FORWARD_LAG_WARNING", "1s")
            .env("SCAIVAULT_AUDIT_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");
        server.start().await
    };
    let server = start().await;
    write(server.root(), 0, 3).await;
    let mut stream = BufReader::new(collector.accept().await.expect("a connection").0);
    until(&mut stream, "app/n2", &mut Got::default()).await;
    eventually("it has caught up", SOON, async || {
        let lag = figure(server.root(), "scaivault_audit_forward_lag_rows{").await;
        (lag == Some(0)).then_some(())
    })
    .await;
    server.stop().await;
    let store = home.path().join("data/scaivault.db");
    let changed = rusqlite::Connection::open(store).expect("the store");
    let changed = changed.execute(
        "UPDATE audit_forward SET doc = replace(doc, '\"heads\"', '\"heads\" ')",
        [],
    );
    assert_eq!(changed.expect("an update"), 1);
    let server = start().await;
    let ready = eventually("it is told", SOON, async || {
        let ready = server.root().get("/v1/health/ready").await.ok(200);
        (ready["checks"]["audit_forward"] == "lagging").then_some(ready)
    })
    .await;
    let said = server.process().stderr();
    assert!(
        said.contains("the audit trail is not handed over"),
        "{ready} {said}"
    );
}
