//! PostgreSQL: the conformance suite for both overlaps, with and without a pooler, and what only
//! PostgreSQL has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_connectors::Bounded;
use scaivault_connectors::postgresql::Postgresql;
use scaivault_core::ports::{Connector, Effect, Login, Refusal, Sessions};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_peers::pgbouncer::Pgbouncer;
use scaivault_peers::postgresql::{Postgresql as Server, psql};
use serde_json::{Map, Value, json};
use tokio_postgres::{Client, NoTls};

use crate::conformance::{
    AllowAll, Session, Subject, Suite, assert_applied, conformance, field, merged, plain,
};

/// Made by the superuser before anything is rotated: what the page tells an operator to run.
const SETUP: &str = "
    CREATE ROLE app NOLOGIN;
    CREATE SCHEMA shop AUTHORIZATION app;
    CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manages';
    GRANT pg_signal_backend, pg_read_all_stats TO manager;
    GRANT app TO manager WITH ADMIN OPTION;
    GRANT SET ON PARAMETER \"app.note\" TO manager;
    CREATE ROLE weak LOGIN PASSWORD 'may-do-nothing';";

const TWO: &str = "
    CREATE ROLE app_a LOGIN CONNECTION LIMIT 40 PASSWORD 'first' IN ROLE app;
    ALTER ROLE app_a SET role = 'app';
    ALTER ROLE app_a SET search_path = 'shop', '$user', 'public';
    ALTER ROLE app_a SET \"app.note\" = 'it''s, \\ odd';
    ALTER ROLE app_a IN DATABASE postgres SET statement_timeout = '60s';
    COMMENT ON ROLE app_a IS 'of the shop';";

const ONE: &str = "CREATE ROLE app_a LOGIN PASSWORD 'first' IN ROLE app;";

/// What stays the same in a rotation.
const FINGERPRINT: &str = "
    SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
        r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil,
        (SELECT array_agg(g.rolname || m.admin_option::text ORDER BY 1) FROM pg_auth_members m
            JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
        (SELECT array_agg(s.setdatabase::text || s.setconfig::text ORDER BY s.setdatabase)
            FROM pg_db_role_setting s WHERE s.setrole = r.oid),
        regexp_replace(shobj_description(r.oid, 'pg_authid'), 'epoch=.*', '')
    FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1;
    SELECT nspname, nspowner::regrole, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1;";

struct Pair {
    server: Server,
    overlap: Overlap,
    /// Where consumers log in.
    port: u16,
    _pooler: Option<Pgbouncer>,
}

impl Pair {
    fn of(overlap: Overlap, pooled: bool) -> Self {
        let server = Server::start();
        server.sql(SETUP);
        server.sql(if overlap == Overlap::None { ONE } else { TWO });
        let pooler = pooled.then(|| Pgbouncer::start(&server));
        Self {
            port: pooler.as_ref().map_or(server.port(), Pgbouncer::port),
            server,
            overlap,
            _pooler: pooler,
        }
    }
}

pub(crate) struct Held(pub(crate) Client);

pub(crate) async fn hold(port: u16, user: &str, password: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user(user)
        .password(password)
        .dbname("postgres");
    let (client, connection) = config.connect(NoTls).await.expect("a login");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

#[async_trait]
impl Session for Held {
    async fn works(&mut self) -> bool {
        self.0.simple_query("SELECT 1").await.is_ok()
    }
    async fn close(self: Box<Self>) {
        drop(self.0);
    }
}

#[async_trait]
impl Subject for Pair {
    fn connector(&self) -> Arc<dyn Connector> {
        let inner = Arc::new(Postgresql::new(Arc::new(AllowAll)));
        Arc::new(Bounded::new(inner, Duration::from_secs(20)))
    }
    fn overlap(&self) -> Overlap {
        self.overlap
    }
    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "host": "127.0.0.1", "port": self.server.port(), "login_port": self.port,
        });
        settings.as_object().cloned().expect("an object")
    }
    fn dead_settings(&self) -> Map<String, Value> {
        let mut settings = self.settings();
        for field in ["port", "login_port"] {
            settings.insert(field.into(), json!(scaivault_peers::free_port()));
        }
        settings
    }
    fn account(&self) -> Map<String, Value> {
        let account = match self.overlap {
            Overlap::None => json!({"account": "app_a"}),
            _ => json!({"accounts": ["app_a", "app_b"], "group": "app"}),
        };
        account.as_object().cloned().expect("an object")
    }
    fn manager(&self) -> String {
        json!({"username": "manager", "password": "manages"}).to_string()
    }
    fn first(&self) -> String {
        json!({"username": "app_a", "password": "first", "note": "stays"}).to_string()
    }
    async fn accepts(&self, credential: &str) -> bool {
        let (user, password) = (field(credential, "username"), field(credential, "password"));
        psql(self.port, &user, &password, "postgres", "SELECT 1").is_ok()
    }
    async fn open_session(&self, credential: &str) -> Box<dyn Session> {
        let (user, password) = (field(credential, "username"), field(credential, "password"));
        // Held at the server itself: a pooler shows its own sessions, which it keeps.
        Box::new(Held(hold(self.server.port(), &user, &password).await))
    }
    async fn fingerprint(&self) -> String {
        self.server.sql(FINGERPRINT)
    }
    async fn log_text(&self) -> String {
        self.server.server().log()
    }
    fn log_holds(&self) -> &'static str {
        "PASSWORD 'SCRAM-SHA-256$4096:"
    }
    async fn weak_manager(&self) -> Option<String> {
        Some(json!({"username": "weak", "password": "may-do-nothing"}).to_string())
    }
    async fn cure(&self, statements: &[String]) -> bool {
        for statement in statements {
            self.server.sql(statement);
        }
        true
    }
}

#[tokio::test]
async fn two_users_conform() {
    conformance(&Pair::of(Overlap::TwoUsers, false)).await;
}

#[tokio::test]
async fn one_user_conforms() {
    conformance(&Pair::of(Overlap::None, false)).await;
}

/// A full cycle, there and back, with every login through the pooler.
#[tokio::test]
async fn two_users_rotate_behind_a_pooler() {
    let subject = Pair::of(Overlap::TwoUsers, true);
    let mut suite = Suite::new(&subject);
    for _ in 0..4 {
        let old = suite.rotate().await;
        let current = suite.current.clone();
        let call = suite.call();
        let login = |value: String| {
            let connector = suite.connector.clone();
            async move { connector.login(&call, &plain(&value)).await }
        };
        assert_eq!(login(current.clone()).await, Login::Accepted);
        let refused = login(old.clone()).await;
        assert!(matches!(refused, Login::Refused(_)), "{refused:?}");
        suite.assert_accepted(&current, "current").await;
        suite.assert_refused(&old, "what was retired").await;
        let wrong = merged(&current, &[("password", "wrong")]);
        assert_eq!(login(wrong).await, Login::Refused(Refusal::Credential));
    }
}

#[tokio::test]
async fn what_one_account_creates_the_other_uses() {
    let subject = Pair::of(Overlap::TwoUsers, false);
    let mut suite = Suite::new(&subject);
    let run = |credential: &str, statement: &str| {
        let (user, password) = (field(credential, "username"), field(credential, "password"));
        subject
            .server
            .sql_as(&user, &password, "postgres", statement)
    };
    let first = suite.current.clone();
    run(
        &first,
        "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)",
    )
    .expect("a table");
    suite.rotate().await;
    let second = suite.current.clone();
    assert_eq!(field(&second, "username"), "app_b");
    let used = run(
        &second,
        "ALTER TABLE orders ADD COLUMN note text; INSERT INTO orders VALUES (2, 'x');
         SELECT count(*) FROM orders",
    );
    assert_eq!(used.as_deref(), Ok("2"));
    let owner = subject
        .server
        .sql("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'");
    assert_eq!(owner, "app");
    // The limits and settings of the first account came along.
    let settings = run(
        &second,
        "SELECT current_setting('search_path'), current_setting('app.note'),
            current_setting('statement_timeout'), rolconnlimit
         FROM pg_roles WHERE rolname = session_user",
    );
    let first = r#"shop, "$user", public|it's, \ odd|1min|40"#;
    assert_eq!(settings.as_deref(), Ok(first));
    let comment =
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'app_a'";
    let comment = subject.server.sql(comment);
    assert!(
        comment.starts_with("of the shop scaivault:epoch="),
        "{comment}"
    );
}

/// A setting that only a superuser may set is granted by the statement that the trouble carries.
#[tokio::test]
async fn privileged_settings_are_granted_one_by_one() {
    let subject = Pair::of(Overlap::TwoUsers, false);
    subject
        .server
        .sql("ALTER ROLE app_a SET log_min_duration_statement = '5s'");
    let mut suite = Suite::new(&subject);
    suite.begin();
    let current = suite.current.clone();
    let planned = suite.plan(Some(&current));
    let effect = suite.apply(planned.as_deref(), Some(&current)).await;
    let Effect::NotApplied(trouble) = effect else {
        panic!("{effect:?}");
    };
    assert_eq!(trouble.kind, TroubleKind::Privilege);
    let count = "SELECT count(*) FROM pg_roles WHERE rolname = 'app_b'";
    assert_eq!(subject.server.sql(count), "0", "something was changed");
    assert!(subject.cure(&trouble.remedy).await);
    assert_applied(&suite.apply(planned.as_deref(), Some(&current)).await);
}

#[tokio::test]
async fn hostile_names_stay_names() {
    let subject = Pair::of(Overlap::TwoUsers, false);
    let group = "g\"; DROP ROLE weak; --";
    let names = ["a' \\ \"; --", "b é \u{202e}$$ /*"];
    subject.server.sql(&format!(
        "CREATE ROLE \"{}\"; GRANT \"{0}\" TO manager WITH ADMIN OPTION",
        group.replace('"', "\"\"")
    ));
    let mut suite = Suite::new(&subject);
    suite.account = json!({"accounts": names, "group": group})
        .as_object()
        .cloned()
        .expect("an object");
    suite.current = suite.advance(None).await;
    for _ in 0..3 {
        let old = suite.rotate().await;
        suite.assert_refused(&old, "what was retired").await;
        let current = suite.current.clone();
        suite.assert_accepted(&current, "current").await;
    }
    let left = subject
        .server
        .sql("SELECT count(*) FROM pg_roles WHERE rolname = 'weak'");
    assert_eq!(left, "1");
}

#[tokio::test]
async fn locked_and_expired_accounts_are_told_apart() {
    let subject = Pair::of(Overlap::None, false);
    let suite = Suite::new(&subject);
    let credential = plain(&suite.current);
    let login = || async { suite.connector.login(&suite.call(), &credential).await };
    subject.server.sql("ALTER ROLE app_a NOLOGIN");
    assert_eq!(login().await, Login::Refused(Refusal::Locked));
    subject
        .server
        .sql("ALTER ROLE app_a LOGIN VALID UNTIL '2001-01-01'");
    assert_eq!(login().await, Login::Refused(Refusal::Expired));
    subject
        .server
        .sql("ALTER ROLE app_a VALID UNTIL 'infinity'");
    assert_eq!(login().await, Login::Accepted);
    // A value may name a database that is not there.
    let elsewhere = plain(&merged(&suite.current, &[("database", "nowhere")]));
    match suite.connector.login(&suite.call(), &elsewhere).await {
        Login::Unknown(trouble) => {
            assert_eq!(trouble.kind, TroubleKind::Settings);
            assert_eq!(trouble.code.as_deref(), Some("3D000"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn foreign_accounts_and_the_manager_are_left_alone() {
    let subject = Pair::of(Overlap::TwoUsers, false);
    let mut suite = Suite::new(&subject);
    suite.begin();
    let weak = subject.weak_manager().await.expect("one");
    let current = suite.current.clone();
    for name in ["weak", "manager", "postgres"] {
        let foreign = merged(&weak, &[("username", name)]);
        for effect in [
            suite.apply(Some(&foreign), Some(&current)).await,
            suite.retire(&foreign, Some(&current)).await,
        ] {
            let left = matches!(&effect, Effect::NotApplied(t) if t.kind == TroubleKind::Settings);
            assert!(left, "{effect:?}");
        }
    }
    suite.account = json!({"accounts": ["manager", "app_b"], "group": "app"})
        .as_object()
        .cloned()
        .expect("an object");
    let itself = subject.manager();
    let effect = suite.retire(&itself, Some(&current)).await;
    assert!(matches!(effect, Effect::NotApplied(t) if t.kind == TroubleKind::Settings));
    suite.assert_accepted(&itself, "the manager").await;
    suite.assert_accepted(&weak, "a foreign account").await;
}

#[tokio::test]
async fn the_manager_changes_its_own_password() {
    let subject = Pair::of(Overlap::None, false);
    let mut suite = Suite::new(&subject);
    let old = subject.manager();
    let new = merged(&old, &[("password", "managesstill")]);
    for _ in 0..2 {
        let call = suite.call();
        assert_applied(&suite.connector.apply_manager(&call, &plain(&new)).await);
        suite.assert_accepted(&new, "the new one").await;
        suite.assert_refused(&old, "the old one").await;
    }
    suite.manager = plain(&new);
    // A password that is not let in is put back: nobody may log in more than once.
    subject.server.sql("ALTER ROLE manager CONNECTION LIMIT 1");
    let newest = merged(&old, &[("password", "not-this-one")]);
    let effect = suite
        .connector
        .apply_manager(&suite.call(), &plain(&newest))
        .await;
    assert!(
        matches!(&effect, Effect::NotApplied(t) if t.kind == TroubleKind::Throttled),
        "{effect:?}"
    );
    subject.server.sql("ALTER ROLE manager CONNECTION LIMIT -1");
    suite.assert_accepted(&new, "what was put back").await;
    suite.assert_refused(&newest, "what was not let in").await;
    assert!(!subject.server.server().log().contains("managesstill"));
}

#[tokio::test]
async fn a_server_that_hangs_or_dies_leaves_it_unknown_or_undone() {
    let mut subject = Pair::of(Overlap::TwoUsers, false);
    let inner = Arc::new(Postgresql::new(Arc::new(AllowAll)));
    let connector = Bounded::new(inner, Duration::from_millis(500));
    let suite = Suite::new(&subject);
    let (current, call) = (plain(&suite.current), suite.call());
    subject.server.server().pause(true);
    let effect = connector.retire(&call, &current, None).await;
    assert!(matches!(&effect, Effect::Unknown(t) if t.kind == TroubleKind::TimedOut));
    let login = connector.login(&call, &current).await;
    assert_eq!(login, Login::Unknown(TroubleKind::TimedOut.into()));
    let seen = connector.sessions(&call, &current).await;
    assert_eq!(seen, Sessions::Unknown(TroubleKind::TimedOut.into()));
    subject.server.server().pause(false);
    suite.assert_accepted(&suite.current, "current").await;
    let current = suite.current.clone();
    drop(suite);
    // What was acknowledged is there after a crash.
    let mut suite = Suite::new(&subject);
    suite.rotate().await;
    let new = suite.current.clone();
    drop(suite);
    subject.server.restart();
    let suite = Suite::new(&subject);
    suite.assert_accepted(&new, "what was applied").await;
    suite.assert_refused(&current, "what was retired").await;
}

#[tokio::test]
async fn an_account_in_use_is_made_accepted_again() {
    let subject = Pair::of(Overlap::TwoUsers, false);
    let mut suite = Suite::new(&subject);
    suite.begin();
    let current = suite.current.clone();
    subject.server.sql("ALTER ROLE app_a NOLOGIN PASSWORD NULL");
    suite.assert_refused(&current, "what somebody locked").await;
    assert_applied(&suite.apply(Some(&current), None).await);
    suite.assert_accepted(&current, "what was healed").await;
    // Never another password for the account in use.
    let other = merged(&current, &[("password", "other")]);
    let effect = suite.apply(Some(&other), Some(&current)).await;
    assert!(matches!(effect, Effect::NotApplied(t) if t.kind == TroubleKind::Settings));
    suite.assert_accepted(&current, "current").await;
}

/// A certificate for `localhost` from an authority of its own, made with openssl.
fn certified(dir: &std::path::Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let openssl = |line: String| {
        let program = scaivault_peers::program("openssl", &[]);
        scaivault_peers::run(&program, line.split(' '));
    };
    let (ca, ca_key) = (file("ca.pem"), file("ca-key.pem"));
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let (request, names) = (file("request.pem"), file("names"));
    std::fs::write(&names, "subjectAltName=DNS:localhost").expect("a file");
    let new = "-newkey rsa:2048 -nodes";
    openssl(format!(
        "req -x509 {new} -days 2 -subj /CN=authority -keyout {ca_key} -out {ca}"
    ));
    openssl(format!(
        "req -new {new} -subj /CN=server -keyout {key} -out {request}"
    ));
    openssl(format!(
        "x509 -req -in {request} -CA {ca} -CAkey {ca_key} -CAcreateserial -days 2 \
         -extfile {names} -out {cert}"
    ));
    vec![
        "ssl=on".into(),
        format!("ssl_cert_file={cert}"),
        format!("ssl_key_file={key}"),
    ]
}

#[tokio::test]
async fn certificates_are_verified_for_the_host_of_the_settings() {
    let mut pem = String::new();
    let server = Server::start_with(|dir| {
        let settings = certified(dir);
        pem = std::fs::read_to_string(dir.join("ca.pem")).expect("a certificate");
        settings
    });
    server.sql(ONE.replace("IN ROLE app", "").as_str());
    let connector = Postgresql::new(Arc::new(AllowAll));
    let credential = plain(r#"{"username":"app_a","password":"first"}"#);
    let account = json!({"account": "app_a"});
    let login = async |settings: Value| {
        let settings = settings.as_object().expect("an object");
        assert_eq!(connector.check_settings(settings), []);
        let call = scaivault_core::ports::Call {
            settings,
            account: account.as_object().expect("an object"),
            overlap: Overlap::None,
            manager: None,
            tag: "t",
            epoch: 1,
            promoted_for: None,
        };
        connector.login(&call, &credential).await
    };
    let port = server.port();
    let verified = json!({"host": "localhost", "port": port, "tls": "verify", "ca_pem": pem});
    assert_eq!(login(verified).await, Login::Accepted);
    let log = server.server().log();
    assert!(log.contains("SSL enabled"), "the login was not encrypted");
    for settings in [
        json!({"host": "127.0.0.1", "port": port, "tls": "verify", "ca_pem": pem}),
        json!({"host": "localhost", "port": port, "tls": "verify"}),
    ] {
        let tls = Login::Unknown(TroubleKind::Tls.into());
        assert_eq!(login(settings).await, tls);
    }
}

#[tokio::test]
async fn nothing_is_connected_to_without_permission() {
    let subject = Pair::of(Overlap::None, false);
    let mut suite = Suite::new(&subject);
    suite.settings.insert("host".into(), json!("192.0.2.1"));
    let look = suite.connector.check(&suite.call()).await;
    assert_eq!(
        look.expect_err("not allowed").kind,
        TroubleKind::NotPermitted
    );
    let elsewhere = plain(&merged(&suite.current, &[("host", "192.0.2.1")]));
    let login = suite.connector.login(&suite.call(), &elsewhere).await;
    assert_eq!(login, Login::Unknown(TroubleKind::NotPermitted.into()));
}
