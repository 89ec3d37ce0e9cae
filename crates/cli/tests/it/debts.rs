//! Debts, rehearsals and abandoning over HTTP and by command.

use serde_json::json;

use crate::harness::{Api, Server};

async fn waiting_rotation(api: &Api) -> String {
    let secret = json!({"data": {"password": "first"}});
    api.put("/v1/secrets/app/db", secret).await.ok(201);
    let policy = json!({"name": "quarterly", "interval": "90d"});
    let policy = api.post("/v1/rotation/policies", policy).await.ok(201);
    let id = policy["id"].as_str().expect("an id");
    let attached = json!({"secret_path": "app/db"});
    let secrets = format!("/v1/rotation/policies/{id}/secrets");
    api.post(&secrets, attached).await.ok(201);
    // Without a target there is nothing to rehearse.
    let rehearse = format!("{secrets}/app%2Fdb/rehearse");
    let refused = api.post_empty(&rehearse).await;
    let error = refused.refused(422, "validation_error");
    assert!(
        error["details"]["fields"]["secret_path"].is_string(),
        "{error}"
    );
    let opened = api
        .post_empty(&format!("/v1/rotation/policies/{id}/rotate"))
        .await
        .ok(200);
    opened[0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_abandoned_once_and_leaves_no_debt_without_a_target() {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    let id = waiting_rotation(&root).await;
    let abandon = format!("/v1/rotations/{id}/abandon");
    root.post(&abandon, json!({"force": "yes"}))
        .await
        .refused(400, "invalid_request");
    let ended = root.post(&abandon, json!({"force": true})).await.ok(200);
    assert_eq!(ended["phase"], "rolled_back");
    assert_eq!(ended["reason"], "abandoned");
    assert!(ended["advice"].is_string());
    root.post_empty(&abandon)
        .await
        .refused(409, "rotation_conflict");
    root.post_empty("/v1/rotations/rtn_nowhere/abandon")
        .await
        .refused(404, "rotation_not_found");
    let debts = root.get("/v1/rotation/debts?limit=5").await.ok(200);
    assert_eq!(
        debts,
        json!({"data": [], "cursor": null, "has_more": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_told() {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    root.post_empty("/v1/rotation/debts/dbt_none/retry")
        .await
        .refused(404, "debt_not_found");
    root.post_empty("/v1/rotation/debts/nonsense/retry")
        .await
        .refused(404, "debt_not_found");
    let no_reason = root.delete("/v1/rotation/debts/dbt_none").await;
    assert!(matches!(no_reason.status, 400 | 422), "{}", no_reason.text);
    root.post("/v1/rotation/targets/nowhere/rehearse", json!({}))
        .await
        .refused(404, "target_not_found");
    let strategy = json!({"strategy": "guess"});
    let refused = root
        .post("/v1/rotation/targets/nowhere/rehearse", strategy)
        .await;
    let error = refused.refused(422, "validation_error");
    assert!(
        error["details"]["fields"]["strategy"].is_string(),
        "{error}"
    );
    root.post_empty("/v1/rotation/targets/nowhere/sweep")
        .await
        .refused(404, "target_not_found");
    let metrics = root.get("/v1/metrics").await.text;
    assert!(metrics.contains("scaivault_rotation_debts 0"), "{metrics}");
    assert!(metrics.contains("scaivault_rotation_debt_oldest_seconds 0"));
}
