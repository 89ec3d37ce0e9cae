//! Rules of a role, in the words of `ACL SETUSER`: a list in JSON or words between spaces. None of
//! them sets or takes a password, which is the lease's own.

use scaivault_core::dynamic::{NameTemplate, Owned, Role};
use scaivault_core::ports::FieldProblem;

const RULES_MAX: usize = 1_000;
const SAMPLE: &str = r#"["~app:*", "+@read"]"#;
/// Rules that are one word.
const WORDS: [&str; 11] = [
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
    // What a user is anyway.
    "on",
    "-@all",
];

/// The rules of a role's statements.
///
/// # Errors
/// What is wrong, without repeating it.
pub(super) fn read(statements: &[String]) -> Result<Vec<String>, String> {
    let mut rules = Vec::new();
    for statement in statements {
        let text = statement.trim();
        if text.starts_with('[') {
            let list: Result<Vec<String>, _> = serde_json::from_str(text);
            rules.extend(list.map_err(|_| format!("are a list of texts such as {SAMPLE}"))?);
        } else {
            rules.extend(text.split_whitespace().map(str::to_owned));
        }
    }
    if rules.is_empty() {
        return Err(format!(
            "are required: the rules of the user, such as {SAMPLE}"
        ));
    }
    if rules.len() > RULES_MAX {
        return Err(format!("are {RULES_MAX} rules at most"));
    }
    rules.iter().try_for_each(|rule| check(rule))?;
    Ok(rules)
}

/// With the account's name in place of `{{name}}`.
pub(super) fn named(rule: &str, name: &str) -> String {
    rule.replace("{{name}}", name).replace("{{username}}", name)
}

fn check(rule: &str) -> Result<(), String> {
    let lower = rule.to_ascii_lowercase();
    let is_password = rule.starts_with(['>', '<', '#', '!'])
        || ["nopass", "resetpass", "reset", "off"].contains(&lower.as_str());
    if is_password {
        return Err(
            "hold no >, <, #, !, nopass, resetpass, reset or off: the user gets the lease's \
             password and no other"
                .to_owned(),
        );
    }
    if named(rule, "").contains("{{") {
        return Err("know {{name}} alone: the password is not a part of the rules".to_owned());
    }
    let in_selector = rule.starts_with('(') && rule.ends_with(')');
    let sound = |c: char| !c.is_control() && (in_selector || !c.is_whitespace());
    if !rule.chars().all(sound) {
        return Err("are single words; a selector stands in parentheses".to_owned());
    }
    let known = rule.starts_with(['+', '-', '~', '%', '&', '(']);
    match known || WORDS.contains(&lower.as_str()) {
        true => Ok(()),
        false => Err(format!(
            "are rules as ACL SETUSER takes them: +command, -command, +@category, ~keys, %R~keys, \
             &channels, (selector), such as {SAMPLE}"
        )),
    }
}

/// What is wrong with a role.
pub(super) fn problems(role: &Role) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let mut bad = |field: &str, text: String| found.push((field.to_owned(), text));
    if let Err(problem) = read(&role.creation_statements) {
        bad("creation_statements", problem);
    }
    for (field, statements, why) in [
        (
            "rollback_statements",
            &role.rollback_statements,
            "are not needed: a user is made by one command",
        ),
        (
            "renew_statements",
            &role.renew_statements,
            "are not needed: a user of Redis has no end of its own",
        ),
        (
            "revocation_statements",
            &role.revocation.statements,
            "are not needed: the user is deleted and its connections are ended",
        ),
    ] {
        if !statements.is_empty() {
            bad(field, why.to_owned());
        }
    }
    if role.revocation.owned != Owned::Keep {
        bad(
            "owned_objects",
            "is not known here: a user of Redis owns nothing".to_owned(),
        );
    }
    if let Some(template) = &role.username_template
        && let Err(error) = NameTemplate::parse(template)
    {
        bad("username_template", error.to_string());
    }
    for field in role.settings.keys() {
        bad(&format!("settings.{field}"), "is not known".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(texts: &[&str]) -> Result<Vec<String>, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        read(&texts)
    }

    #[test]
    fn rules_are_read_from_lists_and_words() {
        let rules = of(&[
            r#"["~app:*", "+@read", "(+set ~own:*)"]"#,
            " &news  +ping on",
        ]);
        let expect = ["~app:*", "+@read", "(+set ~own:*)", "&news", "+ping", "on"];
        assert_eq!(rules.unwrap(), expect);
        assert_eq!(of(&["(+get ~x:*)"]).unwrap(), ["(+get", "~x:*)"]);
        assert_eq!(named("~{{name}}:*", "v_a"), "~v_a:*");
        for wrong in [
            "",
            "[]",
            "[1]",
            "[\"+get\"",
            ">secret",
            "<secret",
            "#00",
            "!00",
            "NOPASS",
            "reset",
            "resetpass",
            "off",
            "hello",
            r#"["+get nopass"]"#,
            r#"["~a\n"]"#,
            "~{{password}}",
            r#"["~{{expiration}}"]"#,
        ] {
            assert!(of(&[wrong]).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_rule_touches_a_password(text in ".{0,30}") {
            if let Ok(rules) = of(&[&text]) {
                for rule in rules {
                    let lower = rule.to_ascii_lowercase();
                    prop_assert!(!lower.starts_with(['>', '<', '#', '!']));
                    prop_assert!(!["nopass", "reset", "resetpass"].contains(&lower.as_str()));
                }
            }
        }
    }
}
