//! PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::target::Overlap;
use scaivault_peers::postgresql::{PASSWORD, Postgresql as Server, SUPERUSER};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::matrix::{Way, matrix};
use crate::system::{Fresh, Held, Operation, System, text};

/// What the page of the connector tells an operator to run.
const SETUP: &str = "CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manages';
    GRANT pg_signal_backend, pg_read_all_stats TO manager;";

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    TwoUsers,
    OneUser,
    Manager,
}

pub(crate) struct Postgresql {
    server: Mutex<Server>,
    port: u16,
    admin: Arc<Mutex<Arc<Client>>>,
    kind: Kind,
}

struct Session {
    client: Client,
    pid: i32,
    admin: Arc<Mutex<Arc<Client>>>,
}

async fn connect(port: u16, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user(user)
        .password(password)
        .dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

async fn superuser(port: u16) -> Client {
    connect(port, SUPERUSER, PASSWORD).await.expect("a login")
}

#[async_trait]
impl Held for Session {
    async fn close(self: Box<Self>) {
        let Self { client, pid, admin } = *self;
        drop(client);
        let admin = admin.lock().clone();
        let asked = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
        while !admin.query(asked, &[&pid]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

impl Postgresql {
    pub(crate) async fn start(kind: Kind) -> Self {
        let server = Server::start();
        server.sql(SETUP);
        Self {
            admin: Arc::new(Mutex::new(Arc::new(superuser(server.port()).await))),
            port: server.port(),
            server: Mutex::new(server),
            kind,
        }
    }

    fn admin(&self) -> Arc<Client> {
        self.admin.lock().clone()
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.admin()
            .batch_execute(statements)
            .await
            .expect("SQL that runs");
    }
}

#[async_trait]
impl System for Postgresql {
    fn name(&self) -> String {
        format!("PostgreSQL, {:?}", self.kind)
    }

    fn connector(&self) -> &'static str {
        "postgresql"
    }

    fn stop(&self) {
        self.server.lock().kill();
    }

    async fn start_again(&self) {
        self.server.lock().restart();
        *self.admin.lock() = Arc::new(superuser(self.port).await);
    }

    async fn operate(&self, operation: Operation, fresh: &Fresh) {
        let name = &fresh.names[0];
        let statement = match operation {
            Operation::SetManager(to) => format!("ALTER ROLE manager PASSWORD '{to}'"),
            Operation::ExpireManager => "ALTER ROLE manager VALID UNTIL '2001-01-01'".to_owned(),
            Operation::RenewManager => "ALTER ROLE manager VALID UNTIL 'infinity'".to_owned(),
            Operation::TakeRight => "ALTER ROLE manager NOCREATEROLE".to_owned(),
            Operation::Run(statement) => statement,
            Operation::PutBack(password) => {
                let locks = fresh.names.iter().skip(1);
                let locks = locks.map(|other| format!("ALTER ROLE {other} NOLOGIN PASSWORD NULL;"));
                let locks: String = locks.collect();
                format!("ALTER ROLE {name} LOGIN PASSWORD '{password}'; {locks}")
            }
        };
        self.sql(&statement).await;
    }

    async fn fresh(&self, n: usize) -> Fresh {
        let (a, b, group) = (format!("p{n}_a"), format!("p{n}_b"), format!("p{n}"));
        let (overlap, account, names) = match self.kind {
            Kind::TwoUsers => {
                let account = json!({"accounts": [a, b], "group": group});
                (Overlap::TwoUsers, account, vec![a.clone(), b])
            }
            Kind::OneUser => (Overlap::None, json!({"account": a}), vec![a.clone()]),
            Kind::Manager => (Overlap::None, json!({}), vec![a.clone()]),
        };
        self.sql(&format!(
            "CREATE ROLE {group} NOLOGIN; GRANT {group} TO manager WITH ADMIN OPTION;
             CREATE ROLE {a} LOGIN CREATEROLE PASSWORD 'first-{n}' IN ROLE {group};"
        ))
        .await;
        if self.kind == Kind::Manager {
            self.sql(&format!(
                "GRANT pg_signal_backend, pg_read_all_stats TO {a};
                 GRANT {group} TO {a} WITH ADMIN OPTION;"
            ))
            .await;
        } else {
            self.sql(&format!("ALTER ROLE {a} NOCREATEROLE")).await;
        }
        let manager = json!({"username": "manager", "password": "manages"});
        Fresh {
            overlap,
            settings: json!({"host": "127.0.0.1", "port": self.port}),
            account,
            first: json!({"username": a, "password": format!("first-{n}"), "note": "stays"}),
            manager: (self.kind != Kind::Manager).then_some(manager),
            names,
        }
    }

    async fn beside(&self, fresh: &Fresh) -> Fresh {
        let manager = &fresh.names[0];
        let (a, b, group) = ("other_a", "other_b", "other");
        self.sql(&format!(
            "CREATE ROLE {group} NOLOGIN; GRANT {group} TO {manager} WITH ADMIN OPTION;
             CREATE ROLE {a} LOGIN PASSWORD 'first' IN ROLE {group};"
        ))
        .await;
        Fresh {
            overlap: Overlap::TwoUsers,
            settings: fresh.settings.clone(),
            account: json!({"accounts": [a, b], "group": group}),
            first: json!({"username": a, "password": "first"}),
            manager: None,
            names: vec![a.to_owned(), b.to_owned()],
        }
    }

    async fn log_in(&self, _fresh: &Fresh, credential: &Value) -> Option<Box<dyn Held>> {
        let (user, password) = (text(credential, "username"), text(credential, "password"));
        let client = match connect(self.port, user, password).await {
            Ok(client) => client,
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned());
                let code = code.unwrap_or_else(|| panic!("no answer to a login: {error:?}"));
                assert!(["28P01", "28000"].contains(&code.as_str()), "{error:?}");
                return None;
            }
        };
        // Ended between its login and its question: it was let in, and is gone.
        let asked = client
            .query_one("SELECT session_user::text, pg_backend_pid()", &[])
            .await;
        let row = asked.ok()?;
        assert_eq!(row.get::<_, String>(0), user);
        let pid = row.get(1);
        let admin = self.admin.clone();
        Some(Box::new(Session { client, pid, admin }))
    }

    /// A role has one verifier, and the logins tried it; that no role was made beside those named
    /// is what is left to see.
    async fn unknown(&self, fresh: &Fresh, _: &[Value], _: Option<&str>) -> Vec<String> {
        let group = fresh.names[0].trim_end_matches("_a").to_owned();
        let asked = "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname LIKE $1";
        let like = format!("{group}\\_%");
        let rows = self.admin().query(asked, &[&like]).await.unwrap();
        let found = rows.iter().map(|row| row.get::<_, String>(0));
        found.filter(|name| !fresh.names.contains(name)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_at_every_point() {
    let system = Arc::new(Postgresql::start(Kind::TwoUsers).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_with_a_gap_at_every_point() {
    let system = Arc::new(Postgresql::start(Kind::OneUser).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}
