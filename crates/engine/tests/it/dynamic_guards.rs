//! Credentials made on request: who may say what is done as the root account, and what stays where
//! accounts are.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Cause, Engine, EngineKind, LeaseState};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{
    DynamicReads, Op, Record, Store, StoreMarks, TargetReads, Unit, UnitName,
};
use scaivault_engine::{
    Caller, EngineAt, EngineChange, EngineDraft, RoleDraft, RoleWrite, TargetChange, VaultError,
    default_tenant,
};
use scaivault_testkit::{Luck, SCRIPTED};
use serde_json::{Map, Value};

use crate::dynamic::{ROOT_SECRET, accepted, generate, lease, leases, made, scopes, world};
use crate::world::{World, caller, path, root, span, write_of};

fn host(name: &str) -> Map<String, Value> {
    Map::from_iter([("host".to_owned(), Value::from(name))])
}

fn role() -> RoleDraft {
    RoleDraft {
        creation_statements: Some(vec!["CREATE".to_owned()]),
        ..RoleDraft::default()
    }
}

fn draft(name: &str) -> EngineDraft {
    EngineDraft {
        name: name.to_owned(),
        description: None,
        kind: EngineKind::Database,
        plugin: SCRIPTED.to_owned(),
        at: EngineAt::New {
            settings: host("db"),
            root_path: Some(path(ROOT_SECRET)),
        },
        default_ttl: span("1h"),
        max_ttl: span("24h"),
        verify: true,
        connection: None,
    }
}

async fn role_of(w: &World, engine: &str) {
    let (who, of) = (root(), (engine, "reader"));
    let written = w.vault.role_write(&who, of, RoleWrite::Create, role());
    written.await.unwrap();
}

/// An engine made through the vault, with a target of its own and a role.
async fn own(w: &World) -> Engine {
    if w.head(ROOT_SECRET).await.is_none() {
        let who = root();
        let written = w.vault.secret_write(&who, write_of(ROOT_SECRET, "root"));
        written.await.unwrap();
    }
    let of = w.vault.engine_create(&root(), draft("own")).await.unwrap();
    role_of(w, "own").await;
    of
}

fn code<T>(result: Result<T, VaultError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "done")
}

/// Two engines at one server know their own accounts alone: what the other one made has a lease
/// there, and lives as long as that says.
#[tokio::test]
async fn an_engine_leaves_the_accounts_of_another_one_alone() {
    let w = World::new().await;
    let (one, two) = (made(&w, "1").await, made(&w, "2").await);
    let kept = generate(&w, &root(), &two).await.unwrap().lease;
    let found = w.vault.engine_sweep(&root(), &one.name).await.unwrap();
    assert_eq!(found, [], "it is the other one's");
    assert!(accepted(&w).contains(&kept.account));
    // Its own, without a lease, is still found.
    let lost = generate(&w, &root(), &one).await.unwrap().lease;
    let unit = Unit::new(UnitName::LeaseEnd).op(Op::Delete(Record::Lease(lost.clone())));
    w.sqlite.commit(unit).await.unwrap();
    let found = w.vault.engine_sweep(&root(), &one.name).await.unwrap();
    let found: Vec<_> = found.iter().map(|lease| &lease.account).collect();
    assert_eq!(found, [&lost.account]);
}

/// A role's statements run as the root account: to administer engines is not to be it.
#[tokio::test]
async fn whoever_says_what_the_root_account_does_may_read_its_credential() {
    let (w, of) = world().await;
    let manage = [Scope::DynamicManage, Scope::SecretsRead];
    let manager = scopes(&caller("sa:dba"), &manage);
    let acts = async |who: &Caller| {
        let name = of.name.as_str();
        let vault = &w.vault;
        let write = vault.role_write(who, (name, "writer"), RoleWrite::Put, role());
        let written = code(write.await);
        let change = EngineChange {
            default_ttl: Some(span("2h")),
            ..EngineChange::default()
        };
        let changed = code(vault.engine_change(who, name, change).await);
        let removed = code(vault.role_delete(who, name, "writer").await);
        let deleted = code(vault.engine_delete(who, name).await);
        [written, changed, removed, deleted]
    };
    assert_eq!(acts(&manager).await, ["access_denied"; 4]);
    let kept = w.vault.role_list(&root(), &of.name, None, 9).await.unwrap();
    assert_eq!(kept.len(), 1, "nothing was changed");
    w.grant("sa:dba", ROOT_SECRET, &[Permission::Read]).await;
    let no_read = scopes(&caller("sa:dba"), &[Scope::DynamicManage]);
    assert_eq!(acts(&no_read).await, ["insufficient_scope"; 4]);
    assert_eq!(acts(&manager).await, ["done"; 4]);
}

/// Where requests are made as they are described, describing is for those who administer targets;
/// and nobody changes a target through an engine that is a guest there.
#[tokio::test]
async fn an_engine_is_no_way_around_the_rights_on_targets() {
    let (w, of) = world().await;
    w.grant("sa:dba", ROOT_SECRET, &[Permission::Read]).await;
    let manage = [Scope::DynamicManage, Scope::SecretsRead];
    let manager = scopes(&caller("sa:dba"), &manage);
    let before = w.target.manager();
    let refused = w.vault.engine_create(&manager, draft("mine")).await;
    assert_eq!(refused.unwrap_err(), VaultError::Scope(Scope::Admin));
    assert_eq!(w.target.manager(), before, "the target heard nothing");
    let at = EngineDraft {
        at: EngineAt::Target(of.target_id.clone().unwrap().as_str().to_owned()),
        ..draft("guest")
    };
    w.vault.engine_create(&manager, at).await.unwrap();
    for change in [
        EngineChange {
            settings: host("elsewhere"),
            ..EngineChange::default()
        },
        EngineChange {
            root_path: Some(path(ROOT_SECRET)),
            ..EngineChange::default()
        },
    ] {
        let refused = w.vault.engine_change(&root(), "guest", change).await;
        let Err(VaultError::Validation(problems)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(problems[0].0, "config");
    }
    let of = own(&w).await;
    let moved = EngineChange {
        settings: host("elsewhere"),
        ..EngineChange::default()
    };
    let refused = w.vault.engine_change(&manager, &of.name, moved).await;
    assert_eq!(refused.unwrap_err(), VaultError::Scope(Scope::Admin));
}

/// That an account is not there would be taken for its removal: so a target whose accounts are there
/// does not move, unless somebody says that they move with it.
#[tokio::test]
async fn a_place_with_accounts_does_not_move() {
    let w = World::new().await;
    w.target.needs_manager(true);
    let of = own(&w).await;
    let target = of.target_id.clone().unwrap();
    let guest = EngineDraft {
        at: EngineAt::Target(target.as_str().to_owned()),
        ..draft("guest")
    };
    w.vault.engine_create(&root(), guest).await.unwrap();
    role_of(&w, "guest").await;
    let guest = w.vault.engine_show(&root(), "guest").await.unwrap();
    let kept = generate(&w, &root(), &guest).await.unwrap().lease;

    let by_engine = async |name: &str, same_accounts| {
        let change = EngineChange {
            settings: host(name),
            same_accounts,
            ..EngineChange::default()
        };
        code(w.vault.engine_change(&root(), "own", change).await)
    };
    let by_target = async |name: &str, same_accounts| {
        let change = TargetChange {
            settings: host(name),
            same_accounts,
            ..TargetChange::default()
        };
        let who = root();
        let changed = w.vault.target_change(&who, target.as_str(), change);
        code(changed.await)
    };
    let place = async || {
        let found = TargetReads::target_find(&*w.sqlite, &default_tenant(), &target).await;
        found.unwrap().unwrap().settings["host"].clone()
    };
    assert_eq!(by_engine("db-2", false).await, "engine_in_use");
    assert_eq!(by_target("db-2", false).await, "engine_in_use");
    assert_eq!(place().await, "db");
    assert_eq!(by_engine("db", false).await, "done", "it is the same place");
    // It is open again.
    generate(&w, &root(), &of).await.unwrap();
    generate(&w, &root(), &guest).await.unwrap();
    assert_eq!(by_engine("db-3", true).await, "done");
    assert_eq!(by_target("db-4", true).await, "done");
    assert_eq!(place().await, "db-4");
    for name in ["own", "guest"] {
        w.vault
            .leases_revoke_all(&root(), name, None)
            .await
            .unwrap();
    }
    assert_eq!(by_target("db-5", false).await, "engine_in_use", "not yet");
    while w.vault.leases_run_once().await.unwrap() > 0 {}
    assert_eq!(lease(&w, &kept.id).await.state, LeaseState::Revoked);
    assert_eq!(by_engine("db-5", false).await, "done");
    assert_eq!(by_target("db-6", false).await, "done");
    generate(&w, &root(), &of).await.unwrap();
    generate(&w, &root(), &guest).await.unwrap();
}

/// Whoever makes a credential and whoever moves or deletes its engine: one of both gives way.
#[tokio::test]
async fn no_account_is_made_behind_the_back_of_whoever_counted() {
    for (what, expect) in [("move", "done"), ("delete", "done")] {
        let w = World::new().await;
        let of = own(&w).await;
        let stop = w.watched.stop_at(UnitName::LeaseIntend);
        let (vault, name) = (w.vault.clone(), of.name.clone());
        let making = tokio::spawn(async move {
            let request = scaivault_engine::CredentialRequest::default();
            let who = root();
            let made = vault.credential_generate(&who, &name, "reader", &request);
            code(made.await)
        });
        stop.arrived().await;
        let acted = match what {
            "move" => {
                let change = EngineChange {
                    settings: host("db-2"),
                    ..EngineChange::default()
                };
                code(w.vault.engine_change(&root(), &of.name, change).await)
            }
            _ => code(w.vault.engine_delete(&root(), &of.name).await),
        };
        assert_eq!(acted, expect, "{what}");
        stop.go();
        assert_eq!(making.await.unwrap(), "service_unavailable", "{what}");
        assert!(accepted(&w).is_empty(), "{what}");
        for row in leases(&w).await {
            assert_eq!(row.state, LeaseState::Revoked, "{what}");
        }
    }
}

/// An engine whose move was broken off makes nothing until somebody changes it once more.
#[tokio::test]
async fn a_closed_engine_is_opened_by_a_change() {
    let (w, of) = world().await;
    let closed = Engine {
        closed: true,
        revision: of.revision + 1,
        ..of.clone()
    };
    let unit = Unit::new(UnitName::EngineWrite).put(Record::Engine(closed));
    w.sqlite.commit(unit).await.unwrap();
    let refused = generate(&w, &root(), &of).await;
    assert_eq!(refused.unwrap_err(), VaultError::EngineClosed);
    let change = EngineChange::default();
    w.vault
        .engine_change(&root(), &of.name, change)
        .await
        .unwrap();
    generate(&w, &root(), &of).await.unwrap();
}

/// A creator that pauses gives up before it sends anything.
#[tokio::test]
async fn nothing_is_sent_for_a_lease_that_may_be_taken_for_lost() {
    let (w, of) = world().await;
    let clock = w.clock.clone();
    w.watched.watch(move |unit, _| {
        if unit.name == UnitName::LeaseIntend {
            clock.advance(Duration::from_secs(60));
        }
    });
    let before = w.target.effects();
    assert_eq!(code(generate(&w, &root(), &of).await), "engine_failed");
    assert_eq!(w.target.effects(), before, "nothing was sent");
    let row = leases(&w).await.remove(0);
    assert_eq!(
        (row.state, row.cause),
        (LeaseState::Revoked, Some(Cause::NotMade))
    );
}

/// Made, but its lease was through meanwhile: it is removed by whoever made it.
#[tokio::test]
async fn an_account_that_comes_behind_the_end_of_its_lease_is_removed_at_once() {
    let (w, of) = world().await;
    let stop = w.watched.stop_at(UnitName::LeaseMade);
    let (vault, name) = (w.vault.clone(), of.name.clone());
    let making = tokio::spawn(async move {
        let request = scaivault_engine::CredentialRequest::default();
        let who = root();
        let made = vault.credential_generate(&who, &name, "reader", &request);
        code(made.await)
    });
    stop.arrived().await;
    // As if the account had come only now: its lease is ended and forgets it.
    let row = leases(&w).await.remove(0);
    let ended = row.not_made(
        scaivault_core::target::TroubleKind::TimedOut.into(),
        w.now(),
    );
    let unit = Unit::new(UnitName::LeaseRemoved).put(Record::Lease(ended));
    w.sqlite.commit(unit).await.unwrap();
    stop.go();
    assert_eq!(making.await.unwrap(), "lease_ended");
    assert_eq!(accepted(&w), BTreeSet::new());
}

/// A restored store tells no target anything, not even a new end.
#[tokio::test]
async fn nothing_is_renewed_after_a_restore() {
    let (w, of) = world().await;
    let made = generate(&w, &root(), &of).await.unwrap().lease;
    let marks = StoreMarks {
        restored_at: Some(w.now()),
        resumed_at: None,
    };
    let unit = Unit::new(UnitName::StoreResume).op(Op::Mark(marks));
    w.sqlite.commit(unit).await.unwrap();
    let renewed = w.vault.lease_renew(&root(), &made.id, None).await;
    assert_eq!(renewed.unwrap_err(), VaultError::Restored);
}

/// The manager's credential is on the trail before it is used, for a renewal too.
#[tokio::test]
async fn a_renewal_is_on_the_managers_trail() {
    let (w, of) = world().await;
    let made = generate(&w, &root(), &of).await.unwrap().lease;
    let reads = async || {
        let trail = w.audit().await;
        let of_root = trail.iter().filter(|row| {
            row.action == Action::Read && row.secret_path.as_ref() == Some(&path(ROOT_SECRET))
        });
        of_root.count()
    };
    let before = reads().await;
    w.target.next([Luck::RequestLost]);
    let renewed = w.vault.lease_renew(&root(), &made.id, None).await;
    assert_eq!(code(renewed), "engine_failed");
    assert_eq!(reads().await, before + 1);
}

/// A lease is stored for what was found only while its engine is there.
#[tokio::test]
async fn the_sweep_beside_a_deletion_adopts_nothing() {
    let (w, of) = world().await;
    let lost = generate(&w, &root(), &of).await.unwrap().lease;
    let unit = Unit::new(UnitName::LeaseEnd).op(Op::Delete(Record::Lease(lost.clone())));
    w.sqlite.commit(unit).await.unwrap();
    let stop = w.watched.stop_at(UnitName::LeaseFound);
    let (vault, name) = (w.vault.clone(), of.name.clone());
    let sweeping = tokio::spawn(async move {
        let who = root();
        vault
            .engine_sweep(&who, &name)
            .await
            .map(|found| found.len())
    });
    stop.arrived().await;
    w.vault.engine_delete(&root(), &of.name).await.unwrap();
    stop.go();
    assert_eq!(sweeping.await.unwrap(), Ok(0));
    assert_eq!(leases(&w).await, []);
    let gone = DynamicReads::engine_find(&*w.sqlite, &default_tenant(), &of.id).await;
    assert_eq!(gone.unwrap(), None);
}
