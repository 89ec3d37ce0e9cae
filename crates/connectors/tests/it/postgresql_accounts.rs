//! Accounts made at PostgreSQL: the suite, and what only PostgreSQL has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_connectors::Bounded;
use scaivault_connectors::postgresql::Postgresql;
use scaivault_core::dynamic::{Owned, Revocation};
use scaivault_core::ports::{Connector, Effect, OldAccount};
use scaivault_core::target::TroubleKind;
use scaivault_peers::postgresql::{PASSWORD, Postgresql as Server, SUPERUSER, psql};
use serde_json::{Map, Value, json};

use crate::accounts::{Home, Maker, accounts_conform, all_applied, cut_connections_conform, role};
use crate::conformance::{AllowAll, Session};
use crate::postgresql::{Held, hold};

const SETUP: &str = "
    CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manages';
    CREATE ROLE weak LOGIN PASSWORD 'may-do-nothing';
    CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id int);
    GRANT USAGE, CREATE ON SCHEMA shop TO manager WITH GRANT OPTION;
    GRANT SELECT ON shop.orders TO manager WITH GRANT OPTION;";

const CREATION: &str = "
    CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
    GRANT USAGE ON SCHEMA shop TO \"{{name}}\"; -- so that it finds
    GRANT SELECT ON shop.orders TO \"{{name}}\";";

struct Postgres {
    server: Server,
    manager: (&'static str, &'static str),
}

impl Postgres {
    fn start(manager: (&'static str, &'static str)) -> Self {
        let server = Server::start();
        server.sql(SETUP);
        server.sql("CREATE DATABASE other");
        Self { server, manager }
    }

    fn run(&self, (name, password): (&str, &str), statement: &str) -> Result<String, String> {
        self.server.sql_as(name, password, "postgres", statement)
    }
}

#[async_trait]
impl Home for Postgres {
    fn connector(&self) -> Arc<dyn Connector> {
        let inner = Arc::new(Postgresql::new(Arc::new(AllowAll)));
        Arc::new(Bounded::new(inner, Duration::from_secs(20)))
    }
    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "host": "127.0.0.1", "port": self.server.port() });
        settings.as_object().cloned().expect("an object")
    }
    fn dead_settings(&self) -> Map<String, Value> {
        let settings = json!({ "host": "127.0.0.1", "port": scaivault_peers::free_port() });
        settings.as_object().cloned().expect("an object")
    }
    fn manager(&self) -> String {
        json!({ "username": self.manager.0, "password": self.manager.1 }).to_string()
    }
    fn weak_manager(&self) -> String {
        json!({ "username": "weak", "password": "may-do-nothing" }).to_string()
    }
    fn creation(&self) -> Vec<String> {
        vec![CREATION.to_owned()]
    }
    fn broken_creation(&self) -> Vec<String> {
        vec![
            CREATION.to_owned(),
            "GRANT nobody TO \"{{name}}\"".to_owned(),
        ]
    }
    async fn works(&self, name: &str, password: &str) -> bool {
        let asked = "SELECT count(*) FROM shop.orders";
        psql(self.server.port(), name, password, "postgres", asked).is_ok()
    }
    async fn exists(&self, name: &str) -> bool {
        let asked = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'");
        self.server.sql(&asked) != "0"
    }
    async fn open_session(&self, name: &str, password: &str) -> Box<dyn Session> {
        Box::new(Held(hold(self.server.port(), name, password).await))
    }
    fn log_text(&self) -> String {
        self.server.server().log()
    }
    fn log_holds(&self) -> &'static str {
        "PASSWORD 'SCRAM-SHA-256$4096:"
    }
}

const MANAGER: (&str, &str) = ("manager", "manages");

#[tokio::test]
async fn accounts_of_a_manager_that_may_create_roles() {
    accounts_conform(&Postgres::start(MANAGER)).await;
}

#[tokio::test]
async fn accounts_of_a_superuser() {
    accounts_conform(&Postgres::start((SUPERUSER, PASSWORD))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_over_connections_that_are_cut() {
    cut_connections_conform(&Postgres::start(MANAGER)).await;
}

/// A role's statement that changes the session it runs in changes no other role's.
#[tokio::test]
async fn no_role_runs_in_what_is_left_of_anothers_session() {
    let home = Postgres::start((SUPERUSER, PASSWORD));
    let maker = Maker::new(&home);
    let (_, _) = maker
        .made(&role(vec![format!("{CREATION} SET ROLE weak;")]))
        .await;
    maker.made(&role(home.creation())).await;
}

/// What an account owns is nobody's to lose: it is kept, given or dropped as the role says, and one
/// that is in its own way is not in the way of others.
#[tokio::test]
async fn what_an_account_owns_is_kept_given_or_dropped() {
    let home = Postgres::start(MANAGER);
    let maker = Maker::new(&home);
    let creation = format!("{CREATION} GRANT CREATE ON SCHEMA shop TO \"{{{{name}}}}\"");
    let maker_role = role(vec![creation]);
    for (owned, table) in [
        (Owned::Keep, "kept"),
        (Owned::Reassign, "given"),
        (Owned::Drop, "lost"),
    ] {
        let (name, password) = maker.made(&maker_role).await;
        let (other, _) = maker.made(&maker_role).await;
        home.run(
            (&name, &password),
            &format!("CREATE TABLE shop.{table} (id int)"),
        )
        .expect("a table");
        let how = Revocation {
            owned,
            ..Revocation::default()
        };
        let effects = maker.remove(&[&name, &other], &how).await;
        assert!(!home.exists(&other).await);
        let owner = format!("SELECT tableowner FROM pg_tables WHERE tablename = '{table}'");
        let owner = home.server.sql(&owner);
        match owned {
            Owned::Keep => {
                let [Effect::NotApplied(trouble), Effect::Applied(_)] = &effects[..] else {
                    panic!("{effects:?}");
                };
                assert_eq!(trouble.kind, TroubleKind::Settings);
                assert_eq!(trouble.code.as_deref(), Some("owns_objects"));
                assert_eq!(owner, name);
                assert!(!home.works(&name, &password).await, "it is shut out");
                let reassign = format!("REASSIGN OWNED BY \"{name}\" TO manager");
                home.server.sql(&reassign);
                assert!(all_applied(&maker.remove(&[&name], &how).await));
            }
            Owned::Reassign => assert_eq!((all_applied(&effects), &*owner), (true, "manager")),
            Owned::Drop => assert_eq!((all_applied(&effects), &*owner), (true, "")),
        }
        assert!(!home.exists(&name).await);
    }
}

/// Rights in another database hold a role back there.
#[tokio::test]
async fn rights_in_other_databases_go_too() {
    let home = Postgres::start((SUPERUSER, PASSWORD));
    let maker = Maker::new(&home);
    let (name, _) = maker.made(&role(home.creation())).await;
    let there = format!("CREATE TABLE x (id int); GRANT SELECT ON x TO \"{name}\"");
    home.server
        .sql_as(SUPERUSER, PASSWORD, "other", &there)
        .expect("rights there");
    let gone = maker.remove(&[&name], &Revocation::default()).await;
    assert!(all_applied(&gone), "{gone:?}");
    assert!(!home.exists(&name).await);
}

/// A role's own statements are believed when the account lets nobody in any more.
#[tokio::test]
async fn a_roles_own_way_to_remove_is_checked() {
    let home = Postgres::start((SUPERUSER, PASSWORD));
    let maker = Maker::new(&home);
    let (name, password) = maker.made(&role(home.creation())).await;
    let own = |statement: &str| Revocation {
        statements: vec![statement.to_owned()],
        owned: Owned::Keep,
    };
    let back = maker
        .remove(&[&name], &own("ALTER ROLE \"{{name}}\" LOGIN"))
        .await;
    let [Effect::NotApplied(trouble)] = &back[..] else {
        panic!("{back:?}");
    };
    assert_eq!(trouble.code.as_deref(), Some("still_accepted"));
    let wrong = maker.remove(&[&name], &own("DROP ROLE nobody")).await;
    assert!(matches!(&wrong[..], [Effect::NotApplied(_)]), "{wrong:?}");
    let gone = own("DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"");
    assert!(all_applied(&maker.remove(&[&name], &gone).await));
    assert!(!home.exists(&name).await && !home.works(&name, &password).await);
}

/// Statements that make another account than the one that the lease has are taken back.
#[tokio::test]
async fn what_is_made_has_the_name_of_its_lease() {
    let home = Postgres::start(MANAGER);
    let maker = Maker::new(&home);
    let made = "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%v\\_reader\\_%'";
    for creation in [
        "CREATE ROLE \"svc_{{name}}\" LOGIN PASSWORD '{{password}}'",
        "CREATE ROLE \"{{name}}X\" LOGIN PASSWORD '{{password}}'",
        "SELECT '{{name}}'",
    ] {
        let (effect, _, _) = maker.create(&role(vec![creation.to_owned()])).await;
        let Effect::NotApplied(trouble) = effect else {
            panic!("{creation}: {effect:?}");
        };
        assert_eq!(trouble.code.as_deref(), Some("not_made"), "{creation}");
        assert_eq!(home.server.sql(made), "0", "{creation}");
    }
    maker.made(&role(home.creation())).await;
    assert_eq!(home.server.sql(made), "1");
}

/// A role's own way is not believed while sessions go on, and whom the manager cannot end is in
/// nobody else's way.
#[tokio::test]
async fn an_account_is_gone_when_its_sessions_are() {
    let home = Postgres::start(MANAGER);
    let maker = Maker::new(&home);
    home.server.sql(
        "CREATE FUNCTION shop.retire(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN EXECUTE format('ALTER ROLE %I NOLOGIN', name); END $$;
         GRANT EXECUTE ON FUNCTION shop.retire TO manager",
    );
    let (held, password) = maker.made(&role(home.creation())).await;
    let (other, _) = maker.made(&role(home.creation())).await;
    // Nobody but a superuser ends what a superuser runs.
    home.server.sql(&format!("ALTER ROLE \"{held}\" SUPERUSER"));
    let mut session = home.open_session(&held, &password).await;
    let own = Revocation {
        statements: vec!["SELECT shop.retire('{{name}}')".to_owned()],
        owned: Owned::Keep,
    };
    let plain = Revocation::default();
    let accounts =
        [(&held, &own), (&other, &plain)].map(|(name, revocation)| OldAccount { name, revocation });
    let effects = maker.accounts().remove(&maker.call(), &accounts).await;
    assert!(session.works().await);
    assert!(
        matches!(&effects[..], [Effect::Unknown(_), Effect::Applied(_)]),
        "{effects:?}"
    );
    assert!(!home.exists(&other).await);
    home.server
        .sql(&format!("ALTER ROLE \"{held}\" NOSUPERUSER"));
    home.server.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{held}'"
    ));
    assert!(all_applied(&maker.remove(&[&held], &own).await));
    assert!(!session.works().await);
    assert!(home.exists(&held).await, "its role leaves it");
    // What was left on purpose is nothing that the sweep finds.
    let names = maker.accounts().names(&maker.call()).await.expect("names");
    assert!(!names.contains(&held), "{names:?}");
}

#[test]
fn roles_are_checked_without_a_server() {
    let connector = Postgresql::new(Arc::new(AllowAll));
    let accounts = connector.accounts().expect("it makes accounts");
    let problems = |creation: &[&str]| {
        let texts = creation.iter().map(|text| (*text).to_owned()).collect();
        let found = accounts.check_role(&role(texts));
        found
            .into_iter()
            .map(|(field, _)| field)
            .collect::<Vec<_>>()
    };
    assert_eq!(problems(&[CREATION]), [""; 0]);
    for wrong in [
        &[][..],
        &["CREATE ROLE x"],
        &[CREATION, "COMMIT"],
        &["CREATE ROLE \"{{name}}\" PASSWORD '{{secret}}'"],
        &["CREATE ROLE \"{{name}}"],
    ] {
        assert_eq!(problems(wrong), ["creation_statements"], "{wrong:?}");
    }
}
