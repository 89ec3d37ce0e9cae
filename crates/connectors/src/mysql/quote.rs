//! Texts in statements. Every name, host and hash goes through [`text`]; nothing else in this
//! connector puts quotes around anything.

/// The SQL mode of every session, set before anything else: a backslash is a plain character and
/// double quotes are strings, whatever the server's own mode is.
pub(super) const SQL_MODE: &str = "NO_BACKSLASH_ESCAPES";

/// A string literal under [`SQL_MODE`]: only the quote itself needs care.
pub(super) fn text(raw: &str) -> String {
    format!("'{}'", raw.replace('\'', "''"))
}

/// An account: `'name'@'host'`.
pub(super) fn account(name: &str, host: &str) -> String {
    format!("{}@{}", text(name), text(host))
}

/// Splits a statement that the server printed into words; quoted parts are never split.
pub(super) fn words(statement: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut begun, mut quote) = (None, None);
    for (at, c) in statement.char_indices() {
        match quote {
            // A doubled quote closes and opens again, which comes to the same.
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c.is_ascii_whitespace() => {
                if let Some(from) = begun.take() {
                    words.push(&statement[from..at]);
                }
                continue;
            }
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None => {}
        }
        begun.get_or_insert(at);
    }
    words.extend(begun.map(|from| &statement[from..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads one literal as the server does in our mode; answers it and what follows.
    fn read(sql: &str) -> Option<(String, &str)> {
        let mut rest = sql.strip_prefix('\'')?;
        let mut read = String::new();
        loop {
            let at = rest.find('\'')?;
            read.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    read.push('\'');
                    rest = after;
                }
                None => return Some((read, rest)),
            }
        }
    }

    proptest! {
        #[test]
        fn a_literal_reads_back_whole(name in any::<String>(), host in "[a'\\\\\"`%@ ;-]{0,40}") {
            let sql = account(&name, &host);
            let (read_name, rest) = read(&sql).unwrap();
            let (read_host, rest) = read(rest.strip_prefix('@').unwrap()).unwrap();
            prop_assert_eq!(read_name, name);
            prop_assert_eq!(read_host, host);
            prop_assert_eq!(rest, "");
        }

        #[test]
        fn a_quoted_name_is_one_word(name in any::<String>()) {
            let sql = format!("GRANT SELECT ON {} TO {}", text(&name), account(&name, "%"));
            prop_assert_eq!(words(&sql).len(), 6);
        }
    }
}
