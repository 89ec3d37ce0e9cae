//! The requests that operators of clusters and frameworks send, one after the other, without a client
//! library of our choosing: a login with a token of an issuer, what it may, and the end of it.

use serde_json::{Value, json};

use crate::harness::raw::{exchange, request};
use crate::harness::{Issuer, Reply, Server};

const RULES: &str = r#"
[[issuer]]
name = "test"
url = "URL"
audiences = ["scaivault"]
login = false
[[exchange]]
name = "eso"
issuer = "test"
subject = "system:serviceaccount:prod:*"
identity = "sa:{/kubernetes.io/serviceaccount/name}"
groups = ["group:acl/shop"]
scopes = ["secrets:read"]
ttl = "20m"
"#;
const POLICY: &str = "path \"secret/data/shop/*\" { capabilities = [\"read\"] }\n\
                      path \"secret/metadata/shop/*\" { capabilities = [\"read\", \"list\"] }";

/// As Go's client of theirs writes it: marked, and `PUT` for writes.
async fn go(server: &Server, token: &str, method: &str, path: &str, body: Value) -> Reply {
    let bytes = match &body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let mut headers = vec![("X-Vault-Request", "true")];
    if !token.is_empty() {
        headers.push(("X-Vault-Token", token));
    }
    let target = format!("/v1/{path}");
    exchange(server.url(), request(method, &target, &headers, &bytes)).await
}

async fn believing(issuer: &Issuer) -> (Server, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("issuers.toml");
    std::fs::write(&file, RULES.replace("URL", issuer.url())).expect("a file");
    let file = file.to_str().expect("a plain name").to_owned();
    let server = Server::dev().env("SCAIVAULT_IDENTITY_ISSUERS_FILE", &file);
    (server.start().await, home)
}

fn pod(issuer: &Issuer, namespace: &str) -> String {
    issuer.token(&json!({
        "sub": format!("system:serviceaccount:{namespace}:eso"),
        "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": "eso" } },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn external_secrets_with_the_token_of_its_pod() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer).await;
    let root = server.root_token();
    let policy = json!({ "policy": POLICY });
    let put = go(&server, root, "PUT", "sys/policies/acl/shop", policy).await;
    assert_eq!(put.status, 204, "{}", put.text);
    for path in ["secret/data/shop/db", "secret/data/other"] {
        let value = json!({ "data": { "password": "p" } });
        assert_eq!(go(&server, root, "PUT", path, value).await.status, 200);
    }

    for way in ["kubernetes", "jwt"] {
        let path = format!("auth/{way}/login");
        let login = json!({ "role": "eso", "jwt": pod(&issuer, "prod") });
        let login = go(&server, "", "PUT", &path, login).await.ok(200);
        let auth = &login["auth"];
        assert_eq!(auth["lease_duration"], 1_200, "{way}");
        let held = auth["token_policies"].as_array().expect("a list");
        assert!(held.contains(&json!("shop")), "{way}: {held:?}");
        let token = auth["client_token"].as_str().expect("a token");

        let me = go(&server, token, "GET", "auth/token/lookup-self", Value::Null).await;
        let me = me.ok(200);
        assert_eq!(me["data"]["type"], "service");
        assert!(me["data"]["ttl"].as_u64().is_some_and(|ttl| ttl > 1_000));
        let read = go(&server, token, "GET", "secret/data/shop/db", Value::Null).await;
        assert_eq!(read.ok(200)["data"]["data"]["password"], "p");
        let listed = go(
            &server,
            token,
            "GET",
            "secret/metadata/shop?list=true",
            Value::Null,
        )
        .await;
        assert_eq!(listed.ok(200)["data"]["keys"], json!(["db"]));
        let other = go(&server, token, "GET", "secret/data/other", Value::Null).await;
        assert_eq!(other.status, 403, "{}", other.text);
        let end = go(&server, token, "PUT", "auth/token/revoke-self", Value::Null).await;
        assert_eq!(end.status, 204, "{}", end.text);
        let ended = go(&server, token, "GET", "secret/data/shop/db", Value::Null).await;
        assert_eq!(ended.status, 403, "{}", ended.text);

        let elsewhere = json!({ "role": "eso", "jwt": pod(&issuer, "dev") });
        let unknown = json!({ "role": "none", "jwt": pod(&issuer, "prod") });
        let broken = json!({ "role": "eso", "jwt": "a.b.c" });
        for refused in [elsewhere, unknown, broken] {
            let answer = go(&server, "", "PUT", &path, refused).await;
            assert_eq!(answer.status, 403, "{way}: {}", answer.text);
            assert_eq!(answer.body["errors"][0], "permission denied");
        }
        let nothing = go(&server, "", "PUT", &path, json!({ "role": "eso" })).await;
        assert_eq!(nothing.status, 400, "{way}: {}", nothing.text);
    }
}
