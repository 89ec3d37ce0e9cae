//! Names inside the statements that a person is told to run. Commands that are sent need no
//! quoting: each argument goes with its length.

use std::fmt::Write;

/// A word as `redis-cli` reads it: plain where that is safe, else between double quotes with every
/// other byte escaped. The result is printable ASCII on one line, whatever the name holds.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@-+|".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// The statement that gives a user rules.
pub(crate) fn set_user(user: &str, rules: &str) -> String {
    format!("ACL SETUSER {} {rules}", word(user))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one word back, as `redis-cli` documents its quoting.
    fn read(text: &str) -> Option<Vec<u8>> {
        let Some(inner) = text.strip_prefix('"') else {
            return Some(text.as_bytes().to_vec());
        };
        let mut out = Vec::new();
        let mut bytes = inner.bytes();
        loop {
            match bytes.next()? {
                b'"' => return bytes.next().is_none().then_some(out),
                b'\\' => match bytes.next()? {
                    b'x' => {
                        let pair = [bytes.next()?, bytes.next()?];
                        let hex = std::str::from_utf8(&pair).ok()?.to_owned();
                        out.push(u8::from_str_radix(&hex, 16).ok()?);
                    }
                    other => out.push(other),
                },
                byte => out.push(byte),
            }
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_word_and_is_read_back(name in any::<String>()) {
            let quoted = word(&name);
            prop_assert!(quoted.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(read(&quoted), Some(name.into_bytes()));
        }

        #[test]
        fn hostile_characters_are_read_back(name in r#"[ "'\\\n\r\t\x00;>#~é]{0,40}"#) {
            prop_assert_eq!(read(&word(&name)), Some(name.into_bytes()));
        }
    }

    #[test]
    fn plain_names_stay_plain() {
        assert_eq!(
            set_user("app_a", "+acl|save"),
            "ACL SETUSER app_a +acl|save"
        );
        assert_eq!(word("a b"), "\"a b\"");
    }
}
