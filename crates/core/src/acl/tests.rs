//! Well-known policies and what becomes of them; and, for random ones, that what is decided here is
//! what the documented meaning says, but for the differences that are listed.

mod meaning;
mod random;

use super::*;
use crate::access::{Permission, Rule};
use crate::identity::{Scope, ScopeSet};

pub(super) fn mounts() -> Mounts {
    let view = |path: &str, kind, root: &str| MountView {
        path: path.to_owned(),
        kind,
        root: root.to_owned(),
    };
    Mounts::new(vec![
        view("secret", MountKind::Kv2, "secret"),
        view("kv1", MountKind::Kv1, "old/kv"),
        view("team/kv", MountKind::Kv2, "team"),
        view("database", MountKind::Database, ""),
        view("db/two", MountKind::Database, ""),
    ])
}

fn compiled(text: &str) -> Compiled {
    let document = parse(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
    compile(&document, &mounts()).unwrap_or_else(|why| panic!("{text}: {why:?}"))
}

fn refused(text: &str) -> String {
    let why = match parse(text) {
        Err(why) => why,
        Ok(document) => compile(&document, &mounts()).expect_err(text),
    };
    why.iter().map(|one| format!("{one}\n")).collect()
}

fn lines(compiled: &Compiled) -> Vec<String> {
    let line = |rule: &Rule| {
        let words: Vec<_> = rule.permissions.iter().map(Permission::as_str).collect();
        format!("{} {}", rule.path_pattern, words.join("+"))
    };
    compiled.rules.iter().map(line).collect()
}

fn scopes(all: &[Scope]) -> ScopeSet {
    all.iter().copied().collect()
}

#[test]
fn a_reader_of_an_application() {
    let got = compiled(
        r#"
        # what the application reads
        path "secret/data/shop/*" {
          capabilities = ["read"]
        }
        path "secret/metadata/shop/*" { capabilities = ["list", "read"] } // its names
        "#,
    );
    assert_eq!(lines(&got), ["secret/shop/** read+list"]);
    let both = [Scope::SecretsRead, Scope::SecretsList];
    assert_eq!(got.scopes, scopes(&both));
    assert_eq!(got.notes, Vec::<String>::new());
}

#[test]
fn the_same_in_json_and_in_other_spellings() {
    let hcl = compiled(
        "path \"/secret/data/a\" {\n capabilities = [\"create\", \"update\", \"read\",]\n}",
    );
    for other in [
        r#"{"path": {"secret/data/a": {"capabilities": ["read", "create", "update"]}}}"#,
        r#"{"path": [{"secret/data/a": {"capabilities": ["read", "create", "update"]}}]}"#,
        "name = \"x\"\npath \"secret/data/a\" { capabilities = [\"read\"] }\n/* and\n so on */ \
         path \"secret/data/a\" { capabilities = [\"create\", \"update\"] comment = <<-EOT\n   hello\n  EOT\n}",
    ] {
        assert_eq!(compiled(other), hcl, "{other}");
    }
    assert_eq!(lines(&hcl), ["secret/a read+write"]);
}

#[test]
fn paths_of_every_kind() {
    for (path, words, want) in [
        ("secret/data/a/+/b", "read", vec!["secret/a/*/b read"]),
        ("secret/data/a/+", "read", vec!["secret/a/* read"]),
        (
            "secret/data/ab*",
            "read",
            vec!["secret/ab* read", "secret/ab*/** read"],
        ),
        ("secret/metadata/a/", "list", vec!["secret/a/* list"]),
        ("secret/metadata/a", "list", vec!["secret/a/* list"]),
        ("secret/metadata/a", "read", vec!["secret/a list"]),
        ("secret/metadata", "list", vec!["secret/* list"]),
        ("kv1/a/*", "read", vec!["old/kv/a/** read"]),
        ("team/kv/data/*", "read", vec!["team/** read"]),
        (
            "secret/data/Top.Secret",
            "read",
            vec!["secret/__54op__2e__53ecret read"],
        ),
        (
            "secret/data/a/metadata",
            "read",
            vec!["secret/a/__6detadata read"],
        ),
        (
            "secret/data/me*",
            "read",
            vec![
                "secret/__6detadata read",
                "secret/me* read",
                "secret/me*/** read",
            ],
        ),
        (
            "database/creds/reader",
            "read",
            vec!["dynamic/database-*/creds/reader read"],
        ),
        (
            "db/two/creds/reader",
            "read",
            vec!["dynamic/db__2ftwo-*/creds/reader read"],
        ),
        (
            "database/config/mydb",
            "read",
            vec!["dynamic/database/config/mydb read"],
        ),
        (
            "database/roles",
            "list",
            vec!["dynamic/database/roles/* list"],
        ),
        (
            "database/static-creds/*",
            "read",
            vec!["dynamic/database/static-creds/** read"],
        ),
        (
            "database/rotate-root/mydb",
            "update",
            vec!["dynamic/database/rotate-root/mydb write"],
        ),
        (
            "db/two/static-roles/App",
            "delete",
            vec!["dynamic/db__2ftwo/static-roles/__41pp delete"],
        ),
        (
            "sys/leases/revoke-prefix/database/creds/reader",
            "update",
            vec!["dynamic/leases/revoke-prefix/database/creds/reader write"],
        ),
        (
            "sys/leases/lookup/database/*",
            "list",
            vec!["dynamic/leases/lookup/database/** list"],
        ),
        (
            "auth/token/create",
            "update",
            vec!["auth/token/create write"],
        ),
    ] {
        let got = compiled(&format!(
            "path \"{path}\" {{ capabilities = [\"{words}\"] }}"
        ));
        assert_eq!(lines(&got), want, "{path}");
    }
    // What follows an underscore is spelled out: `foo_*` does not mean `fooA`.
    let got = compiled("path \"secret/data/foo_*\" { capabilities = [\"read\"] }");
    let fits = |path: &str| {
        let path = crate::path::SecretPath::parse(&format!("secret/{}", escape(path, true)));
        let path = path.unwrap();
        got.rules
            .iter()
            .any(|rule| rule.path_pattern.matches(&path))
    };
    for yes in ["foo_", "foo_a", "foo_9z", "foo_-", "foo__x", "foo_A"] {
        assert!(fits(yes), "{yes}");
    }
    for no in ["fooA", "foo.b", "foo", "fooa_"] {
        assert!(!fits(no), "{no}");
    }
}

/// Whoever administers databases has no scope that opens those of others, and never what makes all
/// credentials.
#[test]
fn an_administrator_of_databases() {
    let all = "\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"";
    let got = compiled(&format!("path \"database/*\" {{ capabilities = [{all}] }}"));
    assert_eq!(got.scopes, scopes(&[Scope::DynamicGenerate]));
    let fits = |path: &str| {
        let path = crate::path::SecretPath::parse(path).unwrap();
        got.rules
            .iter()
            .any(|rule| rule.path_pattern.matches(&path))
    };
    for yes in [
        "dynamic/database/config/mydb",
        "dynamic/database/roles/reader",
        "dynamic/database/rotate-root/mydb",
        "dynamic/database-mydb/creds/reader",
    ] {
        assert!(fits(yes), "{yes}");
    }
    for no in [
        "dynamic/database/root/mydb",
        "dynamic/database/root/mydb/next",
        "dynamic/databases-mydb/creds/reader",
        "dynamic/db__2ftwo/config/mydb",
        "dynamic/leases/revoke-prefix/database",
    ] {
        assert!(!fits(no), "{no}");
    }
    assert!(
        refused("path \"database/config/x\" { capabilities = [\"create\"] }")
            .contains("create and update are one")
    );
}

#[test]
fn an_administrator() {
    let text = r#"
        path "sys/health" { capabilities = ["read", "sudo"] }
        path "sys/policies/acl" { capabilities = ["list"] }
        path "sys/policies/acl/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
        path "auth/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
        path "sys/auth/*" { capabilities = ["create", "update", "delete", "sudo"] }
        path "sys/auth" { capabilities = ["read"] }
        path "secret/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
        path "sys/mounts/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
        path "sys/mounts" { capabilities = ["read"] }
    "#;
    let got = compiled(text);
    assert_eq!(
        lines(&got),
        [
            "auth/token/create write",
            "secret/** read+write+delete+list"
        ]
    );
    for scope in [Scope::Admin, Scope::PoliciesRead, Scope::PoliciesWrite] {
        assert!(got.scopes.contains(scope), "{scope:?}");
    }
    assert!(!got.scopes.contains(Scope::AuditRead));
}

#[test]
fn what_cannot_be_said_says_why() {
    for (text, why) in [
        (
            "path \"secret/data/a\" { capabilities = [\"deny\"] }",
            "only ever add",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"update\"] }",
            "create and update are one",
        ),
        (
            "path \"secret/metadata/a\" { capabilities = [\"update\"] }",
            "may write values",
        ),
        (
            "path \"secret/subkeys/a\" { capabilities = [\"read\"] }",
            "part of the value",
        ),
        (
            "path \"nowhere/a\" { capabilities = [\"read\"] }",
            "no mount",
        ),
        (
            "path \"secret/data/*/a\" { capabilities = [\"read\"] }",
            "end of a path only",
        ),
        (
            "path \"secret/data/+*\" { capabilities = [\"read\"] }",
            "not a pattern",
        ),
        (
            "path \"secret/data/{{identity.entity.id}}/*\" { capabilities = [\"read\"] }",
            "templates",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"list\"] }",
            "gives nothing",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"reed\"] }",
            "capabilities are",
        ),
        ("path \"secret/data/a\" { }", "missing"),
        (
            "path \"auth/approle/role/x/secret-id\" { capabilities = [\"update\"] }",
            "go together",
        ),
        (
            "path \"sys/audit\" { capabilities = [\"read\", \"sudo\"] }",
            "opens more than this",
        ),
        (
            "path \"sys/raw/*\" { capabilities = [\"read\"] }",
            "no operation",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"read\"]\n allowed_parameters = { \"b\" = [] } }",
            "line 2",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"read\"] min_wrapping_ttl = \"1s\" }",
            "wrapped",
        ),
        (
            "path \"secret/data/a\" { capabilities = [\"read\"] color = 1 }",
            "nothing else",
        ),
        ("policy \"x\" { }", "alone"),
        ("", "at least one"),
        ("path \"a", "not closed"),
        ("path \"${a}\" {}", "nobody"),
        ("/* path", "not closed"),
        ("path \"a\" { capabilities = <<X\nread\n", "alone"),
    ] {
        let told = refused(text);
        assert!(told.contains(why), "{text}: {told}");
    }
    let two = "path \"secret/data/*\" { capabilities = [\"create\", \"update\", \"read\"] }\n\n\
               path \"secret/data/own\" { capabilities = [\"read\"] }";
    let told = refused(two);
    assert!(
        told.starts_with("line 3, path \"secret/data/own\": this block decides over"),
        "{told}"
    );
    assert!(
        told.contains("(line 1)") && told.contains("create, update"),
        "{told}"
    );
}

#[test]
fn depth_and_size_are_bounded() {
    for text in [
        "[".repeat(100_000),
        format!("path \"a\" {{ x = {}", "[".repeat(100_000)),
        format!("path \"a\" {{ x = {}", "{ a = ".repeat(10_000)),
        "path \"a\" {}\n".repeat(20_000),
        "a".repeat(TEXT_BYTES_MAX + 1),
        "path \"secret/data/a\" { capabilities = [\"read\"] }\n".repeat(501),
    ] {
        assert!(parse(&text).is_err());
    }
    let many: String = (0..250)
        .map(|at| format!("path \"secret/data/a{at}\" {{ capabilities = [\"read\"] }}\n"))
        .collect();
    assert!(refused(&many).contains("at most 200"));
}

/// A view over all of our tree, beside the other mounts.
fn with_a_view() -> Mounts {
    let mut all = mounts().all().to_vec();
    all.push(MountView {
        path: "all".to_owned(),
        kind: MountKind::Kv2,
        root: String::new(),
    });
    Mounts::new(all)
}

#[test]
fn a_view_over_all_gives_nothing_but_secrets() {
    let said = |text: &str| {
        compile(&parse(text).unwrap(), &with_a_view()).map_err(|why| why[0].reason.clone())
    };
    let values = r#"path "all/data/*" { capabilities = ["read"] }"#;
    let one = r#"path "database/creds/ro" { capabilities = ["read"] }"#;
    let writes = r#"path "all/data/*" { capabilities = ["create", "update"] }"#;
    let of_any = r#"path "all/data/+/token/create" { capabilities = ["create", "update"] }"#;
    for text in [values.to_owned(), format!("{values}\n{one}")] {
        let told = said(&text).unwrap_err();
        assert!(told.contains("every role of every engine"), "{told}");
    }
    for text in [writes, of_any] {
        let told = said(text).unwrap_err();
        assert!(told.contains("also make tokens"), "{told}");
    }
    let deletes = r#"path "all/data/*" { capabilities = ["delete"] }"#;
    let creates = format!("{writes}\npath \"auth/token/create\" {{ capabilities = [\"update\"] }}");
    for (text, also) in [
        (deletes, "connections, roles and leases"),
        (&creates, "connections, roles and leases"),
        (
            r#"path "all/data/transit/*" { capabilities = ["create", "update"] }"#,
            "also use keys",
        ),
        (
            r#"path "all/data/dynamic/+/static-creds/x" { capabilities = ["read"] }"#,
            "connections, roles and leases",
        ),
    ] {
        let told = said(text).unwrap_err();
        assert!(told.contains(also), "{text}: {told}");
    }
    // Folders that have nothing else in them, and what is said besides.
    for text in [
        r#"path "all/data/app/*" { capabilities = ["create", "update", "read"] }"#.to_owned(),
        format!("{one}\npath \"all/data/dyn\" {{ capabilities = [\"read\"] }}"),
        r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#.to_owned(),
        r#"path "all/metadata/*" { capabilities = ["read", "list"] }"#.to_owned(),
    ] {
        assert!(said(&text).is_ok(), "{text}: {:?}", said(&text));
    }
}

#[test]
fn words_that_are_no_path_alone_are_written_as_they_are_stored() {
    for (path, want) in [
        ("all/data/batch", vec!["__62atch read"]),
        ("all/data/batch/x", vec!["batch/x read"]),
        (
            "all/data/ex*",
            vec!["__65xpiring read", "ex* read", "ex*/** read"],
        ),
    ] {
        let text = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        let got = compile(&parse(&text).unwrap(), &with_a_view()).unwrap();
        assert_eq!(lines(&got), want, "{path}");
    }
    let need = needs(&with_a_view(), "all/data/batch", Capability::Read);
    let stored = crate::vault_path::secret_path("", "batch").unwrap();
    let read = Need::Rule(Some(Scope::SecretsRead), Permission::Read, stored);
    assert_eq!(need, read);
}

#[test]
fn what_would_take_minutes_to_compare_is_refused() {
    let blocks: String = (0..500)
        .map(|at| format!("path \"secret/data/a{at}_*\" {{ capabilities = [\"read\"] }}\n"))
        .collect();
    let told = refused(&blocks);
    assert!(told.contains("more than 2000 patterns"), "{told}");
    assert!(told.starts_with("line 26, "), "{told}");

    let many = (0..200).map(|at| MountView {
        path: format!("kv{at}"),
        kind: MountKind::Kv2,
        root: format!("kv{at}"),
    });
    let blocks: String = (0..500)
        .map(|at| format!("path \"+/data/a{at}_*\" {{ capabilities = [\"read\"] }}\n"))
        .collect();
    let why = compile(&parse(&blocks).unwrap(), &Mounts::new(many.collect())).unwrap_err();
    assert!(why[0].reason.contains("more than 5000 kinds"), "{why:?}");
}

#[test]
fn metadata_never_gives_values() {
    for capability in Capability::ALL {
        for path in [
            "secret/metadata/*",
            "secret/metadata/+/a",
            "secret/subkeys/*",
            "secret/meta*",
        ] {
            let text = format!(
                "path \"{path}\" {{ capabilities = [\"{}\"] }}",
                capability.as_str()
            );
            let Ok(got) = parse(&text).and_then(|document| compile(&document, &mounts())) else {
                continue;
            };
            let reads = |rule: &Rule| rule.permissions.allows(Permission::Read);
            assert!(!got.rules.iter().any(reads), "{text}");
        }
    }
}

#[test]
fn what_has_no_words_is_shown() {
    let rules: Vec<Rule> = serde_json::from_str(
        r#"[{"path_pattern":"secret/**/x","permissions":["read"]},
            {"path_pattern":"elsewhere/x","permissions":["read"]},
            {"path_pattern":"secret/a","permissions":["rotate","read"]},
            {"path_pattern":"secret/a","permissions":["read"],"conditions":{"require_mfa":true}}]"#,
    )
    .unwrap();
    let text = render(&rules, scopes(&[Scope::AuditRead]), &mounts());
    for line in [
        "# read on secret/**/x has no words here",
        "# read on elsewhere/x has no words here",
        "# rotate on secret/a has no words here",
        "# read on secret/a has conditions",
        "# the scope audit:read has no words here",
        "path \"secret/data/a\" {\n  capabilities = [\"read\"]\n}",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn names_of_policies() {
    for good in ["app", "team-a.read_only", "x"] {
        assert!(is_policy_name(good), "{good}");
    }
    for bad in [
        "",
        "root",
        "default",
        "App",
        "a/b",
        "a b",
        "ä",
        &"x".repeat(129),
    ] {
        assert!(!is_policy_name(bad), "{bad}");
    }
}

#[test]
fn the_page_has_every_difference() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vault-api.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (given, also) in WIDER.iter().chain(NARROWER) {
        let line = format!("| {given} | {also} |");
        assert!(page.contains(&line), "{line}");
    }
}

mod transit {
    use super::super::*;
    use crate::access::Permission;
    use crate::identity::Scope;

    fn mounts() -> Mounts {
        let mount = |path: &str, root: &str| MountView {
            path: path.to_owned(),
            kind: MountKind::Transit,
            root: root.to_owned(),
        };
        Mounts::new(vec![
            mount("transit", "transit/transit"),
            mount("team/crypt", "transit/team/crypt"),
        ])
    }

    fn rules(text: &str) -> Vec<(String, Vec<&'static str>)> {
        let made = compile(&parse(text).unwrap(), &mounts()).unwrap();
        assert!(made.scopes.contains(Scope::TransitUse));
        let again = render(&made.rules, made.scopes, &mounts());
        let back = compile(&parse(&again).unwrap(), &mounts()).unwrap();
        assert_eq!(
            (back.rules, back.scopes),
            (made.rules.clone(), made.scopes),
            "{again}"
        );
        let shown = made.rules.iter().map(|rule| {
            let words = rule.permissions.iter().map(Permission::as_str).collect();
            (rule.path_pattern.as_str().to_owned(), words)
        });
        shown.collect()
    }

    #[test]
    fn each_request_of_a_transit_mount_has_a_place() {
        let text = r#"
            path "transit/encrypt/orders" { capabilities = ["update"] }
            path "transit/decrypt/orders" { capabilities = ["update"] }
            path "team/crypt/sign/My.key/*" { capabilities = ["update"] }
            path "transit/random" { capabilities = ["update"] }
        "#;
        assert_eq!(
            rules(text),
            [
                (
                    "transit/team/crypt/sign/__4dy__2ekey/**".to_owned(),
                    vec!["write"]
                ),
                ("transit/transit/decrypt/orders".to_owned(), vec!["write"]),
                ("transit/transit/encrypt/orders".to_owned(), vec!["write"]),
                ("transit/transit/random".to_owned(), vec!["write"]),
            ]
        );
        let text = r#"path "transit/encrypt/*" { capabilities = ["create", "update"] }
                      path "transit/keys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
        assert_eq!(
            rules(text),
            [
                ("transit/transit/encrypt/**".to_owned(), vec!["write"]),
                ("transit/transit/keys".to_owned(), vec!["list"]),
                (
                    "transit/transit/keys/**".to_owned(),
                    vec!["read", "write", "delete"]
                ),
                ("transit/transit/upsert/**".to_owned(), vec!["write"]),
            ]
        );
        rules(
            r#"path "transit/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#,
        );
        rules(r#"path "transit/keys" { capabilities = ["list"] }"#);
        rules(r#"path "transit/export/+/k" { capabilities = ["read"] }"#);
        rules(r#"path "+/encrypt/a_*" { capabilities = ["update"] }"#);
    }

    #[test]
    fn a_request_needs_what_its_path_says() {
        let need = |path: &str, capability| needs(&mounts(), path, capability);
        let rule = |permission, path: &str| {
            let path = crate::path::SecretPath::parse(path).unwrap();
            Need::Rule(Some(Scope::TransitUse), permission, path)
        };
        for (path, capability, permission, place) in [
            (
                "transit/encrypt/k",
                Capability::Update,
                Permission::Write,
                "transit/transit/encrypt/k",
            ),
            (
                "transit/encrypt/k",
                Capability::Create,
                Permission::Write,
                "transit/transit/upsert/k",
            ),
            (
                "transit/keys/k/rotate",
                Capability::Update,
                Permission::Write,
                "transit/transit/keys/k/__72otate",
            ),
            (
                "transit/keys",
                Capability::List,
                Permission::List,
                "transit/transit/keys",
            ),
            (
                "transit/keys/K",
                Capability::Delete,
                Permission::Delete,
                "transit/transit/keys/__4b",
            ),
            (
                "team/crypt/sign/k/sha2-256",
                Capability::Update,
                Permission::Write,
                "transit/team/crypt/sign/k/sha2-256",
            ),
            (
                "transit/random",
                Capability::Update,
                Permission::Write,
                "transit/transit/random",
            ),
            (
                "transit/random/32",
                Capability::Update,
                Permission::Write,
                "transit/transit/random/32",
            ),
        ] {
            assert_eq!(need(path, capability), rule(permission, place), "{path}");
        }
        for (path, capability) in [
            ("transit/keys/k", Capability::List),
            ("transit/decrypt/k", Capability::Read),
            ("transit/wrapping_key", Capability::Read),
        ] {
            assert_eq!(need(path, capability), Need::Nobody, "{path}");
        }
    }

    #[test]
    fn what_gives_nothing_is_refused() {
        for text in [
            r#"path "transit/encrypt/k" { capabilities = ["read"] }"#,
            r#"path "transit/wrapping_key" { capabilities = ["read"] }"#,
            r#"path "transit/keys/k" { capabilities = ["create"] }"#,
        ] {
            assert!(compile(&parse(text).unwrap(), &mounts()).is_err(), "{text}");
        }
    }
}
