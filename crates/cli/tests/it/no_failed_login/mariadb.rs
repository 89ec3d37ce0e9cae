//! The promise on MariaDB.

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use scaivault_peers::mariadb::MariaDb;
use serde_json::{Value, json};

use super::database::{Database, Session, field};
use super::not_one_query_fails;

struct Maria(MariaDb);

struct Open(Conn);

#[async_trait]
impl Session for Open {
    async fn query(&mut self) -> Result<(), String> {
        let update = "UPDATE app.counter SET n = n + 1 WHERE id = CONNECTION_ID() % 97";
        let done = self.0.query_drop(update).await;
        done.map_err(|error| format!("{error:?}"))
    }
}

#[async_trait]
impl Database for Maria {
    fn connector(&self) -> &'static str {
        "mysql"
    }

    fn settings(&self) -> Value {
        json!({ "host": "127.0.0.1", "port": self.0.port() })
    }

    fn account(&self) -> Value {
        json!({ "accounts": ["app_a", "app_b"] })
    }

    fn manager(&self) -> Value {
        json!({ "username": "manager", "password": "manager-0" })
    }

    fn first(&self) -> Value {
        json!({ "username": "app_a", "password": "first-0" })
    }

    async fn log_in(&self, credential: &Value) -> Result<Box<dyn Session>, String> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.0.port())
            .prefer_socket(false)
            .user(Some(field(credential, "username")))
            .pass(Some(field(credential, "password")));
        let opened = Conn::new(opts).await;
        let conn = opened.map_err(|error| format!("{error:?}"))?;
        Ok(Box::new(Open(conn)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_fails_on_mariadb() {
    let server = MariaDb::start();
    server.sql(
        "SET GLOBAL max_connections = 400;
         CREATE DATABASE app;
         USE app;
         CREATE TABLE app.counter (id INT PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB;
         INSERT INTO app.counter SELECT seq, 0 FROM seq_0_to_96;
         CREATE USER 'manager'@'%' IDENTIFIED BY 'manager-0';
         GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO 'manager'@'%';
         GRANT SELECT ON mysql.* TO 'manager'@'%';
         GRANT SELECT, UPDATE ON app.* TO 'manager'@'%' WITH GRANT OPTION;
         CREATE USER 'app_a'@'%' IDENTIFIED BY 'first-0';
         GRANT SELECT, UPDATE ON app.* TO 'app_a'@'%';",
    );
    not_one_query_fails(Maria(server)).await;
}
