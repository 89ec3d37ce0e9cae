//! Half a character in a body: the grammar of JSON lets a `\u` escape name one surrogate without the other,
//! and a value that is kept byte for byte would keep it.

/// Whether a surrogate stands alone in it. What is no JSON is refused elsewhere.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    let unit = |at: usize| {
        let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match unit(at) {
            Some(0xd800..=0xdbff) => match unit(at + 6) {
                Some(0xdc00..=0xdfff) => 12,
                _ => return true,
            },
            Some(0xdc00..=0xdfff) => return true,
            // What is escaped is passed over, a backslash too.
            _ => 2,
        };
        at = at.min(bytes.len());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn only_a_surrogate_that_stands_alone_is_one() {
        for whole in [
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\u00e9\n\\ud800"}"#,
            r#"{"a":"x"}"#,
            r#"{"a":"\"#,
        ] {
            assert!(!is_in(whole.as_bytes()), "{whole}");
        }
        for half in [
            r#"{"\ud800":""}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\ud83dx"}"#,
            r#"{"a":"\\\ud800"}"#,
        ] {
            assert!(is_in(half.as_bytes()), "{half}");
        }
    }
}
