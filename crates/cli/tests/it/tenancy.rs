//! Tenants of one server: nothing of one is seen, changed or disturbed from another; a partner's
//! admins act in its tenants, and what belongs to the partner is read by all of them.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Reply, Server};

/// A partner and a tenant of it, with a token that may do everything there.
struct Place {
    partner: String,
    tenant: String,
    /// Every scope, every path, no role.
    everyone: Api,
    /// The same with the role of a partner admin.
    admin: Api,
}

async fn partner(root: &Api, name: &str) -> String {
    let made = root
        .post("/v1/identity/partners", json!({ "name": name }))
        .await
        .ok(201);
    made["id"].as_str().expect("an id").to_owned()
}

async fn tenant(root: &Api, partner: &str, name: &str) -> String {
    let body = json!({ "name": name, "partner_id": partner });
    let made = root.post("/v1/identity/tenants", body).await.ok(201);
    assert_eq!(made["status"], "ACTIVE");
    made["id"].as_str().expect("an id").to_owned()
}

const SCOPES: [&str; 14] = [
    "secrets:read",
    "secrets:write",
    "secrets:delete",
    "secrets:list",
    "secrets:rotate",
    "policies:read",
    "policies:write",
    "audit:read",
    "audit:export",
    "subscriptions:read",
    "subscriptions:write",
    "identity:read",
    "identity:admin",
    "admin",
];

async fn token(root: &Api, tenant: &str, identity: &str, roles: &[&str]) -> Api {
    let body = json!({
        "identity_type": "service_account", "identity_id": identity, "scopes": SCOPES,
        "roles": roles, "ttl": "1h",
    });
    let made = root
        .in_tenant(tenant)
        .post("/v1/auth/tokens", body)
        .await
        .ok(201);
    root.with_token(made["token"].as_str().expect("a token"))
}

async fn allow_all(root: &Api, tenant: &str, identity: &str) {
    let there = root.in_tenant(tenant);
    let policy = json!({
        "name": format!("all of {}", identity.replace(':', "-")),
        "rules": [{ "path_pattern": "**", "permissions": ["admin"] }],
    });
    let policy = there.post("/v1/policies", policy).await.ok(201);
    let bindings = format!("/v1/policies/{}/bindings", policy["id"].as_str().unwrap());
    let body = json!({ "identity_type": "service_account", "identity_id": identity });
    there.post(&bindings, body).await.ok(201);
}

async fn place(root: &Api, partner: &str, name: &str) -> Place {
    let tenant = tenant(root, partner, name).await;
    for identity in ["sa:everyone", "sa:admin"] {
        allow_all(root, &tenant, identity).await;
    }
    Place {
        everyone: token(root, &tenant, "sa:everyone", &[]).await,
        admin: token(root, &tenant, "sa:admin", &["partner_admin"]).await,
        partner: partner.to_owned(),
        tenant,
    }
}

/// The answer without what differs between any two requests.
fn bare(reply: &Reply) -> (u16, String) {
    let mut body = reply.body.clone();
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("request_id");
    }
    if let Some(summary) = body.get_mut("summary").and_then(Value::as_object_mut) {
        // The window looked at ends now.
        summary.remove("from");
        summary.remove("to");
    }
    (reply.status, body.to_string())
}

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

/// Every operation of the document that takes an id, asked from another tenant.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_answered_as_ids_of_nobody() {
    let server = Server::dev().start().await;
    let root = server.root();
    let a = place(root, &partner(root, "One").await, "A").await;
    let c = place(root, &partner(root, "Two").await, "C").await;
    let ids = things(&a.everyone).await;
    let document = root.get("/v1/openapi.json").await.ok(200);
    let (mut asked, mut wrong) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if !path.contains('{') {
            continue;
        }
        let Some((theirs, nobodys)) = filled(path, &ids) else {
            panic!("{path}: a parameter of which the test knows no id");
        };
        for method in methods.as_object().expect("methods").keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else {
                continue;
            };
            let body = body_of(&method, path);
            let of_other = c.everyone.send(method.clone(), &theirs, body.clone()).await;
            let of_nobody = c.everyone.send(method.clone(), &nobodys, body).await;
            let what = format!("{method} {path}");
            // Answers name what was asked for; by anything else the two are the same.
            let same = |(status, text): (u16, String), asked: &str| {
                let mut text = text;
                for part in asked.split('/').filter(|part| part.contains('_')) {
                    text = text.replace(part, "…");
                }
                (status, text)
            };
            let (got, expect) = (
                same(bare(&of_other), &theirs),
                same(bare(&of_nobody), &nobodys),
            );
            // Who may change no partner at all is told so, whichever it is.
            let hidden = of_other.status == 404
                || BY_NAME.iter().any(|name| path.contains(name))
                || (of_other.status == 403 && path.contains("/identity/partners/"));
            if got != expect || !hidden {
                wrong.push(format!("{what}: {got:?}, of nobody's {expect:?}"));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= 60, "only {asked} operations were asked");
    // And none of it did anything: all is as it was.
    let after = things(&a.everyone).await;
    for (kind, id) in &ids {
        if let Some(path) = shown_at(kind, id) {
            a.everyone.get(&path).await.ok(200);
        }
    }
    assert_eq!(after.len(), ids.len());
}

/// Parameters that are names of the caller's own: there is nothing to be hidden behind them.
const BY_NAME: [&str; 3] = ["{path}", "{secret_path}", "{identity_id}"];

/// Where an id of this kind is shown.
fn shown_at(kind: &str, id: &str) -> Option<String> {
    Some(match kind {
        "policies" => format!("/v1/policies/{id}"),
        "secret-policies" => format!("/v1/secret-policies/{id}"),
        "rotation/policies" => format!("/v1/rotation/policies/{id}"),
        "webhooks" => format!("/v1/webhooks/{id}"),
        "subscriptions" => format!("/v1/subscriptions/{id}"),
        "rotations" => format!("/v1/rotations/{id}"),
        "rotation/targets" => format!("/v1/rotation/targets/{id}"),
        "rotation/campaigns" => format!("/v1/rotation/campaigns/{id}"),
        "secret" => format!("/v1/secrets/{id}"),
        _ => return None,
    })
}

/// One of everything a tenant can own, or what is asked for in its place.
async fn things(api: &Api) -> BTreeMap<&'static str, String> {
    let id = |made: Value| made["id"].as_str().expect("an id").to_owned();
    let mut ids = BTreeMap::new();
    let n = api.get("/v1/policies").await.ok(200)["policies"]
        .as_array()
        .map_or(0, Vec::len);
    let secret = format!("app/s_{n}");
    let path = format!("/v1/secrets/{secret}");
    api.put(&path, json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let rule = json!([{ "path_pattern": "x/*", "permissions": ["read"] }]);
    let body = json!({ "name": format!("p{n}"), "rules": rule });
    let policy = id(api.post("/v1/policies", body).await.ok(201));
    let body = json!({ "identity_type": "service_account", "identity_id": "sa:x" });
    let bound = api
        .post(&format!("/v1/policies/{policy}/bindings"), body)
        .await;
    ids.insert("bindings", id(bound.ok(201)));
    ids.insert("policies", policy);
    let body = json!({ "identity_type": "service_account", "identity_id": "sa:only_a",
                       "scopes": ["secrets:read"] });
    let minted = api.post("/v1/auth/tokens", body).await.ok(201);
    let other = api.with_token(minted["token"].as_str().expect("a token"));
    // So that it has rows on the trail.
    other.get(&path).await.refused(403, "access_denied");
    ids.insert("audit/identities", "sa:only_a".to_owned());
    ids.insert("auth/tokens", id(minted));
    let body = json!({ "name": format!("r{n}"), "interval": "90d", "grace_period": "1h" });
    let rotates = id(api.post("/v1/rotation/policies", body).await.ok(201));
    let body = json!({
        "name": format!("recipe-{n}"),
        "fields": [{ "name": "k", "generator": "uuid" }],
    });
    ids.insert(
        "secret-policies",
        id(api.post("/v1/secret-policies", body).await.ok(201)),
    );
    let body = json!({
        "name": format!("w{n}"), "url": "http://127.0.0.1:9/hook", "events": ["secret.created"],
        "secret": "0123456789abcdef0123456789abcdef",
    });
    ids.insert("webhooks", id(api.post("/v1/webhooks", body).await.ok(201)));
    let body = json!({ "name": format!("s{n}"), "paths": ["**"], "events": ["secret.created"],
                       "delivery": { "type": "polling" } });
    ids.insert(
        "subscriptions",
        id(api.post("/v1/subscriptions", body).await.ok(201)),
    );
    let options = json!({ "rotation_policy_id": rotates });
    api.put(&path, json!({ "data": { "k": "v" }, "options": options }))
        .await
        .ok(200);
    let begun = api.post_empty(&format!("{path}/rotate")).await.ok(202);
    ids.insert("rotations", id(begun));
    ids.insert("rotation/policies", rotates);
    ids.insert("secret", secret);
    let manager = format!("db/m_{n}");
    let credential = json!({ "data": { "username": "m", "password": "p" } });
    api.put(&format!("/v1/secrets/{manager}"), credential)
        .await
        .ok(201);
    let body = json!({
        "name": format!("cache{n}"), "connector": "redis", "manager_path": manager,
        "settings": { "host": "cache.internal" },
    });
    let target = api.post("/v1/rotation/targets", body).await.ok(201);
    ids.insert("rotation/targets", id(target));
    let body = json!({ "paths": [manager] });
    let run = api.post("/v1/rotation/campaigns", body).await.ok(201);
    ids.insert("rotation/campaigns", id(run));
    // Nothing makes these here: the other tenant asks by ids of the right form.
    for (kind, prefix) in [("rotation/debts", "dbt"), ("deliveries", "del")] {
        ids.insert(kind, format!("{prefix}_01JDB2V9Q7C0M3F5Y8K4T6R1ZX"));
    }
    let who = api.get("/v1/auth/whoami").await.ok(200);
    let text = |name: &str| who[name].as_str().expect("a text").to_owned();
    ids.insert("identity/tenants", text("tenant_id"));
    ids.insert("identity/partners", text("partner_id"));
    ids
}

/// The path with ids of the other tenant, and with ids of the same form that nobody has.
fn filled(path: &str, ids: &BTreeMap<&str, String>) -> Option<(String, String)> {
    let (mut theirs, mut nobodys) = (String::new(), String::new());
    let mut before = Vec::new();
    for segment in path.split('/').skip(1) {
        let (one, other) = match segment {
            "{path}" | "{secret_path}" => {
                let path = ids["secret"].clone();
                (path, "app/s_none".to_owned())
            }
            name if name.starts_with('{') => {
                // The collection it is in: one word, or two where one says too little.
                let one = before.last().copied().unwrap_or_default();
                let two = before
                    .len()
                    .checked_sub(2)
                    .map(|at| format!("{}/{one}", before[at]));
                let id = two
                    .as_deref()
                    .and_then(|two| ids.get(two))
                    .or_else(|| ids.get(one))
                    .or_else(|| ids.get(&*format!("rotation/{one}")))?;
                let prefix = id.split_once('_').expect("a prefix").0;
                (id.clone(), format!("{prefix}_01AAAAAAAAAAAAAAAAAAAAAAAA"))
            }
            literal => (literal.to_owned(), literal.to_owned()),
        };
        theirs = format!("{theirs}/{one}");
        nobodys = format!("{nobodys}/{other}");
        before.push(segment);
    }
    Some((theirs, nobodys))
}

/// A body that the operation takes, so that the object itself is what is looked for.
fn body_of(method: &Method, path: &str) -> Option<Value> {
    match (method.as_str(), path) {
        ("DELETE", "/v1/rotation/debts/{id}") => return Some(json!({ "reason": "gone" })),
        ("GET" | "DELETE", _) => return None,
        ("PUT", "/v1/policies/{id}") => {
            let rule = json!({ "path_pattern": "**", "permissions": ["read"] });
            return Some(json!({ "name": "mine", "rules": [rule] }));
        }
        ("PUT", "/v1/secret-policies/{id}") => {
            let field = json!({ "name": "k", "generator": "uuid" });
            return Some(json!({ "name": "mine", "fields": [field] }));
        }
        ("POST", "/v1/rotation/policies/{id}/secrets") => {
            return Some(json!({ "secret_path": "app/mine" }));
        }
        _ => {}
    }
    Some(match path.rsplit('/').next().unwrap_or_default() {
        "bindings" => json!({ "identity_type": "service_account", "identity_id": "sa:y" }),
        "ack" if path.contains("subscriptions") => json!({ "event_ids": ["evt_1"] }),
        "ack" => json!({ "version": 1, "status": "applied" }),
        "rotate" | "undelete" | "preview" | "test" => return None,
        "{path}" => json!({ "data": { "k": "v" }, "options": { "cas": 7 } }),
        "metadata" => json!({ "tags": ["t"] }),
        _ => json!({}),
    })
}

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
            .map(|row| row["id"].as_str().unwrap().to_owned())
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
    assert_eq!(tenants(&a.everyone).await, [a.tenant.clone()]);
    assert_eq!(tenants(&c.admin).await, [c.tenant.clone()]);
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
