//! Names of certificates: their one form, and what patterns over them mean.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::identity::{Scope, ScopeSet};
use crate::ids::TenantId;
use crate::time::Span;

fn names(all: &[(NameKind, &str)]) -> Claims {
    let names = all.iter().map(|(kind, text)| (*kind, (*text).to_owned()));
    let names = CertificateNames {
        names: names.collect(),
        fingerprint: "ab".repeat(32),
        authorities: vec!["cd".repeat(32)],
    };
    names.claims()
}

fn rule(wanted: &[(NameKind, &[&str])], identity: &str) -> ExchangeRule {
    let read = |(kind, texts): &(NameKind, &[&str])| {
        let patterns = texts.iter().map(|text| kind.pattern(text).unwrap());
        (kind.as_str().to_owned(), patterns.collect())
    };
    ExchangeRule {
        name: "rule".to_owned(),
        issuer: CERTIFICATES.to_owned(),
        subject: Pattern::parse("**").unwrap(),
        claims: wanted.iter().map(read).collect(),
        identity: identity.to_owned(),
        groups: Vec::new(),
        scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
        ttl: Span::parse("1h").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
    }
}

fn given(rule: &ExchangeRule, claims: &Claims) -> Result<String, Refused> {
    let rules = [rule.clone()];
    let found = exchange(&rules, CERTIFICATES, claims, None)?;
    Ok(found.identity.as_str().to_owned())
}

#[test]
fn a_workload_is_named_by_the_parts_of_its_id() {
    let id = "spiffe://prod.example.org/ns/shop/sa/cart";
    let claims = names(&[(NameKind::Uri, id), (NameKind::CommonName, "cart")]);
    assert_eq!(claims["trust_domain"], "prod.example.org");
    assert_eq!(
        claims["path"],
        json!({ "1": "ns", "2": "shop", "3": "sa", "4": "cart" })
    );
    assert_eq!(claims["sub"], id);
    let wanted: &[(NameKind, &[&str])] =
        &[(NameKind::Uri, &["spiffe://prod.example.org/ns/*/sa/*"])];
    let by_parts = rule(wanted, "sa:{/path/2}/{/path/4}");
    assert_eq!(given(&by_parts, &claims).unwrap(), "sa:shop/cart");
    assert_eq!(
        given(&rule(wanted, "sa:{uri}"), &claims).unwrap(),
        format!("sa:{id}")
    );
    let missing = rule(wanted, "sa:{/path/5}");
    assert_eq!(given(&missing, &claims), Err(Refused::Identity));
    let deeper = names(&[(NameKind::Uri, "spiffe://prod.example.org/ns/shop/x/sa/cart")]);
    assert_eq!(given(&by_parts, &deeper), Err(Refused::NoRule));
    let root = rule(&[(NameKind::CommonName, &["root"])], "user:{cn}");
    let claims = names(&[(NameKind::CommonName, "root")]);
    assert_eq!(given(&root, &claims), Err(Refused::Identity));
}

#[test]
fn of_several_names_the_rule_says_which() {
    let claims = names(&[
        (NameKind::Dns, "db.prod.example.com"),
        (NameKind::Dns, "db"),
        (NameKind::Dns, "DB.prod.example.com"),
    ]);
    let one = rule(&[(NameKind::Dns, &["*.prod.example.com"])], "sa:{dns}");
    assert_eq!(given(&one, &claims).unwrap(), "sa:db.prod.example.com");
    let any = rule(
        &[
            (NameKind::Dns, &["**"]),
            (NameKind::Authority, &[&"cd".repeat(32)]),
        ],
        "sa:{dns}",
    );
    assert_eq!(given(&any, &claims), Err(Refused::Identity));
    let unsaid = rule(
        &[(NameKind::Authority, &[&"CD:".repeat(32)[..95]])],
        "sa:{dns}",
    );
    assert_eq!(given(&unsaid, &claims), Err(Refused::Identity));
}

#[test]
fn names_with_several_spellings_are_passed_over() {
    use NameKind::{CommonName, Dns, Email, Uri};
    for (kind, text) in [
        (Uri, "spiffe://prod.example.org"),
        (Uri, "spiffe://prod.example.org/ns/Shop_1.2"),
        (Uri, "urn:device:7"),
        (Uri, "https://ci.example.com/acme/shop?ref=main"),
        (Dns, "db.prod.example.com"),
        (Email, "first.last@example.com"),
        (CommonName, "ACME, Inc. (prod)"),
    ] {
        assert_eq!(kind.canonical(text).as_deref(), Some(text));
    }
    assert_eq!(Dns.canonical("DB.Example.com").unwrap(), "db.example.com");
    assert_eq!(Email.canonical("A@Example.com").unwrap(), "a@example.com");
    for (kind, text) in [
        (Uri, "SPIFFE://prod.example.org/a"),
        (Uri, "spiffe://Prod.example.org/a"),
        (Uri, "spiffe://prod.example.org./a"),
        (Uri, "spiffe://prod.example.org/a/"),
        (Uri, "spiffe://prod.example.org//a"),
        (Uri, "spiffe://prod.example.org/a/../b"),
        (Uri, "spiffe://prod.example.org/a%2fb"),
        (Uri, "spiffe://prod.example.org:8443/a"),
        (Uri, "spiffe://user@prod.example.org/a"),
        (Uri, "spiffe://prod.example.org/a?b"),
        (Uri, "spiffe:prod.example.org/a"),
        (Uri, "https://ci.example.com/%61cme"),
        (Uri, "https://CI.example.com/acme"),
        (Uri, "https://ci.example.com/a/./b"),
        (Uri, "no scheme"),
        (Uri, "urn:s\u{f6}"),
        (Dns, "db.example.com."),
        (Dns, "*.example.com"),
        (Dns, "d\u{f6}.example.com"),
        (Dns, "db..example.com"),
        (Dns, ""),
        (Email, "a@b@example.com"),
        (Email, "\"a\"@example.com"),
        (Email, "a@example.com."),
        (Email, "example.com"),
        (CommonName, " shop"),
        (CommonName, "shop  cart"),
        (CommonName, "sh\u{f6}p"),
        (CommonName, "shop\0"),
    ] {
        assert_eq!(kind.canonical(text), None, "{kind:?} {text}");
    }
    // Two ids, or an id beside another URI: it is nobody's.
    let two = names(&[(Uri, "spiffe://a/x"), (Uri, "https://b.example/y")]);
    assert!(!two.contains_key("uri") && !two.contains_key("trust_domain"));
}

#[test]
fn patterns_that_no_name_can_fit_are_told_at_once() {
    use NameKind::{Authority, Dns, Email, Fingerprint, Uri};
    for (kind, text) in [
        (Dns, "*.Example.com"),
        (Dns, "*.example.com."),
        (Uri, "spiffe://Prod/x"),
        (Uri, "spiffe://prod/x/"),
        (Uri, "spiffe://prod/%61"),
        (Email, "example.com"),
        (Fingerprint, "abc"),
        (Fingerprint, "*"),
        (Authority, "**"),
        (Dns, ""),
    ] {
        assert_eq!(kind.pattern(text), None, "{kind:?} {text}");
    }
    for (kind, text) in [
        (Dns, "**"),
        (Dns, "**.example.com"),
        (Uri, "spiffe://prod/**"),
        (Email, "*@example.com"),
        (Email, "*@*.example.com"),
    ] {
        assert!(kind.pattern(text).is_some(), "{kind:?} {text}");
    }
}

/// Parts between separators, by the plainest reading: as many on both sides, each star at its own.
fn by_parts(pattern: &str, text: &str, separator: char) -> bool {
    let (mut wanted, mut have) = (pattern.split(separator), text.split(separator));
    loop {
        match (wanted.next(), have.next()) {
            (None, None) => return true,
            (Some(wanted), Some(have)) => {
                let fits = match wanted.split_once('*') {
                    Some((start, end)) => {
                        have.len() >= start.len() + end.len()
                            && have.starts_with(start)
                            && have.ends_with(end)
                    }
                    None => wanted == have,
                };
                if !fits {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// The same name as somebody else might write it.
fn respelled(text: &str, how: u8) -> String {
    match how {
        0 => text.to_uppercase(),
        1 => format!("{text}."),
        2 => format!("{text}/"),
        3 => text.replacen('a', "%61", 1),
        4 => text.replacen('a', "\u{430}", 1),
        5 => text.replacen('a', "\u{ff41}", 1),
        6 => format!(" {text}"),
        7 => text.replacen('.', "..", 1),
        8 => text.replacen('/', "/./", 1),
        _ => format!("{text}\0"),
    }
}

proptest! {
    #[test]
    fn no_star_crosses_a_part(
        wanted in prop::collection::vec("[ab]{0,2}\\*?[ab]{0,2}", 1..5),
        have in prop::collection::vec("[ab]{1,4}", 1..6),
    ) {
        prop_assume!(wanted.iter().all(|part| !part.is_empty()));
        for (kind, separator, before) in [
            (NameKind::Dns, '.', ""),
            (NameKind::Uri, '/', "spiffe://"),
        ] {
            let separated = separator.to_string();
            let pattern = format!("{before}{}", wanted.join(&separated));
            let text = format!("{before}{}", have.join(&separated));
            let read = kind.pattern(&pattern).expect("a pattern");
            prop_assert!(kind.canonical(&text).is_some());
            prop_assert_eq!(read.matches(&text), by_parts(&pattern, &text, separator), "{} {}", pattern, text);
        }
    }

    #[test]
    fn a_mail_star_stays_on_its_side(
        local in "[a-c.]{1,6}", labels in prop::collection::vec("[ab]{1,2}", 1..4),
    ) {
        let domain = labels.join(".");
        let text = format!("{local}@{domain}");
        let fits = |pattern: &str| NameKind::Email.pattern(pattern).unwrap().matches(&text);
        let of_domain = format!("*@{domain}");
        prop_assert!(fits(&of_domain));
        prop_assert_eq!(fits("*@*"), labels.len() == 1);
        prop_assert_eq!(fits("*@*.*"), labels.len() == 2);
    }

    /// Whatever spelling of a name a certificate has: it is passed over, or it is that name.
    #[test]
    fn a_spelling_is_no_second_name(
        parts in prop::collection::vec("[a-c]{1,4}", 2..5), how in 0_u8..10,
    ) {
        for (kind, name) in [
            (NameKind::Dns, parts.join(".")),
            (NameKind::Uri, format!("spiffe://{}", parts.join("/"))),
            (NameKind::Email, format!("{}@{}", parts[0], parts[1..].join("."))),
        ] {
            let other = respelled(&name, how);
            let pattern = kind.pattern(&name).expect("a pattern");
            prop_assert!(pattern.matches(&kind.canonical(&name).expect("a name")));
            // As a rule without a star means one name, what fits it is that name.
            if let Some(read) = kind.canonical(&other) {
                prop_assert_eq!(pattern.matches(&read), read == name);
                let folded = other.to_ascii_lowercase();
                prop_assert!(read == other || read == folded, "{} is taken for {}", other, read);
            }
        }
    }

    #[test]
    fn names_are_read_without_a_panic_and_stay_as_they_are(text in "\\PC{0,40}") {
        for kind in NameKind::ALL {
            if let Some(read) = kind.canonical(&text) {
                prop_assert_eq!(kind.canonical(&read), Some(read.clone()));
            }
            let _ = kind.pattern(&text);
        }
    }
}
