//! Deliveries that wait for each other, dead letters sent again, and subscriptions nobody reads.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::ids::WebhookId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{DeliveryReads, ReceiverReads, UnitName};
use scaivault_core::receiver::{DeliveryOrder, Filters};
use scaivault_engine::{
    DeliveryDraft, ReplayRange, SubscriptionDraft, VaultError, WebhookChange, default_tenant,
};
use scaivault_testkit::Reply;

use crate::world::{DAY, HOUR, RECEIVER, SIGNING_SECRET, World, caller, root, scoped, span};

/// From the first attempt to the last, and a little.
const ALL_ATTEMPTS: Duration = Duration::from_secs(35 * 3_600);

async fn ordered(w: &World, order: DeliveryOrder) -> WebhookId {
    let id = w.hear_all().await;
    let change = WebhookChange {
        ordered: Some(order),
        ..WebhookChange::default()
    };
    w.vault.webhook_change(&root(), &id, change).await.unwrap();
    id
}

/// What was accepted, as `type path`.
fn accepted(w: &World) -> Vec<String> {
    let parcels = w.courier.received(RECEIVER);
    let good = parcels
        .iter()
        .filter(|parcel| parcel.reply == Reply::Accept);
    good.map(|parcel| {
        let event = parcel.json();
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("event_type"), text("path"))
    })
    .collect()
}

async fn deliveries(w: &World, webhook: &WebhookId) -> Vec<Delivery> {
    let tenant = default_tenant();
    let id = webhook.as_str();
    let rows = DeliveryReads::delivery_list(&*w.sqlite, &tenant, id, None, None, 100).await;
    rows.unwrap()
}

async fn count(w: &World, webhook: &WebhookId, state: DeliveryState) -> usize {
    let rows = deliveries(w, webhook).await;
    rows.iter().filter(|row| row.state == state).count()
}

#[tokio::test]
async fn in_order_of_each_path_a_failing_one_holds_back_its_own_path_alone() {
    let w = World::new().await;
    let id = ordered(&w, DeliveryOrder::Path).await;
    w.courier
        .next(RECEIVER, [Reply::Refuse(500), Reply::Refuse(500)]);
    w.put("app/a", "1").await;
    w.work().await;
    w.put("app/a", "2").await;
    w.put("app/b", "1").await;
    w.put("app/a", "3").await;
    w.jump(Duration::from_secs(31)).await; // The second attempt fails, too.
    assert_eq!(accepted(&w), ["secret.created app/b"]);
    let held = deliveries(&w, &id).await;
    assert_eq!(
        held.iter()
            .filter(|row| row.held && row.attempts == 0)
            .count(),
        2
    );
    w.jump(Duration::from_secs(301)).await;
    assert_eq!(
        accepted(&w)[1..],
        [
            "secret.created app/a",
            "secret.updated app/a",
            "secret.updated app/a"
        ]
    );
    let told = w.envelopes(RECEIVER);
    let versions: Vec<_> = told
        .iter()
        .filter(|e| e["event_type"] == "secret.updated")
        .collect();
    assert_eq!(versions[0]["data"]["new_version"], 2);
    assert_eq!(versions[1]["data"]["new_version"], 3);
    assert_eq!(count(&w, &id, DeliveryState::Success).await, 4);
    // Held back or not, each was tried once more than it was refused.
    assert_eq!(w.courier.received(RECEIVER).len(), 6);
}

#[tokio::test]
async fn in_order_of_all_a_dead_letter_lets_the_next_one_go() {
    let w = World::new().await;
    let id = ordered(&w, DeliveryOrder::All).await;
    w.courier.next(RECEIVER, [Reply::Refuse(500); 7]);
    for at in ["app/a", "app/b", "app/c"] {
        w.put(at, "1").await;
    }
    w.live(33 * HOUR).await;
    assert!(accepted(&w).is_empty(), "all wait for the first");
    w.live(2 * HOUR).await;
    assert_eq!(
        accepted(&w),
        ["secret.created app/b", "secret.created app/c"]
    );
    assert_eq!(count(&w, &id, DeliveryState::Failed).await, 1);
    // A receiver that gives its order up has what waits at once.
    w.courier.next(RECEIVER, [Reply::Refuse(500)]);
    w.put("app/d", "1").await;
    w.work().await;
    w.put("app/e", "1").await;
    w.work().await;
    assert_eq!(accepted(&w).len(), 2);
    let change = WebhookChange {
        ordered: Some(DeliveryOrder::None),
        ..WebhookChange::default()
    };
    w.vault.webhook_change(&root(), &id, change).await.unwrap();
    w.put("app/f", "1").await;
    w.work().await;
    assert_eq!(accepted(&w)[2..], ["secret.created app/f"]);
    w.live(2 * HOUR).await;
    assert_eq!(accepted(&w).len(), 5, "nothing is left behind");
}

#[tokio::test]
async fn dead_letters_are_kept_counted_and_sent_again_oldest_first() {
    let w = World::new().await;
    let id = w.hear_all().await;
    w.courier.always(RECEIVER, Reply::Refuse(503));
    let begun = w.now();
    for n in 0..5 {
        w.put(&format!("app/s{n}"), "1").await;
        w.work().await;
        w.clock.advance(Duration::from_secs(60));
    }
    w.live(ALL_ATTEMPTS).await;
    assert_eq!(count(&w, &id, DeliveryState::Failed).await, 5);
    w.courier.always(RECEIVER, Reply::Accept);
    w.vault.webhook_test(&root(), &id).await.unwrap();

    let dead = ReplayRange {
        state: Some(DeliveryState::Failed),
        limit: 100,
        ..ReplayRange::default()
    };
    let replay =
        async |range: &ReplayRange| w.vault.webhook_replay(&root(), &id, range).await.unwrap();
    let counted = replay(&ReplayRange {
        dry_run: true,
        ..dead.clone()
    })
    .await;
    assert_eq!((counted.matched, counted.next), (5, None));
    w.work().await;
    assert!(
        accepted(&w)
            .iter()
            .all(|told| told.starts_with("webhook.test")),
        "only counted"
    );

    // By time: from inclusive, to exclusive.
    let early = ReplayRange {
        from: Some(begun),
        to: Some(begun.plus(Duration::from_secs(60))),
        dry_run: true,
        ..dead.clone()
    };
    assert_eq!(replay(&early).await.matched, 1);
    let other = ReplayRange {
        events: vec![EventType::SecretDeleted],
        dry_run: true,
        ..dead.clone()
    };
    assert_eq!(replay(&other).await.matched, 0);

    // Two, then the rest behind them; while they are on their way nothing is sent twice.
    let two = replay(&ReplayRange {
        limit: 2,
        ..dead.clone()
    })
    .await;
    assert_eq!(two.matched, 2);
    let rest = ReplayRange {
        after: two.next.clone(),
        ..dead.clone()
    };
    let rest = replay(&rest).await;
    assert_eq!((rest.matched, rest.next), (3, None));
    assert_eq!(replay(&dead).await.matched, 0);
    w.work().await;
    let again: Vec<String> = (0..5).map(|n| format!("secret.created app/s{n}")).collect();
    assert_eq!(accepted(&w).len(), 6);
    assert_eq!(accepted(&w)[1..], again);
    assert_eq!(count(&w, &id, DeliveryState::Failed).await, 0);
    let asked = w
        .audit()
        .await
        .into_iter()
        .filter(|row| row.action == Action::WebhookReplay);
    let counts: Vec<_> = asked.map(|row| row.extra_data.count).collect();
    assert_eq!(counts, [Some(2), Some(3)]);

    // What was accepted, too, if that is asked for; never a test.
    let all = ReplayRange {
        state: None,
        ..dead
    };
    assert_eq!(replay(&all).await.matched, 5);
    let stranger = scoped("sa:other", &[scaivault_core::identity::Scope::SecretsRead]);
    let refused = w.vault.webhook_replay(&stranger, &id, &all).await;
    assert!(matches!(refused, Err(VaultError::Scope(_))), "{refused:?}");
}

#[tokio::test]
async fn deliveries_of_tests_go_with_the_events() {
    let w = World::new().await;
    let id = w.hear_all().await;
    w.vault.webhook_test(&root(), &id).await.unwrap();
    w.clock.advance(29 * DAY);
    w.vault.webhook_test(&root(), &id).await.unwrap();
    w.vault.housekeeping_run_once().await.unwrap();
    assert_eq!(deliveries(&w, &id).await.len(), 2);
    w.clock.advance(2 * DAY);
    w.vault.housekeeping_run_once().await.unwrap();
    assert_eq!(deliveries(&w, &id).await.len(), 1);
}

#[tokio::test]
async fn subscriptions_that_nobody_reads_end() {
    let w = World::new().await;
    w.grant("sa:owner", "app/**", &[Permission::Read]).await;
    let owner = caller("sa:owner");
    let polling = || DeliveryDraft::Polling { buffer_size: 9 };
    let sent = DeliveryDraft::Webhook {
        url: RECEIVER.to_owned(),
        secret: Some(Plaintext::new(SIGNING_SECRET.into())),
    };
    let made = async |name: &str, ttl: Option<&str>, delivery| {
        let draft = SubscriptionDraft {
            name: name.to_owned(),
            paths: vec![PathPattern::parse("app/**").unwrap()],
            events: EventType::ALL.to_vec(),
            filters: Filters::default(),
            delivery,
            ttl: ttl.map(span),
        };
        w.vault.subscription_create(&owner, draft).await.unwrap()
    };
    let read = made("read", None, polling()).await;
    made("brief", Some("2d"), polling()).await;
    made("forgotten", None, polling()).await;
    made("sent", None, sent).await;
    w.put("app/one", "1").await;
    w.work().await;
    let left = async || {
        let all = ReceiverReads::subscription_list(&*w.sqlite, &default_tenant()).await;
        let mut names: Vec<_> = all.unwrap().into_iter().map(|row| row.name).collect();
        names.sort();
        names
    };
    let expire = async || w.vault.subscriptions_expire(Some(30 * DAY)).await.unwrap();
    assert_eq!(expire().await, 0);
    w.clock.advance(2 * DAY);
    assert_eq!(expire().await, 1);
    assert_eq!(left().await, ["forgotten", "read", "sent"]);
    w.clock.advance(27 * DAY);
    w.vault
        .subscription_poll(&owner, &read.id, None, 9)
        .await
        .unwrap();
    w.clock.advance(2 * DAY);
    assert_eq!(expire().await, 1);
    assert_eq!(left().await, ["read", "sent"]);
    w.clock.advance(29 * DAY);
    assert_eq!(
        w.vault.subscriptions_expire(None).await.unwrap(),
        0,
        "never, if so configured"
    );
    assert_eq!(expire().await, 1, "its read was noted, and long ago");
    assert_eq!(left().await, ["sent"]);
    let ended = w.audit().await.into_iter().filter(|row| {
        row.action == Action::SubscriptionDelete
            && row.extra_data.reason.as_deref() == Some("unread")
    });
    let who: Vec<_> = ended.map(|row| row.identity_id).collect();
    assert_eq!(who, ["system:retention"; 3]);
    // While no server ran nobody could read: the time begins when one starts.
    made("slept", Some("2d"), polling()).await;
    w.clock.advance(9 * DAY);
    let started = w.another_vault();
    assert_eq!(started.subscriptions_expire(None).await.unwrap(), 0);
    w.clock.advance(2 * DAY);
    assert_eq!(started.subscriptions_expire(None).await.unwrap(), 1);
    let late = w.vault.subscription_poll(&owner, &read.id, None, 9).await;
    assert!(matches!(late, Err(VaultError::NotFound(_))));
}

/// One node is about to hold a delivery back when another ends the one before it: whoever comes
/// second lets it go, and it does not wait for its time.
#[tokio::test]
async fn a_delivery_held_back_too_late_goes_at_once() {
    let w = World::new().await;
    let id = ordered(&w, DeliveryOrder::Path).await;
    w.courier.next(RECEIVER, [Reply::Refuse(500)]);
    w.put("app/a", "1").await;
    w.work().await;
    w.put("app/a", "2").await;
    let (slow, quick) = (w.another_vault(), w.another_vault());
    let stop = w.watched.stop_at(UnitName::DeliveryHold);
    let paused = tokio::spawn(async move { crate::world::work(&slow).await });
    stop.arrived().await;
    w.clock.advance(crate::world::PAST_ANY_HOLD);
    let first = quick.deliveries_claim(&[], 1).await.unwrap();
    for claimed in first {
        assert!(quick.delivery_attempt(claimed).await.unwrap());
    }
    assert_eq!(accepted(&w), ["secret.created app/a"]);
    stop.go();
    paused.await.unwrap();
    w.work().await;
    assert_eq!(
        accepted(&w),
        ["secret.created app/a", "secret.updated app/a"]
    );
    assert_eq!(count(&w, &id, DeliveryState::Success).await, 2);
}
