//! Access policies: rules print and read back as the same rules, and what they decide does not change
//! by it; conditions and windows of time included.

use scaivault_core::access::{AccessPolicy, Attempt, Binding, Grants, Permission, Rule, decide};
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "policy",
    seeds: || {
        texts(&[
            r#"[{"path_pattern":"app/**","permissions":["read","list"]}]"#,
            r#"[{"path_pattern":"*","permissions":["write"],"conditions":{"ip_ranges":["10.0.0.0/8","::1"],"require_mfa":true,"mfa_max_age":"15m"}}]"#,
            r#"[{"path_pattern":"app/db","permissions":["read"],"conditions":{"time_window":{"days":["mon","sun"],"start":"22:00","end":"06:00","timezone":"Europe/Berlin"}}}]"#,
        ])
    },
    words: &[
        "\"read\"",
        "\"admin\"",
        "**",
        "{}",
        "[]",
        "null",
        "\"conditions\":",
        "\"days\":",
        "00:00",
        "23:59",
        "24:00",
        "America/New_York",
        "UTC",
        "Pacific/Apia",
        "0.0.0.0/0",
        "::/0",
        "::ffff:10.0.0.0/104",
        "/0",
        "/32",
        "\\u0000",
        "1e400",
    ],
    run,
};

fn run(data: &[u8]) {
    let Ok(rules) = serde_json::from_slice::<Vec<Rule>>(data) else {
        return;
    };
    let printed = serde_json::to_vec(&rules).expect("rules print");
    let again: Vec<Rule> = serde_json::from_slice(&printed).expect("what was printed reads");
    assert_eq!(again, rules);
    for (at, path) in ["app/db", "app", "x/y/z"].into_iter().enumerate() {
        let path = SecretPath::parse(path).expect("a path");
        for address in [None, Some("10.1.2.3"), Some("::ffff:10.1.2.3"), Some("::1")] {
            let attempt = Attempt {
                path: &path,
                permission: Permission::Read,
                source_ip: address.map(|text| text.parse().expect("an address")),
                now: Timestamp::from_secs(1_800_000_000 + i64::try_from(at).unwrap_or(0) * 43_200),
                mfa_at: None,
            };
            let answers = [&rules, &again].map(|rules| allowed(rules, &attempt));
            assert_eq!(answers[0], answers[1]);
            // Inactive, or lapsed: nothing.
            assert!(
                !answers[0]
                    || rules
                        .iter()
                        .any(|rule| rule.permissions.allows(Permission::Read))
            );
        }
    }
}

fn allowed(rules: &[Rule], attempt: &Attempt<'_>) -> bool {
    let principal = super::fixture::principal();
    let tenant = principal.tenant.clone();
    let policy = AccessPolicy {
        id: scaivault_core::ids::PolicyId::parse("pol_a").expect("an id"),
        tenant: tenant.clone(),
        name: "p".into(),
        description: None,
        rules: rules.to_vec(),
        scopes: None,
        scope: Default::default(),
        is_active: true,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
        revision: 1,
    };
    let binding = Binding {
        id: scaivault_core::ids::BindingId::parse("bnd_a").expect("an id"),
        tenant,
        policy_id: policy.id.clone(),
        identity: principal.identity.clone(),
        expires_at: None,
        created_at: Timestamp::default(),
        revision: 1,
    };
    decide(&principal, &Grants::new(vec![(policy, binding)]), attempt).is_ok()
}
