//! Canaries: values in every place that takes one, looked for in every place that gives something
//! out or keeps it. Only a granted read may show one.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use scaivault_core::access::Permission;
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::UnitName;
use scaivault_core::receiver::Filters;
use scaivault_engine::{
    DeliveryDraft, SecretWrite, SubscriptionDraft, TokenDraft, WebhookChange, WebhookDraft,
};
use scaivault_store::SqliteOptions;
use scaivault_testkit::{Fault, When};

use crate::world::{
    DAY, HOUR, RECEIVER, World, caller, identity, ninety_days, object, path, root, span, write_of,
};

const FIRST: &str = "canary-first-value-5d1c9b7e3f";
const ANSWER: &str = "canary-answer-value-77aa01c2d4";
const LOST: &str = "canary-lost-value-0f9e8d7c6b5a";
const REFUSED: &str = "canary-refused-value-a1b2c3d4e5";
const SIGNING: &str = "canary-signing-secret-13579bdf02";
const NEW_SIGNING: &str = "canary-new-signing-2468ace013";
const FEED_SIGNING: &str = "canary-feed-signing-deadbeef42";
const UNKNOWN_TOKEN: &str = "skt_canaryUnknownToken0123456789";

/// The forms a value could hide in.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let bytes = canary.as_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        canary.to_uppercase().into_bytes(),
        hex::encode(bytes).into_bytes(),
        hex::encode_upper(bytes).into_bytes(),
        bytes.iter().rev().copied().collect(),
        canary.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ];
    // Base64 of the value wherever it begins in a longer text: the middle is the same.
    for skip in 0..3 {
        let inner = &bytes[skip..bytes.len() - (bytes.len() - skip) % 3];
        for text in [
            STANDARD.encode(inner),
            STANDARD_NO_PAD.encode(inner),
            URL_SAFE_NO_PAD.encode(inner),
        ] {
            forms.push(text.into_bytes());
        }
    }
    forms
}

fn assert_absent(canaries: &[String], place: &str, bytes: &[u8]) {
    for canary in canaries {
        for form in forms(canary) {
            let found = memchr::memmem::find(bytes, &form).is_some();
            assert!(!found, "a canary is in {place}");
        }
    }
}

#[test]
fn the_search_finds_what_is_there() {
    for hidden in [
        format!("x{FIRST}y"),
        hex::encode(FIRST),
        STANDARD.encode(format!("a{FIRST}z")),
        STANDARD.encode(format!("ab{FIRST}z")),
        URL_SAFE_NO_PAD.encode(format!("abc{FIRST}z")),
    ] {
        let search = || assert_absent(&[FIRST.to_owned()], "the haystack", hidden.as_bytes());
        assert!(std::panic::catch_unwind(search).is_err(), "{hidden}");
    }
}

#[tokio::test]
async fn no_value_is_anywhere_but_in_a_granted_answer() {
    let folder = tempfile::tempdir().unwrap();
    let w = World::open(SqliteOptions::file(folder.path().join("store.db")), 1).await;
    let mut said: Vec<String> = Vec::new();
    let mut canaries: Vec<String> = [
        FIRST,
        ANSWER,
        LOST,
        REFUSED,
        SIGNING,
        NEW_SIGNING,
        FEED_SIGNING,
        UNKNOWN_TOKEN,
    ]
    .map(str::to_owned)
    .to_vec();

    // Receivers of both kinds.
    let draft = WebhookDraft {
        ordered: scaivault_core::receiver::DeliveryOrder::None,
        name: "canary".to_owned(),
        url: RECEIVER.to_owned(),
        secret: Plaintext::new(SIGNING.into()),
        events: EventType::ALL.to_vec(),
        filters: Filters::default(),
        format: scaivault_core::receiver::Format::Scaivault,
        enabled: true,
    };
    let hook = w.vault.webhook_create(&root(), draft).await.unwrap();
    said.push(format!("{hook:?}"));
    let draft = SubscriptionDraft {
        ttl: None,
        name: "canary".to_owned(),
        paths: vec![PathPattern::parse("**").unwrap()],
        events: EventType::ALL.to_vec(),
        filters: Filters::default(),
        delivery: DeliveryDraft::Webhook {
            url: "https://feed.example/".to_owned(),
            secret: Some(Plaintext::new(FEED_SIGNING.into())),
        },
    };
    w.grant("sa:listener", "**", &[Permission::List]).await;
    let listener = caller("sa:listener");
    said.push(format!(
        "{:?}",
        w.vault.subscription_create(&listener, draft).await.unwrap()
    ));

    // A secret with everything that can happen to it.
    let written = w.put("app/canary", FIRST).await;
    said.push(format!("{written:?}"));
    w.grant(
        "sa:minter",
        "app/*",
        &[Permission::Write, Permission::Rotate],
    )
    .await;
    let policy = w.policy(ninety_days("canary")).await;
    w.assign(&policy.id, "app/canary").await;
    w.live(DAY * 90).await;
    let open = w.rotations("app/canary").await.pop().unwrap();
    said.push(format!("{open:?}"));
    let change = WebhookChange {
        secret: Some((Plaintext::new(NEW_SIGNING.into()), span("1h"))),
        ..WebhookChange::default()
    };
    said.push(format!(
        "{:?}",
        w.vault
            .webhook_change(&root(), &hook.id, change)
            .await
            .unwrap()
    ));
    said.push(format!(
        "{:?}",
        w.put_as(&caller("sa:minter"), "app/canary", ANSWER).await
    ));
    let read = w
        .vault
        .secret_read(&root(), &path("app/canary"), None)
        .await
        .unwrap();
    said.push(format!(
        "{:?} {:?} {:?}",
        read.metadata(),
        read.version(),
        read.value()
    ));

    // Errors of every kind, with a value in hand.
    let with = |change: fn(SecretWrite) -> SecretWrite| change(write_of("app/canary", REFUSED));
    let refused = [
        w.vault
            .secret_write(&caller("sa:nobody"), with(|w| w))
            .await,
        w.vault
            .secret_write(&root(), with(|w| SecretWrite { cas: Some(9), ..w }))
            .await,
        w.vault
            .secret_write(
                &root(),
                SecretWrite {
                    rotation_id: Some(open.id.clone()),
                    ..with(|w| w)
                },
            )
            .await,
    ];
    for error in refused {
        let error = error.unwrap_err();
        said.push(format!("{error} {error:?}"));
    }
    for fault in [Fault::Unit, Fault::Answer] {
        w.store.arm(UnitName::SecretWrite, When::Nth(1), fault);
        let error = w.put_as(&root(), "app/canary", LOST).await.unwrap_err();
        said.push(format!("{error} {error:?}"));
        w.store.disarm();
    }
    let odd = SecretWrite {
        data: Plaintext::new(format!("[\"{LOST}\"]").into_bytes()),
        ..write_of("app/odd", "")
    };
    w.vault.secret_write(&root(), odd).await.unwrap();
    let mut auto = ninety_days("auto");
    auto.auto_generate = true;
    let auto = w.policy(auto).await;
    w.assign(&auto.id, "app/odd").await;
    said.push(format!(
        "{:?}",
        w.vault.secret_rotate(&root(), &path("app/odd")).await
    ));
    w.put("app/made", FIRST).await;
    w.assign(&auto.id, "app/made").await;
    w.vault
        .secret_rotate(&root(), &path("app/made"))
        .await
        .unwrap();
    canaries.push(w.read(&root(), "app/made", None).await.unwrap());

    // Tokens.
    let draft = TokenDraft {
        roles: scaivault_core::tenancy::Roles::NONE,
        identity: identity("sa:guest"),
        scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
        ttl: span("1h"),
        description: None,
    };
    let minted = w.vault.token_create(&root(), draft).await.unwrap();
    let text = minted.text.expose().to_owned();
    said.push(format!("{:?}", minted.token));
    said.push(format!("{:?}", w.vault.authenticate(&text, w.now()).await));
    let error = w
        .vault
        .authenticate(UNKNOWN_TOKEN, w.now())
        .await
        .unwrap_err();
    said.push(format!("{error} {error:?}"));
    canaries.push(text);
    said.push(format!("{:?} {:?}", object(FIRST), w.keyring));

    w.live(HOUR * 50).await;
    w.vault
        .secret_delete(&root(), &path("app/odd"), false)
        .await
        .unwrap();
    w.live(DAY).await;

    assert_absent(&canaries, "what was said", said.join("\n").as_bytes());
    let parcels = w.courier.received_by_all();
    assert!(parcels.len() > 20);
    for parcel in parcels {
        assert_absent(&canaries, "a parcel's body", &parcel.body);
        let headers = format!("{} {:?}", parcel.url, parcel.headers);
        assert_absent(&canaries, "a parcel's headers", headers.as_bytes());
    }
    for row in w.audit().await {
        assert_absent(&canaries, "an audit row", format!("{row:?}").as_bytes());
    }
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        assert_absent(&canaries, &file.display().to_string(), &bytes);
        files += 1;
    }
    assert!(files >= 2, "the database and its log were searched");
}
