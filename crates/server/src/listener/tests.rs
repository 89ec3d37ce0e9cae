//! The listener over real sockets on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::tls::TlsFileError;
use super::*;
use crate::clock::SystemClock;

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
    counters: ConnectionCounters,
    /// `/slow` tells that it began, and ends when told.
    began: Arc<Notify>,
    finish: Arc<Notify>,
}

async fn start(tls: Option<Tls>, limits: ListenerLimits) -> Running {
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&began), Arc::clone(&finish));
    let slow = move || async move {
        tell.notify_one();
        wait.notified().await;
        "slow"
    };
    let router = Router::new()
        .route(
            "/peer",
            get(|Extension(peer): Extension<PeerAddr>| async move { peer.0.to_string() }),
        )
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let counters = ConnectionCounters::default();
    let task = tokio::spawn(serve(
        listener,
        tls,
        router,
        limits,
        stopped,
        counters.clone(),
    ));
    Running {
        address,
        stop,
        task,
        counters,
        began,
        finish,
    }
}

fn short() -> ListenerLimits {
    let ms = Duration::from_millis(50);
    ListenerLimits {
        head: ms,
        handshake: ms,
        ..ListenerLimits::default()
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends one request that closes, answers everything that comes back.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    // A reset after the answer is an end like another here.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn clear_text_is_served_with_the_peers_address() {
    let running = start(None, ListenerLimits::default()).await;
    let mut stream = connect(running.address).await;
    let peer = stream.local_addr().unwrap();
    // Two requests in one write: pipelined, answered in order on the kept connection.
    let two = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc\
               GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(two.as_bytes()).await.unwrap();
    let text = rest(stream).await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert!(
        text.contains("\r\n\r\nabcHTTP/1.1") && text.ends_with(&peer.to_string()),
        "{text}"
    );
    assert_eq!(running.counters.accepted.get(), 1);
}

#[tokio::test]
async fn a_slow_or_silent_head_is_cut_and_others_are_served() {
    let running = start(None, short()).await;
    let silent = connect(running.address).await;
    let mut slow = connect(running.address).await;
    slow.write_all(b"GET /peer HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    assert!(
        ask(running.address, "/peer")
            .await
            .starts_with("HTTP/1.1 200")
    );
    // Both end by themselves; without the limit this would hang.
    assert!(!rest(silent).await.contains("200"));
    assert!(!rest(slow).await.contains("200"));
}

#[tokio::test]
async fn malformed_and_oversized_heads_are_refused_and_the_connection_ends() {
    let running = start(None, ListenerLimits::default()).await;
    let oversized = format!(
        "GET /peer HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    let many = format!(
        "GET /peer HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(200)
    );
    for (head, expect) in [
        // Cut in the middle of what it sends, the client may see a reset before the refusal.
        (oversized.as_str(), ""),
        (many.as_str(), "431"),
        (
            "GET /peer HTTP/1.1\r\nhost x\r\n\r\nand more that is never read",
            "400",
        ),
        ("\u{16}\u{3}\u{1} a TLS hello", "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (
            "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "400",
        ),
    ] {
        let mut stream = connect(running.address).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let text = rest(stream).await;
        assert!(
            !text.contains(" 200 ") && text.contains(expect),
            "{expect}: {text}"
        );
    }
    while running.counters.open.get() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stopping_lets_the_request_in_flight_finish_and_refuses_new_ones() {
    let running = start(None, ListenerLimits::default()).await;
    let resting = connect(running.address).await;
    let asking = tokio::spawn(ask(running.address, "/slow"));
    running.began.notified().await;
    running.stop.send(true).unwrap();
    // The resting connection is closed, which tells that the signal has been taken.
    assert_eq!(rest(resting).await, "");
    assert!(!running.task.is_finished());
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    running.finish.notify_one();
    let answer = asking.await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"),
        "{answer}"
    );
    running.task.await.unwrap().unwrap();
    assert_eq!(running.counters.open.get(), 0);
}

#[tokio::test]
async fn what_outlasts_the_drain_deadline_is_cut() {
    let limits = ListenerLimits {
        drain: Duration::from_millis(20),
        ..ListenerLimits::default()
    };
    let running = start(None, limits).await;
    let asking = tokio::spawn(ask(running.address, "/slow"));
    running.began.notified().await;
    running.stop.send(true).unwrap();
    running.task.await.unwrap().unwrap();
    assert_eq!(asking.await.unwrap(), "");
    assert_eq!(running.counters.open.get(), 0);
}

#[tokio::test]
async fn a_dropped_sender_stops_it_too() {
    let running = start(None, ListenerLimits::default()).await;
    drop(running.stop);
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn beyond_the_cap_connections_are_closed_at_once_and_places_come_back() {
    let limits = ListenerLimits {
        connections_max: 2,
        ..ListenerLimits::default()
    };
    let running = start(None, limits).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(running.address).await;
        stream
            .write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        kept.push(stream);
    }
    assert_eq!(ask(running.address, "/peer").await, "");
    assert_eq!(
        (running.counters.refused.get(), running.counters.open.get()),
        (1, 2)
    );
    kept.clear();
    while running.counters.open.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(
        ask(running.address, "/peer")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

fn write_certificate(folder: &Path) -> RootCertStore {
    let made = rcgen::generate_simple_self_signed(["vault.test".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    roots
}

fn load(folder: &Path) -> Result<Tls, TlsFileError> {
    let files = TlsFiles {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        clients: None,
    };
    Tls::load(files, Arc::new(SystemClock))
}

async fn handshake(
    address: SocketAddr,
    roots: RootCertStore,
    alpn: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let name = ServerName::try_from("vault.test").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, connect(address).await)
        .await
}

#[tokio::test]
async fn tls_is_served_in_both_protocols() {
    let folder = tempfile::tempdir().unwrap();
    let roots = write_certificate(folder.path());
    let tls = load(folder.path()).unwrap();
    let running = start(Some(tls), ListenerLimits::default()).await;

    let mut stream = handshake(running.address, roots.clone(), "http/1.1")
        .await
        .unwrap();
    let request = b"GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 200"));

    let stream = handshake(running.address, roots, "h2").await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://vault.test/peer").body(axum::body::Body::empty());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, http::Version::HTTP_2)
    );
}

#[tokio::test]
async fn clear_text_and_silence_on_a_tls_listener_end_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let tls = load(folder.path()).unwrap();
    let running = start(Some(tls), short()).await;
    assert!(!ask(running.address, "/peer").await.contains("200"));
    assert_eq!(rest(connect(running.address).await).await, "");
    assert_eq!(running.counters.handshakes_failed.get(), 2);
}

#[tokio::test]
async fn a_reload_takes_the_new_files_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_certificate(folder.path());
    let tls = load(folder.path()).unwrap();
    let running = start(Some(tls.clone()), ListenerLimits::default()).await;
    assert!(handshake(running.address, old.clone(), "h2").await.is_ok());

    let new = write_certificate(folder.path());
    tls.reload().unwrap();
    assert!(handshake(running.address, old, "h2").await.is_err());
    assert!(handshake(running.address, new.clone(), "h2").await.is_ok());

    std::fs::write(folder.path().join("cert.pem"), "half a cert").unwrap();
    assert!(tls.reload().is_err());
    assert!(handshake(running.address, new, "h2").await.is_ok());
}

#[test]
fn what_is_wrong_with_the_files_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = |expect: &str| {
        let error = load(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check("cannot read");
    write_certificate(folder.path());
    let key = std::fs::read(folder.path().join("key.pem")).unwrap();
    std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
    check("key.pem holds no unencrypted private key");
    write_certificate(folder.path());
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    check("cannot be used with the certificate");
    std::fs::write(folder.path().join("cert.pem"), "").unwrap();
    check("cert.pem holds no certificate");
}
