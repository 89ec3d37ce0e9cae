//! What nobody gets by HashiCorp Vault's API, over the real server: more requests than he has, guesses
//! without end, another's time, or an answer to something that he did not say.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::raw::{exchange, request};
use crate::harness::{Api, Reply, Server};

const MAKER: &str = r#"
path "secret/data/app/*" { capabilities = ["read"] }
path "auth/token/create" { capabilities = ["update"] }
"#;

async fn ask(
    server: &Server,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let target = format!("/v1/{path}");
    let request = request(method, &target, headers, body.as_bytes());
    exchange(server.url(), request).await
}

async fn with_policy(name: &str, text: &str, server: &Server) {
    let route = format!("/v1/sys/policies/acl/{name}");
    let body = json!({ "policy": text });
    server.root().put(&route, body).await.ok(204);
}

async fn token(by: &Api, body: Value) -> Api {
    let made = by.post("/v1/auth/token/create", body).await.ok(200);
    by.with_token(made["auth"]["client_token"].as_str().expect("a token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_read_only_from_who_may_write_one() {
    let server = Server::dev().start().await;
    with_policy("maker", MAKER, &server).await;
    let plain = token(server.root(), json!({ "policies": ["maker"] })).await;
    for text in ["path \"a", MAKER] {
        let route = "/v1/sys/policies/acl/mine";
        let tried = plain.put(route, json!({ "policy": text })).await;
        assert_eq!(tried.status, 403, "{}", tried.text);
    }
    let rows = server
        .root()
        .get("/v1/audit/logs?action=policy_update")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows");
    let refused = rows.iter().filter(|row| row["success"] == false).count();
    assert_eq!(refused, 2, "{rows:?}");
    // One that would take minutes to compare is refused at once.
    let many: String = (0..500)
        .map(|at| format!("path \"secret/data/a{at}_*\" {{ capabilities = [\"read\"] }}\n"))
        .collect();
    let tried = server
        .root()
        .put("/v1/sys/policies/acl/many", json!({ "policy": many }))
        .await;
    assert_eq!(tried.status, 400);
    assert!(
        tried.text.contains("more than 2000 patterns"),
        "{}",
        tried.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn children_spend_the_limits_of_their_maker() {
    let server = Server::dev()
        .env("SCAIVAULT_RATE_LIMITS_READ", "6")
        .start()
        .await;
    with_policy("maker", MAKER, &server).await;
    let parent = token(server.root(), json!({ "policies": ["maker"] })).await;
    let child = token(&parent, json!({})).await;
    let began = Instant::now();
    let mut served = 0_u64;
    for api in [&parent, &child, &parent, &child] {
        for _ in 0..6 {
            served += u64::from(api.get("/v1/secret/data/app/x").await.status != 429);
        }
    }
    let refilled = began.elapsed().as_secs() / 10 + 1;
    assert!(served >= 6 && served <= 6 + refilled, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapping_token_is_for_its_answer_alone() {
    let server = Server::dev().start().await;
    let root = server.root().token().expect("a token").to_owned();
    let headers = [("X-Vault-Token", root.as_str()), ("X-Vault-Wrap-TTL", "60")];
    let paper = ask(
        &server,
        ("POST", "sys/wrapping/wrap"),
        &headers,
        r#"{"k":"v"}"#,
    )
    .await;
    let paper = paper.ok(200)["wrap_info"]["token"].clone();
    let own = server.root().with_token(paper.as_str().expect("a token"));
    for route in [
        "/v1/auth/whoami",
        "/v1/secrets/secret/x",
        "/v1/secret/data/x",
        "/v1/sys/internal/ui/mounts",
        "/v1/cubbyhole/response",
    ] {
        let tried = own.get(route).await;
        assert_eq!(tried.status, 403, "{route}: {}", tried.text);
    }
    own.get("/v1/auth/token/lookup-self").await.ok(200);
    let empty = json!({});
    let opened = own.post("/v1/sys/wrapping/unwrap", empty).await.ok(200);
    assert_eq!(opened["data"]["k"], "v");
}

/// Logins carry no token: what they give is wrapped by whoever logged in.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_a_login_can_be_wrapped() {
    let server = Server::dev().start().await;
    let root = server.root();
    let user = "/v1/auth/userpass/users/alice";
    root.post(user, json!({ "password": "pw" })).await.ok(204);
    let role = "/v1/auth/approle/role/shop";
    root.post(role, json!({ "token_ttl": "10m" })).await.ok(204);
    let id = root.get(&format!("{role}/role-id")).await.ok(200)["data"]["role_id"].clone();
    let secret = root.post(&format!("{role}/secret-id"), json!({})).await;
    let secret = secret.ok(200)["data"]["secret_id"].clone();
    let headers = [("X-Vault-Wrap-TTL", "60")];
    for (path, body) in [
        ("auth/userpass/login/alice", json!({ "password": "pw" })),
        (
            "auth/approle/login",
            json!({ "role_id": id, "secret_id": secret }),
        ),
    ] {
        let logged = ask(&server, ("POST", path), &headers, &body.to_string()).await;
        let logged = logged.ok(200);
        assert!(logged["auth"].is_null(), "{path}");
        let paper = logged["wrap_info"]["token"].as_str().expect("a token");
        assert_eq!(logged["wrap_info"]["creation_path"], path);
        let own = root.with_token(paper);
        let opened = own.post("/v1/sys/wrapping/unwrap", json!({})).await;
        let opened = opened.ok(200);
        let text = opened["auth"]["client_token"].as_str().expect("a token");
        let logged = root.with_token(text);
        logged.get("/v1/auth/token/lookup-self").await.ok(200);
    }
    let metrics = root.get("/v1/sys/metrics?format=prometheus").await.text;
    for method in ["password", "machine"] {
        let line = format!("scaivault_logins_total{{method=\"{method}\",result=\"success\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_a_few_guesses_of_a_user_and_others_are_not_shut_out() {
    let server = Server::dev()
        .env("SCAIVAULT_RATE_LIMITS_AUTH", "100")
        .start()
        .await;
    let root = server.root();
    for name in ["alice", "bob"] {
        let route = format!("/v1/auth/userpass/users/{name}");
        root.post(&route, json!({ "password": name })).await.ok(204);
    }
    let anyone = root.anonymous();
    let login = async |name: &str, password: &str| {
        let route = format!("/v1/auth/userpass/login/{name}");
        anyone.post(&route, json!({ "password": password })).await
    };
    let began = Instant::now();
    let mut guesses = 0_u64;
    let last = loop {
        let reply = login("alice", "guess").await;
        if reply.status == 429 {
            break reply;
        }
        assert_eq!(reply.status, 400, "{}", reply.text);
        guesses += 1;
        // Ten, and one for each six seconds.
        let most = 10 + began.elapsed().as_secs() / 6 + 1;
        assert!(guesses <= most, "{guesses} guesses");
    };
    assert!(last.retry_after() > 0);
    // The next one is not judged, right as it may be; and another user is let in.
    assert_eq!(login("alice", "alice").await.status, 429);
    // Who is right pays nothing but the request.
    for _ in 0..12 {
        login("bob", "bob").await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_not_passed_over() {
    let server = Server::dev().start().await;
    with_policy("maker", MAKER, &server).await;
    let root = server.root();
    let text = root.token().expect("a token").to_owned();
    let headers = [("X-Vault-Token", text.as_str())];
    let post = async |path: &str, body: &str| ask(&server, ("POST", path), &headers, body).await;
    let first = post("secret/data/app/x", r#"{"data":{"a":1}}"#).await;
    first.ok(200);
    for (path, body) in [
        (
            "secret/data/app/x",
            r#"{"data":{"a":2},"options":{"cas":1e999}}"#,
        ),
        ("auth/token/create", r#"{"policies":["\ud800"]}"#),
        ("auth/token/create", r#"{"meta":{"identity":"user:root"}}"#),
        ("auth/token/create", r#"{"meta":{"role_name":"x"}}"#),
        ("sys/mounts/secret/tune", r#"{"default_lease_ttl":"soon"}"#),
    ] {
        let tried = post(path, body).await;
        assert_eq!(tried.status, 400, "{path} {body}: {}", tried.text);
    }
    let read = root.get("/v1/secret/data/app/x").await.ok(200);
    assert_eq!(read["data"]["data"]["a"], 1);
    // A value is kept as it was written, and not if others could not read it.
    for body in [r#"{"data":{"a":"\ud800"}}"#, r#"{"data":{"a":1e999}}"#] {
        let tried = post("secret/data/unreadable", body).await;
        assert_eq!(tried.status, 400, "{body}: {}", tried.text);
    }
    let none = root.get("/v1/secret/data/unreadable").await;
    assert_eq!(none.status, 404, "{}", none.text);

    for (path, status) in [
        ("sys/health?activecode=101", 400),
        ("sys/health?activecode=299", 299),
        ("sys/mountssecret", 404),
        ("sys/mounts/secret", 200),
    ] {
        let told = ask(&server, ("GET", path), &headers, "").await;
        assert_eq!(told.status, status, "{path}: {}", told.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_that_can_be_made_can_log_in() {
    let server = Server::dev().start().await;
    let root = server.root();
    for (length, status) in [(119, 204), (120, 400)] {
        let name = "a".repeat(length);
        let route = format!("/v1/auth/userpass/users/{name}");
        let made = root.post(&route, json!({ "password": "pw" })).await;
        assert_eq!(made.status, status, "{}", made.text);
        let route = format!("/v1/auth/userpass/login/{name}");
        let logged = root
            .anonymous()
            .post(&route, json!({ "password": "pw" }))
            .await;
        assert_eq!(logged.status == 200, status == 204, "{}", logged.text);
    }
    // Names of nobody are on the trail as such.
    let route = "/v1/auth/userpass/login/nobody-here";
    let tried = root
        .anonymous()
        .post(route, json!({ "password": "pw" }))
        .await;
    assert_eq!(tried.status, 400);
    let rows = root
        .get("/v1/audit/logs?action=machine_login")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows");
    assert!(
        rows.iter()
            .any(|row| row.to_string().contains("user_unknown")),
        "{rows:?}"
    );
    assert!(
        !rows
            .iter()
            .any(|row| row.to_string().contains("nobody-here"))
    );
}
