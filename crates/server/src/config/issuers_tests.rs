use super::*;

const ISSUER: &str = r#"
    [[issuer]]
    name = "one"
    url = "https://issuer.example"
    audiences = ["scaivault"]
"#;

fn load(text: &str) -> Result<Outside, String> {
    let file = Path::new("/etc/issuers.toml");
    let egress = EgressPolicy::default();
    Outside::from_text(file, text, &egress).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str, expect: &str) {
    let error = load(text).unwrap_err();
    assert_eq!(error, format!("/etc/issuers.toml: {expect}"), "{text}");
}

#[test]
fn an_issuer_needs_a_name_a_url_and_an_audience() {
    assert!(load("").unwrap().issuers.is_empty());
    let outside = load(ISSUER).unwrap();
    let issuer = &outside.issuers[0];
    assert_eq!(issuer.keys_from, KeysFrom::Discovery);
    assert!(issuer.login && issuer.scopes_default == ScopeSet::EMPTY);
    assert!(!issuer.scopes_allowed.contains(Scope::Admin));
    assert!(issuer.scopes_allowed.contains(Scope::SecretsWrite));
    assert_eq!(issuer.tenants, [default_tenant()]);
    let spans = [
        issuer.clock_skew,
        issuer.refresh_every,
        issuer.refresh_pause,
        issuer.keys_max_age,
    ];
    assert_eq!(spans, [60, 300, 5, 3_600].map(Duration::from_secs));
    assert_eq!(outside.authorities, [("one".to_owned(), None)]);
}

#[test]
fn everything_may_be_said() {
    let text = r#"
        [[issuer]]
        name = "corp"
        url = "https://login.example/realms/corp"
        jwks_url = "https://login.example/keys"
        audiences = ["a", "b"]
        algorithms = ["EdDSA"]
        clock_skew = "0s"
        login = false
        claims = { identity = "email", groups = "/realm_access/roles" }
        identity_prefix = "user:"
        require = { hd = "example.com", tier = ["gold", "silver*"] }
        scopes_allowed = ["secrets:read", "admin"]
        scopes_default = ["secrets:read"]
        tenants = ["tnt_a", "tnt_b"]
        partner = "ptn_a"
        mfa_methods = ["otp"]
        refresh_every = "10m"
        refresh_pause = "1s"
        keys_max_age = "2h"
        [[exchange]]
        name = "deploy"
        issuer = "corp"
        subject = "repo:acme/*"
        claims = { ref = "refs/heads/main" }
        identity = "sa:gha-{/job/name}"
        groups = ["group:ci"]
        scopes = ["secrets:read"]
        ttl = "30m"
        tenant = "tnt_b"
    "#;
    let outside = load(text).unwrap();
    let (issuer, rule) = (&outside.issuers[0], &outside.rules[0]);
    assert_eq!(issuer.algorithms, [Algorithm::EdDsa]);
    assert_eq!(issuer.claims.groups, "/realm_access/roles");
    assert_eq!(issuer.claims.tenant, "tenant_id");
    assert_eq!(issuer.require[1].1.len(), 2);
    assert_eq!((rule.ttl.as_secs(), rule.tenant.as_str()), (1_800, "tnt_b"));
    assert_eq!(rule.groups[0].as_str(), "group:ci");
}

#[test]
fn what_an_issuer_must_not_say() {
    let with = |line: &str| format!("{ISSUER}{line}\n");
    for (line, expect) in [
        (
            r#"algorithms = ["none"]"#,
            "algorithms: expected some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
        ),
        (
            r#"algorithms = ["HS256"]"#,
            "algorithms: expected some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
        ),
        (
            r#"identity_prefix = "group:""#,
            "identity_prefix: expected user: or sa:, or more behind it",
        ),
        (
            r#"jwks_url = "http://issuer.example/keys""#,
            "jwks_url: the URL must begin with https://",
        ),
        (
            r#"jwks_url = "https://169.254.169.254/keys""#,
            "jwks_url: the URL names an address that deliveries may not go to",
        ),
        (
            r#"jwks_file = "/nowhere/keys""#,
            "jwks_file: the file could not be read",
        ),
        (
            r#"clock_skew = "6m""#,
            "clock_skew: expected a duration from 0s to 300s",
        ),
        (
            r#"refresh_pause = "1m""#,
            "refresh_pause: expected a duration from 1s to 20s",
        ),
        (
            r#"keys_max_age = "1m""#,
            "keys_max_age: expected no less than refresh_every",
        ),
        (
            r#"scopes_default = ["admin"]"#,
            "scopes_default: expected scopes that are allowed",
        ),
        (
            r#"tenants = ["acme"]"#,
            "tenants: expected tenant ids, tnt_…",
        ),
        (r#"tenants = []"#, "tenants: expected tenant ids, tnt_…"),
    ] {
        refused(&with(line), &format!("[issuer 1] {expect}"));
    }
    refused(
        &with("secret = 1"),
        &load(&with("secret = 1")).unwrap_err()["/etc/issuers.toml: ".len()..],
    );
    assert!(
        load(&with("secret = 1"))
            .unwrap_err()
            .contains("unknown field `secret`")
    );
    refused(&with("login = \"hunter2\""), "line 6: not valid TOML");
    let twice = format!("{ISSUER}{ISSUER}");
    refused(
        &twice,
        "[issuer 2] name: expected letters, digits and -_. , once in the file",
    );
    let twice = format!("{ISSUER}{}", ISSUER.replace("one", "two"));
    refused(
        &twice,
        "[issuer 2] url: expected the 'iss' of its tokens, once in the file",
    );
    let nobody = ISSUER.replace(r#"["scaivault"]"#, "[]");
    refused(
        &nobody,
        "[issuer 1] audiences: expected at least one, none of them empty",
    );
}

#[test]
fn what_a_rule_must_not_say() {
    let rule = |lines: &str| {
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([
            ("name", r#""r""#),
            ("issuer", r#""one""#),
            ("subject", r#""repo:acme/*""#),
            ("identity", r#""sa:x""#),
            ("scopes", r#"["secrets:read"]"#),
        ]);
        fields.extend(lines.lines().filter_map(|line| line.split_once(" = ")));
        let lines: String = fields
            .iter()
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        format!("{ISSUER}[[exchange]]\n{lines}")
    };
    assert!(load(&rule("")).is_ok());
    assert!(load(&rule("subject = \"**\"\nclaims = { repo = \"x\" }")).is_ok());
    for (line, expect) in [
        (r#"issuer = "two""#, "issuer: expected an issuer's name"),
        (
            r#"subject = "**""#,
            "subject: expected less than everybody: narrow it, or add claims",
        ),
        (
            r#"subject = "***""#,
            "subject: expected text in which * is a part without colons and ** anything",
        ),
        (
            r#"identity = "x""#,
            "identity: expected user:… or sa:…, with {claim} where a claim's text is to stand",
        ),
        (
            r#"identity = "sa:{sub""#,
            "identity: expected user:… or sa:…, with {claim} where a claim's text is to stand",
        ),
        (
            r#"identity = "sa:{}""#,
            "identity: expected user:… or sa:…, with {claim} where a claim's text is to stand",
        ),
        (
            r#"identity = "system:x""#,
            "identity: expected user:… or sa:…, with {claim} where a claim's text is to stand",
        ),
        (r#"groups = ["user:x"]"#, "groups: expected group:…"),
        (r#"scopes = []"#, "scopes: expected at least one"),
        (r#"ttl = "25h""#, "ttl: expected a duration of at most 24h"),
        (
            r#"tenant = "tnt_other""#,
            "tenant: expected one of the issuer's tenants",
        ),
    ] {
        refused(&rule(line), &format!("[exchange 1] {expect}"));
    }
}
