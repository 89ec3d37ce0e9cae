//! Machines log in by a role id and a secret id, over the real server and by the command line.

use serde_json::{Value, json};

use crate::cli::{OK, Terminal};
use crate::harness::{Api, Server};

async fn role(root: &Api, name: &str, more: Value) -> Value {
    let mut body = json!({
        "name": name, "identity_type": "service_account", "identity_id": "sa:build",
        "scopes": ["secrets:read"],
    });
    for (field, value) in more.as_object().expect("an object") {
        body[field] = value.clone();
    }
    root.post("/v1/auth/roles", body).await.ok(201)
}

async fn secret_id(root: &Api, role: &str, body: Value) -> Value {
    let route = format!("/v1/auth/roles/{role}/secret-ids");
    root.post(&route, body).await.ok(201)
}

fn credentials(role: &Value, secret_id: &Value) -> Value {
    json!({"role_id": role["role_id"], "secret_id": secret_id["secret_id"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_a_token_and_reads_by_it() {
    let server = Server::dev().start().await;
    let root = server.root();
    let anyone = root.anonymous();
    let value = json!({"data": {"k": "v"}});
    root.put("/v1/secrets/app/db", value).await.ok(201);
    let policy = json!({
        "name": "builders", "rules": [{"path_pattern": "app/**", "permissions": ["read"]}],
    });
    let policy = root.post("/v1/policies", policy).await.ok(201);
    let bind = format!(
        "/v1/policies/{}/bindings",
        policy["id"].as_str().expect("an id")
    );
    let group = json!({"identity_type": "group", "identity_id": "group:builders"});
    root.post(&bind, group).await.ok(201);

    let fields = json!({
        "groups": ["group:builders"], "token_ttl": "10m", "token_num_uses": 3,
        "secret_id_ttl": "1h",
    });
    let build = role(root, "build", fields).await;
    let made = secret_id(
        root,
        "build",
        json!({"metadata": {"host": "b7"}, "num_uses": 1}),
    )
    .await;
    assert!(
        made["secret_id"]
            .as_str()
            .expect("text")
            .starts_with("sks_")
    );
    assert_eq!(
        (&made["role_id"], &made["num_uses"]),
        (&build["role_id"], &json!(1))
    );

    let login = anyone
        .post("/v1/auth/login", credentials(&build, &made))
        .await;
    assert_eq!(login.header("cache-control"), "no-store");
    let login = login.ok(200);
    assert_eq!(
        (&login["expires_in"], &login["role"]),
        (&json!(600), &json!("build"))
    );
    let own = root.with_token(login["token"].as_str().expect("a token"));
    let who = own.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["identity_id"], "sa:build");
    assert_eq!(who["groups"], json!(["group:builders"]));
    assert_eq!(who["uses_left"], 2);
    own.get("/v1/secrets/app/db").await.ok(200);

    // It was for one login.
    let again = anyone.post("/v1/auth/login", credentials(&build, &made));
    again.await.refused(401, "login_refused");
    let rows = root
        .get("/v1/audit/logs?action=machine_login")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["extra_data"]["reason"], "secret_id_unknown");
    assert_eq!(
        rows[1]["extra_data"]["secret_id_accessor"],
        made["accessor"]
    );
    assert_eq!(rows[1]["extra_data"]["token_id"], login["token_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_looks_alike() {
    let server = Server::dev().start().await;
    let root = server.root();
    let anyone = root.anonymous();
    let build = role(root, "build", json!({})).await;
    let elsewhere = role(
        root,
        "far",
        json!({"secret_id_bound_cidrs": ["192.0.2.0/24"]}),
    )
    .await;
    let off = role(root, "off", json!({"is_active": false})).await;
    let made = secret_id(root, "build", json!({})).await;
    let ended = secret_id(root, "build", json!({})).await;
    let route = format!(
        "/v1/auth/roles/build/secret-ids/{}",
        ended["accessor"].as_str().expect("an id")
    );
    root.delete(&route).await.ok(204);
    root.get(&route).await.refused(404, "secret_id_not_found");
    let of_far = secret_id(root, "far", json!({})).await;
    let long = json!({"role_id": "r".repeat(9_000), "secret_id": "s".repeat(9_000)});
    let mut answers = std::collections::BTreeSet::new();
    for body in [
        credentials(&build, &ended),
        credentials(&elsewhere, &of_far),
        credentials(&off, &made),
        json!({"role_id": build["role_id"]}),
        json!({"role_id": build["role_id"], "secret_id": "sks_x"}),
        json!({"role_id": "rol_nobodys", "secret_id": made["secret_id"]}),
        json!({"role_id": "", "secret_id": ""}),
        long,
    ] {
        let reply = anyone.post("/v1/auth/login", body).await;
        let error = reply.refused(401, "login_refused");
        answers.insert(error["message"].to_string());
        assert!(error["details"].is_null(), "{error}");
    }
    assert_eq!(answers.len(), 1);
    let good = anyone.post("/v1/auth/login", credentials(&build, &made));
    good.await.ok(200);
    let bad = anyone.post("/v1/auth/login", json!({"role": "x"}));
    bad.await.refused(400, "invalid_request");
}

/// The limit of the category `auth` is what guessing has.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_bounded_by_address() {
    let server = Server::dev()
        .env("SCAIVAULT_RATE_LIMITS_AUTH", "20")
        .start()
        .await;
    let root = server.root();
    let anyone = root.anonymous();
    let build = role(root, "build", json!({})).await;
    let made = secret_id(root, "build", json!({})).await;
    let guess = json!({"role_id": build["role_id"], "secret_id": "sks_guess"});
    let mut refused = 0;
    loop {
        let reply = anyone.post("/v1/auth/login", guess.clone()).await;
        if reply.status == 429 {
            reply.refused(429, "rate_limited");
            break;
        }
        reply.refused(401, "login_refused");
        refused += 1;
        assert!(
            refused <= 8,
            "four of twenty each, and what refills meanwhile"
        );
    }
    let good = anyone.post("/v1/auth/login", credentials(&build, &made));
    good.await.refused(429, "rate_limited");
    // Who has a token is limited apart.
    root.get("/v1/auth/roles/build").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_kept_by_their_admins() {
    let server = Server::dev().start().await;
    let root = server.root();
    let anyone = root.anonymous();
    let build = role(
        root,
        "build",
        json!({"token_num_uses": 3, "token_period": "5m"}),
    )
    .await;
    let body = json!({
        "name": "build", "identity_type": "user", "identity_id": "user:a", "scopes": ["admin"],
    });
    root.post("/v1/auth/roles", body)
        .await
        .refused(409, "name_exists");
    let patch = json!({"token_num_uses": null, "token_ttl": "5m", "role_id": "build-of-shop"});
    let changed = root.patch("/v1/auth/roles/build", patch).await.ok(200);
    assert_eq!(changed["token_num_uses"], Value::Null);
    assert_eq!(changed["token_period"], "5m", "what is not named stays");
    assert_eq!(changed["role_id"], "build-of-shop");
    assert_eq!(changed["created_at"], build["created_at"]);
    let half = json!({"identity_id": "sa:other"});
    root.patch("/v1/auth/roles/build", half)
        .await
        .refused(422, "validation_error");
    let half = json!({"bind_secret_id": false});
    root.patch("/v1/auth/roles/build", half)
        .await
        .refused(422, "validation_error");
    for name in ["a", "z"] {
        role(root, name, json!({})).await;
    }
    let page = root.get("/v1/auth/roles?limit=2").await.ok(200);
    assert_eq!(
        (
            page["roles"][1]["name"].as_str(),
            page["has_more"].as_bool()
        ),
        (Some("build"), Some(true))
    );
    let next = format!(
        "/v1/auth/roles?limit=2&cursor={}",
        page["cursor"].as_str().expect("a cursor")
    );
    let page = root.get(&next).await.ok(200);
    assert_eq!(
        (
            page["roles"][0]["name"].as_str(),
            page["has_more"].as_bool()
        ),
        (Some("z"), Some(false))
    );

    let made = secret_id(root, "build", json!({})).await;
    let lookup = json!({"secret_id": made["secret_id"]});
    let route = "/v1/auth/roles/build/secret-ids/lookup";
    let found = root.post(route, lookup).await.ok(200);
    assert_eq!(found["accessor"], made["accessor"]);
    let list = root.get("/v1/auth/roles/build/secret-ids").await.ok(200);
    assert_eq!(list["secret_ids"].as_array().map(Vec::len), Some(1));
    assert!(!list.to_string().contains("sks_"));
    root.delete("/v1/auth/roles/build").await.ok(204);
    root.get("/v1/auth/roles/build")
        .await
        .refused(404, "role_not_found");
    root.get("/v1/auth/roles/build/secret-ids")
        .await
        .refused(404, "role_not_found");
    let gone = anyone.post("/v1/auth/login", credentials(&changed, &made));
    gone.await.refused(401, "login_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_roles_and_logs_in() {
    let server = Server::dev().start().await;
    let operator = Terminal::new(&server, server.root_token());
    let machine = Terminal::new(&server, "");
    let line = "role create build --identity sa:build --token-ttl 5m --json";
    let role: Value = serde_json::from_str(&operator.run(line, OK)).expect("json");
    let line = "role secret-id create build --num-uses 1 --json";
    let made: Value = serde_json::from_str(&operator.run(line, OK)).expect("json");
    let secret_id = made["secret_id"].as_str().expect("text");
    let role_id = role["role_id"].as_str().expect("text");
    let line = format!("auth login --role-id {role_id} --secret-id-file -");
    machine.run_with(&line, secret_id, OK);
    assert!(machine.run("auth whoami", OK).contains("sa:build"));
    machine.run_with(&line, secret_id, 2);
    assert!(operator.run("role list", OK).contains(role_id));
    assert!(operator.run("role show build", OK).contains("5m"));
    let changed = operator.run("role update build --token-num-uses 7", OK);
    assert!(changed.contains('7'));
    assert!(
        operator
            .run("role secret-id list build", OK)
            .contains("ACCESSOR")
    );
    operator.run("role secret-id revoke build sks_x", 5);
    operator.run("role delete build", OK);
    operator.run("role show build", 4);
}
