//! Names and texts in statements: the only place where they are quoted. Names come from users and
//! from the server; neither is trusted.

/// A name, quoted. No name holds a zero byte: the protocol ends texts with it, and the attachment's
/// check refuses it.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('\0', "").replace('"', "\"\""))
}

/// A text, quoted so that it means the same whatever `standard_conforming_strings` is.
pub(super) fn text(text: &str) -> String {
    let text = text.replace('\0', "").replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", text.replace('\\', "\\\\")),
        false => format!("'{text}'"),
    }
}

/// The name of a setting, which may have two parts.
pub(super) fn setting(text: &str) -> String {
    text.split('.').map(name).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a quoted token the way the server's scanner does; what follows it comes back too.
    fn scan(sql: &str, quote: char, escapes: bool) -> (String, String) {
        let mut chars = sql.chars().peekable();
        assert_eq!(chars.next(), Some(quote));
        let mut out = String::new();
        while let Some(c) = chars.next() {
            if escapes && c == '\\' {
                out.push(chars.next().expect("something is escaped"));
            } else if c != quote {
                out.push(c);
            } else if chars.peek() == Some(&quote) {
                chars.next();
                out.push(quote);
            } else {
                return (out, chars.collect());
            }
        }
        panic!("no end: {sql}");
    }

    fn hostile() -> impl Strategy<Value = String> {
        proptest::string::string_regex("(?s)(['\"\\\\;$-]|--|/\\*|E'|[\\PC\n]|é|\u{202e}){0,200}")
            .expect("an expression")
    }

    proptest! {
        #[test]
        fn a_name_stays_one_name(text in hostile()) {
            let text = text.replace('\0', "");
            prop_assert_eq!(scan(&name(&text), '"', false), (text, String::new()));
        }

        #[test]
        fn a_text_stays_one_text(given in hostile()) {
            let given = given.replace('\0', "");
            let quoted = text(&given);
            match quoted.strip_prefix(" E") {
                Some(quoted) => {
                    prop_assert_eq!(scan(quoted, '\'', true), (given, String::new()));
                }
                // Without a backslash both readings are the same.
                None => {
                    prop_assert!(!quoted.contains('\\'));
                    prop_assert_eq!(scan(&quoted, '\'', false), (given, String::new()));
                }
            }
        }
    }

    #[test]
    fn zero_bytes_are_left_out() {
        assert_eq!(name("a\0b"), "\"ab\"");
        assert_eq!(text("a\0b"), "'ab'");
        assert_eq!(setting("my.name"), "\"my\".\"name\"");
    }
}
