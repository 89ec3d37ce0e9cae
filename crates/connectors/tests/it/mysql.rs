//! MariaDB, by its own client and by logins of the driver, never through the connector.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use scaivault_connectors::mysql::MySql;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Connector, Effect, Login, Refusal, Sessions};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_peers::mariadb::{MariaDb, SUPERUSER};
use serde_json::{Map, Value, json};

use crate::conformance::{AllowAll, Session, Subject, conformance, field};

/// What a manager needs, as the page of the connector has it.
const MANAGER_GRANTS: &str = "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO 'manager'@'%';
     GRANT SELECT ON mysql.* TO 'manager'@'%';";

struct Maria {
    server: MariaDb,
    overlap: Overlap,
}

impl Maria {
    fn start(overlap: Overlap) -> Self {
        let server = MariaDb::start();
        server.sql(
            "CREATE DATABASE app; CREATE TABLE app.t (a INT, b INT); CREATE ROLE readers;
             GRANT SELECT ON app.* TO readers;
             CREATE USER 'manager'@'%' IDENTIFIED BY 'manager-0';
             CREATE USER 'weak'@'%' IDENTIFIED BY 'weak-0';
             CREATE USER 'app_a'@'%' IDENTIFIED BY 'first-0' WITH MAX_QUERIES_PER_HOUR 900000;
             CREATE USER 'app_a'@'127.0.0.1' IDENTIFIED BY 'first-0';
             GRANT SELECT, INSERT ON app.* TO 'app_a'@'%' WITH GRANT OPTION;
             GRANT readers TO 'app_a'@'%'; SET DEFAULT ROLE readers FOR 'app_a'@'%';
             GRANT SELECT ON app.* TO 'app_a'@'127.0.0.1';",
        );
        server.sql(MANAGER_GRANTS);
        // Only making the second account needs more.
        server.sql(
            "GRANT SELECT, INSERT ON app.* TO 'manager'@'%' WITH GRANT OPTION;
             GRANT UPDATE ON mysql.* TO 'manager'@'%';
             GRANT readers TO 'manager'@'%' WITH ADMIN OPTION;",
        );
        Self { server, overlap }
    }

    async fn log_in(&self, name: &str, password: &str) -> Result<Conn, mysql_async::Error> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.server.port())
            .prefer_socket(false)
            .user(Some(name))
            .pass(Some(password));
        Conn::new(opts).await
    }

    async fn log_in_with(&self, credential: &str) -> Result<Conn, mysql_async::Error> {
        self.log_in(
            &field(credential, "username"),
            &field(credential, "password"),
        )
        .await
    }
}

pub(crate) struct Held(pub(crate) Conn);

#[async_trait]
impl Session for Held {
    async fn works(&mut self) -> bool {
        self.0.query_drop("SELECT 1").await.is_ok()
    }

    async fn close(self: Box<Self>) {
        let _ = self.0.disconnect().await;
    }
}

fn credential(name: &str, password: &str) -> String {
    json!({"username": name, "password": password}).to_string()
}

fn plain(credential: &str) -> Plaintext {
    Plaintext::new(credential.as_bytes().to_vec())
}

#[async_trait]
impl Subject for Maria {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(MySql::new(Arc::new(AllowAll)))
    }

    fn overlap(&self) -> Overlap {
        self.overlap
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({"host": "127.0.0.1", "port": self.server.port()});
        settings.as_object().cloned().expect("an object")
    }

    fn account(&self) -> Map<String, Value> {
        let account = match self.overlap {
            Overlap::TwoUsers => json!({"accounts": ["app_a", "app_b"]}),
            _ => json!({"account": "app_a"}),
        };
        account.as_object().cloned().expect("an object")
    }

    fn manager(&self) -> String {
        credential("manager", "manager-0")
    }

    fn first(&self) -> String {
        credential("app_a", "first-0")
    }

    async fn accepts(&self, credential: &str) -> bool {
        match self.log_in_with(credential).await {
            Ok(conn) => {
                let _ = conn.disconnect().await;
                true
            }
            Err(_) => false,
        }
    }

    async fn open_session(&self, credential: &str) -> Box<dyn Session> {
        Box::new(Held(self.log_in_with(credential).await.expect("a login")))
    }

    /// Grants and creating statements of every row, without how it identifies and the lock.
    async fn fingerprint(&self) -> String {
        let rows = self.server.sql(
            "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)), JSON_REMOVE(Priv, '$.plugin',
             '$.authentication_string', '$.auth_or', '$.account_locked', '$.password_last_changed',
             '$.version_id') FROM mysql.global_priv WHERE User LIKE 'app%' ORDER BY 1",
        );
        let mut told = rows.clone();
        for row in rows.lines() {
            let account = row.split('\t').next().expect("a name");
            let grants = self.server.sql(&format!("SHOW GRANTS FOR {account}"));
            let lines = grants
                .lines()
                .map(|line| line.split(" IDENTIFIED ").next().expect("a head"));
            told.extend(lines.map(|line| format!("{line}\n")));
        }
        told
    }

    async fn log_text(&self) -> String {
        self.server.general_log()
    }

    fn log_holds(&self) -> &'static str {
        "ALTER USER 'app_a'@'%' IDENTIFIED VIA"
    }

    async fn weak_manager(&self) -> Option<String> {
        Some(credential("weak", "weak-0"))
    }

    async fn cure(&self, statements: &[String]) -> bool {
        self.server.sql(&statements.join(";"));
        true
    }

    fn fences(&self) -> bool {
        false
    }

    fn has_sessions(&self) -> bool {
        self.overlap == Overlap::TwoUsers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_two_users() {
    let maria = Maria::start(Overlap::TwoUsers);
    conformance(&maria).await;
    // Both rows of the first account were made for the second, with the same grants and limits.
    let of = |name: &str, host: &str| {
        let grants = maria
            .server
            .sql(&format!("SHOW GRANTS FOR '{name}'@'{host}'"));
        let plain = grants.lines().map(|line| {
            let parted = line.split_once(" IDENTIFIED ");
            let limits = line.split_once(" WITH ").map_or("", |(_, limits)| limits);
            format!("{} {limits}", parted.map_or(line, |(head, _)| head)).replace(name, "")
        });
        plain.collect::<Vec<_>>()
    };
    assert_eq!(of("app_a", "%"), of("app_b", "%"));
    assert!(
        of("app_b", "%")
            .iter()
            .any(|line| line.contains("MAX_QUERIES_PER_HOUR"))
    );
    assert!(
        of("app_b", "%")
            .iter()
            .any(|line| line.contains("SET DEFAULT ROLE"))
    );
    assert_eq!(of("app_a", "127.0.0.1"), of("app_b", "127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_two_passwords() {
    conformance(&Maria::start(Overlap::TwoPasswords)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_none() {
    conformance(&Maria::start(Overlap::None)).await;
}

/// What single tests call with.
struct With {
    maria: Maria,
    connector: Arc<dyn Connector>,
    settings: Map<String, Value>,
    account: Map<String, Value>,
    manager: Plaintext,
}

impl With {
    fn start(overlap: Overlap) -> Self {
        let maria = Maria::start(overlap);
        Self {
            connector: maria.connector(),
            settings: maria.settings(),
            account: maria.account(),
            manager: plain(&maria.manager()),
            maria,
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            settings: &self.settings,
            account: &self.account,
            overlap: self.maria.overlap,
            manager: Some(&self.manager),
            tag: "rot1",
            epoch: 1,
            promoted_for: None,
        }
    }

    async fn apply(&self, candidate: &str, current: &str) -> Effect {
        let (candidate, current) = (plain(candidate), plain(current));
        self.connector
            .apply(&self.call(), Some(&candidate), Some(&current))
            .await
    }

    async fn login(&self, credential: &str) -> Login {
        self.connector.login(&self.call(), &plain(credential)).await
    }
}

fn assert_applied(effect: &Effect) {
    assert!(matches!(effect, Effect::Applied(_)), "{effect:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_account_names_round_trip() {
    let mut with = With::start(Overlap::TwoUsers);
    let names = [
        "o'brien",
        "back\\slash\\",
        "\"double\" `tick`",
        "'; DROP USER app_a; -- ",
        "\u{e9}\u{4e2d}\u{443}",
        "a@b@'%'",
        "%",
    ];
    for name in names.map(str::trim) {
        let other = format!("{name}2");
        with.account = json!({"accounts": [name, other]})
            .as_object()
            .cloned()
            .unwrap();
        let first = credential(name, "p1-hostile");
        let made = plain(&first);
        assert_applied(&with.connector.apply(&with.call(), Some(&made), None).await);
        assert_eq!(with.login(&first).await, Login::Accepted, "{name}");
        let second = credential(&other, "p2-hostile");
        assert_applied(&with.apply(&second, &first).await);
        assert_eq!(with.login(&second).await, Login::Accepted, "{name}");
        let (dead, keep) = (plain(&first), plain(&second));
        assert_applied(
            &with
                .connector
                .retire(&with.call(), &dead, Some(&keep))
                .await,
        );
        assert!(
            matches!(with.login(&first).await, Login::Refused(_)),
            "{name}"
        );
    }
    assert_eq!(with.login(&with.maria.first()).await, Login::Accepted);
    assert!(!with.maria.server.general_log().contains("-hostile"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_an_account_is_changed() {
    let with = With::start(Overlap::None);
    let next = credential("app_a", "next-1");
    assert_applied(&with.apply(&next, &with.maria.first()).await);
    let stored = with.maria.server.sql(
        "SELECT DISTINCT JSON_VALUE(Priv, '$.authentication_string') = PASSWORD('next-1') \
         FROM mysql.global_priv WHERE User = 'app_a'",
    );
    assert_eq!(stored, "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_tells_why_it_was_refused() {
    let with = With::start(Overlap::None);
    let server = &with.maria.server;
    let own = with.maria.first();
    let sql = |sql: &str| server.sql(sql);
    sql("ALTER USER 'app_a'@'127.0.0.1' ACCOUNT LOCK");
    assert_eq!(with.login(&own).await, Login::Refused(Refusal::Locked));
    sql("ALTER USER 'app_a'@'127.0.0.1' ACCOUNT UNLOCK PASSWORD EXPIRE");
    assert_eq!(with.login(&own).await, Login::Refused(Refusal::Expired));
    // An anonymous row shadows every name that has none for this address, ours too.
    sql("RENAME USER 'manager'@'%' TO 'manager'@'127.0.0.1',
            'scai_root'@'%' TO 'scai_root'@'127.0.0.1'; DROP USER 'app_a'@'127.0.0.1';
        CREATE USER ''@'127.0.0.1' IDENTIFIED BY 'first-0'; FLUSH PRIVILEGES");
    assert_eq!(
        with.login(&own).await,
        Login::Refused(Refusal::AnotherAccount)
    );
    let look = with.connector.check(&with.call()).await.unwrap();
    assert!(
        look.warnings.iter().any(|text| text.contains("anonymous")),
        "{look:?}"
    );
    sql("DROP USER ''@'127.0.0.1'");
    assert_eq!(with.login(&own).await, Login::Accepted);

    let database = |name| json!({"username": "app_a", "password": "first-0", "database": name});
    assert_eq!(
        with.login(&database("app").to_string()).await,
        Login::Accepted
    );
    match with.login(&database("nowhere").to_string()).await {
        Login::Unknown(trouble) => assert_eq!(trouble.kind, TroubleKind::Settings),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_retire_of_an_account_that_moved_on_does_nothing() {
    let with = With::start(Overlap::TwoUsers);
    let (old, other) = (with.maria.first(), credential("app_b", "other-1"));
    assert_applied(&with.apply(&other, &old).await);
    let back = credential("app_a", "back-2");
    assert_applied(&with.apply(&back, &other).await);
    let mut held = with.maria.open_session(&back).await;
    let (dead, keep) = (plain(&old), plain(&other));
    assert_applied(
        &with
            .connector
            .retire(&with.call(), &dead, Some(&keep))
            .await,
    );
    assert_eq!(with.login(&back).await, Login::Accepted);
    assert!(held.works().await, "a session of the successor was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_keeps_ways_in_that_are_no_passwords() {
    let with = With::start(Overlap::TwoPasswords);
    with.maria.server.sql(
        "ALTER USER 'app_a'@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING \
         PASSWORD('first-0')",
    );
    let first = with.maria.first();
    let next = credential("app_a", "next-1");
    assert_applied(&with.apply(&next, &first).await);
    let (dead, keep) = (plain(&first), plain(&next));
    assert_applied(
        &with
            .connector
            .retire(&with.call(), &dead, Some(&keep))
            .await,
    );
    let told = with.maria.server.sql("SHOW CREATE USER 'app_a'@'%'");
    assert!(
        told.contains("unix_socket") && told.matches(" OR ").count() == 1,
        "{told}"
    );
    assert_eq!(with.login(&next).await, Login::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn column_grants_are_copied_or_refused_whole() {
    let with = With::start(Overlap::TwoUsers);
    with.maria.server.sql(
        "CREATE TABLE app.c (`a) ON *.* TO x` INT);
         GRANT SELECT (`a) ON *.* TO x`) ON app.c TO 'app_a'@'%';
         GRANT SELECT (`a) ON *.* TO x`) ON app.c TO 'manager'@'%' WITH GRANT OPTION",
    );
    let before = with.maria.server.sql("SELECT COUNT(*) FROM mysql.user");
    match with
        .apply(&credential("app_b", "b-1"), &with.maria.first())
        .await
    {
        Effect::Applied(_) => {
            let told = with.maria.server.sql("SHOW GRANTS FOR 'app_b'@'%'");
            assert!(told.contains("a) ON *.* TO x"), "{told}");
        }
        Effect::NotApplied(trouble) => {
            assert_eq!(trouble.kind, TroubleKind::Unsupported);
            assert!(!trouble.remedy.is_empty());
            assert_eq!(
                with.maria.server.sql("SELECT COUNT(*) FROM mysql.user"),
                before
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_changes_its_own_password() {
    let mut with = With::start(Overlap::TwoUsers);
    with.account = Map::new();
    let next = credential("manager", "manager-1");
    for _ in 0..2 {
        let done = with
            .connector
            .apply_manager(&with.call(), &plain(&next))
            .await;
        assert_applied(&done);
    }
    assert!(with.maria.accepts(&next).await);
    assert!(!with.maria.accepts(&with.maria.manager()).await);
    assert!(!with.maria.server.general_log().contains("manager-1"));

    // A row that shuts out new logins: the old password is put back.
    with.manager = plain(&next);
    with.maria
        .server
        .sql("ALTER USER 'manager'@'%' REQUIRE NONE WITH MAX_USER_CONNECTIONS 1");
    let refused = credential("manager", "manager-2");
    let done = with
        .connector
        .apply_manager(&with.call(), &plain(&refused))
        .await;
    assert!(matches!(done, Effect::NotApplied(_)), "{done:?}");
    with.maria
        .server
        .sql("ALTER USER 'manager'@'%' WITH MAX_USER_CONNECTIONS 0");
    assert!(with.maria.accepts(&next).await);
    assert!(!with.maria.accepts(&refused).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_account_are_told_only_where_they_can_be() {
    let with = With::start(Overlap::TwoPasswords);
    let first = plain(&with.maria.first());
    let seen = with.connector.sessions(&with.call(), &first).await;
    assert_eq!(seen, Sessions::Open(0));
    let held = with.maria.open_session(&with.maria.first()).await;
    let call = Call {
        promoted_for: Some(Duration::from_secs(60)),
        ..with.call()
    };
    assert_eq!(
        with.connector.sessions(&call, &first).await,
        Sessions::NotObservable
    );
    held.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_is_gone_leaves_no_false_promise() {
    let mut with = With::start(Overlap::TwoUsers);
    let next = credential("app_b", "next-1");
    with.maria.server.pause(true);
    let bounded =
        scaivault_connectors::Bounded::new(Arc::clone(&with.connector), Duration::from_secs(2));
    let (candidate, first) = (plain(&next), plain(&with.maria.first()));
    let hung = bounded
        .apply(&with.call(), Some(&candidate), Some(&first))
        .await;
    assert!(
        matches!(&hung, Effect::Unknown(t) if t.kind == TroubleKind::TimedOut),
        "{hung:?}"
    );
    with.maria.server.pause(false);
    with.maria.server.kill();
    let gone = with.apply(&next, &with.maria.first()).await;
    assert!(matches!(&gone, Effect::NotApplied(t) if t.kind == TroubleKind::Unreachable));
    with.maria.server.restart();
    assert_applied(&with.apply(&next, &with.maria.first()).await);
    assert_eq!(with.login(&next).await, Login::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_the_manager_lacks_to_make_an_account() {
    let with = With::start(Overlap::TwoUsers);
    with.maria.server.sql(
        "REVOKE INSERT ON app.* FROM 'manager'@'%'; REVOKE UPDATE ON mysql.* FROM 'manager'@'%'",
    );
    let look = with.connector.check(&with.call()).await.unwrap();
    assert!(look.server.starts_with("MariaDB "));
    let statements: Vec<_> = look
        .missing
        .iter()
        .map(|one| one.statement.as_str())
        .collect();
    assert_eq!(
        statements,
        [
            "GRANT SELECT, INSERT ON `app`.* TO 'manager'@'%' WITH GRANT OPTION",
            "GRANT UPDATE ON `mysql`.* TO 'manager'@'%'",
        ]
    );
    // Without them nothing is begun.
    let next = credential("app_b", "next-1");
    match with.apply(&next, &with.maria.first()).await {
        Effect::NotApplied(trouble) => {
            assert_eq!(trouble.kind, TroubleKind::Privilege);
            assert_eq!(trouble.remedy, statements);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        !with
            .maria
            .server
            .general_log()
            .contains("CREATE USER IF NOT EXISTS 'app_b'")
    );
    with.maria.server.sql(&statements.join(";"));
    assert_applied(&with.apply(&next, &with.maria.first()).await);
    assert_eq!(
        with.connector.check(&with.call()).await.unwrap().missing,
        []
    );
    assert!(with.maria.log_in(SUPERUSER.0, SUPERUSER.1).await.is_ok());
}
