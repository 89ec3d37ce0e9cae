//! HashiCorp Vault's API from the outside: nothing of it leads around a policy, a tenant, the trail or a
//! limit. What its clients make of it is in `scripts/vault-clients`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::first_integration::{grant, service, service_token};
use crate::harness::raw::{exchange, request};
use crate::harness::{Api, Reply, Server};
use crate::tenancy;

/// Every route, with a body for those that take one.
fn routes() -> Vec<(&'static str, &'static str, Value)> {
    let none = Value::Null;
    let data = json!({ "data": { "k": "changed" } });
    let some = json!({ "versions": [1] });
    let token = json!({ "token": "skt_nothing" });
    vec![
        ("GET", "sys/mounts", none.clone()),
        ("POST", "sys/mounts/x", json!({ "type": "kv" })),
        ("GET", "sys/mounts/secret", none.clone()),
        ("DELETE", "sys/mounts/secret", none.clone()),
        ("GET", "sys/mounts/secret/tune", none.clone()),
        (
            "POST",
            "sys/mounts/secret/tune",
            json!({ "description": "changed" }),
        ),
        ("GET", "sys/audit", none.clone()),
        ("GET", "sys/metrics", none.clone()),
        ("POST", "sys/wrapping/unwrap", token.clone()),
        ("POST", "sys/wrapping/rewrap", token.clone()),
        ("POST", "sys/wrapping/lookup", token.clone()),
        ("POST", "auth/token/lookup", token.clone()),
        ("POST", "auth/token/renew", token.clone()),
        ("POST", "auth/token/revoke", token),
        (
            "POST",
            "auth/token/lookup-accessor",
            json!({ "accessor": "tok_1" }),
        ),
        (
            "POST",
            "auth/token/renew-accessor",
            json!({ "accessor": "tok_1" }),
        ),
        (
            "POST",
            "auth/token/revoke-accessor",
            json!({ "accessor": "tok_1" }),
        ),
        ("LIST", "auth/token/accessors", none.clone()),
        ("GET", "secret/config", none.clone()),
        ("POST", "secret/config", json!({ "max_versions": 1 })),
        ("GET", "secret/data/app", none.clone()),
        ("GET", "secret/data/app?version=1", none.clone()),
        ("POST", "secret/data/app", data.clone()),
        ("PUT", "secret/data/app", data.clone()),
        ("PATCH", "secret/data/app", data),
        ("DELETE", "secret/data/app", none.clone()),
        ("POST", "secret/delete/app", some.clone()),
        ("POST", "secret/undelete/app", some.clone()),
        ("PUT", "secret/destroy/app", some),
        ("GET", "secret/subkeys/app", none.clone()),
        ("GET", "secret/metadata/app", none.clone()),
        ("POST", "secret/metadata/app", json!({ "max_versions": 1 })),
        ("PATCH", "secret/metadata/app", json!({ "max_versions": 1 })),
        ("DELETE", "secret/metadata/app", none.clone()),
        ("LIST", "secret/metadata", none.clone()),
        ("GET", "secret/metadata?list=true", none.clone()),
        ("GET", "old/app", none.clone()),
        ("POST", "old/app", json!({ "k": "changed" })),
        ("DELETE", "old/app", none.clone()),
        ("LIST", "old", none),
    ]
    .into_iter()
    .chain(of_databases())
    .collect()
}

fn of_databases() -> Vec<(&'static str, &'static str, Value)> {
    let none = Value::Null;
    let lease = json!({ "lease_id": "database/creds/app/lse_01AAAAAAAAAAAAAAAAAAAAAAAA" });
    let role = json!({ "db_name": "mydb", "creation_statements": ["CREATE ROLE \"{{name}}\""] });
    let fixed = json!({ "db_name": "mydb", "username": "app", "rotation_period": 60 });
    let config = json!({ "plugin_name": "postgresql-database-plugin", "username": "a",
        "password": "b", "connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1/x" });
    vec![
        ("GET", "database/config/app", none.clone()),
        ("POST", "database/config/app", config),
        ("DELETE", "database/config/app", none.clone()),
        ("LIST", "database/config", none.clone()),
        ("POST", "database/reset/app", none.clone()),
        ("POST", "database/rotate-root/app", none.clone()),
        ("GET", "database/roles/app", none.clone()),
        ("PUT", "database/roles/app", role),
        ("DELETE", "database/roles/app", none.clone()),
        ("LIST", "database/roles", none.clone()),
        ("GET", "database/creds/app", none.clone()),
        ("GET", "database/static-roles/app", none.clone()),
        ("POST", "database/static-roles/app", fixed),
        ("DELETE", "database/static-roles/app", none.clone()),
        ("LIST", "database/static-roles", none.clone()),
        ("GET", "database/static-creds/app", none.clone()),
        ("POST", "database/rotate-role/app", none.clone()),
        ("PUT", "sys/leases/lookup", lease.clone()),
        ("PUT", "sys/leases/renew", lease.clone()),
        ("PUT", "sys/leases/revoke", lease.clone()),
        ("PUT", "sys/renew", lease.clone()),
        ("PUT", "sys/revoke", lease),
        (
            "PUT",
            "sys/leases/revoke-prefix/database/creds/app",
            none.clone(),
        ),
        ("PUT", "sys/leases/revoke-force/database", none.clone()),
        ("PUT", "sys/revoke-prefix/database", none.clone()),
        ("LIST", "sys/leases/lookup", none.clone()),
        ("LIST", "sys/leases/lookup/database/creds", none.clone()),
        ("GET", "sys/leases/count?type=irrevocable", none),
    ]
}

/// For whoever has any token.
const ANY_TOKEN: [(&str, &str); 5] = [
    ("GET", "auth/token/lookup-self"),
    ("POST", "auth/token/renew-self"),
    ("GET", "sys/internal/ui/mounts"),
    ("GET", "sys/internal/ui/mounts/secret/app"),
    ("POST", "cubbyhole/x"),
];

async fn ask(
    server: &Server,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Reply {
    let bytes = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let target = format!("/v1/{path}");
    exchange(server.url(), request(method, &target, headers, &bytes)).await
}

async fn with(server: &Server, api: &Api, method: &str, path: &str, body: &Value) -> Reply {
    let token = api.token().expect("it has one");
    ask(server, (method, path), &[("X-Vault-Token", token)], body).await
}

/// A server with a secret in a mount of either kind.
async fn filled() -> Server {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    let old = json!({ "type": "kv", "options": { "version": "1" } });
    let made = with(&server, &root, "POST", "sys/mounts/old", &old).await;
    assert_eq!(made.status, 204, "{}", made.text);
    let databases = json!({ "type": "database" });
    let made = with(&server, &root, "POST", "sys/mounts/database", &databases).await;
    assert_eq!(made.status, 204, "{}", made.text);
    for (path, body) in [
        ("secret/data/app", json!({ "data": { "k": "v" } })),
        ("old/app", json!({ "k": "v" })),
    ] {
        let put = with(&server, &root, "POST", path, &body).await;
        assert!(put.status < 300, "{}", put.text);
    }
    server
}

async fn is_as_before(server: &Server) {
    for path in ["secret/app", "old/app"] {
        let read = server
            .root()
            .get(&format!("/v1/secrets/{path}"))
            .await
            .ok(200);
        assert_eq!(
            (&read["version"], &read["data"]["k"]),
            (&json!(1), &json!("v"))
        );
    }
    let described = server
        .root()
        .get("/v1/secrets/secret/app/metadata")
        .await
        .ok(200);
    assert_eq!(described["max_versions"], 10);
}

#[track_caller]
fn denied(reply: &Reply, what: &str) {
    assert_eq!(reply.status, 403, "{what}: {}", reply.text);
    assert_eq!(reply.body["errors"][0], "permission denied", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_strangers_and_the_powerless() {
    let server = filled().await;
    let powerless = service(server.root(), "sa:powerless", &["pki:issue"]).await;
    let any = ANY_TOKEN.map(|(method, path)| (method, path, json!({ "a": 1 })));
    for (method, path, body) in routes().into_iter().chain(any) {
        let what = format!("{method} {path}");
        for headers in [
            vec![("X-Vault-Request", "true")],
            vec![("X-Vault-Token", "skt_nothing")],
            vec![("X-Vault-Token", "")],
            vec![
                ("X-Vault-Request", "true"),
                ("Authorization", "Basic skt_nothing"),
            ],
        ] {
            let stranger = ask(&server, (method, path), &headers, &body).await;
            denied(&stranger, &what);
        }
        let tried = with(&server, &powerless, method, path, &body).await;
        if ANY_TOKEN.contains(&(method, path)) {
            assert!(tried.status < 300, "{what}: {}", tried.text);
        } else if path.starts_with("sys/wrapping/") {
            assert_eq!(tried.status, 400, "{what}: {}", tried.text);
        } else {
            denied(&tried, &what);
        }
    }
    is_as_before(&server).await;
}

/// Somebody with every scope and no policy is refused what a policy is for, and told no more of what is
/// there than of what is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_no_policy() {
    let server = filled().await;
    let scopes = [
        "secrets:read",
        "secrets:write",
        "secrets:delete",
        "secrets:list",
        "secrets:rotate",
    ];
    let nobody = service(server.root(), "sa:nobody", &scopes).await;
    for (method, path, body) in routes() {
        if !path.contains("/app") {
            continue;
        }
        let what = format!("{method} {path}");
        let there = with(&server, &nobody, method, path, &body).await;
        denied(&there, &what);
        let elsewhere = path.replace("/app", "/nothing");
        let absent = with(&server, &nobody, method, &elsewhere, &body).await;
        assert_eq!(
            (there.status, &there.body),
            (absent.status, &absent.body),
            "{what}"
        );
    }
    for path in ["secret/metadata", "old"] {
        let listed = with(&server, &nobody, "LIST", path, &Value::Null).await;
        assert_eq!(
            (listed.status, &listed.body),
            (404, &json!({ "errors": [] }))
        );
    }
    is_as_before(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_list_sees_no_value() {
    let server = filled().await;
    let root = server.root();
    grant(root, "sa:lister", "secret/app", &["list"]).await;
    root.put("/v1/secrets/secret/hidden", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let scopes = [
        "secrets:read",
        "secrets:write",
        "secrets:delete",
        "secrets:list",
    ];
    let lister = service(root, "sa:lister", &scopes).await;
    let ask = async |method: &str, path: &str| {
        let body = json!({ "data": { "k": "x" }, "versions": [1] });
        with(&server, &lister, method, path, &body).await
    };
    let told = ask("GET", "secret/metadata/app").await.ok(200);
    assert_eq!(told["data"]["current_version"], 1);
    let listed = ask("LIST", "secret/metadata").await.ok(200);
    assert_eq!(
        listed["data"]["keys"],
        json!(["app"]),
        "the other is as if absent"
    );
    for (method, path) in [
        ("GET", "secret/data/app"),
        ("GET", "secret/subkeys/app"),
        ("PATCH", "secret/data/app"),
        ("POST", "secret/data/app"),
        ("PATCH", "secret/metadata/app"),
        ("DELETE", "secret/data/app"),
        ("POST", "secret/destroy/app"),
        ("GET", "secret/metadata/hidden"),
    ] {
        denied(&ask(method, path).await, path);
    }
    is_as_before(&server).await;
}

/// A view is another name of the same secret: the policy of the secret decides, not that of the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_is_no_way_around_a_policy() {
    let server = filled().await;
    let root = server.root();
    let view = json!({ "type": "kv", "options": { "version": "2", "prefix": "secret" } });
    let made = with(&server, root, "POST", "sys/mounts/view", &view).await;
    assert_eq!(made.status, 204, "{}", made.text);
    let read = with(&server, root, "GET", "view/data/app", &Value::Null).await;
    assert_eq!(read.ok(200)["data"]["data"]["k"], "v");
    grant(root, "sa:viewer", "view/**", &["read", "list"]).await;
    let viewer = service(root, "sa:viewer", &["secrets:read", "secrets:list"]).await;
    denied(
        &with(&server, &viewer, "GET", "view/data/app", &Value::Null).await,
        "view",
    );
    let listed = with(&server, &viewer, "LIST", "view/metadata", &Value::Null).await;
    assert_eq!(listed.status, 404);
    // Who manages secrets manages no mounts.
    let tried = with(&server, &viewer, "POST", "sys/mounts/mine", &view).await;
    denied(&tried, "mounts");
}

/// Other spellings of a path: refused, or another name that nothing is at.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_path_is_refused_or_means_the_same() {
    let server = filled().await;
    let root = server.root();
    grant(root, "sa:one", "secret/app", &["read"]).await;
    root.put(
        "/v1/secrets/secret/other",
        json!({ "data": { "k": "hidden-value" } }),
    )
    .await
    .ok(201);
    let one = service(root, "sa:one", &["secrets:read", "secrets:list"]).await;
    for path in [
        "secret/data/other",
        "secret/data/app/../other",
        "secret/data/app/%2e%2e/other",
        "secret/data/app%2f..%2fother",
        "secret/data/./other",
        "secret/data//other",
        "secret//data/other",
        "/secret/data/other",
        "secret/data/oTher",
        "secret/data/%6fther",
        "secret/data/%256fther",
        "secret/data/other/",
        "secret/data/other%00",
        "secret/data/other%20",
        "secret/data/other;x=1",
        "secret/data/__6fther",
        "secret/data%2fother",
        "secret%2fdata%2fother",
        "secret\\data\\other",
        "sys/../secret/data/other",
        "SECRET/data/other",
        "secret/DATA/other",
        "secret/subkeys/other",
        "cubbyhole/../secret/data/other",
        "cubbyhole/secret/data/other",
    ] {
        let reply = with(&server, &one, "GET", path, &Value::Null).await;
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.text);
        assert!(!reply.text.contains("hidden-value"), "{path}");
    }
    let same = with(&server, &one, "GET", "secret/data/%61pp", &Value::Null).await;
    assert_eq!(same.ok(200)["data"]["data"]["k"], "v");
}

/// As much is on the trail as if our own API had been asked.
#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_on_the_trail() {
    let server = filled().await;
    let root = server.root();
    let nobody = service(root, "sa:nobody", &["secrets:read"]).await;
    let acts: [(&Api, &str, &str, Value, &str, &str); 8] = [
        (
            root,
            "GET",
            "secret/data/app",
            Value::Null,
            "read",
            "secret/app",
        ),
        (
            &nobody,
            "GET",
            "secret/data/app",
            Value::Null,
            "read",
            "secret/app",
        ),
        (
            root,
            "GET",
            "secret/data/none",
            Value::Null,
            "read",
            "secret/none",
        ),
        (
            root,
            "POST",
            "secret/data/app",
            json!({ "data": {} }),
            "write",
            "secret/app",
        ),
        (
            root,
            "POST",
            "secret/delete/app",
            json!({ "versions": [1] }),
            "delete",
            "secret/app",
        ),
        (
            root,
            "POST",
            "secret/undelete/app",
            json!({ "versions": [1] }),
            "write",
            "secret/app",
        ),
        (
            root,
            "GET",
            "secret/metadata/app",
            Value::Null,
            "list",
            "secret/app",
        ),
        (root, "GET", "old/app", Value::Null, "read", "old/app"),
    ];
    for (who, method, path, body, action, of) in acts {
        let reply = with(&server, who, method, path, &body).await;
        let id = reply.header("x-request-id").to_owned();
        let logs = root
            .get(&format!("/v1/audit/logs?request_id={id}"))
            .await
            .ok(200);
        let rows = logs["logs"].as_array().expect("rows");
        assert_eq!(rows.len(), 1, "{method} {path}: {logs}");
        assert_eq!(
            (&rows[0]["action"], &rows[0]["secret_path"]),
            (&json!(action), &json!(of))
        );
        assert_eq!(rows[0]["success"], reply.status < 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_here_too() {
    let limit = ("SCAIVAULT_RATE_LIMITS_READ", "5");
    let server = Server::dev().env(limit.0, limit.1).start().await;
    let root = server.root();
    let put = json!({ "data": { "k": "v" } });
    with(&server, root, "POST", "secret/data/app", &put)
        .await
        .ok(200);
    let reader = service(root, "sa:reader", &["secrets:read"]).await;
    let mut statuses = BTreeSet::new();
    for number in 0..12 {
        // Our own and theirs draw on one limit.
        let reply = match number % 2 {
            0 => with(&server, &reader, "GET", "secret/data/app", &Value::Null).await,
            _ => reader.get("/v1/secrets/secret/app").await,
        };
        statuses.insert(reply.status);
        if reply.status == 429 {
            assert!(!reply.header("retry-after").is_empty());
        }
    }
    assert_eq!(statuses, BTreeSet::from([403, 429]));
    // A token with one use is good for one request.
    let body = json!({
        "identity_type": "service_account", "identity_id": "sa:once", "scopes": ["secrets:read"],
        "ttl": "1h", "uses": 1, "no_parent": true,
    });
    let made = root.post("/v1/auth/tokens", body).await.ok(201);
    let once = root.with_token(made["token"].as_str().expect("a token"));
    let first = with(
        &server,
        &once,
        "GET",
        "auth/token/lookup-self",
        &Value::Null,
    )
    .await;
    assert_eq!(first.status, 200, "{}", first.text);
    denied(
        &with(
            &server,
            &once,
            "GET",
            "auth/token/lookup-self",
            &Value::Null,
        )
        .await,
        "used up",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_is_as_if_nothing_were_there() {
    let server = filled().await;
    let root = server.root();
    let one = tenancy::partner(root, "One").await;
    let (a, b) = (
        tenancy::place(root, &one, "A").await,
        tenancy::place(root, &one, "B").await,
    );
    let put = json!({ "data": { "k": "of A" } });
    with(&server, &a.everyone, "POST", "secret/data/x", &put)
        .await
        .ok(200);
    let old = json!({ "type": "kv", "options": { "version": "1" } });
    let made = with(&server, &a.everyone, "POST", "sys/mounts/mine", &old).await;
    assert_eq!(made.status, 204, "{}", made.text);
    let none = &Value::Null;
    for path in [
        "secret/data/x",
        "secret/metadata/x",
        "mine/x",
        "old/app",
        "secret/data/app",
    ] {
        let there = with(&server, &b.everyone, "GET", path, none).await;
        let nothing = with(&server, &b.everyone, "GET", &path.replace("/x", "/y"), none).await;
        assert_eq!(
            (there.status, &there.body),
            (nothing.status, &nothing.body),
            "{path}"
        );
        assert_eq!(there.status, 404, "{path}: {}", there.text);
    }
    let mounts = with(&server, &b.everyone, "GET", "sys/mounts", none)
        .await
        .ok(200);
    assert!(mounts["data"].get("mine/").is_none() && mounts["data"].get("old/").is_none());
    // Naming a tenant that is not one's own, there or not, is refused alike.
    let named = async |api: &Api, tenant: &str| {
        let token = api.token().expect("a token");
        let headers = [("X-Vault-Token", token), ("X-Vault-Namespace", tenant)];
        ask(&server, ("GET", "secret/data/x"), &headers, none).await
    };
    let (other, absent) = (
        named(&b.everyone, &a.tenant).await,
        named(&b.everyone, "tnt_nothing").await,
    );
    denied(&other, "other");
    assert_eq!((other.status, &other.body), (absent.status, &absent.body));
    // A partner's admin may choose, with a namespace as with our own header.
    let chosen = named(&b.admin, &format!("{}/", a.tenant)).await.ok(200);
    assert_eq!(chosen["data"]["data"]["k"], "of A");
    // What one wraps another does not open.
    let token = a.everyone.token().expect("a token");
    let headers = [("X-Vault-Token", token), ("X-Vault-Wrap-TTL", "60")];
    let paper = ask(&server, ("GET", "secret/data/x"), &headers, none)
        .await
        .ok(200);
    let text = json!({ "token": paper["wrap_info"]["token"] });
    for path in [
        "sys/wrapping/unwrap",
        "sys/wrapping/lookup",
        "sys/wrapping/rewrap",
    ] {
        let tried = with(&server, &b.everyone, "POST", path, &text).await;
        assert_eq!(tried.status, 400, "{path}: {}", tried.text);
    }
    let opened = with(&server, &a.everyone, "POST", "sys/wrapping/unwrap", &text).await;
    assert_eq!(opened.ok(200)["data"]["data"]["k"], "of A");
}

/// Values are in answers to those who may read them, and sealed on disk; nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_nowhere_else() {
    const CANARY: &str = "canary-of-vaults-api-5f0c";
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::dev()
        .data(data.path())
        .env("SCAIVAULT_LOG_LEVEL", "debug")
        .start()
        .await;
    let root = server.root();
    let value = json!({ "data": { "k": CANARY } });
    let asked = [
        ("POST", "secret/data/app", value.clone()),
        ("PATCH", "secret/data/app", value.clone()),
        ("GET", "secret/data/app", Value::Null),
        ("GET", "secret/subkeys/app", Value::Null),
        ("GET", "secret/metadata/app", Value::Null),
        ("POST", "cubbyhole/x", json!({ "k": CANARY })),
        ("POST", "secret/data/__bad/..", value.clone()),
        ("POST", "nothing/x", value.clone()),
        ("POST", "secret/data/app", json!({ "data": CANARY })),
        (
            "POST",
            "secret/data/app",
            json!({ "data": { "k": 1 }, "options": { "cas": CANARY } }),
        ),
        ("POST", "secret/delete/app", json!({ "versions": CANARY })),
        (
            "POST",
            "secret/metadata/app",
            json!({ "max_versions": CANARY }),
        ),
        ("POST", "sys/mounts/x", json!({ "type": CANARY, CANARY: 1 })),
        ("POST", "sys/wrapping/unwrap", json!({ "token": CANARY })),
        ("POST", "auth/token/lookup", json!({ "token": CANARY })),
    ];
    for (method, path, body) in asked {
        let reply = with(&server, root, method, path, &body).await;
        let may_tell = method == "GET" && path == "secret/data/app";
        assert_eq!(
            reply.text.contains(CANARY),
            may_tell,
            "{method} {path}: {}",
            reply.text
        );
        let token = root.token().expect("a token");
        let headers = [("X-Vault-Token", token), ("X-Vault-Wrap-TTL", "60")];
        let wrapped = ask(&server, (method, path), &headers, &body).await;
        assert!(
            !wrapped.text.contains(CANARY),
            "{method} {path}, wrapped: {}",
            wrapped.text
        );
    }
    let rows = root.get("/v1/audit/logs?limit=1000").await;
    assert!(!rows.text.contains(CANARY));
    let metrics = root.get("/v1/metrics").await;
    assert!(!metrics.text.contains(CANARY));
    let (stderr, _home) = server.stop().await;
    assert!(!stderr.contains(CANARY), "{stderr}");
    for entry in std::fs::read_dir(data.path()).expect("files") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            let found = bytes
                .windows(CANARY.len())
                .any(|window| window == CANARY.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

/// Without a word that it speaks their API, a client of ours is answered as ever.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_api_is_as_ever() {
    let server = filled().await;
    let root = server.root();
    root.anonymous()
        .get("/v1/nothing/here")
        .await
        .refused(404, "not_found");
    root.get("/v1/nothing/here").await.refused(404, "not_found");
    let made = service_token(root, "sa:x", &["secrets:read"]).await;
    let token = made["token"].as_str().expect("a token");
    // Its token in their header does not open our own paths.
    let headers = [("X-Vault-Token", token)];
    let reply = ask(&server, ("GET", "auth/whoami"), &headers, &Value::Null).await;
    reply.refused(401, "authentication_required");
    let deleted = json!({ "versions": [1] });
    with(&server, root, "POST", "secret/delete/app", &deleted)
        .await
        .ok(204);
    root.get("/v1/secrets/secret/app")
        .await
        .refused(404, "version_not_found");
    let listed = root.get("/v1/secrets/secret/app/versions").await.ok(200);
    assert_eq!(listed["versions"][0]["state"], "deleted");
}
