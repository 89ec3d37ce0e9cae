use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn terms(value: Value) -> Terms {
    Terms::read(&object(value)).unwrap()
}

fn asked(value: Value) -> Asked {
    let mut value = object(value);
    value.insert("public_key".to_owned(), json!("x"));
    Asked::read(&value).unwrap()
}

#[test]
fn a_request_gets_no_more_than_the_role_allows() {
    let role = terms(json!({
        "allowed_users": "deploy, web-*, {{identity}}",
        "default_user": "deploy",
        "allowed_extensions": ["permit-pty"],
        "default_extensions": {"permit-user-rc": ""},
        "allowed_critical_options": "source-address",
        "default_critical_options": {"force-command": "/bin/true", "source-address": "10.0.0.0/8"},
    }));
    let of = |value| role.grant(&asked(value), "alice@example.com");
    let granted = of(json!({})).unwrap();
    assert_eq!(granted.principals, ["deploy"]);
    assert_eq!(
        granted.extensions.keys().collect::<Vec<_>>(),
        ["permit-user-rc"]
    );
    assert_eq!(granted.critical_options["force-command"], "/bin/true");
    let granted = of(json!({
        "valid_principals": "web-1,alice@example.com",
        "extensions": {"permit-pty": ""},
        "critical_options": {"source-address": "10.1.0.0/16"},
    }))
    .unwrap();
    assert_eq!(granted.principals, ["web-1", "alice@example.com"]);
    assert_eq!(
        granted.extensions.keys().collect::<Vec<_>>(),
        ["permit-pty"]
    );
    assert_eq!(granted.critical_options["source-address"], "10.1.0.0/16");
    assert_eq!(granted.critical_options["force-command"], "/bin/true");
    for (value, field) in [
        (json!({"valid_principals": "root"}), "valid_principals"),
        (
            json!({"valid_principals": ["deploy", "bob"]}),
            "valid_principals",
        ),
        (json!({"valid_principals": ["web-*"]}), "valid_principals"),
        (
            json!({"valid_principals": ["{{identity}}"]}),
            "valid_principals",
        ),
        (
            json!({"extensions": {"permit-port-forwarding": ""}}),
            "extensions",
        ),
        (
            json!({"critical_options": {"force-command": "/bin/sh"}}),
            "critical_options",
        ),
    ] {
        assert_eq!(of(value.clone()).unwrap_err().0, field, "{value}");
    }
}

#[test]
fn patterns_fit_as_a_whole() {
    for (pattern, principal, expect) in [
        ("web", "web", true),
        ("web", "web1", false),
        ("*", "any", true),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c", false),
        ("*.example.com", "x.example.com", true),
        ("*.example.com", "x.example.com.evil", false),
        ("{{identity}}", "*", true),
    ] {
        assert_eq!(
            fits(pattern, principal, "*"),
            expect,
            "{pattern} {principal}"
        );
    }
    assert!(!fits("{{identity}}", "root", "*"));
}

#[test]
fn settings_are_checked() {
    for (value, field) in [
        (json!({}), "settings.allowed_users"),
        (json!({"key_type": "host"}), "settings.allowed_domains"),
        (
            json!({"key_type": 1, "default_user": "x"}),
            "settings.key_type",
        ),
        (
            json!({"default_user": "x", "allowed_domains": "x"}),
            "settings.allowed_domains",
        ),
        (
            json!({"default_user": "x", "algorithm_signer": "ssh-rsa"}),
            "settings.algorithm_signer",
        ),
        (
            json!({"default_user": "x", "default_extensions": {"a b": ""}}),
            "settings.default_extensions",
        ),
        (
            json!({"default_user": "x", "key_id_format": "{{secret}}"}),
            "settings.key_id_format",
        ),
        (json!({"default_user": "x", "odd": 1}), "settings.odd"),
    ] {
        let problems = Terms::read(&object(value.clone())).unwrap_err();
        assert_eq!(problems[0].0, field, "{value}");
    }
    let role =
        terms(json!({"default_user": "x", "key_id_format": "{{role}}:{{identity}}:{{name}}"}));
    assert_eq!(role.key_id("v_a", "ops", "al ice"), "ops:al_ice:v_a");
    for wrong in [
        json!({}),
        json!({"public_key": "x", "generate": true}),
        json!({"public_key": "x", "ttl": 1}),
    ] {
        assert!(Asked::read(&object(wrong)).is_err());
    }
}

proptest! {
    #[test]
    fn a_pattern_without_a_star_fits_itself_alone(pattern in "[a-z.-]{1,10}", other in "[a-z.-]{1,10}") {
        prop_assert!(fits(&pattern, &pattern, "h"));
        prop_assert_eq!(fits(&pattern, &other, "h"), pattern == other);
    }
}
