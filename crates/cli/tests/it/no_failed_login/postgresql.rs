//! The promise on PostgreSQL.

use async_trait::async_trait;
use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::database::{Database, Session, field};
use super::not_one_query_fails;

struct Pg(Postgresql);

struct Open {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[async_trait]
impl Session for Open {
    async fn query(&mut self) -> Result<(), String> {
        let done = self
            .client
            .execute(
                "UPDATE counter SET n = n + 1 WHERE id = pg_backend_pid() % 97",
                &[],
            )
            .await;
        done.map(|_| ()).map_err(|error| format!("{error:?}"))
    }
}

#[async_trait]
impl Database for Pg {
    fn connector(&self) -> &'static str {
        "postgresql"
    }

    fn settings(&self) -> Value {
        json!({ "host": "127.0.0.1", "port": self.0.port() })
    }

    fn account(&self) -> Value {
        json!({ "accounts": ["app_a", "app_b"], "group": "app" })
    }

    fn manager(&self) -> Value {
        json!({ "username": "scaivault", "password": "manager-0" })
    }

    fn first(&self) -> Value {
        json!({ "username": "app_a", "password": "first-0", "database": "postgres" })
    }

    async fn log_in(&self, credential: &Value) -> Result<Box<dyn Session>, String> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.0.port())
            .dbname("postgres")
            .user(field(credential, "username"))
            .password(field(credential, "password"));
        let connected = config.connect(NoTls).await;
        let (client, connection) = connected.map_err(|error| format!("{error:?}"))?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Box::new(Open { client, driver }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_fails_on_postgresql() {
    let server = Postgresql::start_with(|_| vec!["max_connections=400".into()]);
    server.sql(
        "CREATE ROLE scaivault LOGIN CREATEROLE PASSWORD 'manager-0';
         GRANT pg_signal_backend, pg_read_all_stats TO scaivault;
         CREATE ROLE app NOLOGIN;
         GRANT app TO scaivault WITH ADMIN OPTION;
         CREATE ROLE app_a LOGIN PASSWORD 'first-0' IN ROLE app;
         CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
         INSERT INTO counter SELECT id, 0 FROM generate_series(0, 96) id;
         ALTER TABLE counter OWNER TO app;",
    );
    not_one_query_fails(Pg(server)).await;
}
