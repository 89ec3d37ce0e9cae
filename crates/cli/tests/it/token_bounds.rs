//! Tokens with a number of uses, with addresses, and with a parent, over the real server.

use serde_json::{Value, json};

use crate::harness::{Api, SOON, Server, eventually};

async fn mint(api: &Api, more: Value) -> Value {
    let mut body = json!({
        "identity_type": "service_account", "identity_id": "sa:job", "scopes": ["admin"],
    });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    api.post("/v1/auth/tokens", body).await.ok(201)
}

fn text(token: &Value) -> &str {
    token["token"].as_str().expect("a token")
}

async fn listed(root: &Api, id: &Value) -> Value {
    let list = root.get("/v1/auth/tokens?limit=1000").await.ok(200);
    let tokens = list["tokens"].as_array().expect("tokens");
    let found = tokens.iter().find(|token| token["id"] == *id);
    found.expect("it is listed").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_two_requests_serves_two() {
    let server = Server::dev().start().await;
    let root = server.root();
    let minted = mint(root, json!({"uses": 2})).await;
    assert_eq!(minted["uses_left"], 2);
    let own = root.with_token(text(&minted));
    let who = own.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["uses_left"], 1, "this request counted");
    assert_eq!(who["token_id"], minted["id"]);
    // A request that fails spends one, too.
    own.get("/v1/auth/tokens/no")
        .await
        .refused(405, "method_not_allowed");
    own.get("/v1/secrets/none")
        .await
        .refused(403, "insufficient_scope");
    own.get("/v1/auth/whoami")
        .await
        .refused(401, "token_expired");
    let row = listed(root, &minted["id"]).await;
    assert_eq!(
        (&row["status"], &row["uses_left"]),
        (&json!("used_up"), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_the_last_use() {
    let server = Server::dev().start().await;
    let root = server.root();
    let minted = mint(root, json!({"uses": 1})).await;
    let all = (0..16).map(|_| {
        let own = root.with_token(text(&minted));
        tokio::spawn(async move { own.get("/v1/auth/whoami").await.status })
    });
    let mut seen = Vec::new();
    for one in all.collect::<Vec<_>>() {
        seen.push(one.await.expect("an answer"));
    }
    seen.sort_unstable();
    assert_eq!((seen[0], &seen[1..]), (200, &[401; 15][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_bound_elsewhere_is_refused_and_told_of() {
    let server = Server::dev().start().await;
    let root = server.root();
    let minted = mint(
        root,
        json!({"allowed_addresses": ["192.0.2.0/24"], "uses": 1}),
    )
    .await;
    assert_eq!(minted["allowed_addresses"], json!(["192.0.2.0/24"]));
    let own = root.with_token(text(&minted));
    own.get("/v1/auth/whoami")
        .await
        .refused(403, "ip_not_allowed");
    let row = listed(root, &minted["id"]).await;
    assert_eq!(row["uses_left"], 1, "refused before a use is counted");
    let trail = root.get("/v1/audit/logs?action=token_use").await.ok(200);
    assert_eq!(trail["logs"][0]["extra_data"]["token_id"], minted["id"]);
    assert_eq!(trail["logs"][0]["success"], false);

    let here = mint(root, json!({"allowed_addresses": ["127.0.0.0/8", "::1"]})).await;
    let own = root.with_token(text(&here));
    let who = own.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["allowed_addresses"], json!(["127.0.0.0/8", "::1/128"]));
    let wider = json!({
        "identity_type": "user", "identity_id": "user:a", "scopes": ["admin"], "no_parent": true,
        "allowed_addresses": ["0.0.0.0/0"],
    });
    own.post("/v1/auth/tokens", wider)
        .await
        .refused(403, "forbidden");
    for (field, value) in [
        ("uses", json!(0)),
        ("allowed_addresses", json!(["10.0.0.1/8"])),
        ("allowed_addresses", json!(["everywhere"])),
    ] {
        let mut body = json!({
            "identity_type": "user", "identity_id": "user:a", "scopes": ["admin"],
        });
        body[field] = value;
        root.post("/v1/auth/tokens", body)
            .await
            .refused(422, "validation_error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_end_with_their_parent() {
    let server = Server::dev().start().await;
    let root = server.root();
    let top = mint(root, json!({"ttl": "1h"})).await;
    assert!(top["parent_id"].is_null());
    let by_top = root.with_token(text(&top));
    let child = mint(&by_top, json!({"ttl": "90d"})).await;
    assert_eq!(child["parent_id"], top["id"]);
    assert_eq!(child["expires_at"], top["expires_at"]);
    let orphan = mint(&by_top, json!({"no_parent": true})).await;
    let grandchild = mint(&root.with_token(text(&child)), json!({})).await;
    let own = root.with_token(text(&grandchild));
    let who = own.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["parent_id"], child["id"]);

    let id = top["id"].as_str().expect("an id");
    root.delete(&format!("/v1/auth/tokens/{id}")).await.ok(204);
    own.get("/v1/auth/whoami")
        .await
        .refused(401, "token_revoked");
    let asked = json!({"token": text(&child)});
    let found = root.post("/v1/auth/introspect", asked).await.ok(200);
    assert_eq!(found, json!({"active": false}));
    let orphan = root.with_token(text(&orphan));
    orphan.get("/v1/auth/whoami").await.ok(200);
    for token in [&child, &grandchild] {
        eventually("the list says so", SOON, async || {
            let row = listed(root, &token["id"]).await;
            (row["status"] == "revoked" && row["ended_with_parent"] == true).then_some(())
        })
        .await;
    }
}
