//! Credentials made on request: no account without a lease, whatever is lost when; and no lease that
//! does not end.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Cause, Engine, EngineKind, Lease, LeaseState};
use scaivault_core::event::EventType;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ports::{DynamicReads, LeaseFilter, Op, Record, Store, Unit, UnitName};
use scaivault_core::target::{Target, TroubleKind};
use scaivault_core::tenancy::Roles;
use scaivault_engine::{
    Caller, CredentialRequest, EngineAt, EngineChange, EngineDraft, Generated, RoleDraft,
    RoleWrite, TokenDraft, VaultError, default_tenant,
};
use scaivault_testkit::store_conformance::samples::{engine, engine_role, target};
use scaivault_testkit::{Fault, Luck, SCRIPTED, When};

use crate::world::{HOUR, World, caller, identity, path, root, span, write_of};

pub(crate) const ROOT_SECRET: &str = "dynamic/root";

/// An engine at the scripted target, with one role that lives an hour.
pub(crate) async fn made(w: &World, id: &str) -> Engine {
    let owner = default_tenant();
    if w.head(ROOT_SECRET).await.is_none() {
        w.vault
            .secret_write(&root(), write_of(ROOT_SECRET, "root"))
            .await
            .unwrap();
    }
    let at = Target {
        connector: SCRIPTED.to_owned(),
        manager_path: Some(path(ROOT_SECRET)),
        ..target(&owner, id)
    };
    let of = Engine {
        name: format!("engine-{id}"),
        ..engine(&owner, id)
    };
    let unit = Unit::new(UnitName::EngineWrite)
        .put(Record::Target(at))
        .put(Record::Role(engine_role(&of, "reader")))
        .put(Record::Engine(of.clone()));
    w.sqlite.commit(unit).await.unwrap();
    of
}

pub(crate) async fn world() -> (World, Engine) {
    let w = World::new().await;
    let of = made(&w, "1").await;
    (w, of)
}

pub(crate) async fn generate(
    w: &World,
    who: &Caller,
    of: &Engine,
) -> Result<Generated, VaultError> {
    let request = CredentialRequest::default();
    w.vault
        .credential_generate(who, &of.name, "reader", &request)
        .await
}

pub(crate) async fn leases(w: &World) -> Vec<Lease> {
    let all = LeaseFilter::default();
    let rows = DynamicReads::lease_list(&*w.sqlite, &default_tenant(), &all, None, 1_000).await;
    rows.unwrap()
}

pub(crate) async fn lease(w: &World, id: &scaivault_core::ids::LeaseId) -> Lease {
    let found = DynamicReads::lease_find(&*w.sqlite, &default_tenant(), id).await;
    found.unwrap().unwrap()
}

pub(crate) fn field(made: &Generated, name: &str) -> String {
    let field = made.fields.iter().find(|field| field.name == name).unwrap();
    String::from_utf8(field.value.expose().to_vec()).unwrap()
}

pub(crate) fn accepted(w: &World) -> BTreeSet<String> {
    w.target
        .accepted()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

/// Every account at the target has a lease that has not ended.
pub(crate) async fn check(w: &World, what: &str) {
    let rows = leases(w).await;
    let held: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.may_exist())
        .map(|row| row.account.clone())
        .collect();
    let there = accepted(w);
    assert!(there.is_subset(&held), "{what}: {there:?} of {held:?}");
}

#[tokio::test]
async fn a_credential_lives_as_long_as_its_lease() {
    let (w, of) = world().await;
    let made = generate(&w, &root(), &of).await.unwrap();
    let (name, password) = (field(&made, "username"), field(&made, "password"));
    assert!(name.starts_with("v_reader_"), "{name}");
    assert!(w.target.accepts(&name, &password));
    assert!(w.target.manager().is_some(), "made by the engine's manager");
    assert_eq!(made.lease.state, LeaseState::Active);
    assert_eq!(made.lease.expires_at, w.now().plus(HOUR));
    assert_eq!(
        w.vault.leases_run_once().await.unwrap(),
        0,
        "nothing is due"
    );
    w.clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 0);
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    assert!(accepted(&w).is_empty());
    let ended = lease(&w, &made.lease.id).await;
    assert_eq!(
        (ended.state, ended.cause),
        (LeaseState::Revoked, Some(Cause::Expired))
    );
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 0, "once");

    let trail = w.audit().await;
    let of_lease = |action| {
        let rows = trail.iter().filter(move |row| row.action == action);
        rows.filter(|row| row.extra_data.subject.as_deref() == Some(made.lease.id.as_str()))
            .count()
    };
    assert_eq!(of_lease(Action::DynamicGenerate), 1);
    assert_eq!(of_lease(Action::DynamicRevoke), 1);
    let reads = trail.iter().filter(|row| {
        row.action == Action::Read && row.secret_path.as_ref() == Some(&path(ROOT_SECRET))
    });
    assert_eq!(reads.count(), 2, "the manager's credential was used twice");
    let stored = format!("{:?} {trail:?}", leases(&w).await);
    assert!(
        !stored.contains(&password),
        "the credential is stored nowhere"
    );
}

#[tokio::test]
async fn who_may_not_gets_nothing_and_the_target_hears_nothing() {
    let (w, of) = world().await;
    let before = w.target.effects();
    let nobody = generate(&w, &caller("sa:shop"), &of).await;
    assert!(matches!(nobody, Err(VaultError::Denied(_))), "{nobody:?}");
    w.grant(
        "sa:shop",
        "dynamic/engine-1/creds/reader",
        &[Permission::Read],
    )
    .await;
    generate(&w, &caller("sa:shop"), &of).await.unwrap();
    let request = CredentialRequest::default();
    let vault = &w.vault;
    let who = caller("sa:shop");
    let other = vault
        .credential_generate(&who, &of.name, "writer", &request)
        .await;
    assert!(matches!(other, Err(VaultError::Denied(_))));
    let none = vault
        .credential_generate(&root(), &of.name, "writer", &request)
        .await;
    assert_eq!(none.unwrap_err().code(), "role_not_found");
    let none = vault
        .credential_generate(&root(), "engine-9", "reader", &request)
        .await;
    assert_eq!(none.unwrap_err().code(), "engine_not_found");
    assert_eq!(w.target.effects(), before + 1);
    assert_eq!(leases(&w).await.len(), 1);
}

#[tokio::test]
async fn a_lease_is_renewed_up_to_its_latest_end_by_its_holder() {
    let (w, of) = world().await;
    w.grant("sa:shop", "dynamic/**", &[Permission::Read]).await;
    let holder = scopes(&caller("sa:shop"), &[Scope::DynamicGenerate]);
    let other = scopes(&caller("sa:other"), &[Scope::DynamicGenerate]);
    let made = generate(&w, &holder, &of).await.unwrap();
    let id = &made.lease.id;
    let begun = w.now();
    w.clock.advance(HOUR / 2);
    let renewed = w.vault.lease_renew(&holder, id, Some(&span("30m"))).await;
    assert_eq!(renewed.unwrap().expires_at, begun.plus(HOUR));
    let renewed = w
        .vault
        .lease_renew(&holder, id, Some(&span("5h")))
        .await
        .unwrap();
    assert_eq!(
        renewed.expires_at,
        begun.plus(HOUR * 2),
        "two hours is the most"
    );
    for result in [
        w.vault.lease_renew(&other, id, None).await,
        w.vault.lease_revoke(&other, id).await,
        w.vault.lease_show(&other, id).await,
    ] {
        assert_eq!(result.unwrap_err().code(), "lease_not_found");
    }
    let all = LeaseFilter::default();
    assert_eq!(w.vault.lease_list(&other, &all, None, 9).await.unwrap(), []);
    assert_eq!(
        w.vault
            .lease_list(&holder, &all, None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    // The target could not be told: the lease stays as it is.
    w.target.next([Luck::RequestLost]);
    let lost = w.vault.lease_renew(&holder, id, Some(&span("1h"))).await;
    assert_eq!(lost.unwrap_err().code(), "engine_failed");
    assert_eq!(lease(&w, id).await.expires_at, begun.plus(HOUR * 2));

    w.clock.advance(HOUR);
    assert_eq!(
        w.vault.leases_run_once().await.unwrap(),
        0,
        "it was renewed"
    );
    let ended = w.vault.lease_revoke(&holder, id).await.unwrap();
    assert_eq!(ended.state, LeaseState::Revoking);
    assert!(w.vault.lease_renew(&holder, id, None).await.is_err());
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    assert!(accepted(&w).is_empty());
    let again = w.vault.lease_revoke(&holder, id).await.unwrap();
    assert_eq!(
        (again.state, again.cause),
        (LeaseState::Revoked, Some(Cause::Asked))
    );
}

pub(crate) fn scopes(who: &Caller, scopes: &[Scope]) -> Caller {
    let mut who = who.clone();
    let principal = std::sync::Arc::make_mut(&mut who.principal);
    principal.scopes = scopes.iter().copied().collect();
    who
}

#[tokio::test]
async fn all_of_an_engine_or_role_end_together() {
    let w = World::new().await;
    let (one, two) = (made(&w, "1").await, made(&w, "2").await);
    for of in [&one, &one, &one, &two] {
        generate(&w, &root(), of).await.unwrap();
    }
    let end = async |of: &Engine, role| w.vault.leases_revoke_all(&root(), &of.name, role).await;
    assert_eq!(end(&one, Some("writer")).await.unwrap(), 0);
    assert_eq!(end(&one, Some("reader")).await.unwrap(), 3);
    assert_eq!(end(&one, None).await.unwrap(), 0, "they are ending");
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 3);
    assert_eq!(accepted(&w).len(), 1);
    assert_eq!(end(&two, None).await.unwrap(), 1);
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    assert!(accepted(&w).is_empty());
}

pub(crate) async fn token(
    w: &World,
    name: &str,
    ttl: &str,
) -> (scaivault_core::ids::TokenId, Caller) {
    let draft = TokenDraft {
        roles: Roles::NONE,
        identity: identity(name),
        scopes: ScopeSet::all(),
        ttl: span(ttl),
        description: None,
    };
    let minted = w.vault.token_create(&root(), draft).await.unwrap();
    let principal = w.vault.authenticate(minted.text.expose(), w.now()).await;
    let who = Caller {
        principal: principal.unwrap(),
        ..root()
    };
    (minted.token.id, who)
}

#[tokio::test]
async fn leases_end_with_the_token_they_were_made_with() {
    let (w, of) = world().await;
    w.grant("sa:shop", "dynamic/**", &[Permission::Read]).await;
    let (short, by_short) = token(&w, "sa:shop", "10m").await;
    let (long, by_long) = token(&w, "sa:shop", "30d").await;
    let first = generate(&w, &by_short, &of).await.unwrap().lease;
    let second = generate(&w, &by_long, &of).await.unwrap().lease;
    let third = generate(&w, &root(), &of).await.unwrap().lease;
    assert_eq!(w.vault.leases_of_ended_tokens().await.unwrap(), 0);
    w.clock.advance(Duration::from_secs(601));
    assert_eq!(
        w.vault.leases_run_once().await.unwrap(),
        1,
        "by its own time"
    );
    let ended = lease(&w, &first.id).await;
    assert_eq!(
        (ended.state, ended.cause),
        (LeaseState::Revoked, Some(Cause::Token))
    );
    assert_eq!(ended.token_id, Some(short));
    w.vault.token_revoke(&root(), &long).await.unwrap();
    assert_eq!(w.vault.leases_of_ended_tokens().await.unwrap(), 1);
    w.vault.leases_run_once().await.unwrap();
    let ended = lease(&w, &second.id).await;
    assert_eq!(
        (ended.state, ended.cause),
        (LeaseState::Revoked, Some(Cause::Token))
    );
    assert_eq!(lease(&w, &third.id).await.state, LeaseState::Active);
    assert_eq!(accepted(&w).len(), 1);
}

/// What sees to a token's end ends its leases in the same commit, however many there are.
#[tokio::test]
async fn what_follows_from_the_end_of_a_token_is_the_end_of_its_leases() {
    let (w, of) = world().await;
    w.grant("sa:shop", "dynamic/**", &[Permission::Read]).await;
    let (id, who) = token(&w, "sa:shop", "30d").await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(generate(&w, &who, &of).await.unwrap().lease);
    }
    // One of them is ending already, and keeps its cause.
    w.vault.lease_revoke(&who, &made[0].id).await.unwrap();
    let other = generate(&w, &root(), &of).await.unwrap().lease;
    w.vault.token_revoke(&root(), &id).await.unwrap();
    assert!(w.vault.tokens_ended_run_once().await.unwrap() > 0);
    for (row, cause) in made.iter().zip([Cause::Asked, Cause::Token, Cause::Token]) {
        let ended = lease(&w, &row.id).await;
        assert_eq!(
            (ended.state, ended.cause),
            (LeaseState::Revoking, Some(cause))
        );
    }
    assert_eq!(lease(&w, &other.id).await.state, LeaseState::Active);
    w.vault.leases_run_once().await.unwrap();
    assert_eq!(accepted(&w).len(), 1);
}

/// An engine that is being deleted makes nothing, and is there again when it is changed.
#[tokio::test]
async fn a_closed_engine_makes_nothing() {
    let (w, of) = world().await;
    let closed = Engine {
        closed: true,
        revision: of.revision + 1,
        ..of.clone()
    };
    let unit = Unit::new(UnitName::EngineWrite).put(Record::Engine(closed));
    w.sqlite.commit(unit).await.unwrap();
    let refused = generate(&w, &root(), &of).await.unwrap_err();
    assert_eq!(refused.code(), "service_unavailable");
    assert!(leases(&w).await.is_empty());
    let change = EngineChange::default();
    w.vault
        .engine_change(&root(), &of.name, change)
        .await
        .unwrap();
    generate(&w, &root(), &of).await.unwrap();
    let refused = w.vault.engine_delete(&root(), &of.name).await.unwrap_err();
    assert_eq!(refused.code(), "engine_in_use");
    generate(&w, &root(), &of).await.unwrap();
}

/// A target that cannot be reached is asked for ever, is told of once, and holds back nobody.
#[tokio::test]
async fn what_cannot_be_removed_is_owed_until_it_is() {
    let (w, of) = world().await;
    w.hear_all().await;
    let made = generate(&w, &root(), &of).await.unwrap();
    w.clock.advance(HOUR);
    w.target.unreachable(true);
    for _ in 0..200 {
        w.vault.leases_run_once().await.unwrap();
        w.clock.advance(Duration::from_secs(30));
    }
    let owed = lease(&w, &made.lease.id).await;
    assert_eq!(owed.state, LeaseState::Revoking);
    assert!(owed.attempts > 6 && owed.attempts < 40, "{}", owed.attempts);
    assert_eq!(
        owed.trouble.as_ref().unwrap().kind,
        TroubleKind::Unreachable
    );
    w.work().await;
    let told = w.envelopes(crate::world::RECEIVER);
    let told = told
        .iter()
        .filter(|event| event["event_type"] == EventType::LeaseRevocationFailed.as_str());
    assert_eq!(told.count(), 1);
    let figures = DynamicReads::lease_figures(&*w.sqlite).await.unwrap();
    assert_eq!(figures.failing, 1);
    w.target.unreachable(false);
    w.clock.advance(HOUR);
    w.vault.leases_run_once().await.unwrap();
    assert!(accepted(&w).is_empty());
    assert_eq!(lease(&w, &made.lease.id).await.state, LeaseState::Revoked);
}

/// Every commit lost before and after, at every luck of the target: no account without a lease at
/// any time, and none at all in the end.
#[tokio::test]
async fn whatever_is_lost_no_account_is_left() {
    let units = [
        UnitName::LeaseIntend,
        UnitName::LeaseMade,
        UnitName::LeaseNotMade,
        UnitName::LeaseRenew,
        UnitName::LeaseEnd,
        UnitName::LeaseTake,
        UnitName::LeaseRemoved,
    ];
    let lucks = [
        Luck::Good,
        Luck::AnswerLost,
        Luck::RequestLost,
        Luck::Late,
        Luck::Refused(TroubleKind::Quota),
    ];
    let mut struck = 0;
    for unit in units {
        for fault in [Fault::Unit, Fault::Answer] {
            for creation in lucks {
                for removal in lucks {
                    struck += one_life(unit, fault, creation, removal).await;
                }
            }
        }
    }
    assert!(struck > 100, "{struck} faults struck");
}

async fn one_life(unit: UnitName, fault: Fault, creation: Luck, removal: Luck) -> usize {
    let what = format!("{unit:?} {fault:?} {creation:?} {removal:?}");
    let (mut w, of) = world().await;
    w.store.arm(unit, When::Nth(1), fault);
    w.target.next([creation]);
    let made = generate(&w, &root(), &of).await;
    check(&w, &what).await;
    if let Ok(made) = &made {
        let name = field(made, "username");
        assert!(w.target.accepts(&name, &field(made, "password")), "{what}");
        let _ = w.vault.lease_renew(&root(), &made.lease.id, None).await;
        let _ = w.vault.lease_revoke(&root(), &made.lease.id).await;
    }
    w.restart();
    w.target.next([removal]);
    // The late request arrives a while after the first removal.
    let mut arrived = 0;
    for round in 0..60 {
        let _ = w.vault.leases_run_once().await;
        if round == 4 {
            arrived = w.target.arrive();
        }
        // A removal that is late finds nothing.
        if round == 50 {
            w.target.arrive();
        }
        if arrived == 0 || round != 4 {
            check(&w, &what).await;
        }
        w.clock.advance(Duration::from_secs(150));
    }
    check(&w, &what).await;
    assert!(accepted(&w).is_empty(), "{what}: {:?}", accepted(&w));
    for row in leases(&w).await {
        assert_eq!(row.state, LeaseState::Revoked, "{what}");
    }
    w.store.struck().len()
}

/// Ended rows are forgotten after a while.
#[tokio::test]
async fn ended_leases_are_forgotten() {
    let (w, of) = world().await;
    generate(&w, &root(), &of).await.unwrap();
    w.clock.advance(HOUR);
    w.vault.leases_run_once().await.unwrap();
    let keep = Duration::from_secs(86_400);
    w.vault.leases_prune(keep).await.unwrap();
    assert_eq!(leases(&w).await.len(), 1);
    w.clock.advance(keep * 2);
    w.vault.leases_prune(keep).await.unwrap();
    assert_eq!(leases(&w).await.len(), 0);
}

/// What a restore forgot keeps its holder's access for as long as a lease may live; what others made
/// is never touched.
#[tokio::test]
async fn the_sweep_gives_what_has_no_lease_an_end() {
    let (w, of) = world().await;
    let kept = generate(&w, &root(), &of).await.unwrap();
    let lost = generate(&w, &root(), &of).await.unwrap();
    let (kept, lost) = (kept.lease, lost.lease);
    w.target.account("v_reader_of-somebody-else", "x");
    w.target
        .account("v-token-app-aaaaaaaaaaaaaaaaaaaa-1795324800", "x");
    // The store as it was before the second one.
    let unit = Unit::new(UnitName::LeaseEnd).op(Op::Delete(Record::Lease(lost.clone())));
    w.sqlite.commit(unit).await.unwrap();
    assert_eq!(w.vault.engines_sweep_once().await.unwrap(), 1);
    assert_eq!(w.vault.engines_sweep_once().await.unwrap(), 0, "once a day");
    let again = w.vault.engine_sweep(&root(), &of.name).await.unwrap();
    assert_eq!(again, [], "it has a lease now");
    let found: Vec<Lease> = leases(&w).await;
    let found = found
        .iter()
        .find(|row| row.account == lost.account)
        .unwrap();
    assert_eq!(found.cause, Some(Cause::Found));
    assert_eq!(
        found.expires_at,
        w.now().plus(HOUR * 24),
        "as long as the engine lets any live"
    );
    w.clock.advance(HOUR * 23);
    w.vault.leases_run_once().await.unwrap();
    assert!(accepted(&w).contains(&lost.account) && !accepted(&w).contains(&kept.account));
    w.clock.advance(HOUR * 2);
    w.vault.leases_run_once().await.unwrap();
    assert_eq!(accepted(&w).len(), 2, "those of somebody else");
    check_only(
        &w,
        &[
            "v-token-app-aaaaaaaaaaaaaaaaaaaa-1795324800",
            "v_reader_of-somebody-else",
        ],
    );
}

fn check_only(w: &World, names: &[&str]) {
    let expect: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(accepted(w), expect);
}

/// Made, changed and deleted through the vault: what does not fit is told before it is stored.
#[tokio::test]
async fn engines_and_roles_are_checked_before_they_are_stored() {
    let w = World::new().await;
    let vault = &w.vault;
    vault
        .secret_write(&root(), write_of(ROOT_SECRET, "root"))
        .await
        .unwrap();
    let draft = |name: &str| EngineDraft {
        name: name.to_owned(),
        description: None,
        kind: EngineKind::Database,
        plugin: SCRIPTED.to_owned(),
        at: EngineAt::New {
            settings: serde_json::Map::from_iter([("host".to_owned(), "db".into())]),
            root_path: Some(path(ROOT_SECRET)),
        },
        default_ttl: span("1h"),
        max_ttl: span("24h"),
        verify: true,
        connection: None,
    };
    let codes = async |draft: EngineDraft| match vault.engine_create(&root(), draft).await {
        Ok(_) => "made".to_owned(),
        Err(error) => error.code().to_owned(),
    };
    for name in ["", "Orders", "a b", "versions", "a/b", &"x".repeat(65)] {
        assert_eq!(codes(draft(name)).await, "validation_error", "{name}");
    }
    let longer = EngineDraft {
        default_ttl: span("2d"),
        ..draft("orders")
    };
    assert_eq!(codes(longer).await, "validation_error");
    let nowhere = EngineDraft {
        at: EngineAt::New {
            settings: serde_json::Map::new(),
            root_path: Some(path("no/such")),
        },
        ..draft("orders")
    };
    assert_eq!(codes(nowhere).await, "validation_error");
    w.target.unreachable(true);
    assert_eq!(codes(draft("orders")).await, "invalid_config");
    let engines = async || vault.engine_list(&root(), None, 9).await.unwrap().len();
    assert_eq!(engines().await, 0, "nothing is stored");
    w.target.unreachable(false);
    assert_eq!(codes(draft("orders")).await, "made");
    assert_eq!(codes(draft("orders")).await, "name_exists");
    let health = vault.engine_health(&root(), "orders").await.unwrap();
    assert!(health.outcome.is_ok());

    let write = async |how, statements: &[&str]| {
        let texts = statements.iter().map(|text| (*text).to_owned()).collect();
        let draft = RoleDraft {
            creation_statements: Some(texts),
            ..RoleDraft::default()
        };
        match vault
            .role_write(&root(), ("orders", "reader"), how, draft)
            .await
        {
            Ok(role) => role.revision.to_string(),
            Err(error) => error.code().to_owned(),
        }
    };
    assert_eq!(write(RoleWrite::Change, &["x"]).await, "role_not_found");
    assert_eq!(write(RoleWrite::Create, &[]).await, "validation_error");
    assert_eq!(write(RoleWrite::Create, &["x"]).await, "1");
    assert_eq!(write(RoleWrite::Create, &["x"]).await, "name_exists");
    assert_eq!(write(RoleWrite::Put, &["y"]).await, "2");
    let made = vault
        .credential_generate(&root(), "orders", "reader", &CredentialRequest::default())
        .await
        .unwrap();
    let refused = vault.engine_delete(&root(), "orders").await.unwrap_err();
    assert_eq!(refused.code(), "engine_in_use");
    vault
        .role_delete(&root(), "orders", "reader")
        .await
        .unwrap();
    vault.lease_revoke(&root(), &made.lease.id).await.unwrap();
    vault.leases_run_once().await.unwrap();
    assert!(accepted(&w).is_empty(), "without its role, too");
    let of_engine = vault
        .engine_show(&root(), "orders")
        .await
        .unwrap()
        .target_id;
    let target = of_engine.unwrap();
    let in_use = vault.target_delete(&root(), target.as_str()).await;
    assert_eq!(in_use.unwrap_err().code(), "target_in_use");
    vault.engine_delete(&root(), "orders").await.unwrap();
    assert_eq!(engines().await, 0);
    let gone = vault.target_show(&root(), target.as_str()).await;
    assert_eq!(gone.unwrap_err().code(), "target_not_found");
}
