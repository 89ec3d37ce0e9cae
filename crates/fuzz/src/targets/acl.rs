//! Policies in HashiCorp Vault's language: what is read and compiled prints and compiles to the same, or
//! says that it does not, and gives no value to whoever may only see names.

use scaivault_core::access::Permission;
use scaivault_core::acl::{MountKind, MountView, Mounts, compile, parse, render};

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "acl",
    seeds: || {
        texts(&[
            "path \"secret/data/app/*\" {\n  capabilities = [\"read\", \"list\"]\n}\n",
            "# c\npath \"secret/+/a\" { capabilities = [\"create\", \"update\"] }\n// d\n/* e */\n",
            r#"{"path": {"kv/a_*": {"capabilities": ["read", "delete", "list"]}}}"#,
            "path \"secret/metadata/a*\" { capabilities = [\"list\"] comment = <<-X\n a\n X\n}",
            "path \"database/creds/r\" { policy = \"read\" }\npath \"auth/token/create\" { policy = \"write\" }",
            "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }",
            "path \"secret/data/a\" { capabilities = [\"read\"] allowed_parameters = { \"*\" = [] } }",
        ])
    },
    words: &[
        "path \"",
        "capabilities = [",
        "\"read\"",
        "\"list\"",
        "\"create\", \"update\"",
        "\"deny\"",
        "secret/data/",
        "secret/metadata/",
        "transit/encrypt/",
        "sys/policies/acl/*",
        "auth/*",
        "kv/",
        "+/",
        "/*\"",
        "\\u00e4",
        "${",
        "{{identity",
        "<<X\n",
        "\nX\n",
        "[[[[",
        "{a={",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(Ok(document)) = text(data).map(parse) else {
        return;
    };
    let view = |path: &str, kind| MountView {
        path: path.to_owned(),
        kind,
        root: path.to_owned(),
    };
    let mounts = Mounts::new(vec![
        view("secret", MountKind::Kv2),
        view("kv", MountKind::Kv1),
        view("database", MountKind::Database),
        view("transit", MountKind::Transit),
    ]);
    let Ok(compiled) = compile(&document, &mounts) else {
        return;
    };
    let only_names = document
        .blocks
        .iter()
        .all(|block| block.pattern.as_str().starts_with("secret/metadata/"));
    let reads = |rule: &scaivault_core::access::Rule| rule.permissions.allows(Permission::Read);
    assert!(!only_names || !compiled.rules.iter().any(reads));
    if compiled.rules.is_empty() {
        return;
    }
    let printed = render(&compiled.rules, compiled.scopes, &mounts);
    // A comment says so where HCL has no words for it.
    if printed.contains("# Written back") {
        return;
    }
    let again = parse(&printed).expect("what was printed reads");
    let again = compile(&again, &mounts).expect("and compiles");
    assert_eq!(again.rules, compiled.rules, "{printed}");
    assert_eq!(again.scopes, compiled.scopes, "{printed}");
}
