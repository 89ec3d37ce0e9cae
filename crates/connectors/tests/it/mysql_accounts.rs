//! Accounts made at MariaDB: the suite, and what only this family has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::{Conn, OptsBuilder};
use scaivault_connectors::Bounded;
use scaivault_connectors::mysql::MySql;
use scaivault_core::dynamic::{Owned, Revocation, Role};
use scaivault_core::ports::{Connector, Effect};
use scaivault_core::target::TroubleKind;
use scaivault_peers::mariadb::MariaDb;
use serde_json::{Map, Value, json};

use crate::accounts::{
    END, Home, Maker, accounts_conform, all_applied, cut_connections_conform, role,
};
use crate::conformance::{AllowAll, Session};
use crate::mysql::Held;

/// What a manager needs, as the page of the connector has it.
const SETUP: &str = "
    CREATE DATABASE shop; CREATE TABLE shop.orders (id INT); CREATE TABLE shop.seen (what TEXT);
    CREATE USER 'manager'@'%' IDENTIFIED BY 'manages';
    GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO 'manager'@'%';
    GRANT SELECT ON mysql.* TO 'manager'@'%';
    GRANT SELECT, INSERT ON shop.* TO 'manager'@'%' WITH GRANT OPTION;
    CREATE USER 'weak'@'%' IDENTIFIED BY 'may-do-nothing';";

const CREATION: &str = "
    CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';
    GRANT SELECT ON shop.* TO '{{name}}'@'%'; -- it's for reading\n";

struct Maria {
    server: MariaDb,
}

impl Maria {
    fn start() -> Self {
        let server = MariaDb::start();
        server.sql(SETUP);
        Self { server }
    }
}

#[async_trait]
impl Home for Maria {
    fn connector(&self) -> Arc<dyn Connector> {
        let inner = Arc::new(MySql::new(Arc::new(AllowAll)));
        Arc::new(Bounded::new(inner, Duration::from_secs(20)))
    }
    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "host": "127.0.0.1", "port": self.server.port() });
        settings.as_object().cloned().expect("an object")
    }
    fn dead_settings(&self) -> Map<String, Value> {
        self.settings_at(scaivault_peers::free_port())
    }
    fn manager(&self) -> String {
        json!({ "username": "manager", "password": "manages" }).to_string()
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
            "GRANT nobody TO '{{name}}'@'%'".to_owned(),
        ]
    }
    async fn works(&self, name: &str, password: &str) -> bool {
        let asked = "SELECT COUNT(*) FROM shop.orders";
        self.server.try_sql(name, password, asked).is_ok()
    }
    async fn exists(&self, name: &str) -> bool {
        let asked = format!("SELECT COUNT(*) FROM mysql.user WHERE User = '{name}'");
        self.server.sql(&asked).trim() != "0"
    }
    async fn open_session(&self, name: &str, password: &str) -> Box<dyn Session> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.server.port())
            .prefer_socket(false)
            .user(Some(name))
            .pass(Some(password));
        Box::new(Held(Conn::new(opts).await.expect("a login")))
    }
    fn log_text(&self) -> String {
        self.server.general_log()
    }
    fn log_holds(&self) -> &'static str {
        "IDENTIFIED VIA mysql_native_password USING '*"
    }
}

fn with(creation: &[&str], rollback: &[&str]) -> Role {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Role {
        rollback_statements: texts(rollback),
        ..role(texts(creation))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    accounts_conform(&Maria::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_over_connections_that_are_cut() {
    cut_connections_conform(&Maria::start()).await;
}

/// A name has a row for each host that the role says; all of them go.
#[tokio::test(flavor = "multi_thread")]
async fn every_host_of_a_name_is_removed() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let both = "CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}', \
                '{{name}}'@'10.0.0.0/255.0.0.0' IDENTIFIED BY '{{password}}'; \
                GRANT SELECT ON shop.* TO '{{name}}'@'127.0.0.1'";
    let (name, password) = maker.made(&with(&[both], &[])).await;
    assert!(home.works(&name, &password).await);
    let rows = format!("SELECT COUNT(*) FROM mysql.user WHERE User = '{name}'");
    assert_eq!(home.server.sql(&rows).trim(), "2");
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));
    assert!(!home.exists(&name).await && !home.works(&name, &password).await);
}

/// The server takes nothing back by itself: the role's statements do, or the connector, and where
/// something is left it is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_half_way_is_taken_back_or_told() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let wrong = "GRANT SELECT ON nowhere.* TO '{{name}}'@'%'";
    let note = "INSERT INTO shop.seen VALUES ('made {{name}} until {{expiration}}')";
    let back = "INSERT INTO shop.seen VALUES ('back {{name}}'); DROP USER '{{name}}'@'%'";
    let (effect, name, _) = maker.create(&with(&[CREATION, note, wrong], &[back])).await;
    assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
    assert!(!home.exists(&name).await);
    let seen = home.server.sql("SELECT what FROM shop.seen");
    let until = END.to_rfc3339().replace('T', " ").replace('Z', "");
    assert_eq!(seen, format!("made {name} until {until}\nback {name}\n"));

    for not_enough in ["SELECT 1", "GRANT SELECT ON nowhere.* TO x"] {
        let (effect, name, _) = maker.create(&with(&[CREATION, wrong], &[not_enough])).await;
        assert!(matches!(effect, Effect::Unknown(_)), "{effect:?}");
        assert!(home.exists(&name).await);
        assert!(all_applied(
            &maker.remove(&[&name], &Revocation::default()).await
        ));
        assert!(!home.exists(&name).await);
    }

    // Somebody else's account of that name is not ours to drop.
    home.server.sql("CREATE USER 'taken'@'%' IDENTIFIED BY 'x'");
    let taken = "CREATE USER 'taken'@'%' IDENTIFIED BY '{{password}}'; SELECT '{{name}}'";
    let (effect, _, _) = maker.create(&with(&[taken], &[])).await;
    assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
    assert!(home.exists("taken").await);
}

/// A role's own statements are believed when no row of the account lets anybody in any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_roles_own_way_to_remove_is_checked() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let (name, password) = maker.made(&role(home.creation())).await;
    let own = |statement: &str| Revocation {
        statements: vec![statement.to_owned()],
        owned: Owned::Keep,
    };
    let back = own("ALTER USER '{{name}}'@'%' ACCOUNT UNLOCK");
    let back = maker.remove(&[&name], &back).await;
    let [Effect::NotApplied(trouble)] = &back[..] else {
        panic!("{back:?}");
    };
    assert_eq!(trouble.kind, TroubleKind::Settings);
    assert_eq!(trouble.code.as_deref(), Some("still_accepted"));
    let wrong = maker.remove(&[&name], &own("DROP USER nobody")).await;
    assert!(!all_applied(&wrong), "{wrong:?}");
    assert!(!home.works(&name, &password).await, "it is locked");
    let gone =
        own("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'%'; DROP USER '{{name}}'@'%'");
    for _ in 0..2 {
        assert!(all_applied(&maker.remove(&[&name], &gone).await));
        assert!(!home.exists(&name).await && !home.works(&name, &password).await);
    }
}

/// Statements that make another account than the one that the lease has are told, and taken back as
/// the role says.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_has_the_name_of_its_lease() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let creation = "CREATE USER 'x{{name}}'@'%' IDENTIFIED BY '{{password}}'";
    let rollback = "DROP USER 'x{{name}}'@'%'";
    let (effect, name, _) = maker.create(&with(&[creation], &[rollback])).await;
    let Effect::NotApplied(trouble) = effect else {
        panic!("{effect:?}");
    };
    assert_eq!(trouble.code.as_deref(), Some("not_made"));
    assert!(!home.exists(&format!("x{name}")).await);
}

/// What a role's own way leaves on purpose, locked, is nothing that the sweep finds.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_no_stray() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let (name, _) = maker.made(&role(home.creation())).await;
    let (other, _) = maker.made(&role(home.creation())).await;
    let own = Revocation {
        statements: vec!["ALTER USER '{{name}}'@'%' ACCOUNT LOCK".to_owned()],
        owned: Owned::Keep,
    };
    assert!(all_applied(&maker.remove(&[&name], &own).await));
    assert!(home.exists(&name).await);
    let names = maker.accounts().names(&maker.call()).await.expect("names");
    assert!(
        names.contains(&other) && !names.contains(&name),
        "{names:?}"
    );
}

/// A role's texts mean what they mean to the server by itself, and change no other role's session.
#[tokio::test(flavor = "multi_thread")]
async fn statements_are_read_as_people_write_them() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let note = r"USE shop; INSERT INTO seen VALUES ('it\'s; {{name}}')";
    let (name, _) = maker.made(&with(&[CREATION, note], &[])).await;
    let seen = home.server.sql("SELECT what FROM shop.seen");
    assert_eq!(seen, format!("it's; {name}\n"));
    // Without its own USE there is no database.
    let bare = "INSERT INTO seen VALUES ('{{name}}')";
    let (effect, other, _) = maker.create(&with(&[CREATION, bare], &[])).await;
    assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
    assert!(!home.exists(&other).await);
}

/// Sessions that waited are opened again when the server was away, and nothing is in doubt for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_found_again() {
    let mut home = Maria::start();
    let maker = Maker::new(&home);
    let (name, _) = maker.made(&role(home.creation())).await;
    home.server.kill();
    home.server.restart();
    let (other, password) = maker.made(&role(home.creation())).await;
    assert!(home.works(&other, &password).await);
    assert!(all_applied(
        &maker.remove(&[&name, &other], &Revocation::default()).await
    ));
}

/// Renewal is told in the role's words alone: the server holds no end.
#[tokio::test(flavor = "multi_thread")]
async fn renewal_runs_what_the_role_says() {
    let home = Maria::start();
    let maker = Maker::new(&home);
    let told = Role {
        renew_statements: vec!["INSERT INTO shop.seen VALUES ('{{expiration}}')".to_owned()],
        ..role(home.creation())
    };
    let (name, _) = maker.made(&told).await;
    let renewed = maker
        .accounts()
        .renew(&maker.call(), (&name, &told), END)
        .await;
    assert!(matches!(renewed, Effect::Applied(_)), "{renewed:?}");
    let until = END.to_rfc3339().replace('T', " ").replace('Z', "");
    assert_eq!(home.server.sql("SELECT what FROM shop.seen").trim(), until);
}

#[test]
fn roles_are_checked_without_a_server() {
    let connector = MySql::new(Arc::new(AllowAll));
    let accounts = connector.accounts().expect("it makes accounts");
    let problems = |role: &Role| {
        let found = accounts.check_role(role);
        found
            .into_iter()
            .map(|(field, _)| field)
            .collect::<Vec<_>>()
    };
    let drop = "DROP USER '{{name}}'@'%'";
    assert_eq!(problems(&with(&[CREATION], &[drop])), [""; 0]);
    for wrong in [
        &[][..],
        &["CREATE USER x IDENTIFIED BY '{{password}}'"],
        &["CREATE USER '{{name}}'@'%'"],
        &["CREATE USER '{{name}}'@'%' IDENTIFIED BY {{password}}"],
        &["CREATE USER '{{name}}'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{{password}}')"],
        &[
            CREATION,
            "SET PASSWORD FOR '{{name}}'@'%' = PASSWORD('{{password}}')",
        ],
        &["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}"],
    ] {
        assert_eq!(
            problems(&with(wrong, &[])),
            ["creation_statements"],
            "{wrong:?}"
        );
    }
    let told = with(&[CREATION], &["SELECT '{{password}}'"]);
    assert_eq!(problems(&told), ["rollback_statements"]);
    let mut odd = with(&[CREATION], &[]);
    odd.revocation.owned = Owned::Drop;
    odd.settings.insert("x".to_owned(), json!(1));
    odd.username_template = Some("{{role}}".to_owned());
    assert_eq!(
        problems(&odd),
        ["owned_objects", "username_template", "settings.x"]
    );
}
