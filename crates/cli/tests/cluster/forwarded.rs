//! One node hands the audit trail to a collector; when it dies another goes on.

use std::collections::{BTreeMap, BTreeSet};

use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cluster::{Cluster, prepare, settings};
use crate::harness::{SOON, eventually};

/// Whose connection it came over, and the row.
type Taken = (usize, Value);

async fn collect(listener: TcpListener, taken: mpsc::UnboundedSender<Taken>) {
    let mut connections = 0;
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        connections += 1;
        let (number, taken) = (connections, taken.clone());
        tokio::spawn(async move {
            // Each message has its length before it (RFC 6587), and a row at its end.
            let mut stream = BufReader::new(stream);
            let mut length = Vec::new();
            while stream
                .read_until(b' ', &mut length)
                .await
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&length);
                let bytes: usize = text.trim_end().parse().expect("a length");
                length.clear();
                let mut message = vec![0; bytes];
                if stream.read_exact(&mut message).await.is_err() {
                    break;
                }
                let text = String::from_utf8(message).expect("text");
                let start = text.find("{\"id\"").expect("a row");
                let row = serde_json::from_str(&text[start..]).expect("JSON");
                let _ = taken.send((number, row));
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_node_forwards_and_another_takes_over() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("tcp://{}", listener.local_addr().expect("an address"));
    let (send, mut taken) = mpsc::unbounded_channel();
    let collector = tokio::spawn(collect(listener, send));
    let env = [
        ("SCAIVAULT_AUDIT_FORWARD", to.as_str()),
        ("SCAIVAULT_AUDIT_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
    ];
    let mut cluster = Cluster::start(2, server.port(), &env).await;
    let roots = cluster.roots();
    let mut paths = BTreeSet::new();
    let mut by_chain: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut seen = async |until: &str| {
        let mut connections = BTreeSet::new();
        let all = async {
            while !paths.contains(until) {
                let (number, row) = taken.recv().await.expect("a row");
                connections.insert(number);
                let id = row["id"].as_str().expect("an id");
                let mut parts = id.splitn(3, '_').skip(1);
                let chain = parts.next().expect("a chain").to_owned();
                let place = parts.next().expect("a place").bytes().fold(0, |sum, c| {
                    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
                    let digit = digits.iter().position(|d| *d == c).expect("a digit");
                    sum * 32 + digit as u64
                });
                by_chain.entry(chain).or_default().push(place);
                paths.extend(row["secret_path"].as_str().map(str::to_owned));
            }
        };
        tokio::time::timeout(SOON * 3, all).await.expect("in time");
        connections
    };
    let write = async |node: usize, name: String| {
        let body = json!({ "data": { "k": "v" } });
        roots[node]
            .put(&format!("/v1/secrets/{name}"), body)
            .await
            .ok(201);
    };
    for n in 0..20 {
        write(n % 2, format!("a/n{n}")).await;
    }
    // Whichever chain comes last: both were read.
    seen("a/n18").await;
    let connections = seen("a/n19").await;
    assert!(connections.len() <= 1, "one node sends: {connections:?}");
    // Who sends says so in the store.
    let holder = || {
        let sql = "SELECT doc FROM audit_forward";
        let doc = server
            .sql_as("scaivault", "nodes-of-a-test", "scaivault", sql)
            .expect("a row");
        let doc: Value = serde_json::from_str(doc.trim()).expect("JSON");
        doc["holder"].as_str().map(str::to_owned)
    };
    let first = holder().expect("somebody sends");
    let dead = cluster
        .nodes
        .iter()
        .position(|node| node.name == first)
        .expect("a node");
    cluster.nodes[dead].kill();
    for n in 20..40 {
        write(1 - dead, format!("a/n{n}")).await;
    }
    seen("a/n39").await;
    assert_ne!(holder(), Some(first));
    for (chain, places) in by_chain {
        let mut last = 0;
        for place in places {
            assert!(
                place <= last + 1,
                "{chain}: rows between {last} and {place} are left out"
            );
            last = last.max(place);
        }
    }
    assert_eq!(
        paths.iter().filter(|path| path.starts_with("a/n")).count(),
        40
    );
    eventually("the lag is told", SOON, async || {
        let text = roots[1 - dead].get("/v1/metrics").await.text;
        text.contains("scaivault_audit_forward_lag_seconds{")
            .then_some(())
    })
    .await;
    collector.abort();
}
