//! Two nodes over one store: what one changes holds on the other as soon as it has looked, and
//! soon enough when it cannot look.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::dynamic::Engine;
use scaivault_core::event::EventType;
use scaivault_core::identity::{Identity, Scope};
use scaivault_core::ports::{ChangeFeed, Changes, DeliveryReads, ReadError};
use scaivault_engine::{
    AuthError, CredentialRequest, RoleDraft, RoleWrite, TargetChange, TokenDraft, Vault,
    VaultError, default_tenant,
};

use crate::dynamic_world::{ROOT_SECRET, made};
use crate::world::{World, path, root, span};

/// Answers what the test put in, and "nothing changed" otherwise.
#[derive(Default)]
struct Scripted(Mutex<VecDeque<Result<Changes, ReadError>>>);

impl Scripted {
    fn then(&self, answer: Result<Changes, ReadError>) {
        self.0.lock().push_back(answer);
    }
}

#[async_trait]
impl ChangeFeed for Scripted {
    async fn look(&self) -> Result<Changes, ReadError> {
        self.0.lock().pop_front().unwrap_or(Ok(Changes::default()))
    }

    async fn news(&self) {
        std::future::pending().await
    }
}

struct Two {
    world: World,
    other: Arc<Vault>,
    feed: Arc<Scripted>,
}

async fn two() -> Two {
    let world = World::new().await;
    let feed = Arc::new(Scripted::default());
    let other = world.another_node(Some(feed.clone()));
    Two { world, other, feed }
}

/// The other node has looked, and has the first version in memory.
async fn two_that_read() -> Two {
    let two = two().await;
    two.world.put("app/db", "pw").await;
    two.look().await;
    assert_eq!(two.other_reads().await, 1);
    two
}

impl Two {
    /// What the other node's readers get.
    async fn other_reads(&self) -> u64 {
        let read = self.other.secret_read(&root(), &path("app/db"), None).await;
        read.unwrap().version()
    }

    async fn look(&self) {
        self.other.neighbours_look().await.unwrap();
    }

    fn told(&self) -> Changes {
        Changes {
            secrets: [(default_tenant(), path("app/db"))].into(),
            ..Changes::default()
        }
    }
}

const TRUSTED: Duration = Duration::from_millis(699);
const TOO_LATE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_node_that_never_looked_reads_the_store() {
    let two = two().await;
    for version in 1..=3 {
        two.world.put("app/db", "pw").await;
        assert_eq!(two.other_reads().await, version);
    }
}

#[tokio::test]
async fn what_was_told_holds_at_once_and_what_was_not_in_time() {
    let two = two_that_read().await;
    two.world.put("app/db", "pw").await;
    two.world.clock.advance(TRUSTED);
    assert_eq!(
        two.other_reads().await,
        1,
        "it has not heard, and relies on its last look"
    );
    two.feed.then(Ok(two.told()));
    two.look().await;
    assert_eq!(two.other_reads().await, 2);
    two.world.put("app/db", "pw").await;
    two.world.clock.advance(TRUSTED);
    two.world.clock.advance(TOO_LATE);
    assert_eq!(
        two.other_reads().await,
        3,
        "it looked too long ago to rely on it"
    );
}

#[tokio::test]
async fn a_look_that_fails_is_no_look() {
    let two = two_that_read().await;
    two.world.put("app/db", "pw").await;
    two.world.clock.advance(TRUSTED);
    two.feed.then(Err(ReadError::Unavailable("cut off".into())));
    two.other.neighbours_look().await.unwrap_err();
    two.world.clock.advance(TOO_LATE);
    assert_eq!(two.other_reads().await, 2);
}

/// A machine that was asleep, or whose clock somebody set: what was known is not relied upon.
#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_younger() {
    let two = two_that_read().await;
    two.world.put("app/db", "pw").await;
    two.world.clock.rewind(Duration::from_secs(3_600));
    assert_eq!(two.other_reads().await, 2);
}

#[tokio::test]
async fn everything_is_forgotten_when_something_was_missed() {
    let two = two_that_read().await;
    two.world.put("app/db", "pw").await;
    two.feed.then(Ok(Changes {
        everything: true,
        ..Changes::default()
    }));
    two.look().await;
    assert_eq!(two.other_reads().await, 2);
}

#[tokio::test]
async fn a_revoked_token_is_refused_as_soon_as_it_was_told() {
    let two = two().await;
    let draft = TokenDraft {
        roles: scaivault_core::tenancy::Roles::NONE,
        identity: Identity::parse("sa:app").unwrap(),
        scopes: [Scope::SecretsRead].into_iter().collect(),
        ttl: span("1h"),
        description: None,
    };
    let minted = two.world.vault.token_create(&root(), draft).await.unwrap();
    let (token, id) = (minted.text.expose().to_owned(), minted.token.id);
    two.look().await;
    let now = two.world.now();
    two.other.authenticate(&token, now).await.unwrap();
    two.world.vault.token_revoke(&root(), &id).await.unwrap();
    two.other.authenticate(&token, now).await.unwrap();
    two.feed.then(Ok(Changes {
        everything: true,
        ..Changes::default()
    }));
    two.look().await;
    let refused = two.other.authenticate(&token, now).await;
    assert!(matches!(refused, Err(AuthError::Revoked)));
}

/// How long a credential of this node lives.
async fn ttl(vault: &Vault, of: &Engine) -> Result<u64, VaultError> {
    let request = CredentialRequest::default();
    let who = root();
    let made = vault.credential_generate(&who, &of.name, "reader", &request);
    let lease = made.await?.lease;
    Ok(lease.expires_at.since(lease.issued_at).as_secs())
}

/// What a role says holds at once on the node where it was written, and on the others as soon as
/// they heard of it.
#[tokio::test]
async fn a_role_that_changed_makes_no_credentials_as_before() {
    let two = two().await;
    let of = made(&two.world, "1").await;
    let here = &two.world.vault;
    two.look().await;
    assert_eq!(ttl(here, &of).await.unwrap(), 3_600);
    assert_eq!(ttl(&two.other, &of).await.unwrap(), 3_600);
    let draft = RoleDraft {
        default_ttl: Some(span("30m")),
        ..RoleDraft::default()
    };
    let at = (of.name.as_str(), "reader");
    let who = root();
    let written = here.role_write(&who, at, RoleWrite::Change, draft);
    written.await.unwrap();
    assert_eq!(ttl(here, &of).await.unwrap(), 1_800);
    let told = || Changes {
        ways: true,
        ..Changes::default()
    };
    two.feed.then(Ok(told()));
    two.look().await;
    assert_eq!(ttl(&two.other, &of).await.unwrap(), 1_800);
    here.role_delete(&root(), &of.name, "reader").await.unwrap();
    let gone = |made: Result<u64, VaultError>| matches!(made, Err(VaultError::NotFound(_)));
    assert!(gone(ttl(here, &of).await));
    two.world.clock.advance(TRUSTED + TOO_LATE);
    assert!(
        gone(ttl(&two.other, &of).await),
        "it heard nothing for too long to rely on it"
    );
}

/// The manager's value comes from memory only where it is the current one.
#[tokio::test]
async fn the_manager_of_a_credential_is_the_one_that_is_current() {
    let two = two().await;
    let of = made(&two.world, "1").await;
    two.look().await;
    ttl(&two.other, &of).await.unwrap();
    ttl(&two.world.vault, &of).await.unwrap();
    two.world.put(ROOT_SECRET, "another").await;
    two.feed.then(Ok(Changes {
        secrets: [(default_tenant(), path(ROOT_SECRET))].into(),
        ..Changes::default()
    }));
    two.look().await;
    let used = || String::from_utf8(two.world.target.manager().unwrap()).unwrap();
    for vault in [&two.other, &two.world.vault] {
        ttl(vault, &of).await.unwrap();
        assert!(used().contains("another"), "{}", used());
    }
}

/// So is the secret that its target says the manager is in.
#[tokio::test]
async fn a_target_that_changed_is_managed_by_another_at_once() {
    let two = two().await;
    let of = made(&two.world, "1").await;
    let here = &two.world.vault;
    ttl(here, &of).await.unwrap();
    two.world.target.needs_manager(true);
    two.world.put("dynamic/second", "the second").await;
    let change = TargetChange {
        manager_path: Some(path("dynamic/second")),
        ..TargetChange::default()
    };
    let target = of.target_id.as_ref().unwrap().to_string();
    here.target_change(&root(), &target, change).await.unwrap();
    ttl(here, &of).await.unwrap();
    let used = String::from_utf8(two.world.target.manager().unwrap()).unwrap();
    assert!(used.contains("the second"), "{used}");
}

/// What the node has in memory of receivers is of before it was registered.
#[tokio::test]
async fn an_event_reaches_a_receiver_that_was_registered_elsewhere_before_it() {
    let two = two().await;
    two.world.put("app/db", "pw").await;
    two.world.vault.fan_out_run_once().await.unwrap();
    two.look().await;
    // A read looks whether anybody wants to hear of it.
    two.other_reads().await;
    let kinds = [EventType::SecretUpdated];
    let webhook = two.world.webhook("https://hooks.example/a", &kinds).await;
    two.world.put("app/db", "pw").await;
    assert!(two.other.fan_out_run_once().await.unwrap() > 0);
    let (tenant, id) = (default_tenant(), webhook.id.as_str().to_owned());
    let made = two.world.sqlite.delivery_list(&tenant, &id, None, None, 9);
    assert_eq!(made.await.unwrap().len(), 1);
}
