//! Engines at the scripted target, and what tests ask of them.

use std::collections::BTreeSet;

use scaivault_core::dynamic::{Engine, EngineKind, Lease};
use scaivault_core::identity::Scope;
use scaivault_core::ports::{DynamicReads, LeaseFilter, Record, Store, Unit, UnitName};
use scaivault_core::target::Target;
use scaivault_engine::{
    Caller, CredentialRequest, EngineAt, EngineDraft, Generated, RoleDraft, VaultError,
    default_tenant,
};
use scaivault_testkit::SCRIPTED;
use scaivault_testkit::store_conformance::samples::{engine, engine_role, target};
use serde_json::{Map, Value};

use crate::world::{World, path, root, span, write_of};

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

pub(crate) fn scopes(who: &Caller, scopes: &[Scope]) -> Caller {
    let mut who = who.clone();
    let principal = std::sync::Arc::make_mut(&mut who.principal);
    principal.scopes = scopes.iter().copied().collect();
    who
}

/// Settings of a target at this host.
pub(crate) fn host(name: &str) -> Map<String, Value> {
    Map::from_iter([("host".to_owned(), Value::from(name))])
}

/// A role whose statements are one word.
pub(crate) fn role() -> RoleDraft {
    RoleDraft {
        creation_statements: Some(vec!["CREATE".to_owned()]),
        ..RoleDraft::default()
    }
}

/// An engine with a target of its own.
pub(crate) fn draft(name: &str) -> EngineDraft {
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
