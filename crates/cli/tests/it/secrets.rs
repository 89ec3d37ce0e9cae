//! Secrets beyond the two journeys: versions, compare-and-set, metadata, lists, deletion, expiry.

use serde_json::{Value, json};

use crate::first_integration::{grant, service, versions};
use crate::harness::{Api, SOON, Server, eventually};

const SECRET: &str = "/v1/secrets/app/db";

async fn put(api: &Api, number: u64) -> u64 {
    let reply = api
        .put(SECRET, json!({ "data": { "number": number } }))
        .await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    reply.body["version"].as_u64().expect("a version")
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_stay_until_they_age_out() {
    let server = Server::dev().start().await;
    let root = server.root();
    let body = json!({ "data": { "number": 1 }, "options": { "max_versions": 3 } });
    root.put(SECRET, body).await.ok(201);
    for number in 2..=5 {
        assert_eq!(put(root, number).await, number);
    }
    assert_eq!(
        versions(root, "app/db").await,
        [(5, true), (4, false), (3, false)]
    );
    let old = root.get(&format!("{SECRET}?version=3")).await.ok(200);
    assert_eq!(
        (&old["data"]["number"], &old["is_current"]),
        (&json!(3), &json!(false))
    );
    for gone in [1, 2, 6] {
        let reply = root.get(&format!("{SECRET}?version={gone}")).await;
        reply.refused(404, "version_not_found");
    }
    let metadata = root.get(&format!("{SECRET}/metadata")).await.ok(200);
    assert_eq!(metadata["version_count"], 3);
    assert!(metadata.get("data").is_none(), "no value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_comes_back_as_it_was_written() {
    let server = Server::dev().start().await;
    let root = server.root();
    let data = json!({
        "text": "ünïcode \u{1F511} \" \\ / \u{0} \n", "empty": "", "null": null, "no": false,
        "big": 12345678901234567890_u64, "exact": 0.1, "nested": { "list": [1, [2, [3]]] },
        "": "an empty name", "__proto__": 1, "large": "x".repeat(200_000),
    });
    root.put(SECRET, json!({ "data": data })).await.ok(201);
    assert_eq!(root.get(SECRET).await.ok(200)["data"], data);
    root.put(SECRET, json!({ "data": {} })).await.ok(200);
    assert_eq!(root.get(SECRET).await.ok(200)["data"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_expect_the_same_version_one_writes() {
    let server = Server::dev().start().await;
    let root = server.root();
    for expected in [0, 1, 2] {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let root = root.clone();
            let body = json!({ "data": { "writer": writer }, "options": { "cas": expected } });
            writers.spawn(async move { (writer, root.put(SECRET, body).await) });
        }
        let mut won = Vec::new();
        for (writer, reply) in writers.join_all().await {
            if matches!(reply.status, 200 | 201) {
                assert_eq!(reply.body["version"], expected + 1);
                won.push(writer);
            } else {
                reply.refused(409, "version_conflict");
            }
        }
        assert_eq!(won.len(), 1, "at version {expected}");
        assert_eq!(root.get(SECRET).await.ok(200)["data"]["writer"], won[0]);
    }
    // Without an expectation nobody loses; every write makes its own version.
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let root = root.clone();
        writers.spawn(async move { put(&root, number).await });
    }
    let mut made = writers.join_all().await;
    made.sort_unstable();
    assert_eq!(made, [4, 5, 6, 7, 8, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_changes_without_a_version() {
    let server = Server::dev().start().await;
    let root = server.root();
    put(root, 1).await;
    let metadata = format!("{SECRET}/metadata");
    let patch = json!({ "metadata": { "owner": "team:db", "cost": 7 }, "tags": ["a", "b"] });
    let patched = root.patch(&metadata, patch).await.ok(200);
    assert_eq!(patched["version"], 1);
    let read = root.get(SECRET).await.ok(200);
    assert_eq!(read["metadata"]["owner"], "team:db");
    assert_eq!(read["metadata"]["cost"], 7);
    assert_eq!(read["metadata"]["tags"], json!(["a", "b"]));
    // The existence test of the documents needs `secrets:list` and no value.
    grant(root, "sa:lister", "app/*", &["list"]).await;
    let lister = service(root, "sa:lister", &["secrets:list"]).await;
    lister.get(&metadata).await.ok(200);
    lister
        .get("/v1/secrets/app/none/metadata")
        .await
        .refused(404, "secret_not_found");
    lister
        .get("/v1/secrets/other/none/metadata")
        .await
        .refused(403, "access_denied");
    lister.get(SECRET).await.refused(403, "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_filtered_and_show_only_what_one_may_see() {
    let server = Server::dev().start().await;
    let root = server.root();
    let paths = ["app/a", "app/b/c", "app/b/d", "app/e", "infra/x"];
    for path in paths {
        let body = json!({
            "data": { "k": "value-of-a-secret" },
            "metadata": { "tags": [if path == "app/e" { "blue" } else { "red" }] },
            "secret_type": if path == "infra/x" { "api_key" } else { "json" },
        });
        root.put(&format!("/v1/secrets/{path}"), body).await.ok(201);
    }
    let list = async |api: &Api, query: &str| {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = api
                .get(&format!("/v1/secrets?{query}{cursor}"))
                .await
                .ok(200);
            assert!(!page.to_string().contains("value-of-a-secret"));
            let items = page["secrets"].as_array().expect("secrets");
            found.extend(
                items
                    .iter()
                    .map(|one| one["path"].as_str().expect("a path").to_owned()),
            );
            assert_eq!(page["has_more"], json!(page["cursor"].is_string()));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(list(root, "recursive=true").await, paths);
    assert_eq!(
        list(root, "recursive=true&limit=2").await,
        paths,
        "page by page"
    );
    assert_eq!(
        list(root, "recursive=true&prefix=app/b/").await,
        ["app/b/c", "app/b/d"]
    );
    assert_eq!(list(root, "recursive=true&tag=blue").await, ["app/e"]);
    assert_eq!(
        list(root, "recursive=true&secret_type=api_key").await,
        ["infra/x"]
    );
    grant(root, "sa:lister", "app/b/*", &["list"]).await;
    let lister = service(root, "sa:lister", &["secrets:list"]).await;
    assert_eq!(
        list(&lister, "recursive=true").await,
        ["app/b/c", "app/b/d"]
    );
    assert_eq!(
        list(&lister, "recursive=true&limit=1").await,
        ["app/b/c", "app/b/d"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_can_be_brought_back_unless_it_is_gone_for_good() {
    let server = Server::dev().start().await;
    let root = server.root();
    put(root, 1).await;
    let deleted = root.delete(SECRET).await.ok(200);
    assert_eq!(deleted["permanent"], false);
    assert!(deleted["recoverable_until"].is_string());
    root.get(SECRET).await.refused(404, "secret_not_found");
    root.delete(SECRET).await.refused(404, "secret_not_found");
    root.put(SECRET, json!({ "data": { "k": "v" } }))
        .await
        .refused(409, "secret_exists");
    root.post_empty(&format!("{SECRET}/undelete")).await.ok(200);
    assert_eq!(root.get(SECRET).await.ok(200)["data"]["number"], 1);

    let gone = root
        .delete(&format!("{SECRET}?permanent=true"))
        .await
        .ok(200);
    assert_eq!(
        (&gone["permanent"], &gone["recoverable_until"]),
        (&json!(true), &Value::Null)
    );
    root.get(SECRET).await.refused(404, "secret_not_found");
    root.post_empty(&format!("{SECRET}/undelete"))
        .await
        .refused(404, "secret_not_found");
    assert_eq!(put(root, 2).await, 1, "a new secret at the same path");
    root.get(&format!("{SECRET}?version=2"))
        .await
        .refused(404, "version_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_end_a_value_is_refused() {
    let server = Server::dev().start().await;
    let root = server.root();
    let body = json!({ "data": { "k": "v" }, "options": { "expires_in": "2s" } });
    assert!(root.put(SECRET, body).await.ok(201)["expires_at"].is_string());
    let expiring = root.get("/v1/secrets/expiring?days=1").await.ok(200);
    assert_eq!(expiring["secrets"][0]["path"], "app/db");
    let expired = eventually("it expires", SOON, async || {
        let reply = root.get(SECRET).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    expired.refused(410, "secret_expired");
    root.patch(&format!("{SECRET}/metadata"), json!({ "expires_at": null }))
        .await
        .ok(200);
    assert_eq!(root.get(SECRET).await.ok(200)["data"]["k"], "v");
}
