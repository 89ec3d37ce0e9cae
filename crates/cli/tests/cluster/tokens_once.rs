//! What may be used once is used once over all nodes, and a token's children end on all of them.

use std::collections::BTreeMap;

use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};

use crate::cluster::{Cluster, prepare, settings};
use crate::harness::{Api, SOON, eventually, text};

const NODES: usize = 3;
const RACERS: usize = 24;

async fn token(api: &Api, more: Value) -> Value {
    let mut body = json!({
        "identity_type": "service_account", "identity_id": "sa:once", "scopes": ["admin"],
    });
    for (field, value) in more.as_object().expect("an object") {
        body[field] = value.clone();
    }
    api.post("/v1/auth/tokens", body).await.ok(201)
}

/// Statuses of requests that run beside each other, by their number.
async fn race<F>(of: impl Fn(usize) -> F) -> BTreeMap<u16, usize>
where
    F: Future<Output = u16> + Send + 'static,
{
    let all: Vec<_> = (0..RACERS).map(|n| tokio::spawn(of(n))).collect();
    let mut statuses = BTreeMap::new();
    for one in all {
        *statuses.entry(one.await.expect("an answer")).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_use_goes_to_one_request_and_children_end_everywhere() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(NODES, server.port(), &[]).await;
    let roots = cluster.roots();

    for uses in [1, 2] {
        let minted = token(&roots[0], json!({ "uses": uses })).await;
        let own: Vec<Api> = roots
            .iter()
            .map(|root| root.with_token(text(&minted, "token")))
            .collect();
        let statuses = race(|n| {
            let api = own[n % NODES].clone();
            async move { api.get("/v1/auth/whoami").await.status }
        })
        .await;
        assert_eq!(statuses, [(200, uses), (401, RACERS - uses)].into());
    }

    let role = json!({
        "name": "build", "identity_type": "service_account", "identity_id": "sa:build",
        "scopes": ["secrets:read"],
    });
    let role = roots[0].post("/v1/auth/roles", role).await.ok(201);
    let route = "/v1/auth/roles/build/secret-ids";
    let made = roots[1].post(route, json!({ "num_uses": 1 })).await.ok(201);
    let statuses = race(|n| {
        let api = roots[n % NODES].anonymous();
        let body = json!({ "role_id": role["role_id"], "secret_id": made["secret_id"] });
        async move { api.post("/v1/auth/login", body).await.status }
    })
    .await;
    assert_eq!(statuses, [(200, 1), (401, RACERS - 1)].into());

    let top = token(&roots[0], json!({ "ttl": "1h" })).await;
    let child = token(&roots[1].with_token(text(&top, "token")), json!({})).await;
    let own: Vec<Api> = roots
        .iter()
        .map(|root| root.with_token(text(&child, "token")))
        .collect();
    for api in &own {
        api.get("/v1/auth/whoami").await.ok(200);
    }
    let route = format!("/v1/auth/tokens/{}", text(&top, "id"));
    roots[2].delete(&route).await.ok(204);
    for api in &own {
        eventually("a child ends on every node", SOON, async || {
            let status = api.get("/v1/auth/whoami").await.status;
            (status == 401).then_some(())
        })
        .await;
    }
}
