//! Deliveries over real sockets on loopback, against hostile URLs, name servers and receivers.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::access::Cidr;
use scaivault_core::delivery::{AttemptError, Attempted};
use scaivault_core::ports::{Courier, Parcel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::resolve::Lookup;
use super::{EgressPolicy, GuardedCourier};

/// Answers the first entry first, the last one from then on.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            answers: answers.iter().map(parse).collect(),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn addresses(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        let at = self
            .asked
            .fetch_add(1, Ordering::Relaxed)
            .min(self.answers.len() - 1);
        Ok(self.answers[at].clone())
    }
}

/// A listener that nothing may connect to.
struct Trap(std::net::TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// A connection on loopback waits in the queue as soon as it was made, so none there means
    /// none was.
    fn assert_untouched(&self) {
        assert_eq!(self.0.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

fn loopback_only(timeout_ms: u64) -> EgressPolicy {
    EgressPolicy {
        allow_http: true,
        allow_private: vec![Cidr::parse("127.0.0.1").unwrap()],
        timeout: Duration::from_millis(timeout_ms),
        ..EgressPolicy::default()
    }
}

fn parcel(url: String) -> Parcel {
    let headers = vec![("x-scaivault-event-id", "evt_1".to_owned())];
    Parcel {
        url,
        headers,
        body: b"{}".to_vec(),
    }
}

async fn deliver(courier: &GuardedCourier, url: String) -> Attempted {
    courier.deliver(&parcel(url)).await
}

/// A receiver that reads one request's head and body, tells it, and does `answer`.
async fn receiver<F, Fut>(answer: F) -> (SocketAddr, mpsc::UnboundedReceiver<String>)
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = String::new();
            let mut buffer = [0u8; 4_096];
            while !request.ends_with("\r\n\r\n{}") {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                // Ended, or not clear text: a TLS hello is answered as if it were.
                if n == 0 || (request.is_empty() && !buffer.starts_with(b"POST ")) {
                    break;
                }
                request.push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
            let _ = tell.send(request);
            tokio::spawn(answer(stream));
        }
    });
    (address, told)
}

async fn say(mut stream: TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}

fn notations_of(v4: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = v4.octets();
    let n = u32::from(v4);
    let (high, low) = (n >> 16, n & 0xffff);
    let dotted = format!("{a}.{b}.{c}.{d}");
    let percent = dotted
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect::<String>();
    vec![
        dotted.clone(),
        format!("{dotted}."),
        percent,
        format!("{n}"),
        format!("0{n:o}"),
        format!("0x{n:x}"),
        format!("0X{n:08X}"),
        format!("0x000000{n:x}"),
        format!("{a}.{}", n & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0000{a:o}.{b}.0x{low:x}"),
        format!("0x{a:x}.{b}.0{c:o}.{d}"),
        format!("[::ffff:{dotted}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:FFFF:{high:x}:{low:x}]"),
        format!("[::{dotted}]"),
        format!("[::ffff:0:{dotted}]"),
        format!("[64:ff9b::{dotted}]"),
        format!("[64:ff9b:1::{dotted}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:1:1:1:1:{:x}:{:x}]", high ^ 0xffff, low ^ 0xffff),
        format!("[2a00:1450::5efe:{high:x}:{low:x}]"),
        format!("public.example@{dotted}"),
        format!("{dotted}\\@public.example"),
        format!("{dotted}\t"),
    ]
}

#[tokio::test]
async fn no_notation_of_a_closed_address_leads_to_a_connection() {
    let trap = Trap::set();
    let lookup = Scripted::new(&[&["127.0.0.1"]]);
    let courier = GuardedCourier::with_lookup(EgressPolicy::default(), lookup.clone()).unwrap();
    let closed = [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
    ];
    let hosts = closed
        .iter()
        .flat_map(|text| notations_of(text.parse().unwrap()))
        .chain(
            [
                "[::]",
                "[::1]",
                "[0:0:0:0:0:0:0:1]",
                "[fe80::1]",
                "[fe80::1%25eth0]",
                "[fc00::1]",
                "[fd00:ec2::254]",
                "[ff02::1]",
                "[2001:db8::1]",
                "[100::1]",
                "0",
                "127.1",
                "0x7f.1",
                "localhost",
                "LocalHost.",
                "a.localhost",
                "metadata.google.internal",
                "db.local",
            ]
            .map(str::to_owned),
        );
    let mut tried = 0;
    for host in hosts {
        for scheme in ["https", "http", "HTTPS"] {
            let url = format!("{scheme}://{host}:{}/x", trap.port());
            assert!(courier.check_url(&url).is_err(), "{url}");
            let attempted = deliver(&courier, url.clone()).await;
            assert_eq!(
                attempted.error,
                Some(AttemptError::AddressForbidden),
                "{url}"
            );
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
    assert_eq!(lookup.asked(), 0, "a refused URL is not even looked up");
    trap.assert_untouched();
}

#[tokio::test]
async fn a_name_that_means_a_closed_address_is_not_connected_to() {
    let trap = Trap::set();
    for hostile in [
        &["127.0.0.1"][..],
        &["::ffff:127.0.0.1"],
        &["::1"],
        &["0.0.0.0"],
        &["10.0.0.1", "::1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::1"],
        &["169.254.169.254"],
        &["fe80::1"],
    ] {
        let lookup = Scripted::new(&[hostile]);
        let courier = GuardedCourier::with_lookup(EgressPolicy::default(), lookup.clone()).unwrap();
        let url = format!("https://hooks.example.com:{}/", trap.port());
        assert_eq!(
            courier.check_url(&url),
            Ok(()),
            "judged at delivery, not by name"
        );
        let attempted = deliver(&courier, url).await;
        assert_eq!(
            attempted.error,
            Some(AttemptError::AddressForbidden),
            "{hostile:?}"
        );
        assert_eq!((attempted.response_code, lookup.asked()), (None, 1));
    }
    trap.assert_untouched();
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let trap = Trap::set();
    let (good, mut told) =
        receiver(|stream| say(stream, "HTTP/1.1 204 x\r\ncontent-length: 0\r\n\r\n")).await;
    // The trap listens on every loopback address but 127.0.0.1:<port of `good`>.
    let lookup = Scripted::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let courier = GuardedCourier::with_lookup(loopback_only(5_000), lookup.clone()).unwrap();
    let first = deliver(&courier, format!("http://rebind.example:{}/", good.port())).await;
    assert_eq!((first.response_code, first.error), (Some(204), None));
    assert_eq!(
        lookup.asked(),
        1,
        "asked once: the judged address is the one connected to"
    );
    let request = told.recv().await.unwrap().to_ascii_lowercase();
    assert!(
        request.contains("user-agent: scaivault-webhook/1.0\r\n"),
        "{request}"
    );
    assert!(
        request.contains("content-type: application/json\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-scaivault-event-id: evt_1\r\n"),
        "{request}"
    );

    let second = deliver(&courier, format!("http://rebind.example:{}/", trap.port())).await;
    assert_eq!(second.error, Some(AttemptError::AddressForbidden));
    assert_eq!(lookup.asked(), 2, "asked again: nothing is remembered");
    trap.assert_untouched();
}

#[tokio::test]
async fn clear_text_does_not_leave_the_allowed_ranges() {
    let trap = Trap::set();
    let lookup = Scripted::new(&[&["8.8.8.8"]]);
    let courier = GuardedCourier::with_lookup(EgressPolicy::dev(), lookup).unwrap();
    let attempted = deliver(&courier, format!("http://public.example:{}/", trap.port())).await;
    assert_eq!(attempted.error, Some(AttemptError::AddressForbidden));
}

#[tokio::test]
async fn redirects_are_answers_not_directions() {
    let trap = Trap::set();
    let target = format!("http://127.0.0.1:{}/stolen", trap.port());
    for code in [301, 302, 303, 307, 308] {
        let answer =
            format!("HTTP/1.1 {code} x\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let (address, _told) = receiver(move |stream| {
            let answer = answer.clone();
            async move { say(stream, &answer).await }
        })
        .await;
        let courier = GuardedCourier::new(loopback_only(5_000)).unwrap();
        let attempted = deliver(&courier, format!("http://{address}/")).await;
        assert_eq!(attempted.response_code, Some(code));
        assert_eq!(attempted.error, Some(AttemptError::Status));
    }
    trap.assert_untouched();
}

#[tokio::test]
async fn a_silent_receiver_times_out_and_holds_nobody_else_up() {
    let (silent, _told) = receiver(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (quick, _heard) =
        receiver(|stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
    let patient = Arc::new(GuardedCourier::new(loopback_only(600_000)).unwrap());
    let stuck: Vec<_> = (0..64)
        .map(|_| {
            let courier = Arc::clone(&patient);
            tokio::spawn(async move { deliver(&courier, format!("http://{silent}/")).await })
        })
        .collect();
    let attempted = deliver(&patient, format!("http://{quick}/")).await;
    assert_eq!(
        (attempted.response_code, attempted.error),
        (Some(200), None)
    );
    assert!(stuck.iter().all(|task| !task.is_finished()));
    stuck.iter().for_each(tokio::task::JoinHandle::abort);

    let hasty = GuardedCourier::new(loopback_only(50)).unwrap();
    let attempted = deliver(&hasty, format!("http://{silent}/")).await;
    assert_eq!(
        (attempted.response_code, attempted.error),
        (None, Some(AttemptError::Timeout))
    );
    assert!(attempted.duration >= Duration::from_millis(50));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let sent = Arc::new(AtomicUsize::new(0));
    let (done, mut finished) = mpsc::unbounded_channel();
    let counter = Arc::clone(&sent);
    let (address, _told) = receiver(move |mut stream| {
        let (counter, done) = (Arc::clone(&counter), done.clone());
        async move {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n";
            let _ = stream.write_all(head).await;
            while let Ok(n) = stream.write(&[b'x'; 16_384]).await {
                counter.fetch_add(n, Ordering::Relaxed);
            }
            let _ = done.send(());
        }
    })
    .await;
    let courier = GuardedCourier::new(loopback_only(60_000)).unwrap();
    let attempted = deliver(&courier, format!("http://{address}/")).await;
    assert_eq!(
        (attempted.response_code, attempted.error),
        (Some(200), None)
    );
    finished.recv().await.unwrap();
    let sent = sent.load(Ordering::Relaxed);
    assert!(
        sent < 64 << 20,
        "{sent} bytes left the receiver: socket buffers, not a stream"
    );
}

#[tokio::test]
async fn failures_are_told_apart() {
    let courier = GuardedCourier::new(loopback_only(5_000)).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (garbage, _told) = receiver(|stream| say(stream, "220 mail ESMTP\r\n")).await;
    let (cut, _told_too) = receiver(|stream| async move { drop(stream) }).await;
    let (down, _heard) =
        receiver(|stream| say(stream, "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n")).await;
    for (url, code, error) in [
        (format!("http://{closed}/"), None, AttemptError::Connect),
        (format!("http://{garbage}/"), None, AttemptError::Connect),
        (format!("http://{cut}/"), None, AttemptError::Connect),
        (format!("https://{down}/"), None, AttemptError::Connect),
        (format!("http://{down}/"), Some(503), AttemptError::Status),
        (
            "https://no.such.host.invalid/".to_owned(),
            None,
            AttemptError::Resolve,
        ),
    ] {
        let attempted = deliver(&courier, url.clone()).await;
        assert_eq!(
            (attempted.response_code, attempted.error),
            (code, Some(error)),
            "{url}"
        );
    }
    let mut broken = parcel(format!("http://{down}/"));
    broken.headers.push(("x-broken", "a\nb".to_owned()));
    assert_eq!(
        courier.deliver(&broken).await.error,
        Some(AttemptError::Receiver)
    );
}
