//! Describing a target and looking at it: who may, what is refused, what is on the trail, and
//! that the manager's value goes to the target and nowhere else.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditRow};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{
    ConsumerReads, Missing as MissingRight, Record, Store, Unit, UnitName,
};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::{Overlap, Target, TroubleKind};
use scaivault_engine::{
    Missing, TargetChange, TargetCheckQuery, TargetDraft, VaultError, default_tenant,
};
use scaivault_testkit::SCRIPTED;
use serde_json::{Map, Value, json};

use crate::world::{HOUR, World, caller, path, root, scoped};

const MANAGER: &str = "db/manager";
const CANARY: &str = "canary-of-the-manager-8f2d";

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn draft(name: &str) -> TargetDraft {
    TargetDraft {
        name: name.to_owned(),
        description: None,
        connector: SCRIPTED.to_owned(),
        settings: map(json!({ "host": "db" })),
        manager_path: Some(path(MANAGER)),
    }
}

/// A world whose connector needs a manager, and the manager's secret.
async fn managed() -> World {
    let w = World::new().await;
    w.target.needs_manager(true);
    w.put(MANAGER, CANARY).await;
    w
}

async fn created(w: &World, name: &str) -> Target {
    w.vault.target_create(&root(), draft(name)).await.unwrap()
}

async fn refused(w: &World, draft: TargetDraft) -> Vec<(String, String)> {
    match w.vault.target_create(&root(), draft).await {
        Err(VaultError::Validation(fields)) => fields,
        other => panic!("{:?}", other.map(|target| target.name)),
    }
}

/// Rows of an action, oldest first.
async fn rows(w: &World, action: Action) -> Vec<AuditRow> {
    let all = w.audit().await.into_iter();
    all.filter(|row| row.action == action).collect()
}

#[tokio::test]
async fn a_target_is_found_by_id_and_name_until_it_is_deleted() {
    let w = managed().await;
    let target = created(&w, "orders").await;
    for key in [target.id.as_str(), "orders"] {
        let found = w.vault.target_show(&root(), key).await.unwrap();
        assert_eq!(found, target);
    }
    let again = w.vault.target_create(&root(), draft("orders")).await;
    assert_eq!(again.unwrap_err(), VaultError::NameExists);
    // Targets are listed by id, and ids of one moment in any order.
    w.clock.advance(std::time::Duration::from_secs(1));
    let other = created(&w, "stock").await;
    let taken = TargetChange {
        name: Some("orders".to_owned()),
        ..TargetChange::default()
    };
    let taken = w.vault.target_change(&root(), "stock", taken).await;
    assert_eq!(taken.unwrap_err(), VaultError::NameExists);
    let list = w.vault.target_list(&root(), None, 10).await.unwrap();
    assert_eq!(list, [target.clone(), other]);

    w.vault.target_delete(&root(), "orders").await.unwrap();
    for key in [target.id.as_str(), "orders"] {
        let gone = w.vault.target_delete(&root(), key).await.unwrap_err();
        assert_eq!(gone, VaultError::NotFound(Missing::Target));
        assert_eq!(gone.code(), "target_not_found");
    }
    for action in [Action::TargetCreate, Action::TargetDelete] {
        let row = rows(&w, action).await.remove(0);
        assert!(row.success && row.secret_path.is_none());
        assert_eq!(row.extra_data.target_id, Some(target.id.clone()));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let w = managed().await;
    let fields = |problems: Vec<(String, String)>| {
        let names: Vec<_> = problems.into_iter().map(|(field, _)| field).collect();
        names
    };
    let unknown = TargetDraft {
        connector: "oracle".to_owned(),
        ..draft("a")
    };
    let told = refused(&w, unknown).await.remove(0);
    assert_eq!(told.0, "connector");
    assert_eq!(told.1, "is one of: scripted");
    let credential = TargetDraft {
        settings: map(json!({ "host": "db", "password": "x" })),
        manager_path: None,
        ..draft("tgt_a")
    };
    assert_eq!(
        fields(refused(&w, credential).await),
        ["name", "settings.password", "manager_path"]
    );
    let nowhere = TargetDraft {
        manager_path: Some(path("db/nothing")),
        ..draft("a")
    };
    assert_eq!(fields(refused(&w, nowhere).await), ["manager_path"]);
    w.target.needs_manager(false);
    assert_eq!(fields(refused(&w, draft("a")).await), ["manager_path"]);
    assert!(rows(&w, Action::TargetCreate).await.is_empty());
}

#[tokio::test]
async fn a_change_lays_settings_over_the_stored_ones() {
    let w = managed().await;
    let before = created(&w, "orders").await;
    let change = |settings: Value| TargetChange {
        settings: map(settings),
        ..TargetChange::default()
    };
    let named = TargetChange {
        name: Some("orders-db".to_owned()),
        description: Some("the shop".to_owned()),
        ..TargetChange::default()
    };
    let target = w.vault.target_change(&root(), "orders", named).await;
    let target = target.unwrap();
    assert_eq!(target.settings, before.settings);
    assert_eq!((target.id, target.revision), (before.id, 2));
    let wrong = change(json!({ "port": 1 }));
    let wrong = w.vault.target_change(&root(), "orders-db", wrong).await;
    let Err(VaultError::Validation(problems)) = wrong else {
        panic!("it is accepted")
    };
    assert_eq!(problems[0].0, "settings.port");
    let gone = change(json!({ "host": null }));
    let target = w.vault.target_change(&root(), "orders-db", gone).await;
    assert_eq!(target.unwrap().settings, Map::new());
}

/// To administer is not to read: else a target of one's own would be told the credential.
#[tokio::test]
async fn whoever_sends_the_managers_credential_somewhere_may_read_it() {
    let w = managed().await;
    created(&w, "orders").await;
    let admin = caller("user:admin");
    let denied = |error: VaultError| matches!(error, VaultError::Denied(_));
    let made = w.vault.target_create(&admin, draft("mine")).await;
    assert!(denied(made.unwrap_err()));
    let change = |host: &str| TargetChange {
        settings: map(json!({ "host": host })),
        ..TargetChange::default()
    };
    let moved = w
        .vault
        .target_change(&admin, "orders", change("mine"))
        .await;
    assert!(denied(moved.unwrap_err()));
    let row = rows(&w, Action::TargetUpdate).await.remove(0);
    assert!(!row.success);
    assert_eq!(row.secret_path, Some(path(MANAGER)));
    let other = TargetChange {
        manager_path: Some(path("db/other")),
        ..TargetChange::default()
    };
    let other = w.vault.target_change(&admin, "orders", other).await;
    assert!(denied(other.unwrap_err()), "also of what is not there");
    // A new name sends nothing anywhere.
    let renamed = TargetChange {
        name: Some("renamed".to_owned()),
        ..TargetChange::default()
    };
    w.vault
        .target_change(&admin, "orders", renamed)
        .await
        .unwrap();

    w.grant("user:admin", MANAGER, &[Permission::Read]).await;
    let moved = w.vault.target_change(&admin, "renamed", change("b")).await;
    assert_eq!(moved.unwrap().settings["host"], "b");
    w.vault.target_create(&admin, draft("mine")).await.unwrap();
    // The permission without the scope is no right to read.
    let narrow = scoped("user:admin", &[Scope::Admin]);
    let made = w.vault.target_create(&narrow, draft("third")).await;
    assert_eq!(made.unwrap_err(), VaultError::Scope(Scope::SecretsRead));
}

#[tokio::test]
async fn everything_asks_for_admin() {
    let w = managed().await;
    created(&w, "orders").await;
    let who = scoped("user:reader", &[Scope::SecretsRead, Scope::SecretsWrite]);
    w.grant("user:reader", "**", &[Permission::Read]).await;
    let none = VaultError::Scope(Scope::Admin);
    let v = &w.vault;
    let change = TargetChange::default();
    let query = TargetCheckQuery::default();
    assert_eq!(v.connectors_list(&who).await.unwrap_err(), none);
    assert_eq!(v.target_list(&who, None, 9).await.unwrap_err(), none);
    assert_eq!(v.target_show(&who, "orders").await.unwrap_err(), none);
    assert_eq!(v.target_delete(&who, "orders").await.unwrap_err(), none);
    let made = v.target_create(&who, draft("a")).await;
    assert_eq!(made.unwrap_err(), none);
    let changed = v.target_change(&who, "orders", change).await;
    assert_eq!(changed.unwrap_err(), none);
    let checked = v.target_check(&who, "orders", query).await;
    assert_eq!(checked.unwrap_err(), none);
    assert_eq!(w.target.manager(), None, "nothing was sent");
    let known = v.connectors_list(&root()).await.unwrap();
    assert_eq!(known[0].name, SCRIPTED);
}

#[tokio::test]
async fn a_check_sends_the_managers_value_to_the_target_and_tells_what_is_missing() {
    let w = managed().await;
    let target = created(&w, "orders").await;
    let admin = caller("user:admin");
    let check = async || {
        let query = TargetCheckQuery::default();
        w.vault.target_check(&admin, "orders", query).await.unwrap()
    };
    w.target.missing(vec![MissingRight {
        what: "end sessions".to_owned(),
        statement: "GRANT it;".to_owned(),
    }]);
    let checked = check().await;
    assert!(!checked.is_ready());
    assert!(!format!("{checked:?}").contains(CANARY));
    let found = checked.outcome.unwrap();
    assert_eq!(found.missing[0].statement, "GRANT it;");
    let sent = String::from_utf8(w.target.manager().unwrap()).unwrap();
    assert!(sent.contains(CANARY));
    w.target.missing(Vec::new());
    assert!(check().await.is_ready());

    let reads = rows(&w, Action::Read).await;
    assert_eq!(reads.len(), 2, "one for each look");
    let read = &reads[0];
    assert_eq!(read.identity_id, "user:admin");
    assert_eq!(read.secret_path, Some(path(MANAGER)));
    assert_eq!(read.extra_data.version, Some(1));
    assert_eq!(read.extra_data.target_id, Some(target.id.clone()));
    let looked = rows(&w, Action::TargetCheck).await.remove(0);
    assert!(looked.success);
    assert_eq!(looked.extra_data.target_id, Some(target.id));
    // Whoever asks for a look is not a consumer: a drain does not wait for him.
    let ledger = ConsumerReads::consumer_list(&*w.sqlite, &default_tenant(), &path(MANAGER)).await;
    assert_eq!(ledger.unwrap().len(), 0);
}

#[tokio::test]
async fn trouble_is_an_answer() {
    let w = managed().await;
    created(&w, "orders").await;
    let kind = async || {
        let query = TargetCheckQuery::default();
        let checked = w.vault.target_check(&root(), "orders", query).await;
        let checked = checked.unwrap();
        assert!(!checked.is_ready());
        checked.outcome.unwrap_err().kind
    };
    w.target.unreachable(true);
    assert_eq!(kind().await, TroubleKind::Unreachable);
    let row = rows(&w, Action::TargetCheck).await.remove(0);
    assert!(!row.success);
    assert_eq!(row.extra_data.error.as_deref(), Some("unreachable"));
    w.target.unreachable(false);
    // As a store from before the refusal of it may have it.
    let head = w.head(MANAGER).await.unwrap();
    let deleted = SecretHead {
        recoverable_until: Some(w.now().plus(HOUR)),
        revision: head.revision + 1,
        ..head
    };
    let unit = Unit::new(UnitName::SecretDelete).put(Record::Secret(deleted));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    assert_eq!(kind().await, TroubleKind::ManagerMissing);
}

#[tokio::test]
async fn a_check_may_ask_about_an_attachment() {
    let w = managed().await;
    created(&w, "orders").await;
    let check = async |account: Option<Value>, overlap| {
        let query = TargetCheckQuery {
            account: account.map(map),
            overlap,
        };
        w.vault.target_check(&root(), "orders", query).await
    };
    let accounts = json!({ "accounts": ["a", "b"] });
    let two = Some(Overlap::TwoUsers);
    assert!(check(Some(accounts.clone()), two).await.unwrap().is_ready());
    for (account, overlap, field) in [
        (Some(accounts.clone()), None, "overlap"),
        (Some(accounts), Some(Overlap::NKeys), "overlap"),
        (None, two, "account"),
        (Some(json!({ "user": "a" })), two, "account.user"),
    ] {
        let Err(VaultError::Validation(problems)) = check(account, overlap).await else {
            panic!("{field} is accepted")
        };
        assert_eq!(problems[0].0, field);
    }
}
