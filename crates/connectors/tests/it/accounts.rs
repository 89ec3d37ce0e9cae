//! What every connector that makes accounts has to do, whatever the target: one call per target.

#![allow(dead_code, reason = "a build without connectors calls nothing")]

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use scaivault_core::dynamic::{NameTemplate, Revocation, Role};
use scaivault_core::ids::{EngineId, TenantId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Connector, Effect, Entropy, NewAccount, OldAccount,
};
use scaivault_core::time::Timestamp;
use scaivault_peers::FaultProxy;
use scaivault_testkit::SeededEntropy;
use serde_json::{Map, Value};

use crate::conformance::Session;

/// The end of accounts in these tests: far enough for any clock.
pub(crate) const END: Timestamp = Timestamp::from_secs(4_000_000_000);

/// A target in which accounts are made.
#[async_trait]
pub(crate) trait Home: Sync {
    fn connector(&self) -> Arc<dyn Connector>;
    fn settings(&self) -> Map<String, Value>;
    /// The same settings, at another port of this machine.
    fn settings_at(&self, port: u16) -> Map<String, Value> {
        let mut settings = self.settings();
        settings.insert("port".to_owned(), Value::from(port));
        settings
    }
    /// Where the target is on this machine.
    fn port(&self) -> u16 {
        let port = self.settings().get("port").and_then(Value::as_u64);
        u16::try_from(port.expect("a port")).expect("a port")
    }
    /// Settings that reach nobody.
    fn dead_settings(&self) -> Map<String, Value>;
    /// The manager's secret.
    fn manager(&self) -> String;
    /// A manager that is let in and may do nothing.
    fn weak_manager(&self) -> String;
    /// What accounts are made by, and may do what [`Home::works`] tries.
    fn creation(&self) -> Vec<String>;
    /// Statements of which the last one fails.
    fn broken_creation(&self) -> Vec<String>;
    /// A role of the first.
    fn role(&self) -> Role {
        role(self.creation())
    }
    /// A role that makes nothing.
    fn broken_role(&self) -> Role {
        role(self.broken_creation())
    }
    /// What the target mints in place of a password, where it does.
    fn minted(&self) -> Option<&'static str> {
        None
    }
    /// A real login, and something that the role may do.
    async fn works(&self, name: &str, password: &str) -> bool;
    async fn exists(&self, name: &str) -> bool;
    async fn open_session(&self, name: &str, password: &str) -> Box<dyn Session>;
    /// Everything the target wrote to its log.
    fn log_text(&self) -> String;
    /// What is in the log when statements are.
    fn log_holds(&self) -> &'static str;
}

/// How many bytes more each connection may pass than the one before.
const CUT_STEP: usize = 60;

/// A role with these statements.
pub(crate) fn role(creation: Vec<String>) -> Role {
    Role {
        tenant: TenantId::parse("tnt_a").expect("an id"),
        engine_id: EngineId::parse("eng_1").expect("an id"),
        name: "reader".to_owned(),
        creation_statements: creation,
        rollback_statements: Vec::new(),
        renew_statements: Vec::new(),
        revocation: Revocation::default(),
        username_template: None,
        settings: Map::new(),
        default_ttl: None,
        max_ttl: None,
        created_at: END,
        updated_at: END,
        revision: 1,
    }
}

/// Makes and removes accounts at a home.
pub(crate) struct Maker {
    connector: Arc<dyn Connector>,
    settings: Map<String, Value>,
    manager: Plaintext,
    entropy: SeededEntropy,
    minted: Option<&'static str>,
}

/// What somebody asks for who has nothing to add.
pub(crate) fn request() -> AccountRequest<'static> {
    static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    AccountRequest {
        holder: "sa:shop",
        asked_at: END,
        params: &NOTHING,
    }
}

pub(crate) fn plain(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

impl Maker {
    pub(crate) fn new(home: &dyn Home) -> Self {
        Self {
            connector: home.connector(),
            settings: home.settings(),
            manager: plain(&home.manager()),
            entropy: SeededEntropy::new(7),
            minted: home.minted(),
        }
    }

    pub(crate) fn accounts(&self) -> &dyn Accounts {
        self.connector.accounts().expect("it makes accounts")
    }

    pub(crate) fn call(&self) -> AccountCall<'_> {
        AccountCall {
            settings: &self.settings,
            manager: Some(&self.manager),
        }
    }

    /// A name and a password as the engine makes them.
    pub(crate) fn credential(&self) -> (String, String) {
        let of = scaivault_core::dynamic::AccountName {
            role: "reader",
            display_name: "sa:shop",
            chars_max: self.accounts().name_chars_max(),
        };
        let name = NameTemplate::default().make(of, END, &self.entropy, &|_| [1, 2, 3, 4]);
        let mut random = [0u8; 16];
        self.entropy.fill(&mut random);
        (name, hex::encode(random))
    }

    pub(crate) async fn create(&self, role: &Role) -> (Effect, String, String) {
        let (name, password) = self.credential();
        let new = NewAccount {
            name: &name,
            password: &plain(&password),
            expires_at: END,
            role,
            request: request(),
        };
        let effect = self.accounts().create(&self.call(), &new).await;
        (effect, name, password)
    }

    pub(crate) async fn made(&self, role: &Role) -> (String, String) {
        let (effect, name, password) = self.create(role).await;
        let Effect::Applied(fields) = effect else {
            panic!("{effect:?}");
        };
        match self.minted {
            None => (name, password),
            Some(own) => {
                let field = fields.iter().find(|field| field.name == own);
                let value = field.expect("a minted field").value.expose().to_vec();
                (name, String::from_utf8(value).expect("text"))
            }
        }
    }

    pub(crate) async fn remove(&self, names: &[&str], revocation: &Revocation) -> Vec<Effect> {
        let accounts: Vec<_> = names
            .iter()
            .map(|name| OldAccount { name, revocation })
            .collect();
        self.accounts().remove(&self.call(), &accounts).await
    }
}

pub(crate) fn all_applied(effects: &[Effect]) -> bool {
    effects
        .iter()
        .all(|effect| matches!(effect, Effect::Applied(_)))
}

/// The suite.
pub(crate) async fn accounts_conform(home: &dyn Home) {
    let maker = Maker::new(home);
    let good = home.role();
    assert_eq!(maker.accounts().check_role(&good), []);

    // Made, used, renewed, removed with its sessions, and removed once more.
    let (name, password) = maker.made(&good).await;
    assert!(home.works(&name, &password).await);
    assert!(!home.works(&name, "wrong").await);
    let names = maker.accounts().names(&maker.call()).await;
    assert!(names.expect("names").contains(&name));
    let until = END.plus(std::time::Duration::from_secs(3_600));
    let renewed = maker
        .accounts()
        .renew(&maker.call(), (&name, &good), until)
        .await;
    assert!(matches!(renewed, Effect::Applied(_)), "{renewed:?}");
    assert!(home.works(&name, &password).await);
    let mut session = home.open_session(&name, &password).await;
    assert!(session.works().await);
    let how = Revocation::default();
    for round in 0..2 {
        let gone = maker.remove(&[&name], &how).await;
        assert!(all_applied(&gone), "{round}: {gone:?}");
        assert!(!home.works(&name, &password).await);
        assert!(!home.exists(&name).await);
        assert!(!session.works().await, "the session goes on");
    }

    // Half made is not made.
    let (effect, name, _) = maker.create(&home.broken_role()).await;
    assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
    assert!(!home.exists(&name).await);

    // Many at once, and one of them was never there.
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(maker.made(&good).await);
    }
    let (never, _) = maker.credential();
    let mut names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
    names.push(&never);
    assert!(all_applied(&maker.remove(&names, &how).await));
    for (name, password) in &made {
        assert!(!home.exists(name).await && !home.works(name, password).await);
    }

    // Who may not, and who cannot be reached, promises that nothing was done.
    let (name, password) = maker.made(&good).await;
    let weak = plain(&home.weak_manager());
    let dead = home.dead_settings();
    let weak = AccountCall {
        manager: Some(&weak),
        ..maker.call()
    };
    let nowhere = AccountCall {
        settings: &dead,
        ..maker.call()
    };
    let nobody = AccountCall {
        manager: None,
        ..maker.call()
    };
    for call in [weak, nowhere, nobody] {
        let (other, secret) = maker.credential();
        let new = NewAccount {
            name: &other,
            password: &plain(&secret),
            expires_at: END,
            role: &good,
            request: request(),
        };
        let effect = maker.accounts().create(&call, &new).await;
        assert!(matches!(effect, Effect::NotApplied(_)), "{effect:?}");
        assert!(!home.exists(&other).await);
        let old = OldAccount {
            name: &name,
            revocation: &how,
        };
        let effects = maker.accounts().remove(&call, &[old]).await;
        assert!(
            matches!(&effects[..], [Effect::NotApplied(_) | Effect::Unknown(_)]),
            "{effects:?}"
        );
        assert!(home.works(&name, &password).await);
    }
    assert!(all_applied(&maker.remove(&[&name], &how).await));

    let log = home.log_text();
    assert!(log.contains(home.log_holds()), "statements are not logged");
    made.push((name, password));
    for (_, password) in &made {
        assert!(!log.contains(password), "the target's log holds a password");
    }
}

/// A connection that ends anywhere: what is promised not to be made is not there, what may be there
/// is found by its name, and what is said to be gone is gone.
pub(crate) async fn cut_connections_conform(home: &dyn Home) {
    let proxy = FaultProxy::start(home.port());
    let maker = Maker::new(home);
    let through = home.settings_at(proxy.port());
    let cut = AccountCall {
        settings: &through,
        ..maker.call()
    };
    let role = home.role();
    let how = Revocation::default();
    let (mut not_made, mut perhaps, mut bytes) = (Vec::new(), Vec::new(), 1);
    loop {
        let (name, password) = maker.credential();
        let password = plain(&password);
        let new = NewAccount {
            name: &name,
            password: &password,
            expires_at: END,
            role: &role,
            request: request(),
        };
        proxy.cut_after(bytes);
        let effect = maker.accounts().create(&cut, &new).await;
        proxy.heal();
        match effect {
            Effect::Applied(_) => {
                assert!(home.exists(&name).await, "{bytes}");
                perhaps.push(name);
                break;
            }
            Effect::NotApplied(_) => not_made.push(name),
            Effect::Unknown(_) => {
                let gone = maker.remove(&[&name], &how).await;
                assert!(all_applied(&gone), "{bytes}: {gone:?}");
                perhaps.push(name);
            }
        }
        bytes += CUT_STEP;
    }
    assert!(!not_made.is_empty() && perhaps.len() > 1, "{perhaps:?}");
    for name in &not_made {
        assert!(!home.exists(name).await, "promised not to be there");
    }
    // Once more: what was sent may have arrived after the first time.
    let names: Vec<&str> = perhaps.iter().map(String::as_str).collect();
    assert!(all_applied(&maker.remove(&names, &how).await));
    for name in &names {
        assert!(!home.exists(name).await);
    }

    // Of sessions that wait none passes a first cut.
    proxy.reset();
    let mut was_cut = false;
    for step in 0.. {
        let (name, password) = maker.made(&role).await;
        let old = OldAccount {
            name: &name,
            revocation: &how,
        };
        proxy.cut_after(1 + step * CUT_STEP);
        let effects = maker.accounts().remove(&cut, &[old]).await;
        proxy.heal();
        let gone = all_applied(&effects);
        was_cut |= !gone;
        if !gone {
            assert!(all_applied(&maker.remove(&[&name], &how).await), "{step}");
        }
        assert!(!home.exists(&name).await, "{step}");
        assert!(!home.works(&name, &password).await, "{step}");
        if gone {
            break;
        }
    }
    assert!(was_cut);
}
