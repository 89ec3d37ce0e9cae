//! What was granted is taken away on the very next call, through caches warmed by use; and a vault
//! with caches answers every time as one without.

use std::collections::BTreeMap;

use proptest::prelude::*;
use scaivault_core::access::Permission;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ids::{BindingId, PolicyId, TokenId};
use scaivault_core::ports::UnitName;
use scaivault_engine::{
    AuthError, BindingDraft, Caller, PolicyDraft, TokenDraft, Vault, VaultError,
};
use scaivault_testkit::{Fault, When};

use crate::world::{
    HOUR, World, caller, identity, ninety_days, password, path, root, rule, span, write_of,
};

const AT: &str = "app/door";

/// A secret, and somebody who has read it often enough for every cache to know.
async fn warm(w: &World) -> (Caller, PolicyId, BindingId) {
    w.put(AT, "open").await;
    let (policy, binding) = w.grant("sa:guest", "app/*", &[Permission::Read]).await;
    let guest = caller("sa:guest");
    for _ in 0..3 {
        assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    }
    (guest, policy, binding)
}

async fn assert_shut(w: &World, guest: &Caller) {
    let shut = w.read(guest, AT, None).await.unwrap_err();
    assert_eq!(shut.code(), "access_denied");
}

#[tokio::test]
async fn a_deleted_binding() {
    let w = World::new().await;
    let (guest, policy, binding) = warm(&w).await;
    w.vault
        .binding_delete(&root(), &policy, &binding)
        .await
        .unwrap();
    assert_shut(&w, &guest).await;
}

#[tokio::test]
async fn a_changed_an_inactive_and_a_deleted_policy() {
    let w = World::new().await;
    let (guest, policy, _) = warm(&w).await;
    let change = |draft| w.vault.policy_change(&ROOT_CALLER, &policy, draft);
    let elsewhere = PolicyDraft {
        rules: Some(vec![rule("team/*", &[Permission::Read])]),
        ..PolicyDraft::default()
    };
    change(elsewhere).await.unwrap();
    assert_shut(&w, &guest).await;
    let back = PolicyDraft {
        rules: Some(vec![rule("app/*", &[Permission::Read])]),
        ..PolicyDraft::default()
    };
    change(back).await.unwrap();
    assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    let inactive = PolicyDraft {
        is_active: Some(false),
        ..PolicyDraft::default()
    };
    change(inactive).await.unwrap();
    assert_shut(&w, &guest).await;
    let active = PolicyDraft {
        is_active: Some(true),
        ..PolicyDraft::default()
    };
    change(active).await.unwrap();
    assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    w.vault.policy_delete(&root(), &policy, true).await.unwrap();
    assert_shut(&w, &guest).await;
}

static ROOT_CALLER: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(root);

#[tokio::test]
async fn a_binding_that_ends_by_the_clock() {
    let w = World::new().await;
    w.put(AT, "open").await;
    let policy = w.access_policy("app/*", &[Permission::Read]).await;
    let draft = BindingDraft {
        identity: identity("sa:guest"),
        expires_at: Some(w.now().plus(HOUR)),
    };
    w.vault
        .binding_create(&root(), &policy, draft)
        .await
        .unwrap();
    let guest = caller("sa:guest");
    assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    w.clock.advance(HOUR);
    assert_shut(&w, &guest).await;
}

async fn token(w: &World) -> (TokenId, String) {
    let draft = TokenDraft {
        roles: scaivault_core::tenancy::Roles::NONE,
        identity: identity("sa:guest"),
        scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
        ttl: span("1h"),
        description: None,
    };
    let minted = w.vault.token_create(&root(), draft).await.unwrap();
    (minted.token.id, minted.text.expose().to_owned())
}

#[tokio::test]
async fn a_revoked_and_an_ended_token() {
    let w = World::new().await;
    let (first, text) = token(&w).await;
    let (_, other) = token(&w).await;
    for _ in 0..3 {
        w.vault.authenticate(&text, w.now()).await.unwrap();
        w.vault.authenticate(&other, w.now()).await.unwrap();
    }
    w.vault.token_revoke(&root(), &first).await.unwrap();
    let refused = w.vault.authenticate(&text, w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Revoked);
    w.vault.authenticate(&other, w.now()).await.unwrap();
    w.clock.advance(HOUR);
    let refused = w.vault.authenticate(&other, w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Expired);
    let refused = w.vault.authenticate("skt_unknown", w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Invalid);
}

#[tokio::test]
async fn a_renewed_token_lives_on_and_a_revoked_one_is_not_renewed() {
    let w = World::new().await;
    let (id, text) = token(&w).await;
    w.clock.advance(HOUR / 2);
    let known = w.vault.authenticate(&text, w.now()).await.unwrap();
    let own = Caller {
        principal: known,
        ..caller("sa:guest")
    };
    w.vault.token_renew_self(&own).await.unwrap();
    w.clock.advance(HOUR * 3 / 4);
    w.vault.authenticate(&text, w.now()).await.unwrap();
    w.vault.token_revoke(&root(), &id).await.unwrap();
    let refused = w.vault.token_renew_self(&own).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
}

#[tokio::test]
async fn a_deleted_and_an_expired_secret() {
    let w = World::new().await;
    let (guest, ..) = warm(&w).await;
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    let gone = w.read(&guest, AT, None).await.unwrap_err();
    assert_eq!(gone.code(), "secret_not_found");
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    let short = scaivault_engine::SecretWrite {
        expires_in: Some(span("1h")),
        ..write_of(AT, "short")
    };
    w.vault.secret_write(&root(), short).await.unwrap();
    assert_eq!(w.read(&guest, AT, None).await.unwrap(), "short");
    w.clock.advance(HOUR);
    let ended = w.read(&guest, AT, None).await;
    assert_eq!(ended.unwrap_err(), VaultError::SecretExpired);
}

#[tokio::test]
async fn what_is_told_beside_a_value_is_as_fresh_as_the_value() {
    let w = World::new().await;
    let (guest, ..) = warm(&w).await;
    let told = async || {
        let read = w.vault.secret_read(&guest, &path(AT), None).await.unwrap();
        read.rotation_policy_id().map(str::to_owned)
    };
    assert_eq!(told().await, None);
    let policy = w.policy(ninety_days("attached")).await;
    w.assign(&policy.id, AT).await;
    assert_eq!(told().await.as_deref(), Some(policy.id.as_str()));
    w.vault
        .assignment_delete(&root(), &policy.id, &path(AT))
        .await
        .unwrap();
    assert_eq!(told().await, None);
    w.assign(&policy.id, AT).await;
    assert!(told().await.is_some());
    w.vault
        .rotation_policy_delete(&root(), &policy.id)
        .await
        .unwrap();
    assert_eq!(told().await, None);
}

#[tokio::test]
async fn while_an_outcome_is_unknown_the_caches_are_passed_by() {
    let w = World::new().await;
    let (guest, policy, binding) = warm(&w).await;
    // Applied, and nobody was told: the next call knows all the same.
    w.store
        .arm(UnitName::BindingDelete, When::Nth(1), Fault::Answer);
    let unknown = w.vault.binding_delete(&root(), &policy, &binding).await;
    assert_eq!(unknown.unwrap_err().code(), "service_unavailable");
    assert_shut(&w, &guest).await;

    let (_, text) = token(&w).await;
    let known = w.vault.authenticate(&text, w.now()).await.unwrap();
    w.store
        .arm(UnitName::TokenWrite, When::Nth(1), Fault::Answer);
    let id = known.token_id.clone().unwrap();
    w.vault.token_revoke(&root(), &id).await.unwrap_err();
    let refused = w.vault.authenticate(&text, w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Revoked);

    w.store
        .arm(UnitName::SecretWrite, When::Nth(1), Fault::Answer);
    w.put_as(&root(), AT, "changed").await.unwrap_err();
    assert_eq!(w.read(&root(), AT, None).await.unwrap(), "changed");
}

#[tokio::test]
async fn what_is_applied_after_its_caller_gave_up_holds_at_once() {
    let w = World::new().await;
    let (id, text) = token(&w).await;
    w.vault.authenticate(&text, w.now()).await.unwrap();
    w.watched.next_is_late(UnitName::TokenWrite);
    let unknown = w.vault.token_revoke(&root(), &id).await.unwrap_err();
    assert_eq!(unknown.code(), "service_unavailable");
    // Asked in between, the token is still good; that must not be remembered.
    w.vault.authenticate(&text, w.now()).await.unwrap();
    w.vault.authenticate(&text, w.now()).await.unwrap();
    w.watched.apply_late().await.unwrap();
    let refused = w.vault.authenticate(&text, w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Revoked);
    // The next commit that comes through settles it: from then on it is remembered.
    w.put(AT, "settles").await;
    let refused = w.vault.authenticate(&text, w.now()).await;
    assert_eq!(refused.unwrap_err(), AuthError::Revoked);
}

#[tokio::test]
async fn a_reader_under_way_while_a_right_is_taken_caches_nothing_stale() {
    let w = World::new().await;
    let (guest, policy, binding) = warm(&w).await;
    // The reader has decided and waits for its audit row; the right goes away meanwhile.
    let stop = w.watched.stop_at(UnitName::AuditOnly);
    let (vault, slow) = (w.vault.clone(), guest.clone());
    let reading = tokio::spawn(async move {
        let read = vault.secret_read(&slow, &path(AT), None).await;
        read.map(|_| ())
    });
    stop.arrived().await;
    w.vault
        .binding_delete(&root(), &policy, &binding)
        .await
        .unwrap();
    stop.go();
    reading.await.unwrap().unwrap();
    assert_shut(&w, &guest).await;
}

#[tokio::test]
async fn a_value_does_not_leave_without_its_audit_row() {
    let w = World::new().await;
    let (guest, ..) = warm(&w).await;
    for fault in [Fault::Unit, Fault::Answer] {
        w.store.arm(UnitName::AuditOnly, When::Every, fault);
        let refused = w.read(&guest, AT, None).await.unwrap_err();
        assert_eq!(refused.code(), "service_unavailable");
        // Not even a refusal is answered without its row.
        let refused = w.read(&caller("sa:stranger"), AT, None).await.unwrap_err();
        assert_eq!(refused.code(), "service_unavailable");
        w.store.disarm();
        assert_eq!(w.read(&guest, AT, None).await.unwrap(), "open");
    }
}

// ---- cached = uncached = naive ----------------------------------------------------------------

#[derive(Debug, Clone)]
enum Move {
    Grant {
        who: usize,
        pattern: usize,
        permission: usize,
        hours: Option<u64>,
    },
    Revoke(usize),
    Write {
        who: usize,
        at: usize,
    },
    Read {
        who: usize,
        at: usize,
    },
    Delete {
        at: usize,
        permanent: bool,
    },
    Undelete(usize),
    Wait(u64),
}

const WHO: [&str; 3] = ["sa:a", "sa:b", "user:c"];
const WHERE: [&str; 3] = ["app/x", "app/y", "team/z"];
const PATTERNS: [&str; 4] = ["app/*", "app/x", "**", "team/**"];
const RIGHTS: [Permission; 3] = [Permission::Read, Permission::Write, Permission::Admin];

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..3usize, 0..4usize, 0..3usize, proptest::option::of(1..48u64)).prop_map(
            |(who, pattern, permission, hours)| Move::Grant { who, pattern, permission, hours }
        ),
        2 => (0..20usize).prop_map(Move::Revoke),
        4 => (0..3usize, 0..3usize).prop_map(|(who, at)| Move::Write { who, at }),
        6 => (0..3usize, 0..3usize).prop_map(|(who, at)| Move::Read { who, at }),
        1 => (0..3usize, any::<bool>()).prop_map(|(at, permanent)| Move::Delete { at, permanent }),
        1 => (0..3usize).prop_map(Move::Undelete),
        1 => (1..24u64).prop_map(Move::Wait),
    ]
}

/// The rules as a person would say them.
#[derive(Default)]
struct Naive {
    grants: BTreeMap<usize, (usize, usize, usize, Option<u64>)>,
    values: BTreeMap<usize, String>,
    /// … and until which hour it can be brought back.
    deleted: BTreeMap<usize, u64>,
    hour: u64,
}

impl Naive {
    fn may(&self, who: usize, at: usize, wanted: Permission) -> bool {
        self.grants.values().any(|(to, pattern, right, until)| {
            let covers = match PATTERNS[*pattern] {
                "app/*" => WHERE[at].starts_with("app/"),
                "app/x" => WHERE[at] == "app/x",
                "team/**" => WHERE[at].starts_with("team/"),
                _ => true,
            };
            let right = RIGHTS[*right];
            *to == who
                && covers
                && until.is_none_or(|until| self.hour < until)
                && (right == wanted || right == Permission::Admin)
        })
    }

    fn read(&self, who: usize, at: usize) -> Result<String, &'static str> {
        if !self.may(who, at, Permission::Read) {
            return Err("access_denied");
        }
        let there = self
            .values
            .get(&at)
            .filter(|_| !self.deleted.contains_key(&at));
        there.cloned().ok_or("secret_not_found")
    }
}

async fn read_by(vault: &Vault, who: usize, at: usize) -> Result<String, &'static str> {
    let read = vault
        .secret_read(&caller(WHO[who]), &path(WHERE[at]), None)
        .await;
    read.map(|read| password(read.value()))
        .map_err(|error| error.code())
}

async fn compare(moves: Vec<Move>) {
    let w = World::new().await;
    let mut naive = Naive::default();
    let mut made: Vec<(PolicyId, BindingId)> = Vec::new();
    for (number, step) in moves.into_iter().enumerate() {
        match step {
            Move::Grant {
                who,
                pattern,
                permission,
                hours,
            } => {
                let policy = w
                    .access_policy(PATTERNS[pattern], &[RIGHTS[permission]])
                    .await;
                let draft = BindingDraft {
                    identity: identity(WHO[who]),
                    expires_at: hours.map(|h| w.now().plus(HOUR * u32::try_from(h).unwrap())),
                };
                let binding = w
                    .vault
                    .binding_create(&root(), &policy, draft)
                    .await
                    .unwrap();
                let until = hours.map(|hours| naive.hour + hours);
                naive
                    .grants
                    .insert(made.len(), (who, pattern, permission, until));
                made.push((policy, binding.id));
            }
            Move::Revoke(which) => {
                if naive.grants.remove(&which).is_some() {
                    let (policy, binding) = &made[which];
                    w.vault
                        .binding_delete(&root(), policy, binding)
                        .await
                        .unwrap();
                }
            }
            Move::Write { who, at } => {
                let value = format!("value-{number}");
                let done = w.put_as(&caller(WHO[who]), WHERE[at], &value).await;
                let done = done.map(|_| ()).map_err(|error| error.code());
                if !naive.may(who, at, Permission::Write) {
                    assert_eq!(done, Err("access_denied"));
                } else if naive.deleted.contains_key(&at) {
                    assert_eq!(done, Err("secret_exists"));
                } else {
                    assert_eq!(done, Ok(()));
                    naive.values.insert(at, value);
                }
            }
            Move::Read { who, at } => {
                let expect = naive.read(who, at);
                let fresh = w.another_vault();
                assert_eq!(read_by(&w.vault, who, at).await, expect, "with caches");
                assert_eq!(read_by(&fresh, who, at).await, expect, "without");
            }
            Move::Delete { at, permanent } => {
                let done = w
                    .vault
                    .secret_delete(&root(), &path(WHERE[at]), permanent)
                    .await;
                let there = naive.values.contains_key(&at);
                let there = there && (permanent || !naive.deleted.contains_key(&at));
                assert_eq!(done.is_ok(), there);
                if there && permanent {
                    naive.values.remove(&at);
                    naive.deleted.remove(&at);
                } else if there {
                    naive.deleted.insert(at, naive.hour + 30 * 24);
                }
            }
            Move::Undelete(at) => {
                let done = w.vault.secret_undelete(&root(), &path(WHERE[at])).await;
                let back = naive
                    .deleted
                    .get(&at)
                    .is_some_and(|until| naive.hour < *until);
                assert_eq!(done.is_ok(), back);
                if back {
                    naive.deleted.remove(&at);
                }
            }
            Move::Wait(hours) => {
                w.clock.advance(HOUR * u32::try_from(hours).unwrap());
                naive.hour += hours;
            }
        }
    }
    // In the end everybody asks for everything.
    for who in 0..WHO.len() {
        for at in 0..WHERE.len() {
            assert_eq!(read_by(&w.vault, who, at).await, naive.read(who, at));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn caches_change_no_answer(moves in proptest::collection::vec(a_move(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(moves));
    }
}
