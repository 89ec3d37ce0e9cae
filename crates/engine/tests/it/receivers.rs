//! Who hears what: once per receiver, in order, filtered, signed, and each receiver by itself.

use scaivault_core::access::Permission;
use scaivault_core::delivery::{AttemptError, DeliveryState};
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::ids::EventId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::receiver::{Filters, Subscription};
use scaivault_core::secret::{Metadata, SecretType};
use scaivault_crypto::signature;
use scaivault_engine::{
    Caller, DeliveryDraft, SecretWrite, SubscriptionDraft, VaultError, WebhookChange,
};
use scaivault_testkit::{Received, Reply};

use crate::world::{
    DAY, HOUR, RECEIVER, SIGNING_SECRET, World, caller, ninety_days, path, root, span, write_of,
};

const OTHER: &str = "https://other.example/hook";

fn secret(text: &str) -> Plaintext {
    Plaintext::new(text.into())
}

fn stamp(parcel: &Received) -> i64 {
    parcel.header("webhook-timestamp").unwrap().parse().unwrap()
}

/// Whether the standard signatures of this parcel hold under a secret.
fn standard_holds(parcel: &Received, text: &str) -> bool {
    let id = parcel.header("webhook-id").unwrap();
    let header = parcel.header("webhook-signature").unwrap();
    signature::verify_standard(&secret(text), id, stamp(parcel), &parcel.body, header)
}

fn own_holds(parcel: &Received, text: &str) -> bool {
    let header = parcel.header("X-ScaiVault-Signature").unwrap();
    signature::verify_webhook(&secret(text), stamp(parcel), &parcel.body, header)
}

async fn subscribe(
    w: &World,
    owner: &Caller,
    paths: &str,
    delivery: DeliveryDraft,
) -> Result<Subscription, VaultError> {
    let draft = SubscriptionDraft {
        ttl: None,
        name: "feed".to_owned(),
        paths: vec![PathPattern::parse(paths).unwrap()],
        events: EventType::ALL.to_vec(),
        filters: Filters::default(),
        delivery,
    };
    w.vault.subscription_create(owner, draft).await
}

async fn poll(w: &World, owner: &Caller, feed: &Subscription) -> Vec<(EventId, String)> {
    let (events, _) = w
        .vault
        .subscription_poll(owner, &feed.id, None, 100)
        .await
        .unwrap();
    let seen = events.into_iter();
    seen.map(|event| (event.id, event.path.unwrap().as_str().to_owned()))
        .collect()
}

#[tokio::test]
async fn each_receiver_once_and_by_its_filters() {
    let w = World::new().await;
    let all = [EventType::SecretCreated, EventType::SecretDeleted];
    let urls = [
        RECEIVER,
        OTHER,
        "https://c.example/",
        "https://d.example/",
        "https://e.example/",
    ];
    w.webhook(urls[0], &all).await;
    w.webhook(urls[1], &[EventType::SecretDeleted]).await;
    let filters = [
        Filters {
            path_prefix: Some("app/".to_owned()),
            ..Filters::default()
        },
        Filters {
            secret_type: Some("api_key".to_owned()),
            ..Filters::default()
        },
        Filters {
            tags: vec!["x".to_owned(), "y".to_owned()],
            ..Filters::default()
        },
    ];
    for (url, filter) in urls[2..].iter().zip(filters) {
        w.webhook_filtered(url, &all, filter).await;
    }
    let tagged = |tags: &[&str]| Metadata {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Metadata::default()
    };
    for (at, secret_type, tags) in [
        ("app/one", SecretType::Json, &["x"][..]),
        ("team/two", SecretType::ApiKey, &["x", "y", "z"][..]),
        ("application/three", SecretType::Json, &[][..]),
    ] {
        let write = SecretWrite {
            secret_type: Some(secret_type),
            metadata: Some(tagged(tags)),
            ..write_of(at, "value")
        };
        w.vault.secret_write(&root(), write).await.unwrap();
    }
    w.vault
        .secret_delete(&root(), &path("team/two"), false)
        .await
        .unwrap();
    w.work().await;
    w.work().await;
    let heard = |url: &str| -> Vec<String> {
        let parcels = w.courier.received(url);
        let bodies = parcels.iter().map(Received::json);
        bodies
            .map(|b| {
                format!(
                    "{} {}",
                    b["event_type"].as_str().unwrap(),
                    b["path"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(heard(urls[0]).len(), 4);
    assert_eq!(heard(urls[1]), ["secret.deleted team/two"]);
    assert_eq!(heard(urls[2]), ["secret.created app/one"]);
    assert_eq!(
        heard(urls[3]),
        ["secret.created team/two", "secret.deleted team/two"]
    );
    assert_eq!(
        heard(urls[4]),
        ["secret.created team/two", "secret.deleted team/two"]
    );
}

#[tokio::test]
async fn a_policys_webhooks_hear_of_its_rotations_whatever_their_path_filter() {
    let w = World::new().await;
    let elsewhere = Filters {
        path_prefix: Some("elsewhere/".to_owned()),
        ..Filters::default()
    };
    let kinds = [
        EventType::RotationDue,
        EventType::SecretRotated,
        EventType::SecretUpdated,
    ];
    let named = w
        .webhook_filtered(RECEIVER, &kinds, elsewhere.clone())
        .await;
    w.webhook_filtered(OTHER, &kinds, elsewhere).await;
    let mut draft = ninety_days("p");
    draft.webhook_ids = vec![named.id];
    w.rotated_secret("app/here", draft).await;
    w.live(DAY * 90).await;
    w.put("app/here", "second").await;
    w.work().await;
    let told: Vec<String> = w.told(RECEIVER).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        told,
        [
            "rotation.due",
            "rotation.due",
            "rotation.due",
            "secret.rotated"
        ]
    );
    assert!(w.told(OTHER).is_empty());
}

#[tokio::test]
async fn what_happened_before_is_not_for_a_new_receiver() {
    let w = World::new().await;
    w.put("app/before", "value").await;
    w.hear_all().await;
    w.grant("sa:owner", "**", &[Permission::Read]).await;
    let owner = caller("sa:owner");
    w.put("app/between", "value").await;
    let feed = subscribe(&w, &owner, "**", DeliveryDraft::Polling { buffer_size: 10 }).await;
    let feed = feed.unwrap();
    w.put("app/after", "value").await;
    w.work().await;
    let paths = w.told_of(RECEIVER, EventType::SecretCreated).len();
    assert_eq!(paths, 2);
    let polled: Vec<String> = poll(&w, &owner, &feed)
        .await
        .into_iter()
        .map(|e| e.1)
        .collect();
    assert_eq!(polled, ["app/after"]);
}

#[tokio::test]
async fn a_full_buffer_drops_the_oldest_and_counts_them() {
    let w = World::new().await;
    w.grant("sa:owner", "app/**", &[Permission::Read]).await;
    let owner = caller("sa:owner");
    let feed = subscribe(
        &w,
        &owner,
        "app/**",
        DeliveryDraft::Polling { buffer_size: 5 },
    )
    .await;
    let feed = feed.unwrap();
    for n in 0..12 {
        w.put(&format!("app/s{n:02}"), "value").await;
        w.put(&format!("team/s{n:02}"), "value").await;
        if n % 5 == 0 {
            w.work().await;
        }
    }
    w.work().await;
    let kept = poll(&w, &owner, &feed).await;
    let paths: Vec<&str> = kept.iter().map(|(_, at)| at.as_str()).collect();
    assert_eq!(
        paths,
        ["app/s07", "app/s08", "app/s09", "app/s10", "app/s11"]
    );
    let (_, figures) = w
        .vault
        .subscription_details(&owner, &feed.id)
        .await
        .unwrap();
    assert_eq!(figures.dropped, 7);

    // Unacknowledged ones come again, acknowledged ones do not; twice is once.
    assert_eq!(poll(&w, &owner, &feed).await, kept);
    let some: Vec<EventId> = kept[..2].iter().map(|(id, _)| id.clone()).collect();
    let doubled = [some.clone(), some].concat();
    let acknowledged = w.vault.subscription_ack(&owner, &feed.id, &doubled).await;
    assert_eq!(acknowledged.unwrap(), 2);
    let again = w.vault.subscription_ack(&owner, &feed.id, &doubled).await;
    assert_eq!(again.unwrap(), 0);
    assert_eq!(poll(&w, &owner, &feed).await, kept[2..]);
    // In pages, and behind an event.
    let page = w
        .vault
        .subscription_poll(&owner, &feed.id, None, 2)
        .await
        .unwrap();
    assert_eq!((page.0.len(), page.1), (2, true));
    let behind = w
        .vault
        .subscription_poll(&owner, &feed.id, Some(&page.0[1].id), 2)
        .await;
    let behind = behind.unwrap();
    assert_eq!((behind.0.len(), behind.1), (1, false));
    assert_eq!(behind.0[0].id, kept[4].0);

    // It is its owner's alone.
    for stranger in [caller("sa:stranger"), root()] {
        let refused = w
            .vault
            .subscription_poll(&stranger, &feed.id, None, 2)
            .await;
        assert_eq!(refused.unwrap_err().code(), "subscription_not_found");
        let refused = w
            .vault
            .subscription_ack(&stranger, &feed.id, &doubled)
            .await;
        assert_eq!(refused.unwrap_err().code(), "subscription_not_found");
    }
}

#[tokio::test]
async fn a_subscription_tells_only_what_its_owner_may_see() {
    let w = World::new().await;
    let (policy, binding) = w.grant("sa:owner", "app/**", &[Permission::List]).await;
    let owner = caller("sa:owner");
    let feed = subscribe(&w, &owner, "**", DeliveryDraft::Polling { buffer_size: 10 }).await;
    let feed = feed.unwrap();
    let sent = DeliveryDraft::Webhook {
        url: OTHER.to_owned(),
        secret: Some(secret(SIGNING_SECRET)),
    };
    subscribe(&w, &owner, "**", sent).await.unwrap();
    w.put("app/seen", "value").await;
    w.put("team/unseen", "value").await;
    w.work().await;
    assert_eq!(poll(&w, &owner, &feed).await.len(), 1);
    assert_eq!(w.told(OTHER).len(), 1);
    // Kept or still on its way when the right is taken away, it is not told either.
    w.courier.next(OTHER, [Reply::Unreachable]);
    w.put("app/seen", "again").await;
    w.work().await;
    w.vault
        .binding_delete(&root(), &policy, &binding)
        .await
        .unwrap();
    assert!(poll(&w, &owner, &feed).await.is_empty());
    w.live(HOUR).await;
    assert_eq!(w.told(OTHER).len(), 1);
}

#[tokio::test]
async fn one_dead_receiver_delays_nobody_and_hears_the_rest_in_order() {
    let w = World::new().await;
    w.webhook(RECEIVER, &[EventType::SecretCreated]).await;
    let dead = w.webhook(OTHER, &[EventType::SecretCreated]).await;
    w.courier.next(OTHER, [Reply::Timeout; 8]);
    let names: Vec<String> = (0..8).map(|n| format!("app/s{n}")).collect();
    for name in &names {
        w.put(name, "value").await;
    }
    let start = w.now();
    w.work().await;
    let heard = |url: &str| -> Vec<String> {
        let bodies = w.envelopes(url).into_iter();
        bodies
            .map(|body| body["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(heard(RECEIVER), names, "in order, at once");
    assert_eq!(w.now(), start);
    // The dead one comes back and hears everything, again in order.
    let pending = Some(DeliveryState::Pending);
    let waiting = w
        .vault
        .delivery_list(&root(), &dead.id, pending, None, 100)
        .await
        .unwrap();
    assert_eq!(waiting.len(), 8);
    assert!(
        waiting
            .iter()
            .all(|d| d.error == Some(AttemptError::Timeout))
    );
    let tried = w.courier.received(OTHER).len();
    w.live_until(start.plus(std::time::Duration::from_secs(30)))
        .await;
    let second: Vec<String> = w.courier.received(OTHER)[tried..]
        .iter()
        .map(|parcel| parcel.json()["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(second, names);
    let left = w
        .vault
        .delivery_list(&root(), &dead.id, pending, None, 100)
        .await
        .unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn a_slow_receiver_holds_one_place() {
    let w = World::new().await;
    w.webhook(RECEIVER, &[EventType::SecretCreated]).await;
    w.webhook(OTHER, &[EventType::SecretCreated]).await;
    w.courier.next(OTHER, [Reply::Held]);
    for n in 0..5 {
        w.put(&format!("app/s{n}"), "value").await;
    }
    w.vault.fan_out_run_once().await.unwrap();
    let claimed = w.vault.deliveries_claim(&[], 10).await.unwrap();
    assert_eq!(claimed.len(), 2, "one of each receiver");
    let mut held = Vec::new();
    for delivery in claimed {
        let vault = w.vault.clone();
        held.push(tokio::spawn(async move {
            vault.delivery_attempt(delivery).await
        }));
    }
    while w.courier.holding() == 0 || w.courier.received(RECEIVER).is_empty() {
        tokio::task::yield_now().await;
    }
    w.work().await;
    assert_eq!(w.courier.received(RECEIVER).len(), 5);
    assert_eq!(w.courier.received(OTHER).len(), 1);
    w.courier.release();
    for attempt in held {
        attempt.await.unwrap().unwrap();
    }
    w.work().await;
    assert_eq!(w.courier.received(OTHER).len(), 5);
}

#[tokio::test]
async fn a_disabled_webhook_is_passed_by() {
    let w = World::new().await;
    let hook = w.webhook(RECEIVER, &[EventType::SecretCreated]).await;
    let enabled = |enabled| WebhookChange {
        enabled: Some(enabled),
        ..WebhookChange::default()
    };
    w.courier.next(RECEIVER, [Reply::Unreachable]);
    w.put("app/on-its-way", "value").await;
    w.work().await;
    w.vault
        .webhook_change(&root(), &hook.id, enabled(false))
        .await
        .unwrap();
    w.put("app/missed", "value").await;
    w.live(DAY).await;
    assert!(
        w.told(RECEIVER).is_empty(),
        "what was on its way is given up"
    );
    w.vault
        .webhook_change(&root(), &hook.id, enabled(true))
        .await
        .unwrap();
    w.put("app/heard", "value").await;
    w.work().await;
    let bodies = w.envelopes(RECEIVER);
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["path"], "app/heard");
    // What was given up can be sent again by hand.
    let failed = Some(DeliveryState::Failed);
    let list = w
        .vault
        .delivery_list(&root(), &hook.id, failed, None, 10)
        .await
        .unwrap();
    assert_eq!(list.len(), 1);
    w.vault
        .delivery_redeliver(&root(), &hook.id, &list[0].id)
        .await
        .unwrap();
    w.work().await;
    assert_eq!(w.envelopes(RECEIVER)[1]["path"], "app/on-its-way");
}

#[tokio::test]
async fn while_its_secret_rotates_a_webhook_is_signed_by_both() {
    let w = World::new().await;
    let hook = w.webhook(RECEIVER, &[EventType::SecretCreated]).await;
    w.put("app/one", "value").await;
    w.work().await;
    let change = WebhookChange {
        secret: Some((secret("the-new-secret"), span("24h"))),
        ..WebhookChange::default()
    };
    w.vault
        .webhook_change(&root(), &hook.id, change)
        .await
        .unwrap();
    w.put("app/two", "value").await;
    w.work().await;
    w.clock.advance(DAY);
    w.put("app/three", "value").await;
    w.work().await;
    let parcels = w.courier.received(RECEIVER);
    // (standard by old, by new; own by old, by new; how many standard signatures)
    let expect = [
        (true, false, true, false, 1),
        (true, true, false, true, 2),
        (false, true, false, true, 1),
    ];
    for (parcel, expect) in parcels.iter().zip(expect) {
        let (old, new) = (SIGNING_SECRET, "the-new-secret");
        let found = (
            standard_holds(parcel, old),
            standard_holds(parcel, new),
            own_holds(parcel, old),
            own_holds(parcel, new),
            parcel
                .header("webhook-signature")
                .unwrap()
                .split(' ')
                .count(),
        );
        assert_eq!(found, expect);
        let json = parcel.json();
        assert_eq!(parcel.header("webhook-id"), json["event_id"].as_str());
        assert_eq!(
            parcel.header("X-ScaiVault-Event-Id"),
            json["event_id"].as_str()
        );
        assert_eq!(
            parcel.header("X-ScaiVault-Event-Type"),
            Some("secret.created")
        );
        assert_eq!(stamp(parcel), parcel.at.as_secs());
        let mut altered = parcel.clone();
        altered.body[0] ^= 1;
        assert!(!own_holds(&altered, new) && !standard_holds(&altered, new));
    }
    assert_eq!(parcels.len(), 3);
}

#[tokio::test]
async fn a_subscription_signs_the_bare_body() {
    let w = World::new().await;
    let sent = DeliveryDraft::Webhook {
        url: RECEIVER.to_owned(),
        secret: Some(secret(SIGNING_SECRET)),
    };
    w.grant("sa:owner", "**", &[Permission::Read]).await;
    subscribe(&w, &caller("sa:owner"), "app/*", sent)
        .await
        .unwrap();
    w.courier.next(RECEIVER, [Reply::Refuse(500)]);
    w.put("app/one", "value").await;
    w.live(HOUR).await;
    let parcels = w.courier.received(RECEIVER);
    assert_eq!(parcels.len(), 2);
    assert_eq!(
        parcels[0].body, parcels[1].body,
        "the same bytes at every attempt"
    );
    for parcel in &parcels {
        let header = parcel.header("X-ScaiVault-Signature").unwrap();
        assert!(signature::verify_subscription(
            &secret(SIGNING_SECRET),
            &parcel.body,
            header
        ));
        assert!(standard_holds(parcel, SIGNING_SECRET));
    }
    assert_ne!(stamp(&parcels[0]), stamp(&parcels[1]));
    // Only URLs the courier would go to.
    let bad = DeliveryDraft::Webhook {
        url: "http://169.254.169.254/".to_owned(),
        secret: Some(secret(SIGNING_SECRET)),
    };
    let refused = subscribe(&w, &root(), "app/*", bad).await;
    assert_eq!(refused.unwrap_err().code(), "validation_error");
}

#[tokio::test]
async fn a_test_delivery_answers_what_came_of_it() {
    let w = World::new().await;
    let hook = w.webhook(RECEIVER, &[EventType::SecretCreated]).await;
    w.courier
        .next(RECEIVER, [Reply::Accept, Reply::Refuse(418)]);
    let good = w
        .vault
        .webhook_test(&root(), &hook.id)
        .await
        .unwrap()
        .delivery;
    assert_eq!(
        (good.state, good.response_code),
        (DeliveryState::Success, Some(204))
    );
    let bad = w
        .vault
        .webhook_test(&root(), &hook.id)
        .await
        .unwrap()
        .delivery;
    assert_eq!(
        (bad.state, bad.response_code),
        (DeliveryState::Failed, Some(418))
    );
    w.live(DAY * 3).await;
    assert_eq!(w.courier.received(RECEIVER).len(), 2, "it is not retried");
    assert!(
        w.courier
            .received(RECEIVER)
            .iter()
            .all(|parcel| own_holds(parcel, SIGNING_SECRET))
    );
}
