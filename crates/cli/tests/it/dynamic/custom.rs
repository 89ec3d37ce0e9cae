//! Keys of a service over HTTP, made on request.

use serde_json::{Value, json};

use super::{LEASES, text};
use crate::harness::key_service::{KeyService, MANAGER};
use crate::harness::{Api, SOON, Server, eventually};

const ENGINE: &str = "/v1/dynamic/engines/mail";
const CREDS: &str = "/v1/dynamic/engines/mail/creds/sender";

async fn engine(root: &Api, keys: &KeyService) {
    let secret = json!({ "data": { "api_key": MANAGER } });
    root.put("/v1/secrets/dynamic/mail-root", secret)
        .await
        .ok(201);
    let body = json!({
        "name": "mail", "type": "custom",
        "config": {
            "plugin": "http_key", "root_credentials_path": "dynamic/mail-root",
            "settings": { "service": "sendgrid", "base_url": keys.url() },
        },
    });
    root.post("/v1/dynamic/engines", body).await.ok(201);
    let role = json!({
        "name": "sender", "settings": { "fields": { "scopes": ["mail.send"] } },
    });
    root.post(&format!("{ENGINE}/roles"), role).await.ok(201);
}

async fn generate(root: &Api, ttl: &str) -> Value {
    root.post(CREDS, json!({ "ttl": ttl })).await.ok(201)
}

fn key(made: &Value) -> &str {
    text(&made["data"], "api_key")
}

async fn refused(keys: &KeyService, made: &Value) {
    eventually("the key is refused", SOON, async || {
        (!keys.accepts(key(made))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lives_as_long_as_its_lease() {
    let keys = KeyService::start().await;
    let others = keys.plant();
    let server = Server::dev().start().await;
    let root = server.root();
    engine(root, &keys).await;
    let health = root.get(&format!("{ENGINE}/health")).await.ok(200);
    assert_eq!(health["healthy"], true, "{health}");

    let (kept, given_back) = (generate(root, "10m").await, generate(root, "10m").await);
    for made in [&kept, &given_back] {
        assert!(keys.accepts(key(made)), "{made}");
    }
    let id = text(&kept, "lease_id");
    let later = root
        .post(
            &format!("{LEASES}/{id}/renew"),
            json!({ "increment": "30m" }),
        )
        .await
        .ok(200);
    assert!(text(&later, "expires_at") > text(&kept, "expires_at"));
    let revoke = format!("{LEASES}/{}/revoke", text(&given_back, "lease_id"));
    root.post_empty(&revoke).await.ok(202);
    refused(&keys, &given_back).await;
    // By itself.
    refused(&keys, &generate(root, "2s").await).await;
    assert!(keys.accepts(key(&kept)), "its lease has not ended");

    let swept = root.post_empty(&format!("{ENGINE}/sweep")).await.ok(200);
    assert_eq!(swept["found"], json!([]), "the keys of others are theirs");
    root.post_empty(&format!("{ENGINE}/revoke-all"))
        .await
        .ok(202);
    refused(&keys, &kept).await;
    assert!(keys.accepts(text(&others, "api_key")));
    let said = server.process().stderr();
    for made in [&kept, &given_back] {
        assert!(!said.contains(key(made)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_nobody_lived_to_see_is_revoked() {
    let keys = KeyService::start().await;
    let data = tempfile::tempdir().expect("a directory");
    let mut server = Server::dev().data(data.path()).start().await;
    engine(server.root(), &keys).await;
    keys.hold(true);
    let asking = server.root().clone();
    let asked = tokio::spawn(async move {
        asking
            .attempt(reqwest::Method::POST, CREDS, None)
            .await
            .is_ok()
    });
    eventually("the service is asked", SOON, async || {
        (keys.holding() == 1).then_some(())
    })
    .await;
    server.kill();
    assert!(!asked.await.expect("no panic in it"), "nobody was told");
    keys.hold(false);
    keys.release();

    eventually("it arrives all the same", SOON, async || {
        (keys.minted() == 1).then_some(())
    })
    .await;

    // The lease was there before the service was asked. It would be ended by itself; nobody has to wait.
    let server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    let all = root.get(LEASES).await.ok(200);
    assert_eq!(all["leases"].as_array().map(Vec::len), Some(1), "{all}");
    let (living, account) = (keys.living(), text(&all["leases"][0], "account"));
    let names: Vec<&String> = living.values().collect();
    assert!(
        matches!(names[..], [name] if name.contains(account)),
        "{names:?} of {account}"
    );
    root.post_empty(&format!("{ENGINE}/revoke-all"))
        .await
        .ok(202);
    eventually("the key is revoked", SOON, async || {
        keys.living().is_empty().then_some(())
    })
    .await;
    assert_eq!(keys.minted(), 1, "and no other was made");
}
