//! One PostgreSQL in which everybody makes accounts, with a manager for each.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use crate::peer::postgresql::Database;
use crate::peer::{Kind, OpenBao, Product};
use crate::server::{Place, Server};
use crate::wire::{Connection, request};
use crate::{peer, seed};

/// What makes an account, in the words of both servers.
const CREATION: &str = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' \
                        VALID UNTIL '{{expiration}}'; GRANT app TO \"{{name}}\";";

/// Managers, none of them a superuser: of the product, of the peer, and of the bare statements.
pub(super) const MANAGERS: [&str; 3] = ["product", "peer", "bare"];
pub(super) const PASSWORD: &str = "manages";
/// Of its manager at once; its default is four.
const PEER_SESSIONS: usize = 16;

pub(super) struct World {
    pub(super) target: Database,
}

/// A running product with an engine at the target.
pub(super) struct Vault {
    pub(super) product: Product,
    pub(super) server: Server,
    /// Of the engine.
    pub(super) engine_id: String,
    /// Not root: may ask for credentials and read secrets.
    pub(super) token: String,
    _dir: tempfile::TempDir,
}

impl World {
    /// `apart`: the target has the first processor to itself, and what is started later the others.
    pub(super) async fn start(apart: bool) -> Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        ensure!(
            !apart || processors > 1,
            "there is one processor: nobody can have it to himself"
        );
        if apart {
            stay_on(0..1)?;
        }
        let target = Database::start();
        if apart {
            stay_on(1..processors)?;
        }
        target.sql(
            "CREATE ROLE app NOLOGIN; CREATE TABLE orders (id int); GRANT SELECT ON orders TO app",
        );
        for manager in MANAGERS {
            target.sql(&format!(
                "CREATE ROLE {manager} LOGIN CREATEROLE PASSWORD '{PASSWORD}';
                 GRANT app TO {manager} WITH ADMIN OPTION"
            ));
        }
        Ok(Self { target })
    }

    /// Accounts that are there and whose names begin so.
    pub(super) fn accounts(&self, prefix: &str) -> Result<usize> {
        let asked = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{prefix}%'");
        Ok(self.target.sql(&asked).trim().parse()?)
    }

    /// The product with the engine `shop` and its role `reader`, and as many secrets as are read.
    pub(super) async fn product(&self, place: &Place) -> Result<Vault> {
        let dir = place.data()?;
        let product = Product::init(place, dir.path(), Kind::Sqlite, None)?;
        let (file, key) = (file_of(&product)?, product.key_file());
        let secrets = (0..super::SECRETS).map(|number| (seed::name(number), number));
        peer::direct::fill(file, key, secrets).await?;
        let server = product.start().await?;
        let root = product.root_token.clone();
        let mut connection = Connection::open(&server.endpoint).await?;
        let mut ask = async |method: &str, path: &str, body: Value| -> Result<Value> {
            let request = request(method, path, &root, &body.to_string());
            let answer = connection.ask_well(&request).await?;
            Ok(serde_json::from_slice(answer)?)
        };
        let credential = json!({ "data": { "username": MANAGERS[0], "password": PASSWORD } });
        ask("PUT", "/v1/secrets/dynamic/shop-root", credential).await?;
        let port = self.target.port();
        let config = json!({
            "plugin": "postgresql",
            "connection_url":
                format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres"),
            "root_credentials_path": "dynamic/shop-root",
        });
        let engine = json!({ "name": "shop", "type": "database", "config": config });
        let engine = ask("POST", "/v1/dynamic/engines", engine).await?;
        let engine_id = engine["id"].as_str().context("an engine has an id")?;
        let role = json!({ "name": "reader", "creation_statements": [CREATION] });
        ask("POST", "/v1/dynamic/engines/shop/roles", role).await?;
        let rules = json!([
            { "path_pattern": "apps/**", "permissions": ["read"] },
            { "path_pattern": "dynamic/shop/creds/reader", "permissions": ["read"] },
        ]);
        let scopes = ["secrets:read", "dynamic:generate"].map(str::to_owned);
        let token = seed::caller(&server, &root, rules, &scopes).await?;
        Ok(Vault {
            engine_id: engine_id.to_owned(),
            product,
            server,
            token,
            _dir: dir,
        })
    }

    /// The peer with the same; the token may ask for credentials.
    pub(super) async fn peer(&self, dir: &Path) -> Result<(Server, String)> {
        let (server, OpenBao { root, .. }) = peer::openbao::start(dir, None, None).await?;
        let mut connection = Connection::open(&server.endpoint).await?;
        let mut ask = async |method: &str, path: &str, body: Value| -> Result<Value> {
            let request = request(method, path, &root, &body.to_string());
            match connection.ask_well(&request).await? {
                [] => Ok(Value::Null),
                answer => Ok(serde_json::from_slice(answer)?),
            }
        };
        ask(
            "POST",
            "/v1/sys/mounts/database",
            json!({ "type": "database" }),
        )
        .await?;
        let port = self.target.port();
        let config = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "reader",
            "connection_url": format!(
                "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable"
            ),
            "username": MANAGERS[1], "password": PASSWORD,
            "max_open_connections": PEER_SESSIONS, "max_idle_connections": PEER_SESSIONS,
        });
        ask("POST", "/v1/database/config/shop", config).await?;
        let role = json!({
            "db_name": "shop", "creation_statements": [CREATION],
            "default_ttl": "1h", "max_ttl": "24h",
        });
        ask("POST", "/v1/database/roles/reader", role).await?;
        let policy = "path \"database/creds/reader\" { capabilities = [\"read\"] }";
        let policy = json!({ "policy": policy });
        ask("PUT", "/v1/sys/policies/acl/creds", policy).await?;
        let token = json!({ "ttl": "24h", "policies": ["creds"] });
        let token = ask("POST", "/v1/auth/token/create", token).await?;
        let token = token["auth"]["client_token"].as_str().context("no token")?;
        Ok((server, token.to_owned()))
    }
}

impl Vault {
    /// Stops the server, does this with its file, and starts it again.
    pub(super) async fn meanwhile<T>(
        &mut self,
        work: impl AsyncFnOnce(&Product) -> Result<T>,
    ) -> Result<T> {
        self.server.terminate()?;
        let done = work(&self.product).await?;
        self.server = self.product.start().await?;
        Ok(done)
    }

    /// Reads of all secrets.
    pub(super) fn reads(&self) -> crate::load::Requests {
        crate::load::Requests::Any(seed::reads(super::SECRETS, &self.token))
    }
}

/// This thread, and processes that it starts from now on, run on these processors only.
fn stay_on(processors: Range<usize>) -> Result<()> {
    let mut set = CpuSet::new();
    processors.for_each(|processor| set.set(processor));
    Ok(sched_setaffinity(None, &set)?)
}

pub(super) fn file_of(product: &Product) -> Result<&Path> {
    product.file().context("the embedded store is a file")
}
