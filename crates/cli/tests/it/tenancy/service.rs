//! Who makes, sees and suspends tenants.

use serde_json::json;

use super::{partner, place};
use crate::harness::{Api, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_refused_until_it_is_activated() {
    let server = Server::dev().start().await;
    let root = server.root();
    let one = partner(root, "One").await;
    let (a, b) = (place(root, &one, "A").await, place(root, &one, "B").await);
    let path = "/v1/secrets/app/db";
    for place in [&a, &b] {
        place
            .everyone
            .put(path, json!({ "data": { "k": "v" } }))
            .await
            .ok(201);
        place.everyone.get(path).await.ok(200);
    }
    let change = async |api: &Api, kind: &str, id: &str, status: &str| {
        let path = format!("/v1/identity/{kind}/{id}");
        let changed = api.patch(&path, json!({ "status": status })).await.ok(200);
        assert_eq!(changed["status"], status);
    };
    change(&b.admin, "tenants", &a.tenant, "SUSPENDED").await;
    for (api, what) in [
        (&a.everyone, "its tokens"),
        (&b.admin.in_tenant(&a.tenant), "admins that act in it"),
        (&root.in_tenant(&a.tenant), "the operator in it"),
    ] {
        let error = api.get(path).await.refused(403, "tenant_suspended");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains("suspended")),
            "{what}"
        );
    }
    a.admin
        .get("/v1/auth/whoami")
        .await
        .refused(403, "tenant_suspended");
    b.everyone.get(path).await.ok(200);
    change(&b.admin, "tenants", &a.tenant, "ACTIVE").await;
    assert_eq!(a.everyone.get(path).await.ok(200)["data"]["k"], "v");

    change(root, "partners", &one, "SUSPENDED").await;
    for place in [&a, &b] {
        place
            .everyone
            .get(path)
            .await
            .refused(403, "tenant_suspended");
    }
    let body = json!({ "name": "late", "partner_id": one });
    root.post("/v1/identity/tenants", body)
        .await
        .refused(403, "forbidden");
    change(root, "partners", &one, "ACTIVE").await;
    for place in [&a, &b] {
        place.everyone.get(path).await.ok(200);
    }
    // What is about the whole server is for its operators.
    let reconcile = "/v1/rotation/reconcile";
    root.get(reconcile).await.ok(200);
    for api in [&a.everyone, &a.admin] {
        api.get(reconcile).await.refused(403, "forbidden");
        api.post(&format!("{reconcile}/resume"), json!({}))
            .await
            .refused(403, "forbidden");
    }
    // What the root token stands on stays.
    for (kind, id) in [("tenants", "tnt_default"), ("partners", "ptn_default")] {
        let path = format!("/v1/identity/{kind}/{id}");
        let body = json!({ "status": "SUSPENDED" });
        root.patch(&path, body).await.refused(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_and_see_tenants() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (one, two) = (partner(root, "One").await, partner(root, "Two").await);
    let a = place(root, &one, "A").await;
    let c = place(root, &two, "C").await;
    let tenants = async |api: &Api| {
        let list = api.get("/v1/identity/tenants?page_size=50").await.ok(200);
        let rows = list["tenants"].as_array().expect("rows").clone();
        assert_eq!(list["total"], rows.len());
        rows.iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(tenants(root).await.len(), 3, "with the default one");
    let b = a
        .admin
        .post("/v1/identity/tenants", json!({ "name": "B" }))
        .await
        .ok(201);
    assert_eq!((&b["partner_id"], &b["slug"]), (&json!(one), &json!("b")));
    assert_eq!(tenants(&a.admin).await.len(), 2);
    assert_eq!(tenants(&a.everyone).await, [&*a.tenant]);
    assert_eq!(tenants(&c.admin).await, [&*c.tenant]);
    let page = root
        .get("/v1/identity/tenants?page=2&page_size=3")
        .await
        .ok(200);
    assert_eq!(
        (page["tenants"].as_array().map(Vec::len), &page["total"]),
        (Some(1), &json!(4))
    );
    let list = a
        .admin
        .get(&format!("/v1/identity/tenants?partner_id={two}"))
        .await
        .ok(200);
    assert_eq!(list["total"], 0);

    a.everyone
        .post("/v1/identity/tenants", json!({ "name": "x" }))
        .await
        .refused(403, "forbidden");
    let body = json!({ "name": "x", "partner_id": two });
    a.admin
        .post("/v1/identity/tenants", body)
        .await
        .refused(403, "forbidden");
    a.admin
        .post("/v1/identity/partners", json!({ "name": "x" }))
        .await
        .refused(403, "forbidden");
    let again = json!({ "name": "again", "slug": "b" });
    a.admin
        .post("/v1/identity/tenants", again)
        .await
        .refused(409, "name_exists");
    let space = json!({ "name": "space", "id": format!("tnt_p-{}", &one[4..]) });
    root.post("/v1/identity/tenants", space)
        .await
        .refused(422, "validation_error");
    let taken = json!({ "name": "taken", "id": c.tenant });
    root.post("/v1/identity/tenants", taken)
        .await
        .refused(409, "name_exists");
    let theirs = format!("/v1/identity/tenants/{}", c.tenant);
    a.admin.get(&theirs).await.refused(404, "tenant_not_found");
    a.admin
        .patch(&theirs, json!({ "status": "SUSPENDED" }))
        .await
        .refused(404, "tenant_not_found");
    // Nobody hands out a role above his own.
    for (api, role, code) in [
        (&a.everyone, "partner_admin", 403),
        (&a.admin, "super_admin", 403),
        (&a.admin, "partner_admin", 201),
        (root, "super_admin", 201),
    ] {
        let body = json!({ "identity_type": "service_account", "identity_id": "sa:new",
                           "scopes": ["identity:read"], "roles": [role] });
        assert_eq!(
            api.post("/v1/auth/tokens", body).await.status,
            code,
            "{role}"
        );
    }
}
