//! Keys made on request at a scripted service: the suite, and what only minted keys have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use scaivault_connectors::Bounded;
use scaivault_connectors::http_key::HttpKey;
use scaivault_core::dynamic::{Revocation, Role};
use scaivault_core::ports::{Call, Connector, Effect};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value, json};

use crate::accounts::{
    Home, Maker, accounts_conform, all_applied, cut_connections_conform, plain, role,
};
use crate::conformance::{AllowAll, Session};
use crate::fake_keys::{FakeKeys, Kind, MANAGER, Trick, WEAK};
use crate::http_key::forms;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn with(fields: Value) -> Role {
    Role {
        settings: object(json!({"fields": fields})),
        ..role(Vec::new())
    }
}

struct Service {
    fake: Arc<FakeKeys>,
    settings: Value,
    fields: Value,
}

impl Service {
    async fn sendgrid() -> Self {
        let fake = Arc::new(FakeKeys::start().await);
        Self {
            settings: json!({"service": "sendgrid", "base_url": fake.url(), "timeout_s": 2}),
            fields: json!({"scopes": ["mail.send"]}),
            fake,
        }
    }

    async fn forms(consistency_seconds: u64) -> Self {
        let fake = Arc::new(FakeKeys::start().await);
        let description = forms(consistency_seconds);
        Self {
            settings: json!({"description": description, "base_url": fake.url(), "timeout_s": 2}),
            fields: json!({"role": "reader"}),
            fake,
        }
    }
}

/// A user of a key, who proves it with every request.
struct User(Arc<FakeKeys>, String);

#[async_trait]
impl Session for User {
    async fn works(&mut self) -> bool {
        self.0.accepts(&self.1)
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl Home for Service {
    fn connector(&self) -> Arc<dyn Connector> {
        let inner = Arc::new(HttpKey::new(Arc::new(AllowAll)));
        Arc::new(Bounded::new(inner, Duration::from_secs(20)))
    }
    fn settings(&self) -> Map<String, Value> {
        object(self.settings.clone())
    }
    fn settings_at(&self, port: u16) -> Map<String, Value> {
        let mut settings = self.settings.clone();
        settings["base_url"] = json!(format!("http://127.0.0.1:{port}"));
        object(settings)
    }
    fn port(&self) -> u16 {
        self.fake.address.port()
    }
    fn dead_settings(&self) -> Map<String, Value> {
        self.settings_at(scaivault_peers::free_port())
    }
    fn manager(&self) -> String {
        json!({"api_key": MANAGER}).to_string()
    }
    fn weak_manager(&self) -> String {
        json!({"api_key": WEAK}).to_string()
    }
    fn creation(&self) -> Vec<String> {
        Vec::new()
    }
    fn broken_creation(&self) -> Vec<String> {
        Vec::new()
    }
    fn role(&self) -> Role {
        with(self.fields.clone())
    }
    /// Without what the description needs.
    fn broken_role(&self) -> Role {
        with(json!({}))
    }
    fn minted(&self) -> Option<&'static str> {
        Some("api_key")
    }
    async fn works(&self, _name: &str, password: &str) -> bool {
        self.fake.accepts(password)
    }
    async fn exists(&self, name: &str) -> bool {
        self.fake.names().contains(&format!("lease_{name}.e1"))
    }
    async fn open_session(&self, _name: &str, password: &str) -> Box<dyn Session> {
        Box::new(User(Arc::clone(&self.fake), password.to_owned()))
    }
    fn log_text(&self) -> String {
        self.fake.state().log.join("\n")
    }
    fn log_holds(&self) -> &'static str {
        "POST /v"
    }
}

#[tokio::test]
async fn accounts() {
    accounts_conform(&Service::sendgrid().await).await;
    accounts_conform(&Service::forms(0).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_over_connections_that_are_cut() {
    cut_connections_conform(&Service::sendgrid().await).await;
}

/// A key whose answer was lost is found by its name and revoked; a service that repeats its answer
/// is asked again instead.
#[tokio::test]
async fn a_key_whose_answer_was_lost_is_found_by_its_name() {
    let home = Service::sendgrid().await;
    let maker = Maker::new(&home);
    for trick in [
        Trick::Lose,
        Trick::Late(Duration::from_secs(3)),
        Trick::Body("{}".to_owned()),
    ] {
        home.fake.trick(Kind::Create, trick);
        let (effect, name, _) = maker.create(&home.role()).await;
        assert!(matches!(effect, Effect::Unknown(_)), "{effect:?}");
        assert!(home.exists(&name).await);
        assert!(all_applied(
            &maker.remove(&[&name], &Revocation::default()).await
        ));
        assert!(!home.exists(&name).await);
    }
    let home = Service::forms(0).await;
    let maker = Maker::new(&home);
    home.fake.trick(Kind::Create, Trick::Lose);
    let (_, key) = maker.made(&home.role()).await;
    assert!(home.fake.accepts(&key));
    assert_eq!(home.fake.names().len(), 1);
}

/// A revocation whose answer was lost is made again, and what is left of a list that is longer
/// than what is read is never said to be gone.
#[tokio::test]
async fn nothing_is_said_to_be_gone_that_may_be_there() {
    let home = Service::sendgrid().await;
    let maker = Maker::new(&home);
    let (name, _) = maker.made(&home.role()).await;
    home.fake.trick(Kind::Revoke, Trick::Lose);
    let lost = maker.remove(&[&name], &Revocation::default()).await;
    assert!(matches!(&lost[..], [Effect::Unknown(_)]), "{lost:?}");
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));

    // As many keys as the pages hold, and ours behind them.
    let mut home = Service::forms(0).await;
    home.settings["description"]["list"]["pages"]["max"] = json!(1);
    let maker = Maker::new(&home);
    let (name, _) = maker.made(&home.role()).await;
    home.fake.state().keys.reverse();
    for other in 0..5 {
        home.fake.plant(&format!("other{other}"), "somebody");
    }
    home.fake.state().keys.reverse();
    let owed = maker.remove(&[&name], &Revocation::default()).await;
    let [Effect::NotApplied(trouble)] = &owed[..] else {
        panic!("{owed:?}");
    };
    assert_eq!(trouble.code.as_deref(), Some("too_many_pages"));
    assert!(home.exists(&name).await);
}

/// Where a service lists a key only after a while, one that is not listed is not yet gone.
#[tokio::test]
async fn a_list_that_lags_is_waited_for() {
    let home = Service::forms(2).await;
    let maker = Maker::new(&home);
    let (name, _) = maker.credential();
    let how = Revocation::default();
    let first = Instant::now();
    loop {
        let effects = maker.remove(&[&name], &how).await;
        let [effect] = &effects[..] else {
            panic!("{effects:?}");
        };
        match effect {
            Effect::Applied(_) => break,
            Effect::NotApplied(trouble) => {
                assert_eq!(trouble.code.as_deref(), Some("settling"));
                let left = trouble.retry_after_s.expect("how long");
                assert!(left <= 2);
                tokio::time::sleep(Duration::from_secs(left)).await;
            }
            Effect::Unknown(_) => panic!("{effect:?}"),
        }
    }
    assert!(first.elapsed() >= Duration::from_secs(2));
}

/// Keys of leases are none of a rotation's, and the other way round.
#[tokio::test]
async fn rotations_and_leases_leave_each_others_keys_alone() {
    let home = Service::sendgrid().await;
    let maker = Maker::new(&home);
    let (name, key) = maker.made(&home.role()).await;
    let connector = home.connector();
    let (settings, account) = (home.settings(), object(json!({"fields": home.fields})));
    let manager = plain(&home.manager());
    let call = Call {
        settings: &settings,
        account: &account,
        overlap: Overlap::NKeys,
        manager: Some(&manager),
        tag: &name,
        epoch: 9,
        promoted_for: None,
    };
    assert_eq!(connector.tags(&call).await, Ok(Vec::new()));
    assert!(matches!(connector.clear(&call).await, Effect::Applied(_)));
    assert!(home.fake.accepts(&key));
    let effect = connector.apply(&call, None, None).await;
    assert!(matches!(effect, Effect::Applied(_)), "{effect:?}");
    let names = maker.accounts().names(&maker.call()).await;
    assert_eq!(names, Ok(vec![name.clone()]));
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));
    assert_eq!(home.fake.names(), [format!("scaivault_{name}.e9")]);
}

/// What revoking needs is the target's: a role may be gone by then.
#[tokio::test]
async fn fields_that_revoking_needs_are_the_targets() {
    let mut home = Service::sendgrid().await;
    home.settings = json!({"service": "stripe", "base_url": home.fake.url()});
    home.fake.state().pages_at = home.fake.url();
    let all =
        json!({"stripe_version": "v", "stripe_account": "a", "permissions": ["balance_read"]});
    let refused = |effect: Effect| {
        let Effect::NotApplied(Trouble { kind, .. }) = effect else {
            panic!("{effect:?}");
        };
        assert_eq!(kind, TroubleKind::Settings);
    };
    refused(Maker::new(&home).create(&with(all.clone())).await.0);
    home.settings["fields"] = json!({"stripe_version": "v", "stripe_account": "a"});
    let maker = Maker::new(&home);
    refused(maker.create(&with(all)).await.0);
    // A look at the target in general lists by them, too.
    let (settings, manager) = (home.settings(), plain(&home.manager()));
    let nothing = Map::new();
    let call = Call {
        settings: &settings,
        account: &nothing,
        overlap: Overlap::NKeys,
        manager: Some(&manager),
        tag: "",
        epoch: 1,
        promoted_for: None,
    };
    let check = home.connector().check(&call).await.expect("a look");
    assert!(check.may.contains(&"list keys".to_owned()), "{check:?}");
    let own = with(json!({"permissions": ["balance_read"]}));
    let (name, key) = maker.made(&own).await;
    assert!(home.fake.accepts(&key));
    let names = maker.accounts().names(&maker.call()).await;
    assert_eq!(names, Ok(vec![name.clone()]));
    assert!(all_applied(
        &maker.remove(&[&name], &Revocation::default()).await
    ));
    assert!(!home.fake.accepts(&key));
}

#[test]
fn roles_are_checked_without_a_service() {
    let connector = HttpKey::new(Arc::new(AllowAll));
    let accounts = connector.accounts().expect("it makes accounts");
    let problems = |role: &Role| {
        let found = accounts.check_role(role);
        let fields = found.into_iter().map(|(field, _)| field);
        fields.collect::<Vec<_>>()
    };
    assert_eq!(problems(&with(json!({"scopes": ["mail.send"]}))), [""; 0]);
    assert_eq!(
        problems(&with(json!({"scopes": {}}))),
        ["settings.fields.scopes"]
    );
    let mut odd = with(json!({}));
    odd.settings.insert("odd".to_owned(), json!(1));
    odd.creation_statements.push("x".to_owned());
    assert_eq!(problems(&odd), ["settings.odd", "creation_statements"]);
    let settings = json!({"service": "sendgrid", "fields": {"scopes": 1, "token": "x"}});
    let found = connector.check_settings(&object(settings));
    assert_eq!(found[0].0, "fields.token");
}
