//! Credentials made on request, from the outside: the real binary at real targets.

mod custom;
mod kill;
mod life;
mod restore;
mod root;
mod ssh;
mod vault;

use std::sync::Arc;

use scaivault_peers::mariadb::MariaDb;
use scaivault_peers::postgresql::{Postgresql, psql};
use scaivault_peers::redis::Redis;
use serde_json::{Value, json};

use crate::harness::leases::LEASES;
use crate::harness::{Api, Reply, SOON, eventually, text};

const ENGINE: &str = "/v1/dynamic/engines/shop";
const CREDS: &str = "/v1/dynamic/engines/shop/creds/reader";
const ROOT: &str = "dynamic/shop-root";

/// A target, as its users see it.
trait Target: Send + Sync + 'static {
    fn plugin(&self) -> &'static str;
    fn url(&self, port: u16) -> String;
    fn port(&self) -> u16;
    fn manager(&self) -> (&'static str, &'static str) {
        ("manager", "manages")
    }
    /// One that may log in and nothing else.
    fn weak(&self) -> (&'static str, &'static str) {
        ("weak", "may-do-nothing")
    }
    fn creation(&self) -> Value;
    /// Whether this credential is good for what the role allows.
    fn works(&self, name: &str, password: &str) -> bool;
    fn exists(&self, name: &str) -> bool;
    /// Whether it lets anybody in.
    fn logs_in(&self, name: &str, password: &str) -> bool;
}

const CREATE_ROLE: &str = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' \
                           VALID UNTIL '{{expiration}}'; \
                           GRANT USAGE ON SCHEMA shop TO \"{{name}}\"; \
                           GRANT SELECT ON shop.orders TO \"{{name}}\"";

pub(crate) struct Pg(Postgresql);

impl Pg {
    fn start() -> Self {
        let server = Postgresql::start_with(|_| vec!["max_connections=300".into()]);
        server.sql(
            "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int);
             CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manages';
             GRANT USAGE, CREATE ON SCHEMA shop TO manager WITH GRANT OPTION;
             GRANT SELECT ON shop.orders TO manager WITH GRANT OPTION;
             CREATE ROLE weak LOGIN PASSWORD 'may-do-nothing';",
        );
        Self(server)
    }
}

impl Target for Pg {
    fn plugin(&self) -> &'static str {
        "postgresql"
    }
    fn url(&self, port: u16) -> String {
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres")
    }
    fn port(&self) -> u16 {
        self.0.port()
    }
    fn creation(&self) -> Value {
        json!([CREATE_ROLE])
    }
    fn works(&self, name: &str, password: &str) -> bool {
        let asked = "SELECT count(*) FROM shop.orders";
        psql(self.port(), name, password, "postgres", asked).is_ok()
    }
    fn exists(&self, name: &str) -> bool {
        let asked = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'");
        self.0.sql(&asked) != "0"
    }
    fn logs_in(&self, name: &str, password: &str) -> bool {
        psql(self.port(), name, password, "postgres", "SELECT 1").is_ok()
    }
}

pub(crate) struct Maria(MariaDb);

impl Maria {
    fn start() -> Self {
        let server = MariaDb::start();
        server.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT);
             CREATE USER 'manager'@'%' IDENTIFIED BY 'manages';
             GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO 'manager'@'%';
             GRANT SELECT ON mysql.* TO 'manager'@'%';
             GRANT SELECT ON shop.* TO 'manager'@'%' WITH GRANT OPTION;
             CREATE USER 'weak'@'%' IDENTIFIED BY 'may-do-nothing';",
        );
        Self(server)
    }
}

impl Target for Maria {
    fn plugin(&self) -> &'static str {
        "mysql"
    }
    fn url(&self, port: u16) -> String {
        format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{port})/")
    }
    fn port(&self) -> u16 {
        self.0.port()
    }
    fn creation(&self) -> Value {
        json!([
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
            "GRANT SELECT ON shop.* TO '{{name}}'@'%'"
        ])
    }
    fn works(&self, name: &str, password: &str) -> bool {
        let asked = "SELECT COUNT(*) FROM shop.orders";
        self.0.try_sql(name, password, asked).is_ok()
    }
    fn exists(&self, name: &str) -> bool {
        let asked = format!("SELECT COUNT(*) FROM mysql.global_priv WHERE User = '{name}'");
        self.0.sql(&asked).trim() != "0"
    }
    fn logs_in(&self, name: &str, password: &str) -> bool {
        self.0.try_sql(name, password, "SELECT 1").is_ok()
    }
}

pub(crate) struct Cache(Redis);

impl Cache {
    fn start() -> Self {
        let server = Redis::start();
        server.cli(
            "ACL SETUSER manager on >manages +acl|whoami +acl|getuser +acl|setuser +acl|deluser \
             +acl|users +acl|save +acl|dryrun +client|id +client|list +client|kill +config|get \
             +config|rewrite +info ~* +@read +@write &*",
        );
        server.cli("ACL SETUSER weak on >may-do-nothing");
        Self(server)
    }
}

impl Target for Cache {
    fn plugin(&self) -> &'static str {
        "redis"
    }
    fn url(&self, port: u16) -> String {
        format!("redis://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}")
    }
    fn port(&self) -> u16 {
        self.0.port()
    }
    fn creation(&self) -> Value {
        json!(["~shop:*", "+@read"])
    }
    fn works(&self, name: &str, password: &str) -> bool {
        let said = self.0.cli_as(name, password, "EXISTS shop:1");
        said.trim().ends_with('0')
    }
    fn exists(&self, name: &str) -> bool {
        self.0
            .cli("ACL USERS")
            .lines()
            .any(|user| user.contains(name))
    }
    fn logs_in(&self, name: &str, password: &str) -> bool {
        self.0.cli_as(name, password, "ACL WHOAMI").contains(name)
    }
}

fn engine_body(target: &dyn Target, port: u16) -> Value {
    json!({
        "name": "shop", "type": "database",
        "config": {
            "plugin": target.plugin(), "connection_url": target.url(port),
            "root_credentials_path": ROOT,
        },
        "default_ttl": "1h", "max_ttl": "2h",
    })
}

async fn root_is(root: &Api, (username, password): (&str, &str)) {
    let body = json!({ "data": { "username": username, "password": password } });
    let written = root.put(&format!("/v1/secrets/{ROOT}"), body).await;
    assert!(matches!(written.status, 200 | 201), "{}", written.text);
}

/// An engine with the role `reader`.
async fn engine(root: &Api, target: &dyn Target) -> Value {
    root_is(root, target.manager()).await;
    let body = engine_body(target, target.port());
    let made = root.post("/v1/dynamic/engines", body).await.ok(201);
    let role = json!({ "name": "reader", "creation_statements": target.creation() });
    root.post(&format!("{ENGINE}/roles"), role).await.ok(201);
    made
}

async fn generate(api: &Api, body: Value) -> Reply {
    api.post(CREDS, body).await
}

async fn lease(api: &Api, id: &str) -> Value {
    api.get(&format!("{LEASES}/{id}")).await.ok(200)
}

/// Waits until a credential is refused and its account gone, and answers with its lease.
async fn gone(api: &Api, target: &Arc<dyn Target>, made: &Value) -> Value {
    let (name, password) = (text(made, "username"), text(made, "password"));
    eventually("the account is removed", SOON, async || {
        (!target.exists(name)).then_some(())
    })
    .await;
    assert!(!target.works(name, password), "{name}");
    eventually("the lease is ended", SOON, async || {
        let row = lease(api, text(made, "lease_id")).await;
        (row["status"] == "revoked").then_some(row)
    })
    .await
}
