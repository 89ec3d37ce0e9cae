//! Which policies speak for whom.

use scaivault_core::identity::Identity;
use scaivault_core::ports::{Op, Record};

use super::samples::{T0, at, binding, identity, policy, tenant};
use super::{Subject, commit, put};

async fn pairs(store: &Subject, owner: &str, who: &[&str]) -> Vec<String> {
    let who: Vec<Identity> = who.iter().map(|name| identity(name)).collect();
    let found = store.grants(&tenant(owner), &who).await.unwrap();
    let mut pairs: Vec<_> = found
        .iter()
        .map(|(policy, binding)| format!("{} {}", policy.id, binding.id))
        .collect();
    pairs.sort();
    pairs
}

pub async fn grants_reach_by_identity_and_group(store: Subject) {
    let a = tenant("a");
    let (one, two) = (policy(&a, "1"), policy(&a, "2"));
    let foreign = policy(&tenant("b"), "1");
    put(
        &store,
        [one.clone(), two.clone(), foreign.clone()].map(Record::Policy),
    )
    .await;
    let bindings = [
        binding(&one, "1", "user:alice"),
        binding(&one, "2", "group:sre"),
        binding(&two, "3", "group:sre"),
        binding(&two, "4", "sa:ci"),
        binding(&foreign, "1", "user:alice"),
    ];
    put(&store, bindings.map(Record::Binding)).await;
    assert_eq!(pairs(&store, "a", &["user:alice"]).await, ["pol_1 bnd_1"]);
    assert_eq!(
        pairs(&store, "a", &["group:sre"]).await,
        ["pol_1 bnd_2", "pol_2 bnd_3"]
    );
    assert_eq!(
        pairs(
            &store,
            "a",
            &["user:alice", "group:sre", "user:alice", "group:none"]
        )
        .await,
        ["pol_1 bnd_1", "pol_1 bnd_2", "pol_2 bnd_3"]
    );
    assert_eq!(
        pairs(&store, "b", &["user:alice", "group:sre"]).await,
        ["pol_1 bnd_1"]
    );
    assert_eq!(
        pairs(&store, "a", &["sa:alice"]).await,
        Vec::<String>::new()
    );
    assert_eq!(pairs(&store, "a", &[]).await, Vec::<String>::new());
}

/// The decision judges them by its own clock.
pub async fn inactive_and_ended_are_handed_out(store: Subject) {
    let mut off = policy(&tenant("a"), "1");
    off.is_active = false;
    let mut ended = binding(&off, "1", "user:alice");
    ended.expires_at = Some(at(-1_000));
    put(
        &store,
        [Record::Policy(off.clone()), Record::Binding(ended.clone())],
    )
    .await;
    let found = store
        .grants(&tenant("a"), &[identity("user:alice")])
        .await
        .unwrap();
    assert_eq!(found, [(off, ended)]);
}

pub async fn a_grant_ends_with_its_binding_or_policy(store: Subject) {
    let a = tenant("a");
    let mut one = policy(&a, "1");
    let mut bound = binding(&one, "1", "user:alice");
    put(
        &store,
        [Record::Policy(one.clone()), Record::Binding(bound.clone())],
    )
    .await;
    (bound.identity, bound.revision) = (identity("user:bob"), 2);
    (one.updated_at, one.revision) = (T0, 2);
    put(
        &store,
        [Record::Binding(bound.clone()), Record::Policy(one.clone())],
    )
    .await;
    assert_eq!(
        pairs(&store, "a", &["user:alice"]).await,
        Vec::<String>::new()
    );
    assert_eq!(pairs(&store, "a", &["user:bob"]).await, ["pol_1 bnd_1"]);
    commit(&store, [Op::Delete(Record::Policy(one))]).await;
    assert_eq!(
        pairs(&store, "a", &["user:bob"]).await,
        Vec::<String>::new()
    );
    commit(&store, [Op::Delete(Record::Binding(bound))]).await;
    assert_eq!(
        pairs(&store, "a", &["user:bob"]).await,
        Vec::<String>::new()
    );
}
