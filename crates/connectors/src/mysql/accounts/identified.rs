//! `IDENTIFIED BY '{{password}}'` in the words that take what the server stores instead: no
//! statement holds a password, whatever the server logs.

use scaivault_core::target::{Trouble, TroubleKind};
use zeroize::Zeroizing;

use scaivault_core::dynamic::Statement;

use super::super::hash;
use super::super::server::Family;

/// A place in a statement where a password stands, and the plugin it is for.
#[derive(Debug, PartialEq, Eq)]
struct Clause<'a> {
    begin: usize,
    end: usize,
    plugin: Option<&'a str>,
}

const FORMS: &str = "the password stands in IDENTIFIED BY '{{password}}', or in IDENTIFIED WITH \
     plugin BY '{{password}}' for mysql_native_password or caching_sha2_password: it is sent as \
     the server stores it";

/// What is wrong with a statement that names the password.
pub(super) fn problem(statement: &Statement) -> Option<&'static str> {
    let known = |clause: &Clause<'_>| {
        clause
            .plugin
            .is_none_or(|plugin| [hash::NATIVE, hash::CACHING_SHA2].contains(&plugin))
    };
    match clauses(statement.text()) {
        Some(clauses) if clauses.iter().all(known) => None,
        _ => Some(FORMS),
    }
}

/// The statement's text with what this family stores in place of the password; other placeholders
/// stay.
pub(super) fn stored(
    statement: &Statement,
    family: Family,
    password: &str,
) -> Result<Zeroizing<String>, Trouble> {
    let unfit = || Trouble::new(TroubleKind::Settings).remedy(FORMS);
    let text = statement.text();
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 256));
    let mut done = 0;
    for clause in clauses(text).ok_or_else(unfit)? {
        let plugin = match (clause.plugin, family) {
            (None, Family::MySql) => hash::CACHING_SHA2,
            (None, Family::MariaDb) => hash::NATIVE,
            (Some(plugin), Family::MySql) => plugin,
            (Some(hash::NATIVE), Family::MariaDb) => hash::NATIVE,
            (Some(_), Family::MariaDb) => return Err(TroubleKind::Unsupported.into()),
        };
        let form = hash::stored(plugin, password)?;
        let (word, using) = match family {
            Family::MySql => ("WITH", "AS"),
            Family::MariaDb => ("VIA", "USING"),
        };
        out.push_str(&text[done..clause.begin]);
        out.push_str(&format!("IDENTIFIED {word} {plugin} {using} '{form}'"));
        done = clause.end;
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// Every place of a password; `None` when one stands elsewhere.
fn clauses(text: &str) -> Option<Vec<Clause<'_>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|open| at + open) {
        let close = open + text[open..].find("}}")? + 2;
        at = close;
        if text[open + 2..close - 2].trim() == "password" {
            let clause = clause(text, open, close)?;
            at = clause.end;
            found.push(clause);
        }
    }
    Some(found)
}

fn clause(text: &str, open: usize, close: usize) -> Option<Clause<'_>> {
    let mark = text[..open].chars().next_back()?;
    if !matches!(mark, '\'' | '"') || !text[close..].starts_with(mark) {
        return None;
    }
    let (head, end) = (&text[..open - 1], close + 1);
    if let Some(head) = without(head, "BY") {
        let (head, plugin) = match without(head, "IDENTIFIED") {
            Some(head) => (head, None),
            None => plugin(head)?,
        };
        return Some(Clause {
            begin: head.len(),
            end,
            plugin,
        });
    }
    // IDENTIFIED VIA plugin USING PASSWORD('…').
    let head = head.trim_end().strip_suffix('(')?;
    let head = without(without(head, "PASSWORD")?, "USING")?;
    let (head, plugin) = plugin(head)?;
    let behind = text[end..].trim_start().strip_prefix(')')?;
    Some(Clause {
        begin: head.len(),
        end: text.len() - behind.len(),
        plugin,
    })
}

/// `IDENTIFIED WITH plugin` or `IDENTIFIED VIA plugin` at the end.
fn plugin(head: &str) -> Option<(&str, Option<&str>)> {
    let head = head.trim_end();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '\'' | '"' | '`');
    let rest = head.trim_end_matches(is_word);
    let plugin = head[rest.len()..].trim_matches(['\'', '"', '`']);
    let before = without(rest, "WITH").or_else(|| without(rest, "VIA"))?;
    Some((without(before, "IDENTIFIED")?, Some(plugin)))
}

/// What stands before this word at the end.
fn without<'a>(head: &'a str, word: &str) -> Option<&'a str> {
    let head = head.trim_end();
    let at = head.len().checked_sub(word.len())?;
    let before = head.get(..at)?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    (head[at..].eq_ignore_ascii_case(word) && !before.ends_with(is_word)).then_some(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scaivault_core::dynamic::{Dialect, split};

    use super::*;

    fn statement(text: &str) -> Statement {
        split(&[text.to_owned()], Dialect::Mysql).unwrap().remove(0)
    }

    const NATIVE_FORM: &str = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19";

    #[test]
    fn every_way_to_say_it_becomes_the_stored_form() {
        for (text, family, expect) in [
            (
                "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL",
                Family::MariaDb,
                "CREATE USER '{{name}}'@'%' IDENTIFIED VIA mysql_native_password USING '#' \
                 REQUIRE SSL",
            ),
            (
                "create user x identified\n by \"{{ password }}\", y IDENTIFIED  BY '{{password}}'",
                Family::MariaDb,
                "create user x IDENTIFIED VIA mysql_native_password USING '#', \
                 y IDENTIFIED VIA mysql_native_password USING '#'",
            ),
            (
                "CREATE USER x IDENTIFIED WITH `mysql_native_password` BY '{{password}}'",
                Family::MySql,
                "CREATE USER x IDENTIFIED WITH mysql_native_password AS '#'",
            ),
            (
                "CREATE USER x IDENTIFIED VIA mysql_native_password USING PASSWORD ( '{{password}}' ) \
                 REQUIRE SSL",
                Family::MariaDb,
                "CREATE USER x IDENTIFIED VIA mysql_native_password USING '#' REQUIRE SSL",
            ),
        ] {
            let statement = statement(text);
            assert_eq!(problem(&statement), None, "{text}");
            let told = stored(&statement, family, "password").unwrap();
            assert_eq!(*told, expect.replace('#', NATIVE_FORM), "{text}");
        }
    }

    #[test]
    fn mysql_gets_its_default_plugin_with_a_salt_of_its_own() {
        let one = statement("CREATE USER x IDENTIFIED BY '{{password}}'");
        let told = stored(&one, Family::MySql, "S3cret").unwrap();
        let form = told
            .strip_prefix("CREATE USER x IDENTIFIED WITH caching_sha2_password AS '")
            .and_then(|rest| rest.strip_suffix('\''))
            .unwrap();
        assert!(hash::matches(hash::CACHING_SHA2, form, "S3cret"));
        let again = stored(&one, Family::MySql, "S3cret").unwrap();
        assert_ne!(told, again);
    }

    #[test]
    fn a_password_elsewhere_is_refused() {
        for text in [
            "CREATE USER x IDENTIFIED BY {{password}}",
            "CREATE USER x IDENTIFIED BY 'a{{password}}'",
            "CREATE USER x IDENTIFIED BY PASSWORD '{{password}}'",
            "SET PASSWORD FOR x = PASSWORD('{{password}}')",
            "INSERT INTO t VALUES ('{{password}}')",
            "CREATE USER x IDENTIFIED WITH ed25519 BY '{{password}}'",
            "CREATE USER x UNIDENTIFIED BY '{{password}}'",
            "CREATE USER x IDENTIFIED VIA mysql_native_password USING PASSWORD('{{password}}'",
        ] {
            assert_eq!(problem(&statement(text)), Some(FORMS), "{text}");
        }
        let sha =
            statement("CREATE USER x IDENTIFIED WITH caching_sha2_password BY '{{password}}'");
        let trouble = stored(&sha, Family::MariaDb, "x").unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Unsupported);
    }

    proptest! {
        /// Whatever a role says, the password itself is never in what is sent.
        #[test]
        fn no_text_lets_the_password_through(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("IDENTIFIED "), Just("BY "), Just("'{{password}}'"), Just("WITH "),
                    Just("mysql_native_password "), Just("("), Just(")"), Just("é"), Just(", "),
                    Just("{{name}}"), Just("PASSWORD"), Just("VIA "), Just("USING "),
                ],
                1..12,
            )
        ) {
            let text = parts.concat();
            let Ok(statements) = split(&[text], Dialect::Mysql) else {
                return Ok(());
            };
            for one in statements {
                if let Ok(told) = stored(&one, Family::MariaDb, "S3cretS3cret") {
                    prop_assert!(!told.contains("S3cretS3cret"));
                    prop_assert!(!told.contains("password}}"));
                }
            }
        }
    }
}
