use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::identity::{Scope, ScopeSet};
use crate::ids::{PartnerId, TenantId};
use crate::tenancy::Role;
use crate::time::{Span, Timestamp};

const URL: &str = "https://issuer.example";
const NOW: i64 = 1_800_000_000;

fn issuer() -> Issuer {
    Issuer {
        name: "example".to_owned(),
        url: URL.to_owned(),
        audiences: vec!["scaivault".to_owned()],
        algorithms: vec![Algorithm::Es256],
        keys_from: KeysFrom::Discovery,
        clock_skew: Duration::from_secs(60),
        login: true,
        claims: ClaimNames::default(),
        identity_prefix: String::new(),
        require: Vec::new(),
        scopes_allowed: [Scope::SecretsRead, Scope::SecretsWrite]
            .into_iter()
            .collect(),
        scopes_default: [Scope::SecretsRead].into_iter().collect(),
        tenants: vec![
            TenantId::parse("tnt_a").unwrap(),
            TenantId::parse("tnt_b").unwrap(),
        ],
        partner: PartnerId::parse("ptn_x").unwrap(),
        roles_allowed: [Role::TenantAdmin].into_iter().collect(),
        mfa_methods: vec!["otp".to_owned()],
        refresh_every: Duration::from_secs(300),
        refresh_pause: Duration::from_secs(5),
        keys_max_age: Duration::from_secs(3_600),
    }
}

/// A good token's claims with some of them set, or with null removed.
fn claims(changes: Value) -> Claims {
    let mut claims = json!({
        "iss": URL, "aud": "scaivault", "sub": "user:alice@acme.example",
        "iat": NOW - 10, "exp": NOW + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value.is_null() {
            true => drop(claims.as_object_mut().unwrap().remove(name)),
            false => claims[name] = value.clone(),
        }
    }
    claims.as_object().unwrap().clone()
}

fn login(changes: Value) -> Result<Login, Refused> {
    issuer().login(&claims(changes), Timestamp::from_secs(NOW))
}

#[track_caller]
fn refused(changes: Value, why: Refused) {
    assert_eq!(login(changes.clone()).map(|_| ()), Err(why), "{changes}");
}

#[test]
fn a_token_is_for_us_and_counts_now_or_is_refused() {
    assert!(login(json!({})).is_ok());
    assert!(login(json!({ "aud": ["other", "scaivault"] })).is_ok());
    refused(json!({ "iss": "https://issuer.example/" }), Refused::Issuer);
    refused(json!({ "iss": [URL] }), Refused::Issuer);
    refused(json!({ "iss": null }), Refused::Issuer);
    for audience in [
        json!("other"),
        json!([]),
        json!([7, "scaivault"]),
        json!({}),
        json!(null),
    ] {
        refused(json!({ "aud": audience }), Refused::Audience);
    }
    for end in [
        json!(null),
        json!("1800000600"),
        json!(-1),
        json!(1e300),
        json!(true),
    ] {
        refused(json!({ "exp": end }), Refused::NoEnd);
    }
    refused(json!({ "nbf": "soon" }), Refused::NoTime);
    refused(json!({ "iat": [] }), Refused::NoTime);
}

#[test]
fn the_skew_is_allowed_to_the_second_on_either_side() {
    for (claim, at, fits) in [
        ("exp", NOW - 59, true),
        ("exp", NOW - 60, false),
        ("nbf", NOW + 60, true),
        ("nbf", NOW + 61, false),
        ("iat", NOW + 60, true),
        ("iat", NOW + 61, false),
    ] {
        assert_eq!(login(json!({ claim: at })).is_ok(), fits, "{claim} {at}");
    }
    refused(json!({ "exp": NOW - 60 }), Refused::Expired);
    refused(json!({ "nbf": NOW + 61 }), Refused::TooEarly);
    refused(json!({ "iat": NOW + 61 }), Refused::FromTheFuture);
    let window = login(json!({ "exp": NOW + 1 })).unwrap().window;
    assert_eq!(window.expires_at, Timestamp::from_secs(NOW + 1));
    assert_eq!(window.ends_at, Timestamp::from_secs(NOW + 61));
}

#[test]
fn claims_make_the_principal() {
    let login = login(json!({
        "tenant_id": "tnt_b", "partner_id": "ptn_x",
        "scope": "openid secrets:write admin secrets:read",
        "groups": ["sre", "group:ops", "sre", "has a space", 7],
        "roles": ["tenant_admin", "partner_admin", "super_admin", "x\u{7}y"], "name": "Alice",
        "amr": ["pwd", "otp"], "auth_time": NOW - 100,
    }));
    let principal = login.unwrap().principal;
    assert_eq!(principal.tenant.as_str(), "tnt_b");
    assert_eq!(principal.identity.as_str(), "user:alice@acme.example");
    let both: ScopeSet = [Scope::SecretsRead, Scope::SecretsWrite]
        .into_iter()
        .collect();
    assert_eq!(
        principal.scopes, both,
        "never more than the issuer may give"
    );
    let groups: Vec<_> = principal.groups.iter().map(|one| one.as_str()).collect();
    assert_eq!(groups, ["group:ops", "group:sre"]);
    assert_eq!(principal.mfa_at, Some(Timestamp::from_secs(NOW - 100)));
    assert!(!principal.is_root && principal.token_id.is_none());
    assert_eq!(principal.seat.partner.as_str(), "ptn_x");
    let allowed: Vec<Role> = principal.seat.roles.iter().collect();
    assert_eq!(allowed, [Role::TenantAdmin]);
    let foreign = principal.foreign.unwrap();
    assert_eq!(&*foreign.issuer, URL);
    assert_eq!(foreign.display_name.as_deref(), Some("Alice"));
}

#[test]
fn what_a_token_leaves_out_is_the_least() {
    let principal = login(json!({})).unwrap().principal;
    assert_eq!(principal.tenant.as_str(), "tnt_a");
    assert_eq!(principal.scopes, [Scope::SecretsRead].into_iter().collect());
    assert!(principal.groups.is_empty() && principal.mfa_at.is_none());
    let none = login(json!({ "scope": "" })).unwrap().principal;
    assert_eq!(none.scopes, ScopeSet::EMPTY, "said to be none");
}

#[test]
fn a_second_factor_needs_a_method_and_a_time() {
    let at = |changes| login(changes).unwrap().principal.mfa_at;
    assert_eq!(at(json!({ "amr": ["pwd"], "auth_time": NOW })), None);
    assert_eq!(at(json!({ "amr": ["otp"] })), None);
    assert_eq!(at(json!({ "auth_time": NOW })), None);
    assert_eq!(at(json!({ "amr": ["otp"], "auth_time": NOW + 61 })), None);
    let ahead = at(json!({ "amr": "otp", "auth_time": NOW + 30 }));
    assert_eq!(ahead, Some(Timestamp::from_secs(NOW)));
}

#[test]
fn nobody_is_named_who_must_not_be() {
    for name in [
        "alice",
        "user:root",
        "system:rotation-scheduler",
        "group:sre",
        "sa:",
        "sa:a b",
    ] {
        refused(json!({ "sub": name }), Refused::Identity);
    }
    for none in [json!(null), json!(""), json!(7)] {
        refused(json!({ "sub": none }), Refused::NoIdentity);
    }
    refused(json!({ "tenant_id": "tnt_c" }), Refused::Tenant);
    refused(json!({ "tenant_id": ["tnt_a"] }), Refused::Tenant);
    refused(json!({ "partner_id": "ptn_y" }), Refused::Partner);
    let many: Vec<_> = (0..257).map(|number| format!("g{number}")).collect();
    refused(json!({ "groups": many }), Refused::Groups);
    let mut prefixed = issuer();
    prefixed.identity_prefix = "user:r".to_owned();
    let found = prefixed.login(&claims(json!({ "sub": "oot" })), Timestamp::from_secs(NOW));
    assert_eq!(found.map(|_| ()), Err(Refused::Identity));
    prefixed.login = false;
    let found = prefixed.login(&claims(json!({})), Timestamp::from_secs(NOW));
    assert_eq!(found.map(|_| ()), Err(Refused::NoLogin));
}

#[test]
fn claims_may_be_required_and_may_lie_deep() {
    let mut issuer = issuer();
    issuer.require = vec![(
        "/org/unit".to_owned(),
        vec![Pattern::parse("pay*").unwrap()],
    )];
    issuer.claims.groups = "/realm~1access/roles".to_owned();
    let now = Timestamp::from_secs(NOW);
    let good = json!({ "org": { "unit": "payments" }, "realm/access": { "roles": ["a"] } });
    let principal = issuer.login(&claims(good), now).unwrap().principal;
    assert_eq!(principal.groups[0].as_str(), "group:a");
    for bad in [
        json!({}),
        json!({ "org": "pay" }),
        json!({ "org": { "unit": "it" } }),
    ] {
        let found = issuer.login(&claims(bad), now).map(|_| ());
        assert_eq!(found, Err(Refused::Required));
    }
}

#[test]
fn stars_stay_within_a_part() {
    let check = |pattern: &str, text: &str, fits: bool| {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(text), fits, "{pattern:?} {text}");
    };
    check(
        "repo:acme/shop:ref:refs/heads/main",
        "repo:acme/shop:ref:refs/heads/main",
        true,
    );
    check(
        "repo:acme/*:ref:refs/heads/main",
        "repo:acme/shop:ref:refs/heads/main",
        true,
    );
    check(
        "repo:acme/*:ref:refs/heads/main",
        "repo:acme/a:environment:x:ref:refs/heads/main",
        false,
    );
    check(
        "repo:acme/shop:*",
        "repo:acme/shop:ref:refs/heads/main",
        false,
    );
    check(
        "repo:acme/shop:**",
        "repo:acme/shop:ref:refs/heads/main",
        true,
    );
    check("repo:acme/*", "repo:acme-evil/x", false);
    check("*", "", true);
    check("a*b*c", "aXbYbZc", true);
    check("a*b*c", "aXbYbZ", false);
    check("é*", "éx", true);
    for bad in ["", "***", "a***b", &"*a".repeat(17), &"a".repeat(1_025)] {
        assert_eq!(Pattern::parse(bad), None, "{bad}");
    }
    assert!(Pattern::parse("**").unwrap().is_anything());
    assert!(!Pattern::parse("*").unwrap().is_anything());
}

fn rule(name: &str, subject: &str, identity: &str) -> ExchangeRule {
    ExchangeRule {
        name: name.to_owned(),
        issuer: "example".to_owned(),
        subject: Pattern::parse(subject).unwrap(),
        claims: Vec::new(),
        identity: identity.to_owned(),
        groups: Vec::new(),
        scopes: ScopeSet::EMPTY,
        ttl: Span::parse("1h").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let mut narrow = rule("deploy", "repo:acme/shop:*", "sa:deploy");
    narrow.claims = vec![(
        "ref".to_owned(),
        vec![Pattern::parse("refs/heads/main").unwrap()],
    )];
    let wide = rule("any", "repo:acme/**", "sa:{/job/name}");
    let rules = [narrow, wide];
    let of = |claimed: Value, wanted: Option<&str>| {
        let claimed = claimed.as_object().unwrap().clone();
        let found = exchange(&rules, "example", &claimed, wanted);
        found.map(|found| (found.rule.name.clone(), found.identity.as_str().to_owned()))
    };
    let said = |rule: &str, name: &str| Ok((rule.to_owned(), name.to_owned()));
    let main =
        json!({ "sub": "repo:acme/shop:x", "ref": "refs/heads/main", "job": { "name": "j" } });
    assert_eq!(of(main.clone(), None), said("deploy", "sa:deploy"));
    assert_eq!(of(main.clone(), Some("any")), said("any", "sa:j"));
    assert_eq!(of(main, Some("other")), Err(Refused::NoRule));
    let other =
        json!({ "sub": "repo:acme/shop:x", "ref": "refs/heads/dev", "job": { "name": "j" } });
    assert_eq!(of(other, None), said("any", "sa:j"));
    assert_eq!(
        of(json!({ "sub": "repo:acme/y" }), None),
        Err(Refused::Identity)
    );
    assert_eq!(
        of(json!({ "sub": "repo:acm/y" }), None),
        Err(Refused::NoRule)
    );
    assert_eq!(of(json!({}), None), Err(Refused::NoIdentity));
    let claimed = json!({ "sub": "repo:acme/shop:x" })
        .as_object()
        .unwrap()
        .clone();
    assert!(exchange(&rules, "another", &claimed, None).is_err());
    let none = json!({ "sub": "repo:acme/x", "job": { "name": "a b" } });
    assert_eq!(of(none, None), Err(Refused::Identity));
}
