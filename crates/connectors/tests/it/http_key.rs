//! Keys minted over HTTP, against a scripted service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use scaivault_connectors::http_key::HttpKey;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Connector, Effect, Login, NewField, Reach, Refusal, Residue, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_crypto::SystemEntropy;
use serde_json::{Map, Value, json};

use crate::conformance::{
    AllowAll, Session, Subject, assert_applied, conformance, field, merged, plain,
};
use crate::fake_keys::{FakeKeys, Key, Kind, MANAGER, NOW, Trick, WEAK};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn value_of(key: &Key) -> String {
    json!({"api_key": key.value, "api_key_id": key.id, "note": "stays"}).to_string()
}

/// A description of the third service of the fake: forms, idempotency keys that are honoured, a
/// cursor, times of last use.
pub(crate) fn forms(consistency_seconds: u64) -> Value {
    json!({
        "service": {"name": "forms", "replays": true, "consistency_seconds": consistency_seconds},
        "auth": {
            "header": "Authorization",
            "manager": "Bearer {{manager.api_key}}",
            "credential": "Bearer {{credential.api_key}}"
        },
        "fields": {"key": "api_key", "id": "api_key_id"},
        "create": {
            "method": "POST", "path": "/v1/keys", "expect": [200],
            "headers": {"Idempotency-Key": "{{tag}}"},
            "form": {"metadata[rotation]": "{{tag}}", "role": "{{account.role}}"},
            "key": "/secret", "id": "/id"
        },
        "validate": {"method": "GET", "path": "/v1/me", "expect": [200]},
        "list": {
            "method": "GET", "path": "/v1/keys", "expect": [200], "items": "/data",
            "item_id": "/id", "item_tag": "/metadata/rotation", "last_used": "/used",
            "pages": {"cursor": "/next", "query": "page", "max": 10}
        },
        "revoke": {"method": "DELETE", "path": "/v1/keys/{{id}}", "expect": [200]}
    })
}

/// A service, the connector, and the parts of a call.
struct Rig {
    fake: FakeKeys,
    connector: HttpKey,
    settings: Map<String, Value>,
    account: Map<String, Value>,
    manager: Plaintext,
    tag: String,
    epoch: u64,
    promoted_for: Option<Duration>,
}

impl Rig {
    async fn sendgrid() -> Self {
        Self::of(
            |url| json!({"service": "sendgrid", "base_url": url, "timeout_s": 2}),
            json!({"scopes": ["mail.send"]}),
        )
        .await
    }

    async fn stripe() -> Self {
        let fields = json!({
            "stripe_version": "2026-08-26.preview",
            "stripe_account": "acct_1",
            "permissions": ["balance_read"]
        });
        let rig = Self::of(|url| json!({"service": "stripe", "base_url": url}), fields).await;
        rig.fake.state().pages_at = rig.fake.url();
        rig
    }

    async fn forms(consistency_seconds: u64) -> Self {
        let settings = |url| json!({"description": forms(consistency_seconds), "base_url": url, "timeout_s": 2});
        Self::of(settings, json!({"role": "a&role=b"})).await
    }

    async fn of(settings: impl Fn(String) -> Value, fields: Value) -> Self {
        let fake = FakeKeys::start().await;
        Self {
            settings: object(settings(fake.url())),
            account: object(json!({"fields": fields})),
            connector: HttpKey::new(Arc::new(AllowAll)),
            manager: plain(&json!({"username": "admin", "api_key": MANAGER}).to_string()),
            tag: "rot_01".to_owned(),
            epoch: 5,
            promoted_for: None,
            fake,
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            settings: &self.settings,
            account: &self.account,
            overlap: Overlap::NKeys,
            manager: Some(&self.manager),
            tag: &self.tag,
            epoch: self.epoch,
            promoted_for: self.promoted_for,
        }
    }

    async fn mint(&self) -> Effect {
        self.connector.apply(&self.call(), None, None).await
    }

    async fn minted(&self) -> String {
        match self.mint().await {
            Effect::Applied(fields) => value(&fields),
            other => panic!("not minted: {other:?}"),
        }
    }

    async fn retire(&self, dead: &str, keep: Option<&str>) -> Effect {
        let keep = keep.map(plain);
        self.connector
            .retire(&self.call(), &plain(dead), keep.as_ref())
            .await
    }

    async fn clear(&self) -> Effect {
        self.connector.clear(&self.call()).await
    }

    async fn residue(&self) -> Residue {
        self.connector.residue(&self.call()).await
    }

    async fn login(&self, value: &str) -> Login {
        self.connector.login(&self.call(), &plain(value)).await
    }
}

fn value(fields: &[NewField]) -> String {
    let text = |field: &NewField| String::from_utf8(field.value.expose().to_vec()).expect("UTF-8");
    let fields = fields
        .iter()
        .map(|field| (field.name.clone(), Value::String(text(field))));
    Value::Object(fields.collect()).to_string()
}

fn not_applied(effect: &Effect) -> &Trouble {
    match effect {
        Effect::NotApplied(trouble) => trouble,
        other => panic!("not NotApplied: {other:?}"),
    }
}

fn unknown(effect: &Effect) -> &Trouble {
    match effect {
        Effect::Unknown(trouble) => trouble,
        other => panic!("not Unknown: {other:?}"),
    }
}

struct SendGrid(Rig, String);

#[async_trait]
impl Subject for SendGrid {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(HttpKey::new(Arc::new(AllowAll)))
    }
    fn overlap(&self) -> Overlap {
        Overlap::NKeys
    }
    fn settings(&self) -> Map<String, Value> {
        self.0.settings.clone()
    }
    fn account(&self) -> Map<String, Value> {
        self.0.account.clone()
    }
    fn manager(&self) -> String {
        json!({"username": "admin", "api_key": MANAGER}).to_string()
    }
    fn first(&self) -> String {
        self.1.clone()
    }
    async fn accepts(&self, credential: &str) -> bool {
        self.0.fake.accepts(&field(credential, "api_key"))
    }
    async fn open_session(&self, _credential: &str) -> Box<dyn Session> {
        unreachable!("requests are no sessions")
    }
    async fn fingerprint(&self) -> String {
        let state = self.0.fake.state();
        let mut all: Vec<_> = state
            .keys
            .iter()
            .map(|key| key.scopes.to_string())
            .collect();
        all.sort_unstable();
        all.dedup();
        all.join(" ")
    }
    async fn log_text(&self) -> String {
        self.0.fake.state().log.join("\n")
    }
    fn log_holds(&self) -> &'static str {
        "DELETE /v3/api_keys/"
    }
    fn dead_settings(&self) -> Map<String, Value> {
        let mut settings = self.settings();
        let url = format!("http://127.0.0.1:{}", scaivault_peers::free_port());
        settings.insert("base_url".into(), json!(url));
        settings
    }
    fn wrong(&self, credential: &str) -> String {
        merged(credential, &[("api_key", "SG.never-was-a-key")])
    }
    async fn weak_manager(&self) -> Option<String> {
        Some(json!({"username": "weak", "api_key": WEAK}).to_string())
    }
    fn secret_field(&self) -> &'static str {
        "api_key"
    }
    fn fences(&self) -> bool {
        false
    }
    fn has_sessions(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn sendgrid_conforms() {
    let rig = Rig::sendgrid().await;
    let first = value_of(&rig.fake.plant("first", "made by hand"));
    conformance(&SendGrid(rig, first)).await;
}

#[tokio::test]
async fn the_stripe_shape_rotates_over_many_pages() {
    let rig = Rig::stripe().await;
    for at in 0..25 {
        rig.fake.plant(&format!("other{at}"), "somebody's");
    }
    assert_eq!(rig.connector.check_settings(&rig.settings), []);
    let old = value_of(&rig.fake.plant("old", "by hand"));
    let new = rig.minted().await;
    assert_eq!(rig.login(&new).await, Login::Accepted);
    assert_eq!(rig.residue().await, Residue::Found(1));
    assert_applied(&rig.retire(&old, Some(&new)).await);
    assert!(!rig.fake.accepts(&field(&old, "api_key")));
    assert!(rig.fake.accepts(&field(&new, "api_key")));
    // Expired keys stay in this list: they are not counted.
    assert_applied(&rig.retire(&new, None).await);
    assert!(
        matches!(rig.residue().await, Residue::Unknown(_)),
        "the window of this service is not over"
    );
    assert_eq!(rig.fake.names().len(), 25);
}

#[tokio::test]
async fn a_lost_answer_leaves_what_is_found_and_cleared() {
    let rig = Rig::sendgrid().await;
    rig.fake.trick(Kind::Create, Trick::Lose);
    assert_eq!(unknown(&rig.mint().await).kind, TroubleKind::Interrupted);
    assert_eq!(rig.fake.names(), ["scaivault_rot_01.e5"]);
    // Asked again without a look, it does not add to it.
    assert_eq!(unknown(&rig.mint().await).code.as_deref(), Some("residue"));
    assert_eq!(rig.fake.names().len(), 1);
    assert_eq!(rig.residue().await, Residue::Found(1));
    assert_applied(&rig.clear().await);
    assert_eq!(rig.residue().await, Residue::None);
    assert!(rig.fake.names().is_empty());
    rig.minted().await;
}

#[tokio::test]
async fn a_late_answer_is_unknown_and_its_effect_is_found() {
    let mut rig = Rig::sendgrid().await;
    rig.settings.insert("timeout_s".into(), json!(1));
    rig.fake
        .trick(Kind::Create, Trick::Late(Duration::from_secs(30)));
    assert_eq!(unknown(&rig.mint().await).kind, TroubleKind::TimedOut);
    assert_eq!(rig.residue().await, Residue::Found(1));
    let old = value_of(&rig.fake.plant("old", "by hand"));
    rig.fake
        .trick(Kind::Revoke, Trick::Late(Duration::from_secs(30)));
    assert_eq!(
        unknown(&rig.retire(&old, None).await).kind,
        TroubleKind::TimedOut
    );
    assert_applied(&rig.retire(&old, None).await);
}

#[tokio::test]
async fn a_service_that_replays_gives_the_same_key_again() {
    let rig = Rig::forms(0).await;
    rig.fake.trick(Kind::Create, Trick::Lose);
    let first = rig.minted().await;
    assert_eq!(rig.fake.names(), ["scaivault_rot_01.e5"]);
    assert_eq!(rig.minted().await, first);
    assert_eq!(rig.fake.names().len(), 1);
    // The form's texts stayed in their fields.
    assert_eq!(rig.fake.state().keys[0].scopes, json!("a&role=b"));
}

#[tokio::test]
async fn a_throttled_mint_is_not_made_and_says_how_long_to_wait() {
    let rig = Rig::sendgrid().await;
    for (header, seconds) in [
        ("Retry-After: 7\r\n", Some(7)),
        ("Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n", Some(60)),
        ("Retry-After: 99999999999\r\n", Some(86_400)),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ] {
        let answer = Trick::Answer(429, header.to_owned(), String::new());
        rig.fake.trick(Kind::Create, answer.clone());
        let effect = rig.mint().await;
        assert_eq!(not_applied(&effect).kind, TroubleKind::Throttled);
        assert_eq!(not_applied(&effect).retry_after_s, seconds, "{header}");
        rig.fake.trick(Kind::Validate, answer);
        match rig.login(r#"{"api_key":"x"}"#).await {
            Login::Unknown(trouble) => assert_eq!(trouble.retry_after_s, seconds),
            other => panic!("{other:?}"),
        }
    }
    assert!(rig.fake.names().is_empty());
}

#[tokio::test]
async fn one_status_for_quota_and_privilege_is_told_apart() {
    let mut rig = Rig::sendgrid().await;
    let mut description = forms(0);
    description["service"]["replays"] = json!(false);
    description["service"]["max_keys"] = json!(2);
    description["statuses"] = json!({"quota": [403]});
    rig.settings = object(json!({"description": description, "base_url": rig.fake.url()}));
    rig.account = object(json!({"fields": {"role": "r"}}));
    rig.fake.state().quota = 2;
    rig.fake.plant("a", "a");
    rig.fake.trick(
        Kind::Create,
        Trick::Answer(403, String::new(), String::new()),
    );
    assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Privilege);
    rig.fake.plant("b", "b");
    assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Quota);
    let found = rig.connector.check(&rig.call()).await.expect("a look");
    assert!(
        found
            .warnings
            .iter()
            .any(|warning| warning.contains("2 of 2"))
    );
}

#[tokio::test]
async fn a_key_that_has_not_spread_yet_is_not_refused() {
    let rig = Rig::forms(1).await;
    rig.fake.state().lag = Duration::from_millis(300);
    let new = rig.minted().await;
    match rig.login(&new).await {
        Login::Unknown(trouble) => {
            assert_eq!(trouble.kind, TroubleKind::Throttled);
            assert_eq!(trouble.retry_after_s, Some(1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(settled(&rig, &new).await, Login::Accepted);
    // A dead key: let in for a while, then refused for good.
    assert_applied(&rig.retire(&new, None).await);
    assert_eq!(rig.login(&new).await, Login::Accepted);
    let begun = Instant::now();
    while rig.login(&new).await == Login::Accepted {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        settled(&rig, &new).await,
        Login::Refused(Refusal::Credential)
    );
    assert_eq!(rig.login(&new).await, Login::Refused(Refusal::Credential));
}

/// Asks until the answer is known.
async fn settled(rig: &Rig, value: &str) -> Login {
    let begun = Instant::now();
    loop {
        match rig.login(value).await {
            Login::Unknown(_) if begun.elapsed() < Duration::from_secs(10) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            known => return known,
        }
    }
}

#[tokio::test]
async fn answers_that_make_no_sense_are_unknown_after_a_mint() {
    let rig = Rig::sendgrid().await;
    let huge = format!(r#"{{"api_key":"{}"}}"#, "x".repeat(70_000));
    let bodies = [
        ("<html>", "not_json"),
        ("", "not_json"),
        ("{}", "no_key"),
        (r#"{"api_key":"k"}"#, "no_key"),
        (r#"{"api_key":["k"],"api_key_id":"i"}"#, "no_key"),
        (r#"{"api_key":"k","api_key_id":""}"#, "no_key"),
        (huge.as_str(), "too_long"),
    ];
    for (body, code) in bodies {
        rig.fake.trick(Kind::Create, Trick::Body(body.to_owned()));
        let effect = rig.mint().await;
        assert_eq!(unknown(&effect).code.as_deref(), Some(code), "{effect:?}");
        assert_eq!(unknown(&effect).kind, TroubleKind::Protocol);
        assert_applied(&rig.clear().await);
    }
    for body in ["<html>", "[]", r#"{"result":7}"#, huge.as_str()] {
        rig.fake.trick(Kind::List, Trick::Body(body.to_owned()));
        assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Protocol);
        rig.fake.trick(Kind::List, Trick::Body(body.to_owned()));
        assert!(matches!(rig.residue().await, Residue::Unknown(_)));
        rig.fake.trick(Kind::List, Trick::Body(body.to_owned()));
        assert_eq!(not_applied(&rig.clear().await).kind, TroubleKind::Protocol);
    }
    assert!(rig.fake.names().is_empty());
}

#[tokio::test]
async fn statuses_after_sending_are_judged_with_care() {
    let rig = Rig::sendgrid().await;
    let key = value_of(&rig.fake.plant("k", "by hand"));
    for (status, kind) in [
        (500, TroubleKind::Interrupted),
        (503, TroubleKind::Interrupted),
        (409, TroubleKind::Interrupted),
        (202, TroubleKind::Protocol),
        (302, TroubleKind::Protocol),
    ] {
        for of in [Kind::Create, Kind::Revoke] {
            rig.fake.trick(
                of,
                Trick::Answer(status, String::new(), "secret words".into()),
            );
        }
        assert_eq!(unknown(&rig.mint().await).kind, kind, "{status}");
        let effect = rig.retire(&key, None).await;
        assert_eq!(unknown(&effect).kind, kind, "{status}");
        assert!(!format!("{effect:?}").contains("secret words"));
    }
    for (status, kind) in [
        (400, TroubleKind::Protocol),
        (401, TroubleKind::ManagerRefused),
        (403, TroubleKind::Privilege),
        (404, TroubleKind::Settings),
    ] {
        rig.fake.trick(
            Kind::Create,
            Trick::Answer(status, String::new(), String::new()),
        );
        let effect = rig.mint().await;
        assert_eq!(not_applied(&effect).kind, kind, "{status}");
        assert_eq!(not_applied(&effect).code, Some(status.to_string()));
    }
    for status in [500, 302, 418] {
        rig.fake.trick(
            Kind::Validate,
            Trick::Answer(status, String::new(), String::new()),
        );
        assert!(
            matches!(rig.login(&key).await, Login::Unknown(_)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn redirects_and_foreign_pages_are_not_followed() {
    let inside = FakeKeys::start().await;
    let rig = Rig::sendgrid().await;
    let key = value_of(&rig.fake.plant("k", "by hand"));
    for status in [301, 302, 303, 307, 308] {
        for of in [Kind::Create, Kind::List, Kind::Revoke, Kind::Validate] {
            let to = format!("Location: {}/v3/api_keys\r\n", inside.url());
            rig.fake.trick(of, Trick::Answer(status, to, String::new()));
        }
        assert_eq!(not_applied_or_list(&rig).await, TroubleKind::Protocol);
        assert_eq!(unknown(&rig.mint().await).kind, TroubleKind::Protocol);
        assert_eq!(
            unknown(&rig.retire(&key, None).await).kind,
            TroubleKind::Protocol
        );
        assert!(matches!(rig.login(&key).await, Login::Unknown(_)));
    }
    let stripe = Rig::stripe().await;
    for at in 0..15 {
        stripe.fake.plant(&format!("k{at}"), "x");
    }
    stripe.fake.state().pages_at = inside.url();
    match stripe.residue().await {
        Residue::Unknown(trouble) => assert_eq!(trouble.code.as_deref(), Some("next_url")),
        other => panic!("{other:?}"),
    }
    assert_eq!(inside.requests(), 0);
}

async fn not_applied_or_list(rig: &Rig) -> TroubleKind {
    match rig.residue().await {
        Residue::Unknown(trouble) => trouble.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_left() {
    let rig = Rig::forms(0).await;
    for at in 0..25 {
        rig.fake.plant(&format!("k{at}"), "x");
    }
    // Two to a page, ten pages: five keys are not seen.
    match rig.residue().await {
        Residue::Unknown(trouble) => assert_eq!(trouble.code.as_deref(), Some("too_many_pages")),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        not_applied(&rig.mint().await).code.as_deref(),
        Some("too_many_pages")
    );
    assert_eq!(rig.fake.names().len(), 25);
    for _ in 0..2 {
        let again = r#"{"data":[],"next":0}"#;
        rig.fake.trick(Kind::List, Trick::Body(again.to_owned()));
    }
    match rig.residue().await {
        Residue::Unknown(trouble) => assert_eq!(trouble.code.as_deref(), Some("same_page")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn hostile_names_and_ids_of_the_list_hit_nothing_else() {
    let rig = Rig::sendgrid().await;
    let names = [
        "\"};--",
        "scaivault_rot_01",
        "scaivault_rot_01.e5x",
        "scaivault_rot_012.e5",
        "{{manager.api_key}}",
        "\u{202e}",
        "../x",
    ];
    for (at, name) in names.iter().enumerate() {
        rig.fake.plant(&format!("n{at}"), name);
    }
    rig.fake.plant("long", &"x".repeat(5_000));
    assert_eq!(rig.residue().await, Residue::None);
    assert_applied(&rig.clear().await);
    assert_eq!(rig.fake.names().len(), names.len() + 1);
    // Ids of our own keys, made up by the service.
    for id in ["../../v3/scopes", "n0?x=", "n0#", "a b\r\nX: y", "é\"\\"] {
        let key = rig.fake.plant(id, "scaivault_rot_01.e1");
        assert_applied(&rig.clear().await);
        assert!(!rig.fake.accepts(&key.value), "{id}");
        let last = rig.fake.state().log.last().expect("a request").clone();
        let (request, _) = last.split_once(" {").expect("a query");
        assert_eq!(request.matches('/').count(), 3, "{request}");
    }
    rig.fake.plant("..", "scaivault_rot_01.e1");
    assert_eq!(
        not_applied(&rig.clear().await).kind,
        TroubleKind::Credential
    );
    assert_eq!(rig.fake.names().len(), names.len() + 2);
}

#[tokio::test]
async fn an_overtaken_worker_mints_and_clears_nothing() {
    let mut rig = Rig::sendgrid().await;
    let kept = rig.minted().await;
    rig.epoch = 4;
    assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Fenced);
    assert_eq!(not_applied(&rig.clear().await).kind, TroubleKind::Fenced);
    assert!(rig.fake.accepts(&field(&kept, "api_key")));
    assert_eq!(rig.fake.names().len(), 1);
}

#[tokio::test]
async fn retiring_is_by_id_and_never_the_kept_one() {
    let mut rig = Rig::sendgrid().await;
    let (dead, keep) = (
        value_of(&rig.fake.plant("d", "d")),
        value_of(&rig.fake.plant("k", "k")),
    );
    let same_id = merged(&dead, &[("api_key_id", "k")]);
    assert_eq!(
        not_applied(&rig.retire(&same_id, Some(&keep)).await).kind,
        TroubleKind::Credential
    );
    let own = json!({"api_key": MANAGER, "api_key_id": "d"}).to_string();
    let manager = std::mem::replace(&mut rig.manager, plain(&own));
    assert_eq!(
        not_applied(&rig.retire(&dead, None).await).kind,
        TroubleKind::Credential
    );
    rig.manager = manager;
    let no_id = r#"{"api_key":"x"}"#;
    assert_eq!(
        not_applied(&rig.retire(no_id, Some(&keep)).await).kind,
        TroubleKind::Credential
    );
    let refused = rig
        .connector
        .candidate(&rig.call(), Some(&plain(no_id)), &SystemEntropy);
    assert_eq!(
        refused.err().map(|trouble| trouble.kind),
        Some(TroubleKind::Credential)
    );
    for _ in 0..2 {
        assert_applied(&rig.retire(&dead, Some(&keep)).await);
    }
    assert_eq!(rig.fake.names(), ["k"]);
    let revived = rig
        .connector
        .apply(&rig.call(), Some(&plain(&dead)), None)
        .await;
    assert_eq!(not_applied(&revived).kind, TroubleKind::Unsupported);
}

#[tokio::test]
async fn a_use_after_the_promotion_is_a_session() {
    let mut rig = Rig::forms(0).await;
    let old = rig.fake.plant("old", "by hand");
    let look = async |rig: &Rig| {
        rig.connector
            .sessions(&rig.call(), &plain(&value_of(&old)))
            .await
    };
    assert_eq!(
        look(&rig).await,
        Sessions::NotObservable,
        "nothing was promoted"
    );
    rig.promoted_for = Some(Duration::from_secs(100));
    let cases = [
        (Value::Null, Sessions::Open(0)),
        (json!(NOW - 101), Sessions::Open(0)),
        (json!(NOW - 100), Sessions::Open(1)),
        (json!(NOW), Sessions::Open(1)),
        (json!("1994-11-06T08:49:00Z"), Sessions::Open(1)),
        (json!("1994-11-06T08:40:00Z"), Sessions::Open(0)),
    ];
    for (used, expected) in cases {
        rig.fake.state().keys[0].last_used = used;
        assert_eq!(look(&rig).await, expected);
    }
    for used in [json!("yesterday"), json!([1]), json!(true)] {
        rig.fake.state().keys[0].last_used = used;
        assert!(matches!(look(&rig).await, Sessions::Unknown(_)));
    }
    let sendgrid = Rig {
        promoted_for: rig.promoted_for,
        ..Rig::sendgrid().await
    };
    assert_eq!(look(&sendgrid).await, Sessions::NotObservable);
}

/// Answers what it is told, and counts.
struct Fixed(Vec<std::net::SocketAddr>, AtomicUsize);

#[async_trait]
impl Reach for Fixed {
    async fn reach(&self, _host: &str, _port: u16) -> Result<Vec<std::net::SocketAddr>, Trouble> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn only_addresses_that_were_answered_are_connected_to() {
    let mut rig = Rig::sendgrid().await;
    let named = |port: u16| format!("http://keys.invalid:{port}");
    let port = rig.fake.address.port();
    rig.settings.insert("base_url".into(), json!(named(port)));
    rig.settings.insert("allow_http".into(), json!(true));
    let fixed = Arc::new(Fixed(vec![rig.fake.address], AtomicUsize::new(0)));
    rig.connector = HttpKey::new(fixed.clone());
    rig.minted().await;
    assert_eq!(
        fixed.1.load(Ordering::Relaxed),
        1,
        "one look-up for one call"
    );
    assert!(rig.fake.state().log[0].contains("host: keys.invalid"));
    // The address is a literal, and another one was answered.
    let before = rig.fake.requests();
    rig.settings
        .insert("base_url".into(), json!(rig.fake.url()));
    for answered in [vec![], vec!["127.0.0.2:80".parse().expect("an address")]] {
        rig.connector = HttpKey::new(Arc::new(Fixed(answered, AtomicUsize::new(0))));
        assert_eq!(
            not_applied(&rig.mint().await).kind,
            TroubleKind::NotPermitted
        );
    }
    assert_eq!(rig.fake.requests(), before);
}

#[tokio::test]
async fn a_service_without_encryption_is_not_told_a_key() {
    let mut rig = Rig::sendgrid().await;
    let url = rig.fake.url().replace("http://", "https://");
    rig.settings.insert("base_url".into(), json!(url));
    assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Tls);
    assert_eq!(rig.fake.requests(), 0);
}

#[test]
fn settings_that_cannot_work_are_named() {
    let connector = HttpKey::new(Arc::new(AllowAll));
    let check = |settings: Value, field: &str| {
        let problems = connector.check_settings(&object(settings));
        assert!(
            problems.iter().any(|(of, _)| of == field),
            "{field}: {problems:?}"
        );
    };
    check(json!({}), "service");
    check(json!({"service": "nobody"}), "service");
    check(json!({"service": "stripe"}), "base_url");
    check(json!({"service": "sendgrid", "description": {}}), "service");
    check(json!({"service": "sendgrid", "api_key": "x"}), "api_key");
    check(json!({"service": "sendgrid", "timeout_s": 0}), "timeout_s");
    for url in [
        "http://example.com",
        "ftp://example.com",
        "x",
        "https://u:p@h",
        "https://h/?q",
        "https://h/#f",
    ] {
        check(json!({"service": "sendgrid", "base_url": url}), "base_url");
    }
    let open = json!({"service": "sendgrid", "base_url": "http://example.com", "allow_http": true});
    assert_eq!(connector.check_settings(&object(open)), []);
    assert_eq!(
        connector.check_settings(&object(json!({"service": "sendgrid"}))),
        []
    );

    let with = |pointer: &str, value: Value, field: &str| {
        let mut description = forms(0);
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = description
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .expect("a section");
        match value {
            Value::Null => parent.remove(name),
            value => parent.insert(name.to_owned(), value),
        };
        check(
            json!({"description": description, "base_url": "https://h"}),
            &format!("description.{field}"),
        );
    };
    with("/revoke", Value::Null, "revoke");
    with("/extra", json!({}), "extra");
    with("/create/key", Value::Null, "create.key");
    with("/create/id", json!("id"), "create.id");
    with("/create/expect", json!([200, 302]), "create.expect");
    with("/create/form", json!({"a": "b"}), "create");
    with("/create/json", json!({}), "create.form");
    with("/create/headers", json!({}), "service.replays");
    with(
        "/create/headers",
        json!({"a b": "{{tag}}"}),
        "create.headers.a b",
    );
    with(
        "/create/headers",
        json!({"Host": "{{tag}}"}),
        "create.headers.Host",
    );
    with("/create/method", json!("TRACE"), "create.method");
    with("/create/path", json!("/a?b"), "create.path");
    with("/create/path", json!("{{account.x}}"), "create.path");
    with("/create/path", json!("/{{nobody.x}}"), "create");
    with("/list/path", json!("/{{manager.api_key}}"), "list.path");
    with("/list/items", Value::Null, "list.items");
    with("/list/pages", json!({"max": 3}), "list.pages");
    with("/list/pages/max", json!(1_000), "list.pages.max");
    with(
        "/validate/headers",
        json!({"X": "{{manager.api_key}}"}),
        "validate.headers.X",
    );
    with("/validate/key", json!("/x"), "validate");
    with("/revoke/path", json!("/v1/keys"), "revoke");
    with("/auth/manager", json!("Bearer"), "auth.manager");
    with(
        "/auth/credential",
        json!("Bearer {{credential.other}}"),
        "auth.credential",
    );
    with(
        "/service/consistency_seconds",
        json!(100_000),
        "service.consistency_seconds",
    );
    with("/statuses", json!({"quota": [403]}), "service.max_keys");
}

#[tokio::test]
async fn accounts_lack_and_exceed_nothing() {
    let rig = Rig::sendgrid().await;
    let check = |account: Value, field: &str| {
        let problems = rig
            .connector
            .check_account(&object(account), Overlap::NKeys);
        assert!(
            problems.iter().any(|(of, _)| of == field),
            "{field}: {problems:?}"
        );
    };
    check(json!({"fields": 1}), "fields");
    check(json!({"fields": {"scopes": []}}), "fields.scopes");
    check(json!({"fields": {"a": {"b": 1}}}), "fields.a");
    check(json!({"fields": {"api_token": "x"}}), "fields.api_token");
    check(json!({"rehearsal": "scaivault_rot_01"}), "rehearsal");
    assert_ne!(
        rig.connector.check_account(&rig.account, Overlap::TwoUsers),
        []
    );
    // Without scopes the service would give every right away.
    let empty = Map::new();
    let call = Call {
        account: &empty,
        ..rig.call()
    };
    let planned = rig
        .connector
        .candidate(&call, None, &SystemEntropy)
        .err()
        .expect("a refusal");
    assert_eq!(planned.kind, TroubleKind::Settings);
    assert!(planned.remedy[0].contains("`scopes`"));
    let effect = rig.connector.apply(&call, None, None).await;
    assert_eq!(not_applied(&effect).kind, TroubleKind::Settings);
    assert!(rig.fake.names().is_empty());
}

/// A server whose certificate for `localhost` is signed by an authority of its own, which comes
/// with it as PEM. It answers 200 to whatever is asked.
fn encrypted() -> (scaivault_peers::Server, u16, String) {
    let dir = scaivault_peers::Server::directory("tls").expect("a directory");
    let openssl = scaivault_peers::program("openssl", &[]);
    std::fs::write(
        dir.path().join("cnf"),
        "[req]\ndistinguished_name=dn\n[dn]\n",
    )
    .expect("a file");
    let made = |arguments: &str| {
        let new =
            "req -x509 -config cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        let mut command = std::process::Command::new(&openssl);
        let arguments = new.split(' ').chain(arguments.split(' '));
        let done = command.current_dir(dir.path()).args(arguments).output();
        assert!(done.expect("openssl runs").status.success());
    };
    made("-keyout ca.key -out ca.pem -subj /CN=ca -addext basicConstraints=critical,CA:TRUE");
    made(
        "-keyout key -out cert -subj /CN=x -CA ca.pem -CAkey ca.key \
         -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost",
    );
    let port = scaivault_peers::free_port();
    let mut command = std::process::Command::new(&openssl);
    command.current_dir(dir.path()).args(["s_server", "-www"]);
    command.args(["-cert", "cert", "-key", "key"]);
    command.arg("-accept").arg(format!("127.0.0.1:{port}"));
    let pem = std::fs::read_to_string(dir.path().join("ca.pem")).expect("a certificate");
    let server = scaivault_peers::Server::start(command, dir, port);
    (server, port, pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified_for_the_name() {
    let (_server, port, pem) = encrypted();
    let mut rig = Rig::sendgrid().await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    rig.connector = HttpKey::new(Arc::new(Fixed(vec![address], AtomicUsize::new(0))));
    let key = r#"{"api_key":"k","api_key_id":"i"}"#;
    for (host, trusted, accepted) in [
        ("localhost", true, true),
        ("localhost", false, false),
        ("other.invalid", true, false),
    ] {
        let url = format!("https://{host}:{port}");
        rig.settings.insert("base_url".into(), json!(url));
        rig.settings.remove("ca_pem");
        if trusted {
            rig.settings.insert("ca_pem".into(), json!(pem));
        }
        match rig.login(key).await {
            Login::Accepted => assert!(accepted, "{host}, {trusted}"),
            Login::Unknown(trouble) => {
                assert!(!accepted, "{host}, {trusted}: {trouble:?}");
                assert_eq!(trouble.kind, TroubleKind::Tls);
            }
            other => panic!("{other:?}"),
        }
    }
    rig.settings
        .insert("ca_pem".into(), json!("no certificate"));
    assert_eq!(not_applied(&rig.mint().await).kind, TroubleKind::Tls);
}
