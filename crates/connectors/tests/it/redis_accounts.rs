//! Users made at Redis: the suite, and what only Redis has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_connectors::Bounded;
use scaivault_connectors::redis::Redis as Connects;
use scaivault_core::dynamic::{Owned, Revocation};
use scaivault_core::ports::{Connector, Effect};
use scaivault_core::target::TroubleKind;
use scaivault_peers::redis::Redis as Peer;
use serde_json::{Map, Value, json};

use crate::accounts::{Home, Maker, accounts_conform, all_applied, cut_connections_conform, role};
use crate::conformance::{AllowAll, Session};
use crate::redis::{MINIMAL, Raw};

const RULES: &str = r#"["~app:*", "+@read", "~{{name}}:*", "+set"]"#;

struct Users {
    peers: Vec<Peer>,
    volatile_ok: bool,
}

impl Users {
    fn of(peers: Vec<Peer>) -> Self {
        for peer in &peers {
            peer.cli("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 100000");
            peer.cli(&format!("ACL SETUSER manager on >manages {MINIMAL}"));
            peer.cli("ACL SETUSER weak on >may-do-nothing");
        }
        Self {
            peers,
            volatile_ok: false,
        }
    }

    fn start() -> Self {
        Self::of(vec![Peer::start()])
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

#[async_trait]
impl Home for Users {
    fn connector(&self) -> Arc<dyn Connector> {
        let inner = Arc::new(Connects::new(Arc::new(AllowAll)));
        Arc::new(Bounded::new(inner, Duration::from_secs(20)))
    }
    fn settings(&self) -> Map<String, Value> {
        let mut settings = match &self.peers[..] {
            [peer] => json!({ "host": "127.0.0.1", "port": peer.port() }),
            all => {
                let nodes = all.iter().map(|peer| format!("127.0.0.1:{}", peer.port()));
                json!({ "nodes": nodes.collect::<Vec<_>>() })
            }
        };
        settings["volatile_ok"] = json!(self.volatile_ok);
        object(&settings)
    }
    fn dead_settings(&self) -> Map<String, Value> {
        object(&json!({ "host": "127.0.0.1", "port": scaivault_peers::free_port() }))
    }
    fn manager(&self) -> String {
        json!({ "username": "manager", "password": "manages" }).to_string()
    }
    fn weak_manager(&self) -> String {
        json!({ "username": "weak", "password": "may-do-nothing" }).to_string()
    }
    fn creation(&self) -> Vec<String> {
        vec![RULES.to_owned()]
    }
    fn broken_creation(&self) -> Vec<String> {
        vec![RULES.to_owned(), "+there-is-no-such-command".to_owned()]
    }
    /// At every node.
    async fn works(&self, name: &str, password: &str) -> bool {
        for peer in &self.peers {
            let Some(mut raw) = Raw::open(peer, name, password).await else {
                return false;
            };
            if raw.say("GET app:x").await != "$-1" {
                return false;
            }
        }
        true
    }
    /// At any node.
    async fn exists(&self, name: &str) -> bool {
        let has = |peer: &Peer| peer.cli("ACL USERS").lines().any(|line| line == name);
        self.peers.iter().any(has)
    }
    async fn open_session(&self, name: &str, password: &str) -> Box<dyn Session> {
        let raw = Raw::open(&self.peers[0], name, password).await;
        Box::new(raw.expect("a login"))
    }
    fn log_text(&self) -> String {
        let peer = &self.peers[0];
        let logs = [
            peer.cli("SLOWLOG GET -1"),
            peer.cli("ACL LOG 1000"),
            peer.log(),
        ];
        logs.join("\n")
    }
    fn log_holds(&self) -> &'static str {
        "SETUSER"
    }
}

#[tokio::test]
async fn accounts() {
    accounts_conform(&Users::start()).await;
}

#[tokio::test]
async fn accounts_of_two_nodes() {
    accounts_conform(&Users::of(Peer::start_two().into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_over_connections_that_are_cut() {
    cut_connections_conform(&Users::start()).await;
}

/// A user may do what the role says and nothing else, with its own name in the rules.
#[tokio::test]
async fn a_user_has_the_rules_of_its_role_alone() {
    let home = Users::start();
    let maker = Maker::new(&home);
    let (name, password) = maker.made(&role(home.creation())).await;
    let mut raw = Raw::open(&home.peers[0], &name, &password)
        .await
        .expect("a login");
    assert_eq!(raw.say(&format!("SET {name}:x 1")).await, "+OK");
    assert_eq!(raw.say("SET app:x 1").await, "+OK");
    for refused in ["SET other:x 1", "DEL app:x", "SUBSCRIBE news"] {
        assert!(raw.say(refused).await.starts_with("-NOPERM"), "{refused}");
    }
}

/// What was made and what was deleted stays so when the server starts again, wherever it keeps its
/// users.
#[tokio::test]
async fn users_are_kept_and_gone_over_a_restart() {
    for peer in [Peer::start(), Peer::start_with_config_file()] {
        let mut home = Users::of(vec![peer]);
        let maker = Maker::new(&home);
        let (name, password) = maker.made(&role(home.creation())).await;
        let (dead, _) = maker.made(&role(home.creation())).await;
        assert!(all_applied(
            &maker.remove(&[&dead], &Revocation::default()).await
        ));
        // Deleted by a call that got no further: a second one saves it.
        let (lost, _) = maker.made(&role(home.creation())).await;
        home.peers[0].cli(&format!("ACL DELUSER {lost}"));
        assert!(all_applied(
            &maker.remove(&[&lost], &Revocation::default()).await
        ));
        home.peers[0].kill();
        home.peers[0].restart();
        assert!(home.works(&name, &password).await);
        assert!(!home.exists(&dead).await && !home.exists(&lost).await);
    }
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_unless_it_may() {
    let mut home = Users::of(vec![Peer::start_volatile()]);
    let (effect, name, _) = Maker::new(&home).create(&role(home.creation())).await;
    let Effect::NotApplied(trouble) = &effect else {
        panic!("{effect:?}");
    };
    assert_eq!(trouble.code.as_deref(), Some("volatile"));
    assert!(!home.exists(&name).await);
    home.volatile_ok = true;
    let maker = Maker::new(&home);
    let (name, password) = maker.made(&role(home.creation())).await;
    assert!(home.works(&name, &password).await);
    // Whatever the settings say by then, what is there can be removed.
    home.volatile_ok = false;
    let maker = Maker::new(&home);
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));
    assert!(!home.exists(&name).await);
}

/// Nothing is made while a node is away; what is there is removed where it can be, and owed.
#[tokio::test]
async fn a_node_that_is_away_holds_no_other_back() {
    let mut home = Users::of(Peer::start_two().into());
    let maker = Maker::new(&home);
    let (name, password) = maker.made(&role(home.creation())).await;
    assert!(home.works(&name, &password).await);
    home.peers[0].kill();
    let (effect, other, _) = maker.create(&role(home.creation())).await;
    assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
    let owed = maker.remove(&[&name], &Revocation::default()).await;
    assert!(matches!(&owed[..], [Effect::Unknown(_)]), "{owed:?}");
    let left = home.peers[1].cli("ACL USERS");
    assert!(!left.lines().any(|line| line == name || line == other));
    home.peers[0].restart();
    assert!(home.exists(&name).await);
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));
    assert!(!home.exists(&name).await);
}

/// A user of that name that somebody else made stays as it is.
#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let home = Users::start();
    let maker = Maker::new(&home);
    let (name, _) = maker.credential();
    home.peers[0].cli(&format!("ACL SETUSER {name} on >theirs +get ~app:*"));
    let password = crate::accounts::plain("ours");
    let good = role(home.creation());
    let new = scaivault_core::ports::NewAccount {
        name: &name,
        password: &password,
        expires_at: crate::accounts::END,
        role: &good,
        request: crate::accounts::request(),
    };
    let effect = maker.accounts().create(&maker.call(), &new).await;
    let Effect::NotApplied(trouble) = &effect else {
        panic!("{effect:?}");
    };
    assert_eq!(trouble.kind, TroubleKind::Settings);
    assert_eq!(trouble.code.as_deref(), Some("exists"));
    assert!(home.works(&name, "theirs").await && !home.works(&name, "ours").await);
}

#[test]
fn roles_are_checked_without_a_server() {
    let connector = Connects::new(Arc::new(AllowAll));
    let accounts = connector.accounts().expect("it makes accounts");
    let problems = |role: &scaivault_core::dynamic::Role| {
        let found = accounts.check_role(role);
        let fields = found.into_iter().map(|(field, _)| field);
        fields.collect::<Vec<_>>()
    };
    assert_eq!(problems(&role(vec![RULES.to_owned()])), [""; 0]);
    for wrong in ["", ">secret", "nopass", "+get ~{{password}}", "[1]"] {
        let found = problems(&role(vec![wrong.to_owned()]));
        assert_eq!(found, ["creation_statements"], "{wrong}");
    }
    let mut odd = role(vec![RULES.to_owned()]);
    odd.revocation = Revocation {
        statements: vec!["ACL DELUSER {{name}}".to_owned()],
        owned: Owned::Drop,
    };
    odd.renew_statements = vec!["x".to_owned()];
    assert_eq!(
        problems(&odd),
        ["renew_statements", "revocation_statements", "owned_objects"]
    );
}
