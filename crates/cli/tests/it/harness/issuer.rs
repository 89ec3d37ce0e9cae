//! An issuer of tokens inside the test: its own keys, discovery and key set over loopback, every
//! document it gave out counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Listens on a free port of the loopback until it is dropped.
pub(crate) struct Issuer {
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    url: String,
    /// Published, oldest first; the last one signs.
    keys: Mutex<Vec<Arc<Signer>>>,
    made: AtomicUsize,
    looks: AtomicUsize,
    down: AtomicBool,
}

/// One key of its.
pub(crate) struct Signer {
    pub(crate) id: String,
    pair: EcdsaKeyPair,
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since the epoch: what an issuer writes into its tokens.
#[expect(
    clippy::disallowed_methods,
    reason = "the issuer's own clock, outside the server"
)]
pub(crate) fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self {
            id: id.to_owned(),
            pair: pair.expect("a key"),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "kid": self.id, "x": b64(x), "y": b64(y),
        })
    }

    /// A token with this header and these claims, to the letter.
    pub(crate) fn sign_raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", b64(signature.expect("a signature")))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.id });
        self.sign_raw(&header.to_string(), &claims.to_string())
    }
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            url: format!("http://{address}"),
            keys: Mutex::default(),
            made: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the issuer serves");
        });
        let issuer = Self { shared, serving };
        issuer.rotate(1);
        issuer
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.url
    }

    /// Publishes a new key, with which it signs from now on, and keeps so many in all.
    pub(crate) fn rotate(&self, keep: usize) {
        let number = self.shared.made.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.shared.keys.lock().expect("nobody panics holding it");
        keys.push(Arc::new(Signer::new(&format!("key-{number}"))));
        let gone = keys.len().saturating_sub(keep);
        keys.drain(..gone);
    }

    /// The key it signs with.
    pub(crate) fn signer(&self) -> Arc<Signer> {
        let keys = self.shared.keys.lock().expect("nobody panics holding it");
        Arc::clone(keys.last().expect("it always has one"))
    }

    /// From now on answers with 500, or no longer.
    pub(crate) fn down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Looks at its keys so far: each begins with the discovery.
    pub(crate) fn looks(&self) -> usize {
        self.shared.looks.load(Ordering::SeqCst)
    }

    /// Claims of a good token for an hour, with these over them; null takes one away.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": self.url(), "aud": "scaivault", "sub": "user:alice@acme.example",
            "iat": now_s(), "exp": now_s() + 3_600,
        });
        let claimed = claims.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            match value.is_null() {
                true => claimed.remove(name),
                false => claimed.insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    /// A good token but for these claims.
    pub(crate) fn token(&self, changes: &Value) -> String {
        self.signer().sign(&self.claims(changes))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.looks.fetch_add(1, Ordering::SeqCst);
    shared.serves()?;
    Ok(Json(json!({
        "issuer": shared.url, "jwks_uri": format!("{}/keys", shared.url),
        "id_token_signing_alg_values_supported": ["ES256"],
    })))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.serves()?;
    let keys = shared.keys.lock().expect("nobody panics holding it");
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    Ok(Json(json!({ "keys": keys })))
}

impl Shared {
    fn serves(&self) -> Result<(), StatusCode> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StatusCode::INTERNAL_SERVER_ERROR),
            false => Ok(()),
        }
    }
}
