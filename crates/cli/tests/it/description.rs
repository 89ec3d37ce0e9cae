//! The description of the interface: the page to browse it, and what it says of bodies.

use serde_json::json;

use crate::harness::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_open_whole_and_guarded() {
    let server = Server::dev().start().await;
    let nobody = server.root().anonymous();
    let page = nobody.get("/v1/docs").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for name in ["page.css", "page.js"] {
        assert!(page.text.contains(&format!("\"docs/{name}\"")), "{name}");
        let part = nobody.get(&format!("/v1/docs/{name}")).await;
        assert_eq!(part.status, 200, "{name}");
        assert_eq!(part.header("x-content-type-options"), "nosniff");
        assert_eq!(
            part.header("content-security-policy"),
            page.header("content-security-policy")
        );
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
    for no in ["nothing.js", "..%2fpage.js", "page.html"] {
        let reply = nobody.get(&format!("/v1/docs/{no}")).await;
        assert_eq!(reply.status, 404, "{no}");
    }
    assert_eq!(
        nobody
            .send(reqwest::Method::POST, "/v1/docs", None)
            .await
            .status,
        405
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_written_as_an_object_and_three_point_nought_is_three() {
    let server = Server::dev().start().await;
    let root = server.root();
    for (path, body) in [
        ("/v1/secrets/a/b", json!({ "data": {}, "options": [null] })),
        ("/v1/secrets/a/b", json!([{}, null, null, null])),
        ("/v1/secrets/a/b", json!({ "data": {}, "metadata": [] })),
    ] {
        root.put(path, body).await.refused(400, "invalid_request");
    }
    for (path, body) in [
        (
            "/v1/auth/tokens",
            json!(["user", "user:a", ["secrets:read"]]),
        ),
        (
            "/v1/secrets/batch",
            json!({ "paths": ["a"], "options": [true, true, 1] }),
        ),
        (
            "/v1/subscriptions",
            json!({ "name": "n", "paths": ["**"], "events": ["secret.created"],
                    "delivery": ["polling", null, null, null] }),
        ),
    ] {
        root.post(path, body).await.refused(400, "invalid_request");
    }
    let rules = json!([{ "path_pattern": "a", "permissions": ["read"], "conditions": [] }]);
    root.post("/v1/policies", json!({ "name": "n", "rules": rules }))
        .await
        .refused(400, "invalid_policy");
    let body = json!({ "data": {}, "options": { "cas": 0.0, "max_versions": 3.0 } });
    let written = root.put("/v1/secrets/a/b", body).await.ok(201);
    assert_eq!(written["max_versions"], 3);
}

/// Words that the document takes from nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn it_names_the_connectors_there_are() {
    let server = Server::dev().start().await;
    let root = server.root();
    let there = root.get("/v1/rotation/connectors").await.ok(200);
    let names: Vec<_> = there["connectors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    let document = root.get("/v1/openapi.json").await.ok(200);
    let field = &document["components"]["schemas"]["TargetBody"]["properties"]["connector"];
    assert_eq!(field["enum"], json!(names));
}
