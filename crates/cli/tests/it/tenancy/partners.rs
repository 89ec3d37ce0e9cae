//! Secrets and policies that belong to a partner.

use reqwest::Method;
use serde_json::json;

use super::{partner, place, token};
use crate::harness::{Api, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_partners_secrets_are_read_by_its_tenants_and_written_by_its_admins() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (one, two) = (partner(root, "One").await, partner(root, "Two").await);
    let a = place(root, &one, "A").await;
    let b = place(root, &one, "B").await;
    let c = place(root, &two, "C").await;
    let (own, shared) = ("/v1/secrets/shared/key", "/v1/partner/secrets/shared/key");
    let value = |text: &str| json!({ "data": { "k": text } });
    let told = b.everyone.post(
        "/v1/subscriptions",
        json!({
            "name": "all", "paths": ["**"], "events": ["secret.created", "secret.updated", "secret.deleted"],
            "delivery": { "type": "polling" },
        }),
    );
    let told = told.await.ok(201)["id"].as_str().expect("an id").to_owned();

    a.everyone
        .put(shared, value("x"))
        .await
        .refused(403, "forbidden");
    a.admin.put(shared, value("of one")).await.ok(201);
    c.admin.put(shared, value("of two")).await.ok(201);
    a.everyone.put(own, value("of a")).await.ok(201);
    let read = async |api: &Api, path: &str| api.get(path).await.ok(200)["data"]["k"].clone();
    assert_eq!(read(&a.everyone, shared).await, "of one");
    assert_eq!(read(&b.everyone, shared).await, "of one");
    assert_eq!(read(&c.everyone, shared).await, "of two");
    assert_eq!(read(&a.everyone, own).await, "of a");
    b.everyone.get(own).await.refused(404, "secret_not_found");
    let by_path = format!("/v1/t/{}/partner/secrets/shared/key", b.tenant);
    assert_eq!(read(&a.admin, &by_path).await, "of one");

    // Read by a rule of the own tenant, and by the scope.
    let stranger = token(root, &b.tenant, "sa:stranger", &[]).await;
    stranger.get(shared).await.refused(403, "access_denied");
    let list = b
        .everyone
        .get("/v1/partner/secrets?prefix=shared/")
        .await
        .ok(200);
    assert_eq!(list["secrets"].as_array().map(Vec::len), Some(1));
    let list = b.everyone.get("/v1/secrets").await.ok(200);
    assert_eq!(
        list["secrets"].as_array().map(Vec::len),
        Some(0),
        "not among one's own"
    );
    a.admin.put(shared, value("newer")).await.ok(200);
    assert_eq!(read(&b.everyone, shared).await, "newer");
    let versions = format!("{shared}/versions");
    let listed = b.everyone.get(&versions).await.ok(200);
    assert_eq!(listed["versions"].as_array().map(Vec::len), Some(2));
    for (method, what) in [
        (Method::DELETE, shared.to_owned()),
        (Method::POST, format!("{shared}/undelete")),
        (Method::PATCH, format!("{shared}/metadata")),
    ] {
        let body = (method == Method::PATCH).then(|| json!({ "tags": ["t"] }));
        b.everyone
            .send(method, &what, body)
            .await
            .refused(403, "forbidden");
    }
    for (method, what) in [
        (Method::POST, "/v1/partner/secrets/batch"),
        (Method::POST, "/v1/partner/secrets/shared/key/rotate"),
        (Method::GET, "/v1/partner/secrets/shared/key/consumers"),
    ] {
        a.admin
            .send(method, what, None)
            .await
            .refused(404, "not_found");
    }
    a.admin.delete(shared).await.ok(200);
    b.everyone
        .get(shared)
        .await
        .refused(404, "secret_not_found");
    a.admin
        .post_empty(&format!("{shared}/undelete"))
        .await
        .ok(200);

    // Each reader's tenant has it on its trail; every tenant is told of the changes.
    let logs = b.everyone.get("/v1/audit/logs?action=read").await.ok(200);
    let rows = logs["logs"].as_array().expect("rows");
    assert!(
        rows.iter()
            .any(|row| row["extra_data"]["partner_id"] == one.as_str()),
        "{logs}"
    );
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let path = format!("/v1/subscriptions/{told}/poll?timeout=20");
        let got = b.everyone.get(&path).await.ok(200);
        let events = got["events"].as_array().expect("events").clone();
        assert!(!events.is_empty(), "told: {seen:?}");
        let ids: Vec<_> = events
            .iter()
            .map(|event| event["event_id"].clone())
            .collect();
        for event in &events {
            assert_eq!(event["data"]["partner_id"], one.as_str());
            seen.push(event["event_type"].as_str().expect("a type").to_owned());
        }
        let ack = format!("/v1/subscriptions/{told}/ack");
        b.everyone.post(&ack, json!({ "event_ids": ids })).await;
    }
    assert_eq!(seen, ["secret.created", "secret.updated", "secret.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partners_policies_apply_in_all_its_tenants() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (one, two) = (partner(root, "One").await, partner(root, "Two").await);
    let a = place(root, &one, "A").await;
    let b = place(root, &one, "B").await;
    let c = place(root, &two, "C").await;
    let mut readers = Vec::new();
    for place in [&a, &b, &c] {
        place
            .everyone
            .put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
            .await
            .ok(201);
        let reader = token(root, &place.tenant, "sa:reader", &[]).await;
        reader
            .get("/v1/secrets/app/db")
            .await
            .refused(403, "access_denied");
        readers.push(reader);
    }
    let rules = json!([{ "path_pattern": "app/*", "permissions": ["read"] }]);
    let body = json!({ "name": "all over", "scope": "partner", "rules": rules });
    a.everyone
        .post("/v1/policies", body.clone())
        .await
        .refused(403, "forbidden");
    let policy = a.admin.post("/v1/policies", body).await.ok(201);
    assert_eq!(policy["scope"], "partner");
    let policy = format!("/v1/policies/{}", policy["id"].as_str().expect("an id"));
    let bindings = format!("{policy}/bindings");
    let who = json!({ "identity_type": "service_account", "identity_id": "sa:reader" });
    b.everyone
        .post(&bindings, who.clone())
        .await
        .refused(403, "forbidden");
    a.admin.post(&bindings, who.clone()).await.ok(201);
    for (reader, allowed) in readers.iter().zip([true, true, false]) {
        let read = reader.get("/v1/secrets/app/db").await;
        match allowed {
            true => drop(read.ok(200)),
            false => drop(read.refused(403, "access_denied")),
        }
    }
    // Seen by all whom it concerns, changed by the admins alone.
    b.everyone.get(&policy).await.ok(200);
    c.admin.get(&policy).await.refused(404, "policy_not_found");
    c.admin
        .post(&bindings, who)
        .await
        .refused(404, "policy_not_found");
    let off = json!({ "is_active": false });
    b.everyone
        .patch(&policy, off.clone())
        .await
        .refused(403, "forbidden");
    let scopes = async |query: &str| {
        let list = b
            .everyone
            .get(&format!("/v1/policies{query}"))
            .await
            .ok(200);
        list["policies"].as_array().expect("rows").len()
    };
    assert_eq!((scopes("").await, scopes("?scope=tenant").await), (3, 2));
    assert_eq!(scopes("?scope=partner").await, 1);
    b.admin.patch(&policy, json!({ "scope": "tenant" })).await;
    b.admin.patch(&policy, off).await.ok(200);
    for reader in &readers {
        reader
            .get("/v1/secrets/app/db")
            .await
            .refused(403, "access_denied");
    }
}
