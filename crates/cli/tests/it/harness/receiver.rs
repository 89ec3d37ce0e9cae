//! A receiver of webhooks inside the test: keeps what arrives, answers as told, and checks the
//! signatures the way the documentation tells receivers to.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use serde_json::Value;

use super::{SOON, eventually};

/// Listens on a free port of the loopback until it is dropped.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    answer: AtomicU16,
}

/// One request that arrived.
#[derive(Clone)]
pub(crate) struct Received {
    headers: HeaderMap,
    body: Bytes,
    pub(crate) event: Value,
}

impl Receiver {
    /// Answers everything with 200.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            answer: AtomicU16::new(200),
        });
        let app = axum::Router::new()
            .fallback(take)
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the receiver serves");
        });
        Self {
            shared,
            url,
            serving,
        }
    }

    /// Where to send to.
    pub(crate) fn url(&self) -> String {
        format!("{}/hook", self.url)
    }

    /// From now on answers with this status.
    pub(crate) fn answer_with(&self, status: u16) {
        self.shared.answer.store(status, Ordering::SeqCst);
    }

    /// Everything that arrived, in that order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .expect("nobody panics holding it")
            .clone()
    }

    /// The events of one type that arrived so far.
    pub(crate) fn of_type(&self, event_type: &str) -> Vec<Received> {
        let mut all = self.received();
        all.retain(|one| one.event["event_type"] == event_type);
        all
    }

    /// The first event of this type with these `data` fields, once it has arrived.
    pub(crate) async fn event(&self, event_type: &str, data: &Value) -> Received {
        eventually(
            &format!("{event_type} with {data} arrives"),
            SOON,
            async || {
                self.of_type(event_type)
                    .into_iter()
                    .find(|one| one.has_data(data))
            },
        )
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let event = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let received = Received {
        headers,
        body,
        event,
    };
    shared
        .received
        .lock()
        .expect("nobody panics holding it")
        .push(received);
    StatusCode::from_u16(shared.answer.load(Ordering::SeqCst)).expect("a status")
}

impl Received {
    /// All of it as bytes, headers first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = format!("{:?}\n", self.headers).into_bytes();
        all.extend_from_slice(&self.body);
        all
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The raw body.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether `data` has at least these fields.
    pub(crate) fn has_data(&self, fields: &Value) -> bool {
        let fields = fields.as_object().expect("an object of fields");
        fields
            .iter()
            .all(|(name, value)| self.event["data"][name] == *value)
    }

    /// Checks the envelope and the headers common to both kinds of receiver.
    #[track_caller]
    pub(crate) fn check_envelope(&self) {
        let event = &self.event;
        let id = event["event_id"].as_str().expect("event_id");
        assert!(id.starts_with("evt_"), "{event}");
        for field in [
            "event_type",
            "timestamp",
            "tenant_id",
            "partner_id",
            "identity_id",
        ] {
            assert!(event[field].is_string(), "{field} is missing: {event}");
        }
        assert!(event["data"].is_object(), "{event}");
        let at = event["timestamp"].as_str().expect("timestamp");
        assert!(
            at.len() == "2026-04-23T14:00:00.123456Z".len() && at.ends_with('Z'),
            "{at}"
        );
        assert_eq!(self.header("user-agent"), "ScaiVault-Webhook/1.0");
        assert_eq!(self.header("x-scaivault-event-id"), id);
        assert_eq!(self.header("x-scaivault-event-type"), event["event_type"]);
        assert!(self.header("content-type").starts_with("application/json"));
    }

    /// A webhook's signature: `sha256=` and hex over `timestamp.body`.
    #[track_caller]
    pub(crate) fn check_webhook_signature(&self, secret: &str) {
        let timestamp = self.header("x-scaivault-timestamp");
        assert!(
            timestamp.parse::<u64>().is_ok(),
            "Unix seconds: {timestamp:?}"
        );
        let signed = [timestamp.as_bytes(), b".", &self.body].concat();
        let expect = format!("sha256={}", hex::encode(hmac_sha256(secret, &signed)));
        assert_eq!(self.header("x-scaivault-signature"), expect);
        self.check_standard_signature(secret);
    }

    /// A subscription's signature: bare hex over the body.
    #[track_caller]
    pub(crate) fn check_subscription_signature(&self, secret: &str) {
        let expect = hex::encode(hmac_sha256(secret, &self.body));
        assert_eq!(self.header("x-scaivault-signature"), expect);
        self.check_standard_signature(secret);
    }

    /// The Standard Webhooks headers, which both kinds carry.
    #[track_caller]
    fn check_standard_signature(&self, secret: &str) {
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        assert!(!id.is_empty() && !timestamp.is_empty());
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &self.body].concat();
        let mac = base64::engine::general_purpose::STANDARD.encode(hmac_sha256(secret, &signed));
        let expect = format!("v1,{mac}");
        let signatures = self.header("webhook-signature");
        assert!(
            signatures.split(' ').any(|one| one == expect),
            "{signatures:?}"
        );
    }
}

/// HMAC-SHA256 with the secret's literal bytes as the key.
pub(crate) fn hmac_sha256(secret: &str, message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}
