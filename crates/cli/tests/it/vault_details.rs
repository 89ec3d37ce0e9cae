//! Details of HashiCorp Vault's API that its clients go by.

use serde_json::{Value, json};

use crate::harness::raw::{exchange, request};
use crate::harness::{Reply, Server};

async fn ask(server: &Server, token: &str, method: &str, path: &str, body: Value) -> Reply {
    with(server, token, method, path, body, &[]).await
}

async fn with(
    server: &Server,
    token: &str,
    method: &str,
    path: &str,
    body: Value,
    more: &[(&str, &str)],
) -> Reply {
    let bytes = match &body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let mut headers = vec![("X-Vault-Token", token)];
    headers.extend(more);
    let target = format!("/v1/{path}");
    exchange(server.url(), request(method, &target, &headers, &bytes)).await
}

/// Scripts begin with `vault auth enable approle`.
#[tokio::test(flavor = "multi_thread")]
async fn ways_to_log_in_are_enabled_already() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    for way in ["approle", "kubernetes", "jwt", "userpass"] {
        let path = format!("sys/auth/{way}");
        let done = ask(&server, root, "POST", &path, json!({ "type": way })).await;
        assert_eq!(done.status, 204, "{way}: {}", done.text);
        let other = ask(&server, root, "POST", &path, json!({ "type": "ldap" })).await;
        assert_eq!(other.status, 400, "{way}: {}", other.text);
        let gone = ask(&server, root, "DELETE", &path, Value::Null).await;
        assert_eq!(gone.status, 400, "{way}: {}", gone.text);
    }
    let elsewhere = json!({ "type": "approle" });
    let done = ask(&server, root, "POST", "sys/auth/mine", elsewhere.clone()).await;
    assert_eq!(done.status, 400, "{}", done.text);
    let made = ask(
        &server,
        root,
        "POST",
        "auth/token/create",
        json!({ "policies": ["default"] }),
    );
    let made = made.await.ok(200);
    let weak = made["auth"]["client_token"].as_str().expect("a token");
    let done = ask(&server, weak, "POST", "sys/auth/approle", elsewhere).await;
    assert_eq!(done.status, 403, "{}", done.text);
    for (method, path) in [("POST", "sys/remount"), ("PUT", "sys/audit/file")] {
        let refused = ask(&server, root, method, path, json!({ "type": "file" })).await;
        assert_eq!(refused.status, 400, "{path}: {}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_of_a_secret_id_is_told_of_its_tokens() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    let made = ask(&server, root, "POST", "auth/approle/role/ci", json!({})).await;
    assert!(made.status < 300, "{}", made.text);
    let path = "auth/approle/role/ci/role-id";
    let role_id = ask(&server, root, "GET", path, Value::Null).await.ok(200);
    let noted = json!({ "metadata": "{\"commit\":\"abc\"}" });
    let path = "auth/approle/role/ci/secret-id";
    let secret_id = ask(&server, root, "POST", path, noted).await.ok(200);
    let which = json!({ "secret_id": secret_id["data"]["secret_id"] });
    let path = "auth/approle/role/ci/secret-id/lookup";
    let told = ask(&server, root, "POST", path, which).await.ok(200);
    assert_eq!(told["data"]["expiration_time"], "0001-01-01T00:00:00Z");
    let login = json!({
        "role_id": role_id["data"]["role_id"],
        "secret_id": secret_id["data"]["secret_id"],
    });
    let auth = ask(&server, root, "POST", "auth/approle/login", login)
        .await
        .ok(200);
    assert_eq!(auth["auth"]["metadata"]["commit"], "abc");
    assert_eq!(auth["auth"]["metadata"]["role_name"], "ci");
    let token = auth["auth"]["client_token"].as_str().expect("a token");
    let told = ask(&server, token, "GET", "auth/token/lookup-self", Value::Null).await;
    assert_eq!(told.ok(200)["data"]["meta"]["commit"], "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_paper_has_an_accessor_and_one_opening() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    let paper = [("X-Vault-Wrap-TTL", "60s")];
    let body = json!({ "policies": ["default"] });
    let made = with(&server, root, "POST", "auth/token/create", body, &paper).await;
    let info = made.ok(200)["wrap_info"].clone();
    let accessor = info["wrapped_accessor"].as_str().expect("an accessor");
    let by = json!({ "accessor": accessor });
    let told = ask(
        &server,
        root,
        "POST",
        "auth/token/lookup-accessor",
        by.clone(),
    )
    .await;
    assert_eq!(told.ok(200)["data"]["accessor"], accessor);
    let gone = ask(
        &server,
        root,
        "POST",
        "auth/token/revoke-accessor",
        by.clone(),
    )
    .await;
    assert!(gone.status < 300, "{}", gone.text);
    let none = ask(&server, root, "POST", "auth/token/lookup-accessor", by).await;
    assert_eq!(none.status, 400, "{}", none.text);

    let bearer = info["token"].as_str().expect("a token");
    let path = "sys/wrapping/unwrap";
    let opened = ask(&server, bearer, "POST", path, Value::Null).await;
    assert_eq!(opened.ok(200)["auth"]["accessor"], accessor);
    let again = ask(&server, bearer, "POST", path, Value::Null).await;
    assert_eq!(again.status, 400, "{}", again.text);
    let why = "wrapping token is not valid or does not exist";
    assert_eq!(again.body["errors"][0], why);
    // What waits with a value has no accessor to tell.
    let body = json!({ "a": "b" });
    let made = with(&server, root, "POST", "sys/wrapping/wrap", body, &paper).await;
    assert!(made.ok(200)["wrap_info"].get("wrapped_accessor").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_the_lifetimes_of_before() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    let user = json!({ "password": "of-the-user", "ttl": "10s", "max_ttl": "1m" });
    let made = ask(&server, root, "POST", "auth/userpass/users/u", user).await;
    assert_eq!(made.status, 204, "{}", made.text);
    let login = json!({ "password": "of-the-user" });
    let auth = ask(&server, root, "POST", "auth/userpass/login/u", login).await;
    assert_eq!(auth.ok(200)["auth"]["lease_duration"], 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_below_none_matches_nothing() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    let body = json!({ "data": { "a": 1 }, "options": { "cas": -1 } });
    let refused = ask(&server, root, "POST", "secret/data/x", body).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("did not match the current version"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_have_every_name_once() {
    let server = Server::dev().start().await;
    let root = server.root_token();
    let mut names = ["9", "A", "a", "a-b", "b", "Z~", "_c", "~"]
        .map(str::to_owned)
        .to_vec();
    names.push(".x".to_owned());
    for name in &names {
        let path = format!("secret/data/many/{}", name.replace('~', "%7E"));
        let put = ask(&server, root, "POST", &path, json!({ "data": {} })).await;
        assert_eq!(put.status, 200, "{name}: {}", put.text);
    }
    for path in ["a/in", ".x/in"] {
        let path = format!("secret/data/many/{path}");
        ask(&server, root, "POST", &path, json!({ "data": {} }))
            .await
            .ok(200);
    }
    names.extend(["a/".to_owned(), ".x/".to_owned()]);
    names.sort();
    for limit in 1..=names.len() + 1 {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("secret/metadata/many?limit={limit}&after={after}");
            let page = ask(&server, root, "LIST", &path, Value::Null).await;
            if page.status == 404 {
                break;
            }
            let page = page.ok(200)["data"]["keys"].clone();
            let page: Vec<String> = serde_json::from_value(page).expect("names");
            assert!(page.len() <= limit, "{limit}: {page:?}");
            after = page.last().expect("a name").replace('/', "%2F");
            seen.extend(page);
            assert!(seen.len() <= names.len(), "{limit}: {seen:?}");
        }
        seen.sort();
        assert_eq!(seen, names, "{limit}");
    }
}
