//! Rehearsals as the engine runs them, at the real server.

use std::sync::Arc;
use std::time::Instant;

use scaivault_core::debt::{Debt, Owed};
use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::ids::{DebtId, TargetId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Clock, Connector, Connectors, Descriptor, Login, Record, RunReads, Store, Unit, UnitName,
};
use scaivault_core::seal::KeyPurpose;
use scaivault_core::target::Target;
use scaivault_core::tenancy::Seat;
use scaivault_core::time::Timestamp;
use scaivault_crypto::{Keyring, RootKey};
use scaivault_engine::{Caller, SecretWrite, Vault, VaultPorts, default_tenant};
use scaivault_testkit::{ManualClock, MemoryStore, ScriptedCourier, SeededEntropy};

use super::suite::{Suite, assert_applied, plain};
use super::{Subject, cases};

const NAME: &str = "under-test";

/// Time that runs, from a fixed start.
struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(self.0.elapsed())
    }
}

struct One(Arc<dyn Connector>);

impl Connectors for One {
    fn get(&self, name: &str) -> Option<Arc<dyn Connector>> {
        (name == self.0.descriptor().name).then(|| self.0.clone())
    }

    fn list(&self) -> Vec<Descriptor> {
        vec![self.0.descriptor()]
    }
}

fn root() -> Caller {
    Caller {
        principal: Arc::new(Principal {
            tenant: default_tenant(),
            seat: Seat::default(),
            identity: Identity::parse("user:root").expect("an identity"),
            scopes: ScopeSet::all(),
            groups: Vec::new(),
            token_id: None,
            is_root: true,
            mfa_at: None,
            expires_at: None,
            foreign: None,
            limited_as: None,
        }),
        request_id: None,
        source_ip: None,
        user_agent: None,
        started_at: Timestamp::default(),
    }
}

struct Installed {
    vault: Vault,
    store: Arc<MemoryStore>,
    target: Target,
}

/// A vault that knows the server as a target, its manager's credential stored.
async fn installed(subject: &dyn Subject) -> Installed {
    let entropy = Arc::new(SeededEntropy::new(7));
    let clock = Arc::new(Running(Instant::now()));
    let store = Arc::new(MemoryStore::default());
    let root_key = RootKey::generate(&SeededEntropy::new(0));
    let now = clock.now();
    let mut records = Keyring::first_records(&root_key, now, &*entropy);
    let keyring = Keyring::unlock(&root_key, &records).expect("unlocked");
    let tenant = default_tenant();
    let made = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), now, &*entropy);
    records.push(made.expect("a key"));
    let keyring = Keyring::unlock(&root_key, &records).expect("unlocked");
    let connector = subject.connector();
    let name = connector.descriptor().name;
    let manager_path = SecretPath::parse("managers/under-test").expect("a path");
    let target = Target {
        id: TargetId::mint(now, &*entropy),
        tenant,
        name: NAME.to_owned(),
        description: None,
        connector: name.to_owned(),
        settings: subject.settings(),
        manager_path: Some(manager_path.clone()),
        created_at: now,
        updated_at: now,
        swept_at: None,
        revision: 1,
    };
    let unit = Unit::new(UnitName::TargetWrite).put(Record::Target(target.clone()));
    store.commit(unit).await.expect("stored");
    let vault = Vault::new(VaultPorts {
        store: store.clone(),
        keyring: Arc::new(keyring),
        clock,
        entropy,
        courier: Arc::new(ScriptedCourier::new(Arc::new(ManualClock::default()))),
        connectors: Arc::new(One(connector)),
        feed: None,
    });
    let write = SecretWrite {
        path: manager_path,
        data: Plaintext::new(subject.manager().into_bytes()),
        secret_type: None,
        metadata: None,
        max_versions: None,
        expires_in: None,
        notify_before: None,
        rotation_policy_id: None,
        cas: None,
        rotation_id: None,
        cas_required: false,
        delete_after_s: None,
        max_versions_new: None,
    };
    vault.secret_write(&root(), write).await.expect("written");
    Installed {
        vault,
        store,
        target,
    }
}

/// A whole rehearsal passes and leaves nothing; what one that was cut left is removed by the
/// worker of debts.
pub(super) async fn rehearsal(suite: &mut Suite<'_>) {
    let subject = suite.subject;
    let overlap = subject.overlap();
    suite.begin();
    let Some(account) = suite.connector.rehearsal_account(&suite.call()) else {
        return;
    };
    let made = installed(subject).await;
    let (vault, caller) = (&made.vault, root());
    let template = subject.account();
    let done = vault
        .rehearse(&caller, NAME, Some(overlap), template)
        .await
        .expect("a rehearsal");
    assert!(done.passed(), "{:#?}", done.steps);
    assert_eq!(done.steps.len(), 6);
    let left = vault.target_sweep(&caller, NAME).await.expect("a sweep");
    assert_eq!(left, [], "something is left behind");

    // One that was cut after its first credential.
    let real = std::mem::replace(&mut suite.account, account.clone());
    let first = suite.advance(None).await;
    assert_eq!(cases::login(suite, &first).await, Login::Accepted);
    let now = vault.now();
    let owed = Owed::Account {
        account,
        overlap,
        tag: suite.call().tag.to_owned(),
    };
    let id = DebtId::mint(now, &SeededEntropy::new(9));
    let target = (made.target.id.clone(), made.target.name.clone());
    let debt = Debt::new(id, default_tenant(), target, owed, now, now);
    let unit = Unit::new(UnitName::RehearsalBegin).put(Record::Debt(debt));
    made.store.commit(unit).await.expect("stored");
    let known = vault.target_sweep(&caller, NAME).await.expect("a sweep");
    assert_eq!(known, [], "it is a debt already");
    assert_eq!(vault.debts_run_once().await, Ok(1));
    let debts = made.store.debt_list(&default_tenant(), None, 10).await;
    assert_eq!(debts, Ok(Vec::new()));
    let refused = suite.connector.login(&suite.call(), &plain(&first)).await;
    assert!(matches!(refused, Login::Refused(_)), "{refused:?}");

    // One that nobody remembers: found by the sweep.
    suite.begin();
    let other = suite.connector.rehearsal_account(&suite.call());
    suite.account = other.expect("as before");
    let lost = suite.advance(None).await;
    let found = vault.target_sweep(&caller, NAME).await.expect("a sweep");
    assert!(!found.is_empty());
    for debt in &found {
        let Owed::Account {
            account, overlap, ..
        } = &debt.owed
        else {
            panic!("an account");
        };
        let call = Call {
            account,
            overlap: *overlap,
            epoch: u64::MAX,
            ..suite.call()
        };
        assert_applied(&suite.connector.remove(&call).await);
    }
    let refused = suite.connector.login(&suite.call(), &plain(&lost)).await;
    assert!(matches!(refused, Login::Refused(_)), "{refused:?}");
    let left = suite.connector.sweep(&suite.call()).await;
    assert_eq!(left, Ok(Vec::new()), "something is left behind");
    suite.account = real;
    let current = suite.current.clone();
    suite.assert_accepted(&current, "current").await;
}
