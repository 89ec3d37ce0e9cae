//! Policies, tokens and logins of HashiCorp Vault's API, over the real server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Issuer, Reply, Server};

async fn list(api: &Api, path: &str) -> Reply {
    let method = Method::from_bytes(b"LIST").expect("a method");
    api.send(method, path, None).await
}

async fn write(root: &Api, name: &str, text: &str) {
    let route = format!("/v1/sys/policies/acl/{name}");
    root.put(&route, json!({ "policy": text })).await.ok(204);
}

async fn with_secrets() -> Server {
    let server = Server::dev().start().await;
    for at in ["secret/app/db", "secret/app/api", "secret/other"] {
        let value = json!({ "data": { "password": at } });
        server
            .root()
            .put(&format!("/v1/secrets/{at}"), value)
            .await
            .ok(201);
    }
    server
}

fn bearer(root: &Api, login: &Value) -> Api {
    root.with_token(login["auth"]["client_token"].as_str().expect("a token"))
}

const APP: &str = r#"
# What the shop reads.
path "secret/data/app/*" {
  capabilities = ["read"]
}

path "secret/metadata/app/*" {
  capabilities = ["list", "read"]
}
"#;

async fn reads(api: &Api, at: &str) -> u16 {
    api.get(&format!("/v1/secrets/secret/{at}")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_written_read_listed_and_deleted() {
    let server = with_secrets().await;
    let root = server.root();
    write(root, "App", APP).await;
    let read = root.get("/v1/sys/policies/acl/app").await.ok(200);
    assert_eq!(read["data"]["name"], "app");
    let text = read["data"]["policy"].as_str().expect("a text");
    for part in [
        "path \"secret/data/app/*\"",
        "path \"secret/metadata/app/*\"",
        "\"read\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // What is read can be written: it comes to the same.
    write(root, "again", text).await;
    let again = root.get("/v1/sys/policies/acl/again").await.ok(200);
    assert_eq!(again["data"]["policy"], read["data"]["policy"]);
    let old = root.get("/v1/sys/policy/app").await.ok(200);
    assert_eq!(old["rules"], read["data"]["policy"]);
    let keys = json!(["again", "app", "default", "root"]);
    assert_eq!(
        list(root, "/v1/sys/policies/acl").await.ok(200)["data"]["keys"],
        keys
    );
    assert_eq!(root.get("/v1/sys/policy").await.ok(200)["policies"], keys);

    // Our own API shows the same policy.
    let ours = root.get("/v1/policies").await.ok(200);
    let found = ours["policies"].as_array().expect("a list").iter();
    let id = found
        .clone()
        .find(|policy| policy["name"] == "app")
        .expect("there")["id"]
        .clone();
    let ours = root
        .get(&format!("/v1/policies/{}", id.as_str().expect("an id")))
        .await
        .ok(200);
    assert_eq!(ours["scopes"], json!(["secrets:read", "secrets:list"]));
    assert_eq!(ours["rules"][0]["path_pattern"], "secret/app/**");
    assert_eq!(ours["bindings"][0]["identity_id"], "group:acl/app");

    // In JSON, in Base64, by the older path.
    let json = r#"{"path":{"secret/data/app/*":{"capabilities":["read"]}}}"#;
    write(root, "json", json).await;
    let route = "/v1/sys/policy/coded";
    let coded = "cGF0aCAic2VjcmV0L2RhdGEveCIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9";
    root.post(route, json!({ "policy": coded })).await.ok(204);
    let read = root.get(route).await.ok(200);
    assert!(
        read["rules"]
            .as_str()
            .expect("text")
            .contains("secret/data/x")
    );

    for at in ["again", "json", "coded", "never-there"] {
        root.delete(&format!("/v1/sys/policies/acl/{at}"))
            .await
            .ok(204);
    }
    assert_eq!(root.get("/v1/sys/policies/acl/again").await.status, 404);
    for fixed in ["root", "default"] {
        let route = format!("/v1/sys/policies/acl/{fixed}");
        assert_eq!(root.get(&route).await.status, 200);
        assert_eq!(root.put(&route, json!({ "policy": APP })).await.status, 400);
        assert_eq!(root.delete(&route).await.status, 400);
    }
    let refused = json!({ "policy": "path \"secret/data/x\" {\n capabilities = [\"deny\"] }" });
    let refused = root.put("/v1/sys/policies/acl/x", refused).await;
    assert_eq!(refused.status, 400);
    let told = refused.body["errors"][0].as_str().expect("text").to_owned();
    assert!(
        told.contains("line 1, path \"secret/data/x\": deny"),
        "{told}"
    );
    // What it gives less of is told.
    let broad = "path \"*\" { capabilities = [\"read\", \"list\"] }";
    let broad = root
        .put("/v1/sys/policies/acl/broad", json!({ "policy": broad }))
        .await
        .ok(200);
    assert!(
        broad["warnings"][0]
            .as_str()
            .expect("text")
            .contains("gives nothing at")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_have_what_their_policies_say() {
    let server = with_secrets().await;
    let root = server.root();
    let maker = format!("{APP}\npath \"auth/token/create\" {{ capabilities = [\"update\"] }}");
    write(root, "maker", &maker).await;
    write(
        root,
        "other",
        "path \"secret/data/other\" { capabilities = [\"read\"] }",
    )
    .await;

    let create = "/v1/auth/token/create";
    let body = json!({
        "policies": ["maker", "default", "ghost"], "ttl": "1h", "explicit_max_ttl": "2h",
        "display_name": "web", "meta": { "team": "shop" }, "num_uses": 0,
    });
    let made = root.post(create, body).await.ok(200);
    assert_eq!(
        made["auth"]["policies"],
        json!(["default", "ghost", "maker"])
    );
    assert!(
        made["warnings"][0]
            .as_str()
            .expect("text")
            .contains("ghost")
    );
    assert_eq!(made["auth"]["lease_duration"], 3_600);
    assert_eq!(
        (&made["auth"]["renewable"], &made["auth"]["orphan"]),
        (&json!(true), &json!(true))
    );
    let token = bearer(root, &made);
    assert_eq!(
        (reads(&token, "app/db").await, reads(&token, "other").await),
        (200, 403)
    );
    let own = token.get("/v1/auth/token/lookup-self").await.ok(200);
    assert_eq!(own["data"]["meta"]["team"], "shop");
    assert_eq!(own["data"]["explicit_max_ttl"], 7_200);

    // A child: no more than its maker has, and it ends with it.
    let child = token
        .post(create, json!({ "ttl": "10m", "renewable": false }))
        .await
        .ok(200);
    assert_eq!(
        child["auth"]["policies"],
        json!(["default", "ghost", "maker"])
    );
    assert_eq!(child["auth"]["renewable"], false);
    let child = bearer(root, &child);
    assert_eq!(reads(&child, "app/db").await, 200);
    assert_eq!(
        child
            .post("/v1/auth/token/renew-self", json!({}))
            .await
            .status,
        403
    );
    for body in [
        json!({ "policies": ["other"] }),
        json!({ "no_parent": true }),
        json!({ "period": "1h" }),
    ] {
        let refused = token.post(create, body).await;
        assert_eq!(
            (refused.status, &refused.body["errors"][0]),
            (403, &json!("permission denied"))
        );
    }
    for body in [
        json!({ "policies": ["root"] }),
        json!({ "id": "mine" }),
        json!({ "type": "batch" }),
        json!({ "no_default_policy": true }),
        json!({ "ttl": "soon" }),
    ] {
        let refused = token.post(create, body.clone()).await;
        assert_ne!(refused.status, 200, "{body}");
        assert_eq!(
            root.post(create, body.clone()).await.status / 100,
            4,
            "{body}"
        );
    }
    assert_eq!(
        token
            .post("/v1/auth/token/create-orphan", json!({}))
            .await
            .status,
        403
    );
    let renewed = token
        .post("/v1/auth/token/renew-self", json!({ "increment": "30m" }))
        .await
        .ok(200);
    assert!(
        renewed["auth"]["lease_duration"]
            .as_u64()
            .expect("a number")
            <= 1_800
    );

    // What a policy loses is lost at once, by tokens that are out.
    write(
        root,
        "maker",
        "path \"secret/data/app/api\" { capabilities = [\"read\"] }",
    )
    .await;
    assert_eq!(
        (
            reads(&token, "app/db").await,
            reads(&token, "app/api").await
        ),
        (403, 200)
    );
    assert_eq!(token.post(create, json!({})).await.status, 403);
    token
        .post("/v1/auth/token/revoke-self", json!({}))
        .await
        .ok(204);
    assert_eq!(
        (
            reads(&token, "app/api").await,
            reads(&child, "app/api").await
        ),
        (401, 401)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_told() {
    let server = with_secrets().await;
    let root = server.root();
    write(root, "app", APP).await;
    let made = root
        .post("/v1/auth/token/create", json!({ "policies": "app" }))
        .await
        .ok(200);
    let token = bearer(root, &made);
    let ask = json!({ "paths": ["secret/data/app/db", "secret/metadata/app/", "secret/data/x"] });
    let told = token.post("/v1/sys/capabilities-self", ask).await.ok(200);
    assert_eq!(told["data"]["secret/data/app/db"], json!(["read"]));
    assert_eq!(told["secret/metadata/app/"], json!(["list"]));
    assert_eq!(told["secret/data/x"], json!(["deny"]));
    let one = json!({ "path": "secret/data/app/db" });
    let told = token.post("/v1/sys/capabilities-self", one).await.ok(200);
    assert_eq!(told["capabilities"], json!(["read"]));
    let of = json!({ "token": token.token(), "path": "secret/data/app/db" });
    let told = root.post("/v1/sys/capabilities", of.clone()).await.ok(200);
    assert_eq!(told["capabilities"], json!(["read"]));
    assert_eq!(token.post("/v1/sys/capabilities", of).await.status, 403);
    let of = json!({ "accessor": made["auth"]["accessor"], "path": "secret/data/x" });
    let told = root.post("/v1/sys/capabilities-accessor", of).await.ok(200);
    assert_eq!(told["capabilities"], json!(["deny"]));
    let own = json!({ "path": "secret/data/x" });
    let told = root.post("/v1/sys/capabilities-self", own).await.ok(200);
    assert_eq!(told["capabilities"], json!(["root"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_logs_in_by_approle() {
    let server = with_secrets().await;
    let root = server.root();
    write(root, "app", APP).await;
    let role = "/v1/auth/approle/role/shop";
    let fields = json!({
        "token_policies": ["app"], "token_ttl": "20m", "token_max_ttl": "30m",
        "secret_id_ttl": "10m", "secret_id_num_uses": 2,
    });
    root.post(role, fields).await.ok(204);
    let read = root.get(role).await.ok(200);
    assert_eq!(read["data"]["token_policies"], json!(["app"]));
    assert_eq!(
        (
            &read["data"]["token_ttl"],
            &read["data"]["secret_id_num_uses"]
        ),
        (&json!(1_200), &json!(2))
    );
    root.post(role, json!({ "token_num_uses": 50 }))
        .await
        .ok(204);
    assert_eq!(root.get(role).await.ok(200)["data"]["token_ttl"], 1_200);
    assert_eq!(
        list(root, "/v1/auth/approle/role").await.ok(200)["data"]["keys"],
        json!(["shop"])
    );

    let role_id = root.get(&format!("{role}/role-id")).await.ok(200)["data"]["role_id"].clone();
    let ids = format!("{role}/secret-id");
    let noted = json!({ "metadata": "{\"host\":\"b7\"}" });
    let made = root.post(&ids, noted).await.ok(200)["data"].clone();
    assert_eq!(
        (&made["secret_id_ttl"], &made["secret_id_num_uses"]),
        (&json!(600), &json!(2))
    );
    let login = json!({ "role_id": role_id, "secret_id": made["secret_id"] });
    let anyone = root.anonymous();
    let logged = anyone
        .post("/v1/auth/approle/login", login.clone())
        .await
        .ok(200);
    assert_eq!(logged["auth"]["policies"], json!(["app", "default"]));
    assert_eq!(logged["auth"]["metadata"]["role_name"], "shop");
    let token = bearer(root, &logged);
    assert_eq!(
        (reads(&token, "app/db").await, reads(&token, "other").await),
        (200, 403)
    );
    assert_eq!(token.get(role).await.status, 403);

    let by_text = json!({ "secret_id": made["secret_id"] });
    let row = root
        .post(&format!("{ids}/lookup"), by_text.clone())
        .await
        .ok(200)["data"]
        .clone();
    assert_eq!(
        (&row["secret_id_num_uses"], &row["metadata"]["host"]),
        (&json!(1), &json!("b7"))
    );
    let accessor = made["secret_id_accessor"].clone();
    assert_eq!(
        list(root, &ids).await.ok(200)["data"]["keys"],
        json!([accessor])
    );
    let by_accessor = json!({ "secret_id_accessor": accessor });
    let route = format!("{role}/secret-id-accessor");
    root.post(&format!("{route}/lookup"), by_accessor.clone())
        .await
        .ok(200);
    root.post(&format!("{route}/destroy"), by_accessor.clone())
        .await
        .ok(204);
    assert_eq!(
        root.post(&format!("{route}/lookup"), by_accessor)
            .await
            .status,
        404
    );
    root.post(&format!("{ids}/destroy"), by_text).await.ok(204);
    let refused = anyone.post("/v1/auth/approle/login", login).await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]),
        (400, &json!("invalid role or secret ID"))
    );
    for body in [
        json!({ "token_policies": ["root"] }),
        json!({ "token_type": "batch" }),
    ] {
        assert_eq!(root.post(role, body).await.status, 400);
    }
    root.delete(role).await.ok(204);
    assert_eq!(root.get(role).await.status, 404);
}

const RULES: &str = r#"
    login = false
    [[exchange]]
    name = "pods"
    issuer = "test"
    subject = "system:serviceaccount:prod:*"
    identity = "sa:pod"
    groups = ["group:acl/app"]
    scopes = ["secrets:read"]
    ttl = "20m"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_logs_in_by_a_rule() {
    let issuer = Issuer::start().await;
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("issuers.toml");
    let url = issuer.url();
    let text = format!(
        "[[issuer]]\nname = \"test\"\nurl = \"{url}\"\naudiences = [\"scaivault\"]\n{RULES}"
    );
    std::fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("a plain name");
    let server = Server::dev()
        .env("SCAIVAULT_IDENTITY_ISSUERS_FILE", file)
        .start()
        .await;
    let root = server.root();
    root.put("/v1/secrets/secret/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    write(root, "app", APP).await;
    let anyone = root.anonymous();
    let pod = issuer.token(&json!({ "sub": "system:serviceaccount:prod:shop" }));
    for method in ["jwt", "kubernetes"] {
        let route = format!("/v1/auth/{method}/login");
        let logged = anyone
            .post(&route, json!({ "role": "pods", "jwt": pod }))
            .await
            .ok(200);
        assert_eq!(logged["auth"]["policies"], json!(["app", "default"]));
        let token = bearer(root, &logged);
        assert_eq!(reads(&token, "app/db").await, 200);
        let who = token.get("/v1/auth/whoami").await.ok(200);
        assert_eq!(who["identity_id"], "sa:pod");

        let other = issuer.token(&json!({ "sub": "system:serviceaccount:test:shop" }));
        for (role, jwt) in [("pods", other.as_str()), ("none", &pod), ("pods", "x.y.z")] {
            let refused = anyone
                .post(&route, json!({ "role": role, "jwt": jwt }))
                .await;
            assert_eq!(refused.status, 403, "{role}");
        }
        let missing = anyone.post(&route, json!({ "jwt": pod })).await;
        assert_eq!(missing.status, 400);
        let config = root
            .post(&format!("/v1/auth/{method}/config"), json!({}))
            .await;
        assert_eq!(config.status, 400);
    }
    let ways = root.get("/v1/sys/auth").await.ok(200);
    assert_eq!(ways["data"]["approle/"]["type"], "approle");
    assert_eq!(ways["token/"]["type"], "token");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_logs_in_by_name_and_password() {
    let server = with_secrets().await;
    let root = server.root();
    write(root, "app", APP).await;
    let user = "/v1/auth/userpass/users/Alice";
    assert_eq!(
        root.post(user, json!({ "policies": "app" })).await.status,
        400
    );
    let fields =
        json!({ "password": "correct horse", "token_policies": ["app"], "token_ttl": "10m" });
    root.post(user, fields).await.ok(204);
    let read = root.get(user).await.ok(200);
    assert_eq!(
        (&read["data"]["token_policies"], &read["data"]["token_ttl"]),
        (&json!(["app"]), &json!(600))
    );
    assert!(!read.to_string().contains("$2b$") && read["data"]["password"].is_null());
    let keys = list(root, "/v1/auth/userpass/users").await.ok(200);
    assert_eq!(keys["data"]["keys"], json!(["alice"]));
    assert_eq!(list(root, "/v1/auth/approle/role").await.status, 404);
    let ours = root.get("/v1/auth/roles").await.ok(200);
    assert!(!ours.to_string().contains("$2b$"));

    let anyone = root.anonymous();
    let login = |name: &str, password: &str| {
        let route = format!("/v1/auth/userpass/login/{name}");
        let (anyone, body) = (anyone.clone(), json!({ "password": password }));
        async move { anyone.post(&route, body).await }
    };
    let logged = login("alice", "correct horse").await.ok(200);
    assert_eq!(logged["auth"]["policies"], json!(["app", "default"]));
    assert_eq!(logged["auth"]["metadata"]["username"], "alice");
    let token = bearer(root, &logged);
    assert_eq!(
        (reads(&token, "app/db").await, reads(&token, "other").await),
        (200, 403)
    );
    assert_eq!(token.get(user).await.status, 403);
    let who = token.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["identity_id"], "user:userpass/alice");
    for (name, password) in [
        ("alice", "wrong"),
        ("bob", "correct horse"),
        ("alice", ""),
        ("a/b", "x"),
    ] {
        let refused = login(name, password).await;
        assert_ne!(refused.status / 100, 2, "{name}");
        if !password.is_empty() && name != "a/b" {
            let told = &refused.body["errors"][0];
            assert_eq!(
                (refused.status, told),
                (400, &json!("invalid username or password"))
            );
        }
    }
    root.post(
        &format!("{user}/password"),
        json!({ "password": "battery staple" }),
    )
    .await
    .ok(204);
    assert_eq!(login("alice", "correct horse").await.status, 400);
    login("alice", "battery staple").await.ok(200);
    root.delete(user).await.ok(204);
    assert_eq!(login("alice", "battery staple").await.status, 400);
    // A role of that name without a password is none.
    let body = json!({
        "name": "userpass.eve", "identity_type": "user", "identity_id": "user:eve",
        "scopes": ["secrets:read"],
    });
    assert_eq!(root.post("/v1/auth/roles", body).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_bounded_by_address() {
    let server = Server::dev()
        .env("SCAIVAULT_RATE_LIMITS_AUTH", "20")
        .start()
        .await;
    let user = "/v1/auth/userpass/users/alice";
    let fields = json!({ "password": "correct horse" });
    server.root().post(user, fields).await.ok(204);
    let anyone = server.root().anonymous();
    let mut refused = 0;
    loop {
        let guess = json!({ "password": "guess" });
        let reply = anyone.post("/v1/auth/userpass/login/alice", guess).await;
        if reply.status == 429 {
            break;
        }
        assert_eq!(reply.status, 400);
        refused += 1;
        assert!(refused <= 20, "guesses are not bounded");
    }
    assert!(refused >= 1);
}
