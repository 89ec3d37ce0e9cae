//! Many secrets in one call, and lists by folder: over the real server and the command line.

use serde_json::{Value, json};

use crate::cli::{GENERAL, OK, Terminal, VALIDATION};
use crate::first_integration::{grant, service};
use crate::harness::{Api, Server};

const BATCH: &str = "/v1/secrets/batch";
const METADATA: &str = "/v1/secrets/batch/metadata";

async fn put(root: &Api, path: &str, tags: &[&str]) {
    let body = json!({ "data": { "at": path, "n": 1 }, "metadata": { "tags": tags } });
    root.put(&format!("/v1/secrets/{path}"), body).await.ok(201);
}

/// Keys of an object, in order.
fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// Rows of the trail that one request left, oldest first: path and success.
async fn trail(root: &Api, request_id: &str) -> Vec<(String, bool)> {
    let logs = root
        .get(&format!("/v1/audit/logs?request_id={request_id}"))
        .await
        .ok(200);
    let rows = logs["logs"].as_array().expect("rows").iter().rev();
    rows.map(|row| {
        let path = row["secret_path"].as_str().unwrap_or_default().to_owned();
        (path, row["success"].as_bool().expect("success"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_refusals_stand_side_by_side() {
    let server = Server::dev().start().await;
    let root = server.root();
    for path in ["app/a", "app/b", "other/c"] {
        put(root, path, &["x"]).await;
    }
    grant(root, "sa:batch", "app/*", &["read"]).await;
    let reader = service(root, "sa:batch", &["secrets:read"]).await;
    let paths = json!([
        "app/b",
        "app/a",
        "app/b",
        "other/c",
        "app/none",
        "App/x",
        "app/\u{1}\u{e4}"
    ]);
    let reply = reader.post(BATCH, json!({ "paths": paths })).await;
    let request_id = reply.header("x-request-id").to_owned();
    let answer = reply.ok(200);
    let plain =
        |path: &str| json!({ "version": 1, "secret_type": "json", "data": { "at": path, "n": 1 } });
    assert_eq!(
        answer["secrets"],
        json!({ "app/a": plain("app/a"), "app/b": plain("app/b") })
    );
    let codes: Vec<_> = answer["errors"]
        .as_object()
        .expect("errors")
        .iter()
        .map(|(path, error)| (path.as_str(), error["code"].as_str().expect("a code")))
        .collect();
    assert_eq!(
        codes,
        [
            ("App/x", "invalid_path"),
            ("app/??", "invalid_path"),
            ("app/none", "secret_not_found"),
            ("other/c", "access_denied"),
        ]
    );
    // Each is what the path alone is answered with.
    for (path, error) in answer["errors"].as_object().expect("errors") {
        if path != "app/??" {
            let alone = reader.get(&format!("/v1/secrets/{path}")).await;
            assert_eq!(alone.error()["code"], error["code"], "{path}");
            assert_eq!(alone.error()["message"], error["message"], "{path}");
        }
    }
    let rows = trail(root, &request_id).await;
    let expect = [
        ("app/b", true),
        ("app/a", true),
        ("other/c", false),
        ("app/none", false),
    ];
    assert_eq!(
        rows,
        expect.map(|(path, success)| (path.to_owned(), success))
    );
    let options = json!({ "include_metadata": true, "version": 1 });
    let one = json!({ "paths": ["app/a"], "options": options });
    let full = &reader.post(BATCH, one).await.ok(200)["secrets"]["app/a"];
    let mut alone = reader.get("/v1/secrets/app/a").await.ok(200);
    alone.as_object_mut().expect("an object").remove("path");
    assert_eq!(*full, alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_makes_no_sense_is_refused_whole() {
    let server = Server::dev().start().await;
    let root = server.root();
    put(root, "app/a", &[]).await;
    let many: Vec<String> = (0..101).map(|n| format!("app/{n}")).collect();
    for (body, code) in [
        (json!({ "paths": [] }), "validation_error"),
        (json!({ "paths": many }), "validation_error"),
        (json!({}), "validation_error"),
        (json!({ "paths": "app/a" }), "invalid_request"),
        (
            json!({ "paths": ["app/a"], "options": { "version": 0 } }),
            "validation_error",
        ),
        (
            json!({ "paths": ["app/a"], "options": { "fail": true } }),
            "invalid_request",
        ),
        (
            json!({ "paths": ["app/a"], "secrets": {} }),
            "invalid_request",
        ),
    ] {
        let reply = root.post(BATCH, body.clone()).await;
        assert_eq!(reply.error()["code"], code, "{body}");
    }
    let fail_fast = |paths: Value| json!({ "paths": paths, "options": { "fail_fast": true } });
    let refused = root
        .post(BATCH, fail_fast(json!(["app/a", "app/none", "app/x"])))
        .await;
    assert_eq!(refused.error()["details"]["path"], "app/none");
    refused.refused(404, "secret_not_found");
    root.post(BATCH, fail_fast(json!(["app/a", "A"])))
        .await
        .refused(400, "invalid_path");
    root.post(BATCH, fail_fast(json!(["app/a"]))).await.ok(200);
    root.anonymous()
        .post(BATCH, json!({}))
        .await
        .refused(401, "authentication_required");
    let lister = service(root, "sa:lister", &["secrets:list"]).await;
    let body = json!({ "paths": ["app/a"] });
    lister
        .post(BATCH, body)
        .await
        .refused(403, "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_a_read_for_each_value_and_all_or_nothing_leaves() {
    let server = Server::dev()
        .rate_limited()
        .env("SCAIVAULT_RATE_LIMITS_READ", "5")
        .start()
        .await;
    let root = server.root();
    for path in ["app/a", "app/b", "app/c"] {
        put(root, path, &[]).await;
    }
    grant(root, "sa:batch", "app/*", &["read"]).await;
    let reader = service(root, "sa:batch", &["secrets:read"]).await;
    // Three are read; what is not there costs nothing.
    let body = json!({ "paths": ["app/a", "app/b", "app/c", "app/none", "x/y"] });
    let first = reader.post(BATCH, body.clone()).await;
    assert_eq!(first.header("x-ratelimit-limit"), "100", "the batch's own");
    first.ok(200);
    let refused = reader.post(BATCH, body).await;
    let request_id = refused.header("x-request-id").to_owned();
    assert!(
        (1..=12).contains(&refused.retry_after()),
        "one comes every 12 s"
    );
    assert!(
        !refused.text.contains("app/a"),
        "nothing leaves: {}",
        refused.text
    );
    refused.refused(429, "rate_limited");
    let noted = trail(root, &request_id).await;
    assert_eq!(
        noted,
        [("app/none".to_owned(), false), ("x/y".to_owned(), false)]
    );
    // Two were left, and still are.
    let two = json!({ "paths": ["app/a", "app/b"] });
    assert_eq!(
        keys(&reader.post(BATCH, two).await.ok(200)["secrets"]),
        ["app/a", "app/b"]
    );
    reader
        .get("/v1/secrets/app/a")
        .await
        .refused(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_found_by_patterns_page_by_page() {
    let server = Server::dev().start().await;
    let root = server.root();
    for path in ["app/a/one", "app/a/two", "app/b/one", "app/c", "other/x"] {
        put(root, path, &[]).await;
    }
    grant(root, "sa:lister", "app/**", &["list"]).await;
    let lister = service(root, "sa:lister", &["secrets:list"]).await;
    let all = json!({ "expand_wildcards": true });
    let paths = json!(["app/*/one", "**/x", "app/c", "app/none", "a**"]);
    let answer = lister
        .post(METADATA, json!({ "paths": paths, "options": all }))
        .await
        .ok(200);
    assert_eq!(
        keys(&answer["secrets"]),
        ["app/a/one", "app/b/one", "app/c"]
    );
    assert_eq!(answer["errors"]["app/none"]["code"], "secret_not_found");
    assert_eq!(answer["errors"]["a**"]["code"], "invalid_glob");
    assert_eq!(keys(&answer["errors"]), ["a**", "app/none"]);
    let alone = lister.get("/v1/secrets/app/c/metadata").await.ok(200);
    assert_eq!(answer["secrets"]["app/c"], alone);
    assert!(answer["secrets"]["app/c"].get("data").is_none());
    // Without being asked for, patterns are no paths.
    let plain = lister
        .post(METADATA, json!({ "paths": ["app/*"] }))
        .await
        .ok(200);
    assert_eq!(plain["errors"]["app/*"]["code"], "invalid_path");
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    for _ in 0..4 {
        let options = json!({ "expand_wildcards": true, "limit": 1, "cursor": cursor });
        let page = lister
            .post(METADATA, json!({ "paths": ["app/**"], "options": options }))
            .await;
        let page = page.ok(200);
        found.extend(keys(&page["secrets"]).into_iter().map(str::to_owned));
        cursor = page["cursor"].clone();
        assert_eq!(page["has_more"], json!(cursor.is_string()));
    }
    assert_eq!(found, ["app/a/one", "app/a/two", "app/b/one", "app/c"]);
    assert_eq!(cursor, Value::Null);
    let options = json!({ "expand_wildcards": true, "cursor": "made-up" });
    let body = json!({ "paths": ["app/**"], "options": options });
    lister
        .post(METADATA, body)
        .await
        .refused(400, "invalid_cursor");
    let reader = service(root, "sa:reader", &["secrets:read"]).await;
    let body = json!({ "paths": ["app/c"] });
    reader
        .post(METADATA, body)
        .await
        .refused(403, "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_tags_and_text() {
    let server = Server::dev().start().await;
    let root = server.root();
    for (path, tags) in [
        ("app/db/a", &["prod", "eu"][..]),
        ("app/db/b", &["prod"]),
        ("app/web", &["eu"]),
        ("apple/core", &[]),
        ("top", &["prod"]),
    ] {
        put(root, path, tags).await;
    }
    let list = async |query: &str| root.get(&format!("/v1/secrets?{query}")).await.ok(200);
    let paths = |page: &Value| {
        let all = page["secrets"].as_array().expect("secrets").iter();
        all.map(|one| one["path"].as_str().expect("a path").to_owned())
            .collect::<Vec<_>>()
    };
    let page = list("delimiter=/").await;
    assert_eq!(
        (paths(&page), &page["prefixes"]),
        (vec!["top".to_owned()], &json!(["app/", "apple/"]))
    );
    let page = list("delimiter=%2F&prefix=app/").await;
    assert_eq!(
        (paths(&page), &page["prefixes"]),
        (vec!["app/web".to_owned()], &json!(["app/db/"]))
    );
    let page = list("delimiter=/&tag=prod").await;
    assert_eq!(page["prefixes"], json!(["app/"]));
    let mut cursor = String::new();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = list(&format!("delimiter=/&limit=1{cursor}")).await;
        seen.extend(paths(&page));
        seen.extend(
            page["prefixes"]
                .as_array()
                .expect("prefixes")
                .iter()
                .map(|one| one.as_str().expect("text").to_owned()),
        );
        cursor = page["cursor"]
            .as_str()
            .map_or(String::new(), |next| format!("&cursor={next}"));
    }
    assert_eq!(
        (seen.as_slice(), cursor.as_str()),
        (&["app/", "apple/", "top"].map(str::to_owned)[..], "")
    );
    let page = list("tag=prod&tag=eu").await;
    assert_eq!(paths(&page), ["app/db/a"]);
    assert!(page.get("prefixes").is_none());
    assert_eq!(paths(&list("q=WEB").await), ["app/web"]);
    for bad in [
        "delimiter=:",
        "delimiter=/&recursive=true",
        "prefix=a&prefix=b",
    ] {
        root.get(&format!("/v1/secrets?{bad}"))
            .await
            .refused(400, "invalid_request");
    }

    let terminal = Terminal::new(&server, server.root_token());
    let shown = terminal.run("secrets list --delimiter / --prefix app/", OK);
    let first: Vec<_> = shown
        .lines()
        .map(|line| line.split_whitespace().next().unwrap_or(""))
        .collect();
    assert_eq!(first, ["PATH", "app/db/", "app/web"]);
    assert_eq!(
        terminal.run("secrets list --tree", OK),
        "app/\n  db/\n    a\n    b\n  web\napple/\n  core\ntop\n"
    );
    assert_eq!(
        terminal.json("secrets list --tag prod --tag eu")["secrets"][0]["path"],
        "app/db/a"
    );
    assert_eq!(
        terminal.json("secrets list -q core")["secrets"][0]["path"],
        "apple/core"
    );
    terminal.run("secrets list --delimiter :", VALIDATION);

    let shown = terminal.run("secrets batch top app/web", OK);
    assert_eq!(shown.matches("(version 1)").count(), 2, "{shown}");
    let shown = terminal.run("secrets batch top app/none", GENERAL);
    assert!(shown.starts_with("top (version 1)\n"), "{shown}");
    let read = terminal.json("secrets batch top app/web --include-metadata");
    assert_eq!(read["secrets"]["top"]["metadata"]["tags"], json!(["prod"]));
    let refused = terminal.run(
        "secrets batch top app/none --fail-fast",
        crate::cli::NOT_FOUND,
    );
    assert_eq!(refused, "");
}
