//! Foreign tokens over time: what is remembered of them, by which keys, for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::issuer::{Algorithm, ClaimNames, ExchangeRule, Issuer, KeysFrom, Pattern};
use scaivault_core::ports::{Documents, FetchError, TokenReads};
use scaivault_core::tenancy::{Roles, Status, default_partner};
use scaivault_engine::{
    AuthError, ExchangeError, ExchangeOffer, ExchangeRequest, Issuers, TenantChange, TenantDraft,
    Vault, default_tenant,
};
use serde_json::json;

use crate::world::{DAY, World, root, span};

const URL: &str = "https://issuer.example";
const MINUTE: Duration = Duration::from_secs(60);

/// An issuer's published keys, by name; every key set given out is counted.
#[derive(Default)]
struct Published {
    keys: Mutex<Vec<(String, Ed25519KeyPair)>>,
    down: Mutex<Option<FetchError>>,
    speaks_for: Mutex<Option<&'static str>>,
    looks: AtomicUsize,
}

#[async_trait]
impl Documents for Published {
    async fn fetch(&self, issuer: &str, url: &str) -> Result<Vec<u8>, FetchError> {
        assert_eq!(issuer, "example");
        if let Some(error) = *self.down.lock() {
            return Err(error);
        }
        if url == format!("{URL}/.well-known/openid-configuration") {
            let issuer = self.speaks_for.lock().unwrap_or(URL);
            let found = json!({ "issuer": issuer, "jwks_uri": format!("{URL}/keys") });
            return Ok(found.to_string().into_bytes());
        }
        assert_eq!(url, format!("{URL}/keys"));
        self.looks.fetch_add(1, Ordering::SeqCst);
        let keys = self.keys.lock();
        let keys = keys.iter().map(|(id, pair)| {
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": b64(pair.public_key()) })
        });
        Ok(json!({ "keys": keys.collect::<Vec<_>>() })
            .to_string()
            .into_bytes())
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Published {
    fn publish(&self, id: &str) {
        let pair = Ed25519KeyPair::generate().unwrap();
        self.keys.lock().push((id.to_owned(), pair));
    }

    fn withdraw(&self, id: &str) {
        self.keys.lock().retain(|(known, _)| known != id);
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

struct Outside {
    world: World,
    issuer: Arc<Published>,
    vault: Vault,
}

impl Outside {
    async fn new() -> Self {
        Self::of(World::new().await, default_tenant(), default_partner())
    }

    /// An issuer that speaks for this tenant, and is trusted for this partner.
    fn of(world: World, tenant: TenantId, partner: PartnerId) -> Self {
        let issuer = Arc::new(Published::default());
        issuer.publish("one");
        let documents: Arc<dyn Documents> = issuer.clone();
        let settings = Issuer {
            name: "example".to_owned(),
            url: URL.to_owned(),
            audiences: vec!["scaivault".to_owned()],
            algorithms: vec![Algorithm::EdDsa],
            keys_from: KeysFrom::Discovery,
            clock_skew: MINUTE,
            login: true,
            claims: ClaimNames::default(),
            identity_prefix: String::new(),
            require: Vec::new(),
            scopes_allowed: [Scope::SecretsRead].into_iter().collect(),
            scopes_default: [Scope::SecretsRead].into_iter().collect(),
            tenants: vec![tenant.clone()],
            partner,
            roles_allowed: Roles::NONE,
            mfa_methods: Vec::new(),
            refresh_every: 5 * MINUTE,
            // Whoever waits for it waits by the machine's clock: in these tests nobody does.
            refresh_pause: Duration::from_millis(1),
            keys_max_age: 60 * MINUTE,
        };
        let rule = ExchangeRule {
            name: "all".to_owned(),
            issuer: "example".to_owned(),
            subject: Pattern::parse("sa:*").unwrap(),
            claims: Vec::new(),
            identity: "sa:exchanged".to_owned(),
            groups: Vec::new(),
            scopes: [Scope::SecretsRead].into_iter().collect(),
            ttl: span("1h"),
            tenant: tenant.clone(),
        };
        let issuers = Issuers::new(vec![settings], vec![rule], &documents).unwrap();
        let vault = Arc::into_inner(world.another_vault()).unwrap();
        Self {
            vault: vault.with_issuers(issuers),
            world,
            issuer,
        }
    }

    /// A token for ten minutes by the newest key.
    fn token(&self, name: &str) -> String {
        let keys = self.issuer.keys.lock();
        let (id, pair) = keys.last().unwrap();
        let now = self.world.now().as_secs();
        let header = json!({ "alg": "EdDSA", "kid": id });
        let claims = json!({
            "iss": URL, "aud": "scaivault", "sub": name, "iat": now, "exp": now + 600,
        });
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = b64(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    async fn standing(&self, tenant: &TenantId, status: Status) {
        let change = TenantChange {
            status: Some(status),
            ..TenantChange::default()
        };
        let changed = self.vault.tenant_change(&root(), tenant, &change).await;
        changed.unwrap();
    }

    async fn offered(&self, token: &str) -> Result<ExchangeOffer, ExchangeError> {
        self.vault
            .exchange_offer(ExchangeRequest {
                subject_token: token.to_owned(),
                scopes: None,
                rule: None,
                request_id: self.vault.mint_request_id(),
                source_ip: None,
                user_agent: None,
                started_at: self.world.now(),
            })
            .await
    }

    async fn login(&self, token: &str) -> Result<String, AuthError> {
        let principal = self.vault.authenticate(token, self.world.now()).await?;
        Ok(principal.identity.as_str().to_owned())
    }

    fn pass(&self, time: Duration) {
        self.world.clock.advance(time);
    }
}

#[tokio::test]
async fn a_token_that_was_taken_ends_when_it_says_and_not_later() {
    let outside = Outside::new().await;
    let token = outside.token("sa:a");
    for _ in 0..3 {
        assert_eq!(outside.login(&token).await.unwrap(), "sa:a");
    }
    assert_eq!(outside.issuer.looks(), 1);
    outside.pass(Duration::from_secs(659));
    assert!(outside.login(&token).await.is_ok(), "the skew is allowed");
    outside.pass(Duration::from_secs(1));
    assert_eq!(outside.login(&token).await, Err(AuthError::Expired));
    // The same for a vault that has not seen it before.
    let fresh = outside.token("sa:b");
    outside.pass(Duration::from_secs(660));
    assert_eq!(outside.login(&fresh).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn a_tenant_that_is_suspended_serves_no_foreign_token_either() {
    let world = World::new().await;
    let draft = TenantDraft {
        id: None,
        partner: None,
        name: "A".to_owned(),
        slug: None,
        region: None,
    };
    let tenant = world.vault.tenant_create(&root(), draft).await.unwrap().id;
    let outside = Outside::of(world, tenant.clone(), default_partner());
    let token = outside.token("sa:a");
    outside.login(&token).await.unwrap();
    outside.standing(&tenant, Status::Suspended).await;
    assert_eq!(outside.login(&token).await, Err(AuthError::Suspended));
    let fresh = outside.token("sa:b");
    assert_eq!(outside.login(&fresh).await, Err(AuthError::Suspended));
    assert!(outside.offered(&fresh).await.is_err());
    outside.standing(&tenant, Status::Active).await;
    outside.login(&token).await.unwrap();
    outside.login(&fresh).await.unwrap();
    outside.offered(&fresh).await.unwrap();
}

#[tokio::test]
async fn an_issuer_speaks_for_tenants_of_its_partner_alone_and_for_those_that_are_there() {
    let other = PartnerId::parse("ptn_other").unwrap();
    let outside = Outside::of(World::new().await, default_tenant(), other);
    let token = outside.token("sa:a");
    assert_eq!(outside.login(&token).await, Err(AuthError::Invalid));
    assert!(outside.offered(&token).await.is_err());
    let nobodys = TenantId::parse("tnt_nobodys").unwrap();
    let outside = Outside::of(World::new().await, nobodys, default_partner());
    let token = outside.token("sa:a");
    assert_eq!(outside.login(&token).await, Err(AuthError::Suspended));
}

#[tokio::test]
async fn a_withdrawn_key_is_forgotten_with_what_it_signed() {
    let outside = Outside::new().await;
    let old = outside.token("sa:old");
    outside.login(&old).await.unwrap();
    outside.issuer.publish("two");
    outside.pass(MINUTE);
    // A look for the new key finds the old one still there: what it signed counts.
    let new = outside.token("sa:new");
    outside.login(&new).await.unwrap();
    outside.login(&old).await.unwrap();
    assert_eq!(outside.issuer.looks(), 2);
    outside.issuer.withdraw("one");
    outside.login(&old).await.unwrap();
    let next = outside.vault.issuers_run_once().await.unwrap();
    assert_eq!(next, 5 * MINUTE, "not due yet");
    outside.pass(5 * MINUTE);
    outside.vault.issuers_run_once().await;
    assert_eq!(outside.login(&old).await, Err(AuthError::Invalid));
    outside.login(&new).await.unwrap();
}

#[tokio::test]
async fn keys_that_cannot_be_looked_at_are_believed_for_their_time() {
    let outside = Outside::new().await;
    outside.login(&outside.token("sa:a")).await.unwrap();
    *outside.issuer.down.lock() = Some(FetchError::Unreachable);
    for _ in 0..11 {
        outside.pass(5 * MINUTE);
        outside.vault.issuers_run_once().await;
        outside.login(&outside.token("sa:b")).await.unwrap();
    }
    let last = outside.token("sa:c");
    outside.login(&last).await.unwrap();
    outside.pass(5 * MINUTE);
    // An hour after they were seen; a token that was taken before is no exception.
    let refused = outside.login(&last).await;
    assert!(
        matches!(refused, Err(AuthError::Unavailable(_))),
        "{refused:?}"
    );
    *outside.issuer.down.lock() = None;
    outside.pass(Duration::from_millis(1));
    outside.login(&last).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_publishes_nothing_is_believed_in_nothing() {
    let outside = Outside::new().await;
    let token = outside.token("sa:a");
    outside.login(&token).await.unwrap();
    outside.issuer.withdraw("one");
    outside.pass(5 * MINUTE);
    outside.vault.issuers_run_once().await;
    assert_eq!(outside.login(&token).await, Err(AuthError::Invalid));
}

#[tokio::test]
async fn a_discovery_that_speaks_for_another_is_none() {
    let outside = Outside::new().await;
    *outside.issuer.speaks_for.lock() = Some("https://another.example");
    let refused = outside.login(&outside.token("sa:a")).await;
    assert!(
        matches!(refused, Err(AuthError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(outside.issuer.looks(), 0);
}

#[tokio::test]
async fn a_dead_token_shown_again_costs_no_look() {
    let outside = Outside::new().await;
    outside.login(&outside.token("sa:a")).await.unwrap();
    let token = outside.token("sa:b");
    outside.issuer.withdraw("one");
    outside.issuer.publish("two");
    outside.pass(5 * MINUTE);
    outside.vault.issuers_run_once().await;
    assert_eq!(outside.issuer.looks(), 2);
    outside.pass(Duration::from_millis(1));
    for _ in 0..5 {
        assert_eq!(outside.login(&token).await, Err(AuthError::Invalid));
    }
    assert_eq!(outside.issuer.looks(), 3, "one for the first time it came");
    outside.pass(Duration::from_secs(11));
    assert_eq!(outside.login(&token).await, Err(AuthError::Invalid));
    assert_eq!(outside.issuer.looks(), 4);
}

#[tokio::test]
async fn records_of_exchanged_tokens_go_a_week_after_their_end() {
    let outside = Outside::new().await;
    let exchange = async || {
        let offer = outside.offered(&outside.token("sa:job")).await.unwrap();
        outside.vault.exchange_take(offer).await.unwrap()
    };
    let first = exchange().await;
    assert_eq!(first.token.issuer.as_deref(), Some(URL));
    let own = scaivault_engine::TokenDraft {
        roles: Roles::NONE,
        identity: crate::world::identity("sa:own"),
        scopes: [Scope::SecretsRead].into_iter().collect(),
        ttl: span("1h"),
        description: None,
    };
    let own = outside.vault.token_create(&root(), own).await.unwrap();
    let ids = async || {
        let store = &*outside.world.store;
        let rows = TokenReads::token_list(store, &default_tenant(), None, 100).await;
        rows.unwrap()
            .into_iter()
            .map(|token| token.id)
            .collect::<Vec<_>>()
    };
    outside.pass(7 * DAY);
    let second = exchange().await;
    outside.vault.housekeeping_run_once().await.unwrap();
    assert_eq!(ids().await.len(), 3, "it ended less than a week ago");
    outside.pass(61 * MINUTE);
    outside.vault.housekeeping_run_once().await.unwrap();
    let mut left = vec![own.token.id, second.token.id];
    left.sort();
    assert_eq!(ids().await, left);
    assert!(!left.contains(&first.token.id));
}
