//! MariaDB.

use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use parking_lot::Mutex;
use scaivault_core::target::Overlap;
use scaivault_peers::mariadb::{MariaDb as Server, SUPERUSER};
use serde_json::{Value, json};

use crate::matrix::{Way, matrix};
use crate::system::{Fresh, Held, Operation, System, text};

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    TwoUsers,
    TwoPasswords,
    Manager,
}

pub(crate) struct MariaDb {
    server: Mutex<Server>,
    port: u16,
    admin: Arc<Admin>,
    kind: Kind,
}

/// The superuser's session.
type Admin = tokio::sync::Mutex<Conn>;

/// What the page of the connector has a manager granted.
fn grants(name: &str) -> String {
    format!(
        "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO '{name}'@'%';
         GRANT SELECT, UPDATE ON mysql.* TO '{name}'@'%';
         GRANT SELECT ON app.* TO '{name}'@'%' WITH GRANT OPTION;"
    )
}

async fn connect(port: u16, name: &str, password: &str) -> Result<Conn, Error> {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .prefer_socket(false)
        .user(Some(name))
        .pass(Some(password));
    Conn::new(opts).await
}

async fn superuser(port: u16) -> Conn {
    connect(port, SUPERUSER.0, SUPERUSER.1)
        .await
        .expect("a login")
}

struct Session {
    conn: Conn,
    admin: Arc<Admin>,
}

#[async_trait]
impl Held for Session {
    async fn close(self: Box<Self>) {
        let id = self.conn.id();
        let _ = self.conn.disconnect().await;
        let mut admin = self.admin.lock().await;
        let asked = format!("SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {id}");
        while admin.query_first::<u8, _>(&asked).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    }
}

impl MariaDb {
    pub(crate) async fn start(kind: Kind) -> Self {
        let server = Server::start();
        server.sql("CREATE DATABASE app; CREATE USER 'manager'@'%' IDENTIFIED BY 'manages';");
        server.sql(&grants("manager"));
        Self {
            admin: Arc::new(Admin::new(superuser(server.port()).await)),
            port: server.port(),
            server: Mutex::new(server),
            kind,
        }
    }

    pub(crate) async fn sql(&self, statements: &str) {
        let mut admin = self.admin.lock().await;
        for statement in statements.split(';').map(str::trim) {
            if !statement.is_empty() {
                admin.query_drop(statement).await.expect("SQL that runs");
            }
        }
    }
}

#[async_trait]
impl System for MariaDb {
    fn name(&self) -> String {
        format!("MariaDB, {:?}", self.kind)
    }

    fn connector(&self) -> &'static str {
        "mysql"
    }

    fn stop(&self) {
        self.server.lock().kill();
    }

    async fn start_again(&self) {
        self.server.lock().restart();
        *self.admin.lock().await = superuser(self.port).await;
    }

    async fn operate(&self, operation: Operation, fresh: &Fresh) {
        let name = &fresh.names[0];
        let statement = match operation {
            Operation::SetManager(to) => format!("ALTER USER manager IDENTIFIED BY '{to}'"),
            Operation::ExpireManager => "ALTER USER manager PASSWORD EXPIRE".to_owned(),
            Operation::RenewManager => "ALTER USER manager IDENTIFIED BY 'manages'".to_owned(),
            Operation::TakeRight => {
                // Who may write into the server's own tables may change accounts as well.
                "REVOKE CREATE USER ON *.* FROM manager; REVOKE UPDATE ON mysql.* FROM manager"
                    .to_owned()
            }
            Operation::Run(statement) => statement,
            Operation::PutBack(password) => {
                let locks = fresh.names.iter().skip(1);
                let locks: String = locks
                    .map(|other| format!("ALTER USER {other} ACCOUNT LOCK;"))
                    .collect();
                format!("ALTER USER {name} IDENTIFIED BY '{password}' ACCOUNT UNLOCK; {locks}")
            }
        };
        self.sql(&statement).await;
    }

    async fn fresh(&self, n: usize) -> Fresh {
        let (a, b) = (format!("p{n}_a"), format!("p{n}_b"));
        self.sql(&format!(
            "CREATE USER '{a}'@'%' IDENTIFIED BY 'first-{n}';
             GRANT SELECT ON app.* TO '{a}'@'%';"
        ))
        .await;
        let (overlap, account, names) = match self.kind {
            Kind::TwoUsers => {
                let names = vec![a.clone(), b];
                (Overlap::TwoUsers, json!({"accounts": names}), names)
            }
            Kind::TwoPasswords => {
                let account = json!({"account": a});
                (Overlap::TwoPasswords, account, vec![a.clone()])
            }
            Kind::Manager => {
                self.sql(&grants(&a)).await;
                (Overlap::None, json!({}), vec![a.clone()])
            }
        };
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
        let names = vec!["other_a".to_owned(), "other_b".to_owned()];
        self.sql("CREATE USER other_a IDENTIFIED BY 'first'; GRANT SELECT ON app.* TO other_a")
            .await;
        Fresh {
            overlap: Overlap::TwoUsers,
            settings: fresh.settings.clone(),
            account: json!({"accounts": names}),
            first: json!({"username": "other_a", "password": "first"}),
            manager: None,
            names,
        }
    }

    async fn log_in(&self, _fresh: &Fresh, credential: &Value) -> Option<Box<dyn Held>> {
        let (user, password) = (text(credential, "username"), text(credential, "password"));
        let mut conn = match connect(self.port, user, password).await {
            Ok(conn) => conn,
            Err(Error::Server(error)) => {
                // Wrong password, or a locked account.
                assert!([1045, 4151].contains(&error.code), "{error}");
                return None;
            }
            Err(other) => panic!("no answer to a login: {other}"),
        };
        // Ended between its login and its question: it was let in, and is gone.
        let asked: Result<Option<String>, _> = conn.query_first("SELECT CURRENT_USER()").await;
        let answered = asked.ok()?.expect("a row");
        assert_eq!(answered, format!("{user}@%"));
        let admin = self.admin.clone();
        Some(Box::new(Session { conn, admin }))
    }

    /// Every password an unlocked row holds must be one of those kept: compared in the form in
    /// which the server holds them.
    async fn unknown(&self, fresh: &Fresh, stored: &[Value], _: Option<&str>) -> Vec<String> {
        let mut admin = self.admin.lock().await;
        let mut kept = Vec::new();
        for value in stored {
            let asked = format!("SELECT PASSWORD('{}')", text(value, "password"));
            let hash: Option<String> = admin.query_first(asked).await.unwrap();
            kept.push((text(value, "username").to_owned(), hash.expect("a row")));
        }
        let prefix = fresh.names[0].trim_end_matches("_a").to_owned();
        let asked = format!(
            "SELECT CAST(User AS CHAR), CAST(Priv AS CHAR) FROM mysql.global_priv \
             WHERE User LIKE '{prefix}\\_%'"
        );
        let rows: Vec<(String, String)> = admin.query(asked).await.unwrap();
        assert!(!rows.is_empty());
        let mut unknown = Vec::new();
        for (name, privileges) in rows {
            let privileges: Value = serde_json::from_str(&privileges).unwrap();
            if privileges["account_locked"] == true {
                continue;
            }
            for hash in hashes(&privileges) {
                if !kept.contains(&(name.clone(), hash)) {
                    unknown.push(name.clone());
                }
            }
        }
        unknown
    }
}

/// Every stored password of a row: the first, and those beside it.
fn hashes(privileges: &Value) -> Vec<String> {
    let beside = privileges["auth_or"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let all = std::iter::once(privileges.clone()).chain(beside);
    let found = all.filter_map(|one| one["authentication_string"].as_str().map(str::to_owned));
    found.filter(|hash| hash.starts_with('*')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_at_every_point() {
    let system = Arc::new(MariaDb::start(Kind::TwoUsers).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_passwords_at_every_point() {
    let system = Arc::new(MariaDb::start(Kind::TwoPasswords).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}
