//! Tokens that serve so many requests, from somewhere, and end with the one they were made with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::access::Cidr;
use scaivault_core::identity::{Scope, ScopeSet, Token};
use scaivault_core::ids::TokenId;
use scaivault_core::ports::{ChangeFeed, Changes, ReadError, TokenReads, UnitName};
use scaivault_engine::{
    AuthError, Caller, MintedToken, TokenDraft, TokenLimits, Vault, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::world::{World, caller, identity, root, span};

const HOUR: Duration = Duration::from_secs(3_600);

/// Never asked: a node that has not looked relies on nothing it has in memory.
struct Unheard;

#[async_trait]
impl ChangeFeed for Unheard {
    async fn look(&self) -> Result<Changes, ReadError> {
        Ok(Changes::default())
    }

    async fn news(&self) {
        std::future::pending().await
    }
}

fn draft(who: &str, ttl: &str) -> TokenDraft {
    TokenDraft {
        roles: scaivault_core::tenancy::Roles::NONE,
        identity: identity(who),
        scopes: [Scope::Admin, Scope::SecretsRead]
            .into_iter()
            .collect::<ScopeSet>(),
        ttl: span(ttl),
        description: None,
    }
}

fn uses(count: u64) -> TokenLimits {
    TokenLimits {
        uses: Some(count),
        ..TokenLimits::default()
    }
}

fn from(ranges: &[&str]) -> TokenLimits {
    TokenLimits {
        allowed_addresses: ranges.iter().filter_map(|text| Cidr::parse(text)).collect(),
        ..TokenLimits::default()
    }
}

async fn of(w: &World, text: &str) -> Caller {
    Caller {
        principal: w.vault.authenticate(text, w.now()).await.unwrap(),
        ..caller("sa:maker")
    }
}

async fn made(w: &World, by: &Caller, ttl: &str, limits: TokenLimits) -> MintedToken {
    let draft = draft("sa:maker", ttl);
    w.vault
        .token_create_within(by, draft, limits)
        .await
        .unwrap()
}

async fn stored(w: &World, id: &TokenId) -> Token {
    let found = TokenReads::token_find(&*w.sqlite, &default_tenant(), id).await;
    found.unwrap().unwrap()
}

async fn takes(vault: &Vault, text: &str) -> Result<(), AuthError> {
    let entered = vault.enter(text, vault.now()).await?;
    vault.token_use(&entered.bound.unwrap()).await
}

/// Works until nothing is due.
async fn settle(w: &World) {
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
}

#[tokio::test]
async fn a_use_is_counted_before_anything_else_and_the_last_ends_it() {
    let w = World::new().await;
    let minted = made(&w, &root(), "1h", uses(2)).await;
    let text = minted.text.expose();
    takes(&w.vault, text).await.unwrap();
    let bounds = stored(&w, &minted.token.id).await.bounds.unwrap();
    assert_eq!(bounds.uses.unwrap().left, 1);
    // What was begun by the last use goes on; nothing new begins.
    let last = w.vault.enter(text, w.now()).await.unwrap();
    takes(&w.vault, text).await.unwrap();
    let refused = w.vault.token_use(&last.bound.unwrap()).await;
    assert_eq!(refused, Err(AuthError::UsedUp));
    assert_eq!(takes(&w.vault, text).await, Err(AuthError::UsedUp));
    let refused = w.vault.authenticate(text, w.now()).await.map(|_| ());
    assert_eq!(refused, Err(AuthError::UsedUp));
    let found = w.vault.token_introspect(&root(), text).await.unwrap();
    assert!(found.is_none());
}

/// Over one store, as over one database: the row's number decides.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_race_on_two_nodes_as_many_pass_as_there_are_uses() {
    let w = World::new().await;
    let other = w.another_node(Some(Arc::new(Unheard)));
    for count in [1, 3, 7] {
        let minted = made(&w, &root(), "1h", uses(count)).await;
        let text: Arc<str> = minted.text.expose().into();
        let all = (0..40).map(|n| {
            let (vault, text) = (if n % 2 == 0 { &w.vault } else { &other }, text.clone());
            let vault = vault.clone();
            tokio::spawn(async move { takes(&vault, &text).await })
        });
        let mut passed = 0;
        for one in all.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(()) => passed += 1,
                Err(error) => assert_eq!(error, AuthError::UsedUp),
            }
        }
        assert_eq!(passed, count);
    }
}

#[tokio::test]
async fn a_use_is_spent_when_nobody_knows_what_became_of_it() {
    let w = World::new().await;
    let minted = made(&w, &root(), "1h", uses(1)).await;
    w.store.arm(UnitName::TokenUse, When::Nth(1), Fault::Answer);
    let unknown = takes(&w.vault, minted.text.expose()).await;
    assert!(matches!(unknown, Err(AuthError::Unavailable(_))));
    let spent = takes(&w.vault, minted.text.expose()).await;
    assert_eq!(spent, Err(AuthError::UsedUp));
}

#[tokio::test]
async fn addresses_are_judged_and_never_widened() {
    let w = World::new().await;
    let minted = made(&w, &root(), "1h", from(&["10.0.0.0/8", "2001:db8::/32"])).await;
    let entered = w.vault.enter(minted.text.expose(), w.now()).await.unwrap();
    let bound = entered.bound.unwrap();
    let at = |text: &str| bound.comes_from(Some(text.parse::<IpAddr>().unwrap()));
    assert_eq!((at("10.1.2.3"), at("2001:db8::7")), (Ok(()), Ok(())));
    assert_eq!(at("11.1.2.3"), Err(AuthError::Address));
    assert_eq!(bound.comes_from(None), Err(AuthError::Address));

    let maker = of(&w, minted.text.expose()).await;
    let child = made(&w, &maker, "10m", TokenLimits::default()).await;
    let inherited = stored(&w, &child.token.id).await.bounds.unwrap();
    assert_eq!(inherited.allowed_addresses.len(), 2);
    made(&w, &maker, "10m", from(&["10.7.0.0/16"])).await;
    for (wide, no_parent) in [
        ("0.0.0.0/0", false),
        ("10.0.0.0/7", true),
        ("11.0.0.1", true),
    ] {
        let limits = TokenLimits {
            no_parent,
            ..from(&[wide])
        };
        let draft = draft("sa:maker", "10m");
        let refused = w.vault.token_create_within(&maker, draft, limits).await;
        let code = refused.map(|_| ()).unwrap_err();
        assert_eq!(code.code(), "forbidden", "{wide}");
    }
}

#[tokio::test]
async fn who_has_a_parent() {
    let w = World::new().await;
    let top = made(&w, &root(), "1h", TokenLimits::default()).await;
    assert_eq!(top.token.parent(), None, "the root token has no children");
    let maker = of(&w, top.text.expose()).await;
    let child = made(&w, &maker, "90d", TokenLimits::default()).await;
    assert_eq!(child.token.parent(), Some(&top.token.id));
    assert_eq!(child.token.expires_at, top.token.expires_at, "no later");
    let orphan = TokenLimits {
        no_parent: true,
        ..TokenLimits::default()
    };
    let orphan = made(&w, &maker, "90d", orphan).await;
    assert_eq!(orphan.token.parent(), None);
    assert!(orphan.token.expires_at > top.token.expires_at);

    // One with a number of uses has none, and a line has an end.
    let counted = made(&w, &root(), "1h", uses(5)).await;
    let counted = of(&w, counted.text.expose()).await;
    let refused = w.vault.token_create(&counted, draft("sa:x", "1m")).await;
    assert_eq!(refused.map(|_| ()).unwrap_err().code(), "forbidden");
    let mut last = child;
    for _ in 0..7 {
        let maker = of(&w, last.text.expose()).await;
        last = made(&w, &maker, "1h", TokenLimits::default()).await;
    }
    let maker = of(&w, last.text.expose()).await;
    let refused = w.vault.token_create(&maker, draft("sa:x", "1m")).await;
    assert!(matches!(refused.map(|_| ()), Err(VaultError::Forbidden(_))));
}

/// The generation after the next, on both nodes, before anybody cleans up.
#[tokio::test]
async fn a_tree_ends_with_its_root_at_once() {
    let w = World::new().await;
    let other = w.another_node(Some(Arc::new(Unheard)));
    let top = made(&w, &root(), "1h", TokenLimits::default()).await;
    let child = made(
        &w,
        &of(&w, top.text.expose()).await,
        "1h",
        TokenLimits::default(),
    )
    .await;
    let by_child = of(&w, child.text.expose()).await;
    let grandchild = made(&w, &by_child, "1h", TokenLimits::default()).await;
    let beside = made(&w, &root(), "1h", TokenLimits::default()).await;
    let text = grandchild.text.expose();
    for _ in 0..2 {
        w.vault.authenticate(text, w.now()).await.unwrap();
        other.authenticate(text, w.now()).await.unwrap();
    }
    w.vault.token_revoke(&root(), &top.token.id).await.unwrap();
    for vault in [&w.vault, &other] {
        for text in [text, child.text.expose()] {
            let refused = vault.authenticate(text, w.now()).await.map(|_| ());
            assert_eq!(refused, Err(AuthError::Revoked));
        }
    }
    let found = w.vault.token_introspect(&root(), text).await.unwrap();
    assert!(found.is_none());
    assert_eq!(stored(&w, &grandchild.token.id).await.revoked_at, None);

    settle(&w).await;
    for token in [&child, &grandchild] {
        let row = stored(&w, &token.token.id).await;
        assert!(row.revoked_at.is_some() && row.bounds.unwrap().ended_with_parent);
    }
    let beside = beside.text.expose();
    w.vault.authenticate(beside, w.now()).await.unwrap();
}

#[tokio::test]
async fn more_children_than_one_commit_takes_and_a_crash_at_each() {
    let w = World::new().await;
    let top = made(&w, &root(), "1h", TokenLimits::default()).await;
    let maker = of(&w, top.text.expose()).await;
    for _ in 0..230 {
        made(&w, &maker, "1h", TokenLimits::default()).await;
    }
    w.vault.token_revoke(&root(), &top.token.id).await.unwrap();
    let most = Arc::new(parking_lot::Mutex::new(0));
    let seen = most.clone();
    w.watched.watch(move |unit, _| {
        let mut most = seen.lock();
        *most = unit.ops.len().max(*most);
    });
    for nth in 0..3 {
        let fault = if nth == 1 { Fault::Answer } else { Fault::Unit };
        w.store.arm(UnitName::TokenSettle, When::Nth(1), fault);
        w.vault.tokens_ended_run_once().await.unwrap_err();
        w.vault.tokens_ended_run_once().await.unwrap();
    }
    settle(&w).await;
    assert_eq!(*most.lock(), 100);
    let tokens = TokenReads::token_list(&*w.sqlite, &default_tenant(), None, 999).await;
    let open = tokens
        .unwrap()
        .into_iter()
        .filter(|token| token.parent() == Some(&top.token.id) && token.ended_at(w.now()).is_none());
    assert_eq!(open.count(), 0);
}

/// A child whose making was under way while its parent ended is found by the second look.
#[tokio::test]
async fn a_child_that_comes_late_is_ended_too() {
    let w = World::new().await;
    let top = made(&w, &root(), "2h", TokenLimits::default()).await;
    let maker = of(&w, top.text.expose()).await;
    let stop = w.watched.stop_at(UnitName::TokenWrite);
    let (vault, by) = (w.vault.clone(), maker.clone());
    let making =
        tokio::spawn(async move { vault.token_create(&by, draft("sa:maker", "1h")).await });
    stop.arrived().await;
    w.vault.token_revoke(&root(), &top.token.id).await.unwrap();
    settle(&w).await;
    stop.go();
    let late = making.await.unwrap().unwrap();
    let refused = w.vault.authenticate(late.text.expose(), w.now()).await;
    assert_eq!(refused.map(|_| ()), Err(AuthError::Revoked));
    assert_eq!(stored(&w, &late.token.id).await.revoked_at, None);
    w.clock.advance(Duration::from_secs(300));
    settle(&w).await;
    assert!(stored(&w, &late.token.id).await.revoked_at.is_some());
    let top = stored(&w, &top.token.id).await;
    assert!(top.settled_at.is_some() && top.wake_at.is_none());
}

#[tokio::test]
async fn renewals_stay_within_the_parents_end_and_an_end_by_the_clock_is_noticed() {
    let w = World::new().await;
    let top = made(&w, &root(), "2h", TokenLimits::default()).await;
    let child = made(
        &w,
        &of(&w, top.text.expose()).await,
        "90m",
        TokenLimits::default(),
    )
    .await;
    w.clock.advance(HOUR);
    let own = of(&w, child.text.expose()).await;
    let renewed = w.vault.token_renew_self(&own).await.unwrap();
    assert_eq!(renewed.expires_at, top.token.expires_at);
    // The parent lives on, and so may the child.
    let own_of_top = of(&w, top.text.expose()).await;
    w.vault.token_renew_self(&own_of_top).await.unwrap();
    let renewed = w.vault.token_renew_self(&own).await.unwrap();
    assert_eq!(renewed.expires_at, Some(w.now().plus(HOUR * 3 / 2)));
    settle(&w).await;
    assert_eq!(stored(&w, &child.token.id).await.settled_at, None);
    w.clock.advance(HOUR * 3);
    settle(&w).await;
    w.clock.advance(Duration::from_secs(300));
    settle(&w).await;
    for token in [&top, &child] {
        let row = stored(&w, &token.token.id).await;
        assert!(row.settled_at.is_some() && row.wake_at.is_none());
    }
}
