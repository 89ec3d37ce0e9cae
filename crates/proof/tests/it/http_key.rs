//! Keys minted over HTTP, at a scripted service with room for two. It gives a key's value once.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::target::Overlap;
use serde_json::{Value, json};

use crate::fake_keys::{FakeKeys, MANAGER};
use crate::matrix::{Way, matrix};
use crate::system::{Fresh, Held, System, text};

/// A service of its own per rotation: its room is for two keys.
#[derive(Default)]
pub(crate) struct HttpKeys {
    services: Mutex<HashMap<String, Arc<FakeKeys>>>,
}

struct NoSession;

#[async_trait]
impl Held for NoSession {
    async fn close(self: Box<Self>) {}
}

impl HttpKeys {
    fn service(&self, fresh: &Fresh) -> Arc<FakeKeys> {
        let services = self.services.lock();
        services[text(&fresh.settings, "base_url")].clone()
    }
}

#[async_trait]
impl System for HttpKeys {
    fn name(&self) -> String {
        "HTTP keys (SendGrid's description, quota of two)".to_owned()
    }

    fn connector(&self) -> &'static str {
        "http_key"
    }

    async fn fresh(&self, _n: usize) -> Fresh {
        let fake = FakeKeys::start().await;
        fake.state().quota = 2;
        let key = fake.plant("first", "made-by-hand");
        let url = fake.url();
        self.services.lock().insert(url.clone(), Arc::new(fake));
        Fresh {
            overlap: Overlap::NKeys,
            settings: json!({"service": "sendgrid", "base_url": url, "timeout_s": 2}),
            account: json!({"fields": {"scopes": ["mail.send"]}}),
            first: json!({"api_key": key.value, "api_key_id": key.id, "note": "stays"}),
            manager: Some(json!({"username": "admin", "api_key": MANAGER})),
            names: Vec::new(),
        }
    }

    async fn log_in(&self, fresh: &Fresh, credential: &Value) -> Option<Box<dyn Held>> {
        let accepted = self.service(fresh).accepts(text(credential, "api_key"));
        accepted.then(|| Box::new(NoSession) as Box<dyn Held>)
    }

    /// Every key that lives is kept, or carries the tag of the rotation under way: its answer was
    /// lost, and it is found by that.
    async fn unknown(&self, fresh: &Fresh, stored: &[Value], open: Option<&str>) -> Vec<String> {
        let service = self.service(fresh);
        let is_kept = |value: &str| stored.iter().any(|kept| text(kept, "api_key") == value);
        let is_tagged = |name: &str| open.is_some_and(|open| name.contains(open));
        let state = service.state();
        let living = state.keys.iter().filter(|key| key.is_alive());
        living
            .filter(|key| !is_kept(&key.value) && !is_tagged(&key.name))
            .map(|key| key.name.clone())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_at_every_point() {
    let system = Arc::new(HttpKeys::default());
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}
