//! The trail at a collector of logs that goes away, and after a crash in between.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};

use crate::harness::server::scaivault;
use crate::harness::{Api, Process, SOON, Server};

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "v" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

fn command(home: &Path, to: &str, more: &[&str]) -> std::process::Command {
    let (store, mark) = (home.join("data/scaivault.db"), home.join("mark"));
    let mut command = scaivault(home);
    command.args(["--json", "audit", "forward", "--to", to]);
    command.arg("--database").arg(store).arg("--mark").arg(mark);
    command.args(more);
    command
}

/// The paths of so many rows with one, one line each.
async fn paths(
    lines: &mut (impl AsyncBufReadExt + Unpin),
    until: &str,
    seen: &mut BTreeSet<String>,
    ids: &mut Vec<String>,
) {
    let all = async {
        while !seen.contains(until) {
            let mut line = String::new();
            assert!(
                lines.read_line(&mut line).await.expect("a line") > 0,
                "it ended early"
            );
            let row: Value = serde_json::from_str(&line).expect("JSON");
            ids.push(row["id"].as_str().expect("an id").to_owned());
            seen.extend(row["secret_path"].as_str().map(str::to_owned));
        }
    };
    tokio::time::timeout(SOON, all).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_out_when_the_collector_or_the_sender_dies() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::dev().data(&home.path().join("data")).start().await;
    let root = server.root();
    write(root, 0, 10).await;
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("tcp://{}", collector.local_addr().expect("an address"));
    let sender = || {
        Process::start(
            "audit forward",
            command(home.path(), &to, &["--format", "json"]),
        )
    };
    let (mut seen, mut ids) = (BTreeSet::new(), Vec::new());
    let mut process = sender();
    let accept = async || {
        let accepted = tokio::time::timeout(SOON, collector.accept()).await;
        BufReader::new(accepted.expect("it comes again").expect("a connection").0)
    };
    let mut first = accept().await;
    paths(&mut first, "app/n9", &mut seen, &mut ids).await;
    // The collector hangs up; what comes then is sent to the next connection.
    drop(first);
    write(root, 10, 20).await;
    let mut second = accept().await;
    paths(&mut second, "app/n19", &mut seen, &mut ids).await;
    // The sender is killed; another goes on at its mark.
    process.kill();
    drop(second);
    write(root, 20, 30).await;
    let mut process = sender();
    let mut third = accept().await;
    paths(&mut third, "app/n29", &mut seen, &mut ids).await;
    let expect: BTreeSet<String> = (0..30).map(|n| format!("app/n{n}")).collect();
    assert_eq!(seen, expect);
    // In the order of the chain, but where something came again.
    let distinct: BTreeSet<&String> = ids.iter().collect();
    let mut last = "";
    for id in &ids {
        if id.as_str() > last {
            last = id;
        }
    }
    assert_eq!(Some(&last), distinct.last().map(|id| id.as_str()).as_ref());
    assert!(ids.len() < 4 * distinct.len(), "the mark moves");
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_goes_over_tcp_udp_and_to_a_socket() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::dev().data(&home.path().join("data")).start().await;
    let root = server.root();
    write(root, 0, 1).await;
    let once = |to: &str, more: &[&str]| {
        let more = [&["--once", "--hostname", "vault-1"], more].concat();
        let done = command(home.path(), to, &more)
            .output()
            .expect("the command runs");
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).into_owned() + &err,
        )
    };
    // From now on: nothing yet. A mark that exists wins.
    let socket = home.path().join("log");
    let datagrams = UnixDatagram::bind(&socket).expect("a socket");
    let unix = format!("unix://{}", socket.display());
    assert_eq!(
        once(&unix, &["--from-now"]),
        (Some(0), "{\"rows\":0}\n".to_owned())
    );
    root.get("/v1/secrets/app/none")
        .await
        .refused(404, "secret_not_found");
    assert_eq!(once(&unix, &[]).1, "{\"rows\":1}\n");
    let mut buffer = vec![0; 1 << 16];
    let read = tokio::time::timeout(SOON, datagrams.recv(&mut buffer)).await;
    let text =
        String::from_utf8_lossy(&buffer[..read.expect("in time").expect("a message")]).into_owned();
    let (head, row) = text.split_once(" - {").expect("a head and a row");
    assert!(
        head.starts_with("<108>1 20") && head.ends_with("Z vault-1 scaivault - read"),
        "{head}"
    );
    let row: Value = serde_json::from_str(&format!("{{{row}")).expect("JSON");
    assert_eq!(row["secret_path"], "app/none");

    let datagrams = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let udp = format!("udp://{}", datagrams.local_addr().expect("an address"));
    write(root, 1, 2).await;
    assert_eq!(once(&udp, &[]).1, "{\"rows\":1}\n");
    let read = tokio::time::timeout(SOON, datagrams.recv(&mut buffer)).await;
    let text =
        String::from_utf8_lossy(&buffer[..read.expect("in time").expect("a message")]).into_owned();
    assert!(
        text.starts_with("<110>1 ") && text.contains("app/n1"),
        "{text}"
    );

    // Counted, over a connection that is read after it was closed.
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let tcp = format!("tcp://{}", collector.local_addr().expect("an address"));
    write(root, 2, 4).await;
    let sent = tokio::task::spawn_blocking({
        let mut command = command(home.path(), &tcp, &["--once"]);
        move || command.output().expect("the command runs")
    });
    let (mut stream, _) = collector.accept().await.expect("a connection");
    let mut all = String::new();
    stream.read_to_string(&mut all).await.expect("text");
    drop(stream);
    assert!(sent.await.expect("ended").status.success());
    let mut rest = all.as_str();
    let mut messages = 0;
    while let Some((length, tail)) = rest.split_once(' ') {
        let length: usize = length.parse().expect("a count");
        assert!(tail[..length].starts_with("<110>1 ") && tail[..length].ends_with('}'));
        (rest, messages) = (&tail[length..], messages + 1);
    }
    assert_eq!(messages, 2);

    // Nobody listens: said once it is asked for once; nothing is taken as sent.
    drop(collector);
    write(root, 4, 5).await;
    let (code, said) = once(&tcp, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the collector takes nothing"), "{said}");
    assert_eq!(once(&udp, &[]).1, "{\"rows\":1}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_did_not_confirm_at_the_end_comes_again() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::dev().data(&home.path().join("data")).start().await;
    write(server.root(), 0, 10).await;
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("tcp://{}", collector.local_addr().expect("an address"));
    let once = || {
        let mut command = command(home.path(), &to, &["--once", "--format", "json"]);
        tokio::task::spawn_blocking(move || command.output().expect("the command runs"))
    };
    // It takes all in, reads nothing and hangs on.
    let sent = once();
    let (hanging, _) = collector.accept().await.expect("a connection");
    let done = sent.await.expect("ended");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("did not close the connection"), "{said}");
    drop(hanging);
    let sent = once();
    let accepted = tokio::time::timeout(SOON, collector.accept()).await;
    let (stream, _) = accepted.expect("it comes again").expect("a connection");
    let mut lines = BufReader::new(stream);
    let (mut seen, mut ids) = (BTreeSet::new(), Vec::new());
    paths(&mut lines, "app/n9", &mut seen, &mut ids).await;
    let mut rest = String::new();
    lines.read_to_string(&mut rest).await.expect("the end");
    drop(lines);
    assert!(sent.await.expect("ended").status.success());
    let expect: BTreeSet<String> = (0..10).map(|n| format!("app/n{n}")).collect();
    assert_eq!(seen, expect);
}
