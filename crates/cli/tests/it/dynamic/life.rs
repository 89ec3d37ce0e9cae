//! The life of a credential at each kind of database.

use std::sync::Arc;

use serde_json::json;

use super::{
    CREDS, Cache, ENGINE, LEASES, Maria, Pg, ROOT, Target, engine, engine_body, generate, gone,
    lease, root_is, text,
};
use crate::first_integration::{grant, service, service_token};
use crate::harness::{Api, Server};

/// What an engine lacks is said when it is made, and nothing is stored.
async fn refused_for_what_it_lacks(root: &Api, target: &dyn Target) {
    let create = async |port| {
        root.post("/v1/dynamic/engines", engine_body(target, port))
            .await
    };
    let (port, dead) = (target.port(), scaivault_peers::free_port());
    root_is(root, target.manager()).await;
    let nobody = create(dead).await.refused(400, "invalid_config");
    assert!(nobody["message"].is_string(), "{nobody}");
    root_is(root, (target.manager().0, "another")).await;
    let stranger = create(port).await.refused(400, "invalid_config");
    assert!(stranger.to_string().contains("manager"), "{stranger}");
    root_is(root, target.weak()).await;
    let lacks = create(port).await.refused(400, "invalid_config");
    assert_eq!(lacks["details"]["trouble"], "privilege", "{lacks}");
    let all = root.get("/v1/dynamic/engines").await.ok(200);
    assert_eq!(all["engines"], json!([]));
    let targets = root.get("/v1/rotation/targets").await.ok(200);
    assert_eq!(targets["data"], json!([]), "nothing is left behind");
}

async fn life(target: Arc<dyn Target>) {
    let server = Server::dev().start().await;
    let root = server.root();
    refused_for_what_it_lacks(root, &*target).await;
    engine(root, &*target).await;
    let health = root.get(&format!("{ENGINE}/health")).await.ok(200);
    assert_eq!(health["healthy"], true, "{health}");

    // Made, renewed, given back.
    let made = generate(root, json!({ "ttl": "10m" })).await.ok(201);
    let (name, password) = (text(&made, "username"), text(&made, "password"));
    assert!(target.works(name, password), "{made}");
    assert!(
        made["ttl"]
            .as_u64()
            .is_some_and(|ttl| (590..=600).contains(&ttl))
    );
    let id = text(&made, "lease_id").to_owned();
    let renew = format!("{LEASES}/{id}/renew");
    let later = root
        .post(&renew, json!({ "increment": "30m" }))
        .await
        .ok(200);
    assert!(text(&later, "expires_at") > text(&made, "expires_at"));
    let most = root
        .post(&renew, json!({ "increment": "30d" }))
        .await
        .ok(200);
    assert_eq!(most["expires_at"], made["max_expires_at"], "no further");
    assert!(target.works(name, password));
    root.delete(ENGINE).await.refused(409, "engine_in_use");
    root.post_empty(&format!("{LEASES}/{id}/revoke"))
        .await
        .ok(202);
    assert_eq!(gone(root, &target, &made).await["cause"], "asked");
    root.post_empty(&renew).await.refused(409, "lease_ended");

    // No longer than it may be; and by itself.
    let long = generate(root, json!({ "ttl": "30d" })).await.ok(201);
    assert!(
        long["ttl"].as_u64().is_some_and(|ttl| ttl <= 7_200),
        "{long}"
    );
    assert_eq!(long["renewable"], false);
    let short = generate(root, json!({ "ttl": "2s" })).await.ok(201);
    assert!(target.exists(text(&short, "username")));
    assert_eq!(gone(root, &target, &short).await["cause"], "expired");
    assert!(target.works(text(&long, "username"), text(&long, "password")));

    // All of a role.
    let another = generate(root, json!({})).await.ok(201);
    root.post_empty(&format!("{ENGINE}/revoke-all?role=other"))
        .await
        .ok(202);
    assert_eq!(
        lease(root, text(&another, "lease_id")).await["status"],
        "active"
    );
    let ended = root
        .post_empty(&format!("{ENGINE}/revoke-all?role=reader"))
        .await;
    assert_eq!(ended.ok(202)["revoked"], 2);
    gone(root, &target, &long).await;
    gone(root, &target, &another).await;

    with_its_token(root, &target).await;

    root.delete(ENGINE).await.ok(204);
    let gone = root.get("/v1/rotation/targets").await.ok(200);
    assert_eq!(gone["data"], json!([]), "its target went with it");
    engine(root, &*target).await;
    root.delete(&format!("/v1/secrets/{ROOT}"))
        .await
        .refused(409, "target_in_use");
}

/// A service's credential is its own, and ends with the token.
async fn with_its_token(root: &Api, target: &Arc<dyn Target>) {
    let token = service_token(root, "sa:app", &["dynamic:generate"]).await;
    let app = root.with_token(text(&token, "token"));
    generate(&app, json!({}))
        .await
        .refused(403, "access_denied");
    grant(
        root,
        "sa:app",
        CREDS
            .trim_start_matches("/v1/")
            .replace("/engines", "")
            .as_str(),
        &["read"],
    )
    .await;
    let made = generate(&app, json!({})).await.ok(201);
    let id = text(&made, "lease_id");
    assert_eq!(lease(&app, id).await["identity_id"], "sa:app");
    let other = service(root, "sa:other", &["dynamic:generate"]).await;
    for route in [
        format!("{LEASES}/{id}"),
        format!("{LEASES}/lse_01AAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        other.get(&route).await.refused(404, "lease_not_found");
        other
            .post_empty(&format!("{route}/renew"))
            .await
            .refused(404, "lease_not_found");
        other
            .post_empty(&format!("{route}/revoke"))
            .await
            .refused(404, "lease_not_found");
    }
    assert_eq!(other.get(LEASES).await.ok(200)["leases"], json!([]));
    let ended = root
        .delete(&format!("/v1/auth/tokens/{}", text(&token, "id")))
        .await;
    assert!(matches!(ended.status, 200 | 204), "{}", ended.text);
    assert_eq!(gone(root, target, &made).await["cause"], "token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_at_postgresql() {
    life(Arc::new(Pg::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_at_mariadb() {
    life(Arc::new(Maria::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_at_redis() {
    life(Arc::new(Cache::start())).await;
}

/// What PostgreSQL holds of it moves with the lease, and what an account owns stays as it is told.
#[tokio::test(flavor = "multi_thread")]
async fn ends_and_things_owned_at_postgresql() {
    let server = Server::dev().start().await;
    let (root, pg) = (server.root(), Pg::start());
    engine(root, &pg).await;
    let until = |name: &str| {
        let asked = "SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles \
                     WHERE rolname = ";
        pg.0.sql(&format!("{asked}'{name}'"))
            .parse::<i64>()
            .expect("a time")
    };
    let made = generate(root, json!({ "ttl": "10m" })).await.ok(201);
    let (name, id) = (text(&made, "username"), text(&made, "lease_id"));
    let before = until(name);
    root.post(
        &format!("{LEASES}/{id}/renew"),
        json!({ "increment": "40m" }),
    )
    .await
    .ok(200);
    assert!(
        (1_790..=1_830).contains(&(until(name) - before)),
        "{}",
        until(name) - before
    );

    for (owned, left) in [("reassign", "manager"), ("drop", "")] {
        let role = json!({
            "creation_statements": [super::CREATE_ROLE,
                                    "GRANT CREATE ON SCHEMA shop TO \"{{name}}\""],
            "owned_objects": owned,
        });
        root.put(&format!("{ENGINE}/roles/maker"), role)
            .await
            .ok(200);
        let made = root
            .post_empty(&format!("{ENGINE}/creds/maker"))
            .await
            .ok(201);
        let (name, password) = (text(&made, "username"), text(&made, "password"));
        let table = format!("CREATE TABLE shop.{owned}_it (id int)");
        super::psql(pg.port(), name, password, "postgres", &table).expect("a table");
        let revoke = format!("{LEASES}/{}/revoke", text(&made, "lease_id"));
        root.post_empty(&revoke).await.ok(202);
        let target: Arc<dyn Target> = Arc::new(Watched(pg.port()));
        gone(root, &target, &made).await;
        let owner = format!("SELECT tableowner FROM pg_tables WHERE tablename = '{owned}_it'");
        assert_eq!(pg.0.sql(&owner), left, "{owned}");
    }

    // One that cannot be made is taken back whole, and says so.
    let role =
        json!({ "creation_statements": [super::CREATE_ROLE, "GRANT nobody TO \"{{name}}\""] });
    root.put(&format!("{ENGINE}/roles/broken"), role)
        .await
        .ok(200);
    let failed = root.post_empty(&format!("{ENGINE}/creds/broken")).await;
    assert_eq!(failed.status, 502, "{}", failed.text);
    failed.error();
    let left =
        pg.0.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v_broken%'");
    assert_eq!(left, "0");
}

/// One account at a server that somebody else holds.
struct Watched(u16);

impl Target for Watched {
    fn plugin(&self) -> &'static str {
        "postgresql"
    }
    fn url(&self, _: u16) -> String {
        String::new()
    }
    fn port(&self) -> u16 {
        self.0
    }
    fn manager(&self) -> (&'static str, &'static str) {
        ("manager", "manages")
    }
    fn weak(&self) -> (&'static str, &'static str) {
        ("weak", "may-do-nothing")
    }
    fn creation(&self) -> serde_json::Value {
        json!([])
    }
    fn works(&self, name: &str, password: &str) -> bool {
        super::psql(self.0, name, password, "postgres", "SELECT 1").is_ok()
    }
    fn logs_in(&self, name: &str, password: &str) -> bool {
        self.works(name, password)
    }
    fn exists(&self, name: &str) -> bool {
        let asked = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'");
        let (manager, password) = self.manager();
        let said = super::psql(self.0, manager, password, "postgres", &asked).expect("an answer");
        said.trim() != "0"
    }
}
