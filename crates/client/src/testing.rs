//! A scripted HTTP responder on loopback: one connection per answer, requests kept.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Client, ClientBuilder, Sleeper};

/// One answer.
#[derive(Clone)]
pub(crate) struct Script(String);

impl Script {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::with(status, &[("content-type", "application/json")], body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self(format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n"))
    }

    /// Closes the connection without an answer.
    pub(crate) fn hang_up() -> Self {
        Self(String::new())
    }

    pub(crate) fn error(status: u16, code: &str, headers: &[(&str, &str)]) -> Self {
        let body = format!(
            r#"{{"error":{{"code":"{code}","message":"because","request_id":"req_body"}}}}"#
        );
        Self::with(status, headers, &body)
    }

    pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        Self(format!(
            "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The responder and the sleeper of its clients.
pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Responder {
    pub(crate) async fn start(script: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        tokio::spawn(async move {
            for Script(answer) in script {
                let (mut stream, _) = listener.accept().await.expect("accept");
                let request = read(&mut stream).await;
                kept.lock().expect("lock").push(request);
                stream.write_all(answer.as_bytes()).await.expect("write");
                stream.shutdown().await.ok();
            }
        });
        Self {
            address,
            received,
            pauses: Arc::default(),
        }
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(&format!("http://{}", self.address))
            .token("skt_hidden")
            .timeout(Duration::from_secs(10))
            .sleeper(Arc::new(Pauses(self.pauses.clone())))
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("client")
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.received.lock().expect("lock").clone()
    }

    /// `METHOD /target` of each request.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |request: Received| {
            let line = request
                .head
                .lines()
                .next()
                .expect("request line")
                .to_owned();
            line.trim_end_matches(" HTTP/1.1").to_owned()
        };
        self.requests().into_iter().map(line).collect()
    }

    /// Pauses between attempts, which were not slept.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().expect("lock").clone()
    }
}

struct Pauses(Arc<Mutex<Vec<Duration>>>);

impl Sleeper for Pauses {
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().expect("lock").push(pause);
        Box::pin(std::future::ready(()))
    }
}

async fn read(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert!(
            stream.read_buf(&mut bytes).await.expect("read") > 0,
            "request cut short"
        );
    };
    let head = String::from_utf8(bytes[..head_end].to_vec())
        .expect("text")
        .to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().expect("length"));
    while bytes.len() < head_end + 4 + length {
        assert!(
            stream.read_buf(&mut bytes).await.expect("read") > 0,
            "body cut short"
        );
    }
    Received {
        head: String::from_utf8(bytes[..head_end].to_vec()).expect("text"),
        body: String::from_utf8(bytes[head_end + 4..].to_vec()).expect("text"),
    }
}
