use proptest::prelude::*;

use super::super::{Conditions, PermissionSet, PolicyScope, Rule};
use super::*;
use crate::glob::PathPattern;
use crate::identity::{Identity, ScopeSet};
use crate::ids::{BindingId, PolicyId};
use crate::tenancy::Seat;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn principal(is_root: bool) -> Principal {
    Principal {
        tenant: TenantId::parse("tnt_a").unwrap(),
        seat: Seat::default(),
        identity: Identity::parse("sa:x").unwrap(),
        scopes: ScopeSet::all(),
        groups: Vec::new(),
        token_id: None,
        is_root,
        mfa_at: None,
        expires_at: None,
        foreign: None,
        limited_as: None,
    }
}

fn rule(pattern: &str, permissions: &[Permission], conditions: Conditions) -> Rule {
    Rule {
        path_pattern: PathPattern::parse(pattern).unwrap(),
        permissions: permissions.iter().copied().collect::<PermissionSet>(),
        conditions,
    }
}

fn entry(
    tenant: &str,
    rules: Vec<Rule>,
    is_active: bool,
    ends: Option<Timestamp>,
) -> (AccessPolicy, Binding) {
    let tenant = TenantId::parse(tenant).unwrap();
    let policy = AccessPolicy {
        id: PolicyId::parse("pol_1").unwrap(),
        tenant: tenant.clone(),
        name: "p".into(),
        description: None,
        rules,
        scopes: None,
        scope: PolicyScope::Tenant,
        is_active,
        created_at: NOW,
        updated_at: NOW,
        revision: 1,
    };
    let binding = Binding {
        id: BindingId::parse("bnd_1").unwrap(),
        tenant,
        policy_id: policy.id.clone(),
        identity: Identity::parse("sa:x").unwrap(),
        expires_at: ends,
        created_at: NOW,
        revision: 1,
    };
    (policy, binding)
}

fn ask(
    grants: Vec<(AccessPolicy, Binding)>,
    permission: Permission,
    path: &str,
) -> Result<(), DenialReason> {
    let path = SecretPath::parse(path).unwrap();
    let attempt = Attempt {
        permission,
        path: &path,
        source_ip: None,
        mfa_at: None,
        now: NOW,
    };
    decide(&principal(false), &Grants::new(grants), &attempt)
        .map(|_| ())
        .map_err(|denial| denial.reason)
}

#[test]
fn default_is_deny_and_a_rule_allows_only_its_own() {
    let one = || {
        vec![entry(
            "tnt_a",
            vec![rule("app/db", &[Permission::Read], Conditions::default())],
            true,
            None,
        )]
    };
    assert_eq!(
        ask(vec![], Permission::Read, "app/db"),
        Err(DenialReason::NoRule)
    );
    assert_eq!(ask(one(), Permission::Read, "app/db"), Ok(()));
    assert_eq!(
        ask(one(), Permission::Write, "app/db"),
        Err(DenialReason::NoRule)
    );
    assert_eq!(
        ask(one(), Permission::Read, "app/db2"),
        Err(DenialReason::NoRule)
    );
}

#[test]
fn inactive_lapsed_and_foreign_policies_allow_nothing() {
    let rules = || vec![rule("**", &[Permission::Admin], Conditions::default())];
    assert_eq!(
        ask(
            vec![entry("tnt_a", rules(), true, None)],
            Permission::Rotate,
            "a"
        ),
        Ok(())
    );
    let no = Err(DenialReason::NoRule);
    assert_eq!(
        ask(
            vec![entry("tnt_a", rules(), false, None)],
            Permission::Read,
            "a"
        ),
        no
    );
    assert_eq!(
        ask(
            vec![entry("tnt_b", rules(), true, None)],
            Permission::Read,
            "a"
        ),
        no
    );
    assert_eq!(
        ask(
            vec![entry("tnt_a", rules(), true, Some(NOW))],
            Permission::Read,
            "a"
        ),
        no
    );
}

#[test]
fn the_failed_condition_is_named() {
    let mfa = Conditions {
        require_mfa: true,
        ..Conditions::default()
    };
    assert_eq!(
        ask(
            vec![entry(
                "tnt_a",
                vec![rule("**", &[Permission::Read], mfa)],
                true,
                None
            )],
            Permission::Read,
            "a"
        ),
        Err(DenialReason::Failed(Condition::RequireMfa))
    );
}

#[test]
fn root_needs_no_policy() {
    let path = SecretPath::parse("any/thing").unwrap();
    let attempt = Attempt {
        permission: Permission::Write,
        path: &path,
        source_ip: None,
        mfa_at: None,
        now: NOW,
    };
    assert!(decide(&principal(true), &Grants::default(), &attempt).is_ok());
}

prop_compose! {
    fn any_rule()(
        pattern in prop_oneof!["[ab]/[ab]", Just("a/**".to_owned()), Just("*/b".to_owned()), Just("**".to_owned())],
        bits in 0u8..64,
        mfa in any::<bool>(),
    ) -> Rule {
        let permissions: Vec<_> =
            Permission::ALL.into_iter().filter(|p| bits & (1 << *p as u8) != 0).collect();
        rule(&pattern, &permissions, Conditions { require_mfa: mfa, ..Conditions::default() })
    }
}

prop_compose! {
    fn any_entry()(
        rules in proptest::collection::vec(any_rule(), 0..4),
        is_active in any::<bool>(),
        own in any::<bool>(),
        ends in prop_oneof![Just(None), (-1i64..=1).prop_map(|s| Some(Timestamp::from_secs(1_800_000_000 + s)))],
    ) -> (AccessPolicy, Binding) {
        entry(if own { "tnt_a" } else { "tnt_b" }, rules, is_active, ends)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// The decision equals its definition: some rule of some own, active, unexpired policy
    /// matches by pattern, permission and conditions.
    #[test]
    fn decision_equals_definition(
        entries in proptest::collection::vec(any_entry(), 0..4),
        which in 0usize..6,
        path in "[ab](/[ab]){0,2}",
        mfa in any::<bool>(),
    ) {
        let permission = Permission::ALL[which];
        let path = SecretPath::parse(&path).unwrap();
        let expect = entries.iter().any(|(policy, binding)| {
            policy.is_active
                && policy.tenant.as_str() == "tnt_a"
                && binding.expires_at.is_none_or(|end| end > NOW)
                && policy.rules.iter().any(|rule| {
                    let named: Vec<_> = rule.permissions.iter().collect();
                    (named.contains(&permission) || named.contains(&Permission::Admin))
                        && rule.path_pattern.matches(&path)
                        && (!rule.conditions.require_mfa || mfa)
                })
        });
        let attempt = Attempt {
            permission,
            path: &path,
            source_ip: None,
            mfa_at: mfa.then_some(NOW),
            now: NOW,
        };
        let got = decide(&principal(false), &Grants::new(entries), &attempt);
        prop_assert_eq!(got.is_ok(), expect);
    }
}
