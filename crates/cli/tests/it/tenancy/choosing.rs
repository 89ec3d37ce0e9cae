//! The three ways of choosing a tenant, and whom they are open to.

use serde_json::json;

use super::{Place, bare, partner, place};
use crate::harness::{Api, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_chosen_by_path_header_and_token_in_this_order() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (one, two) = (partner(root, "One").await, partner(root, "Two").await);
    let a = place(root, &one, "A").await;
    let b = place(root, &one, "B").await;
    let c = place(root, &two, "C").await;
    let whoami = async |api: &Api, prefix: &str| {
        let who = api.get(&format!("/v1{prefix}/auth/whoami")).await.ok(200);
        let text = |name: &str| who[name].as_str().expect("a text").to_owned();
        (text("tenant_id"), text("partner_id"))
    };
    let at = |place: &Place| (place.tenant.clone(), place.partner.clone());
    let before = |place: &Place| format!("/t/{}", place.tenant);

    assert_eq!(whoami(&a.admin, "").await, at(&a), "by the token");
    assert_eq!(whoami(&a.admin.in_tenant(&b.tenant), "").await, at(&b));
    assert_eq!(whoami(&a.admin, &before(&b)).await, at(&b));
    let named_twice = a.admin.in_tenant(&a.tenant);
    assert_eq!(whoami(&named_twice, &before(&b)).await, at(&b));
    let named_twice = a.admin.in_tenant(&b.tenant);
    assert_eq!(whoami(&named_twice, &before(&a)).await, at(&a));
    // One's own may be named by anybody.
    assert_eq!(
        whoami(&a.everyone.in_tenant(&a.tenant), &before(&a)).await,
        at(&a)
    );
    // The root token acts everywhere.
    assert_eq!(whoami(root, &before(&c)).await, at(&c));

    // Whoever is no admin learns nothing, not even whether there is such a tenant.
    let path = "/v1/secrets/app/db";
    let refused = bare(&a.everyone.in_tenant(&c.tenant).get(path).await);
    assert_eq!(refused.0, 403);
    assert!(refused.1.contains("tenant_access_denied"));
    for other in [
        b.tenant.as_str(),
        "tnt_nowhere",
        "tnt_p-default",
        "nonsense",
    ] {
        assert_eq!(bare(&a.everyone.in_tenant(other).get(path).await), refused);
        let by_path = format!("/v1/t/{other}/secrets/app/db");
        assert_eq!(bare(&a.everyone.get(&by_path).await), refused, "{other}");
    }
    // An admin is told so; other partners' tenants are refused, in either place.
    a.admin
        .in_tenant("tnt_nowhere")
        .get(path)
        .await
        .refused(404, "tenant_not_found");
    let space = format!("tnt_p-{}", &one[4..]);
    a.admin
        .in_tenant(&space)
        .get(path)
        .await
        .refused(404, "tenant_not_found");
    a.admin
        .in_tenant(&c.tenant)
        .get(path)
        .await
        .refused(403, "tenant_access_denied");
    let elsewhere = a.admin.in_tenant(&c.tenant);
    elsewhere
        .get(&format!("/v1{}/secrets/app/db", before(&b)))
        .await
        .refused(403, "tenant_access_denied");
    // What was refused is on the trail of the caller's own tenant.
    let logs = a
        .admin
        .get("/v1/audit/logs?action=tenant_select")
        .await
        .ok(200);
    let rows = logs["logs"].as_array().expect("rows");
    assert!(rows.len() >= 11, "{logs}");
    assert!(rows.iter().all(|row| row["success"] == false));
    // A prefix is taken off once, and only where there is something behind it.
    for no_route in [
        format!("/v1{0}{0}/secrets/x", before(&b)),
        format!("/v1/t/{}", b.tenant),
        "/v1/partner/policies".to_owned(),
    ] {
        a.admin.get(&no_route).await.refused(404, "not_found");
    }

    // Acting elsewhere is acting there: by its policies, on its rows, on its trail.
    let there = a.admin.in_tenant(&b.tenant);
    there
        .put(path, json!({ "data": { "k": "of b" } }))
        .await
        .ok(201);
    assert_eq!(b.everyone.get(path).await.ok(200)["data"]["k"], "of b");
    a.everyone.get(path).await.refused(404, "secret_not_found");
    let logs = b.everyone.get("/v1/audit/logs?action=write").await.ok(200);
    let row = &logs["logs"][0];
    assert_eq!(row["identity_id"], "sa:admin");
    assert_eq!(row["extra_data"]["home_tenant_id"], a.tenant.as_str());
}
