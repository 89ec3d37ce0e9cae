//! A service that mints keys, with the shape of a built-in description, and a record of all that
//! was done there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};

/// The manager's key.
pub(crate) const MANAGER: &str = "manager-key-of-the-service";

#[derive(Clone)]
struct Key {
    id: String,
    value: String,
    name: String,
    revoked: bool,
}

#[derive(Default)]
struct Held {
    keys: Vec<Key>,
    /// Requests for keys wait.
    hold: bool,
    holding: usize,
}

/// The running service.
pub(crate) struct KeyService {
    held: Shared,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

type Shared = Arc<Service>;

#[derive(Default)]
struct Service {
    held: Mutex<Held>,
    released: tokio::sync::Notify,
}

impl Service {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nobody panics holding it")
    }
}

impl KeyService {
    pub(crate) async fn start() -> Self {
        let held = Shared::default();
        let app = Router::new()
            .route("/v3/scopes", get(scopes))
            .route("/v3/api_keys", get(list).post(create))
            .route("/v3/api_keys/{id}", delete(revoke))
            .with_state(Arc::clone(&held));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        Self { held, url, serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }

    /// From now on whoever asks for a key waits, or does not.
    pub(crate) fn hold(&self, hold: bool) {
        self.held().hold = hold;
    }

    /// How many wait.
    pub(crate) fn holding(&self) -> usize {
        self.held().holding
    }

    /// Those who wait are served.
    pub(crate) fn release(&self) {
        self.held.released.notify_waiters();
    }

    /// A key as somebody made it by hand: the first value of a secret.
    pub(crate) fn plant(&self) -> Value {
        let mut held = self.held();
        let key = mint(&mut held, "planted");
        json!({ "api_key": key.value, "api_key_id": key.id })
    }

    /// A second key under the name of the last one that was minted.
    pub(crate) fn mint_again(&self) {
        let mut held = self.held();
        let last = held.keys.iter().rfind(|key| key.name != "planted");
        let name = last.expect("a key was minted").name.clone();
        mint(&mut held, &name);
    }

    /// No key lets in any more.
    pub(crate) fn revoke_all(&self) {
        let mut held = self.held();
        held.keys.iter_mut().for_each(|key| key.revoked = true);
    }

    /// Whether a key with this value is let in.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        let held = self.held();
        let mut keys = held.keys.iter();
        keys.any(|key| key.value == value && !key.revoked)
    }

    /// Values of the keys that live, with their names.
    pub(crate) fn living(&self) -> BTreeMap<String, String> {
        let held = self.held();
        let living = held.keys.iter().filter(|key| !key.revoked);
        living
            .map(|key| (key.value.clone(), key.name.clone()))
            .collect()
    }

    /// Keys minted beyond the first ones.
    pub(crate) fn minted(&self) -> usize {
        let held = self.held();
        held.keys.iter().filter(|key| key.name != "planted").count()
    }

    /// Names under which more than one key was minted: the same step was done twice.
    pub(crate) fn minted_twice(&self) -> Vec<String> {
        let held = self.held();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for key in held.keys.iter().filter(|key| key.name != "planted") {
            *counts.entry(&key.name).or_default() += 1;
        }
        let twice = counts.into_iter().filter(|(_, count)| *count > 1);
        twice.map(|(name, _)| name.to_owned()).collect()
    }
}

impl Drop for KeyService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn mint(held: &mut Held, name: &str) -> Key {
    let number = held.keys.len() + 1;
    let key = Key {
        id: format!("id{number}"),
        value: format!("SG.key-{number}"),
        name: name.to_owned(),
        revoked: false,
    };
    held.keys.push(key.clone());
    key
}

fn proof(headers: &HeaderMap) -> &str {
    let header = headers.get("authorization");
    let text = header.and_then(|header| header.to_str().ok());
    text.and_then(|text| text.strip_prefix("Bearer "))
        .unwrap_or_default()
}

async fn scopes(State(held): State<Shared>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let proof = proof(&headers);
    if proof == MANAGER {
        let all = ["api_keys.create", "api_keys.read", "api_keys.delete"];
        return (StatusCode::OK, Json(json!({ "scopes": all })));
    }
    let held = held.lock();
    let mut keys = held.keys.iter();
    match keys.any(|key| key.value == proof && !key.revoked) {
        true => (StatusCode::OK, Json(json!({ "scopes": ["mail.send"] }))),
        false => (StatusCode::UNAUTHORIZED, Json(json!({}))),
    }
}

async fn create(
    State(held): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    if proof(&headers) != MANAGER {
        return (StatusCode::UNAUTHORIZED, Json(json!({})));
    }
    // What arrived is done, though nobody waits for the answer any more.
    let done = tokio::spawn(async move {
        let released = held.released.notified();
        let wait = {
            let mut held = held.lock();
            held.holding += usize::from(held.hold);
            held.hold
        };
        if wait {
            released.await;
        }
        let mut held = held.lock();
        let name = body["name"].as_str().expect("a name");
        let key = mint(&mut held, name);
        json!({ "api_key": key.value, "api_key_id": key.id, "name": name })
    });
    let made = done.await.expect("no panic in it");
    (StatusCode::CREATED, Json(made))
}

async fn list(State(held): State<Shared>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    if proof(&headers) != MANAGER {
        return (StatusCode::UNAUTHORIZED, Json(json!({})));
    }
    let held = held.lock();
    let living = held.keys.iter().filter(|key| !key.revoked);
    let items: Vec<_> = living
        .map(|key| json!({ "name": key.name, "api_key_id": key.id }))
        .collect();
    (StatusCode::OK, Json(json!({ "result": items })))
}

async fn revoke(
    State(held): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> StatusCode {
    if proof(&headers) != MANAGER {
        return StatusCode::UNAUTHORIZED;
    }
    let mut held = held.lock();
    let found = held
        .keys
        .iter_mut()
        .find(|key| key.id == id && !key.revoked);
    let Some(found) = found else {
        return StatusCode::NOT_FOUND;
    };
    found.revoked = true;
    StatusCode::NO_CONTENT
}
