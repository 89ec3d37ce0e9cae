//! What others' tokens stand for.

use serde_json::{Value, json};

use crate::first_integration::service_token;
use crate::harness::{Api, Server};

async fn introspect(api: &Api, token: &str) -> Value {
    let body = json!({ "token": token });
    api.post("/v1/auth/introspect", body).await.ok(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_known_while_it_counts_and_not_a_moment_longer() {
    let server = Server::dev().start().await;
    let root = server.root();
    let minted = service_token(root, "sa:reporting", &["secrets:read"]).await;
    let token = minted["token"].as_str().expect("a token");

    let found = introspect(root, token).await;
    assert_eq!(found["active"], true);
    assert_eq!(found["token_id"], minted["id"]);
    assert_eq!(found["identity_id"], "sa:reporting");
    assert_eq!(found["identity_type"], "service_account");
    assert_eq!(found["scopes"], json!(["secrets:read"]));
    assert_eq!(found["expires_at"], minted["expires_at"]);
    let issued = found["issued_at"].as_str().expect("a time");
    assert!(issued < found["expires_at"].as_str().expect("a time"));

    // Who may not ask is told nothing of it.
    let own = root.with_token(token);
    let asked = own.post("/v1/auth/introspect", json!({ "token": token }));
    asked.await.refused(403, "insufficient_scope");

    let id = minted["id"].as_str().expect("an id");
    root.delete(&format!("/v1/auth/tokens/{id}")).await.ok(204);
    let nothing = json!({ "active": false });
    assert_eq!(introspect(root, token).await, nothing);
    for text in ["", "skt_", "eyJhbGciOiJub25lIn0.e30.", "a token of nobody"] {
        assert_eq!(introspect(root, text).await, nothing);
    }

    // The trail says who asked about which token, and holds none of the texts.
    let trail = root.get("/v1/audit/logs?action=token_introspect").await;
    let trail = trail.ok(200);
    let rows = trail["logs"].as_array().expect("rows");
    let of_this = rows
        .iter()
        .filter(|row| row["extra_data"]["token_id"] == minted["id"]);
    assert_eq!((rows.len(), of_this.count()), (7, 1));
    assert!(!trail.to_string().contains(token));
}
