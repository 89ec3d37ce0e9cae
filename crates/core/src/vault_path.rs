//! Paths of HashiCorp Vault's API within ours. Theirs may have capitals, dots and any other character;
//! ours may not. What ours cannot have is written as `__` and two hex digits for each byte, so that
//! every path of theirs is exactly one of ours, and most are the same in both.
//!
//! An underscore is itself escaped where it would be read as the beginning of an escape: where what
//! follows it begins with one. The first letter of a word that our paths cannot end in is escaped
//! where the path ends in that word.

use std::fmt::Write as _;

use crate::path::{PathError, RESERVED_ALONE, RESERVED_LAST, SecretPath};

/// Begins an escape.
const ESCAPE: &str = "__";

/// Whether our paths have this byte.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/')
}

/// A path of theirs, or the beginning of one, in our characters.
pub fn escaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        let opens = *byte == b'_' && next.is_some_and(|next| *next == b'_' || !is_plain(*next));
        match is_plain(*byte) && !opens {
            true => out.push(char::from(*byte)),
            false => push_escaped(&mut out, *byte),
        }
    }
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    // Writing to a text does not fail.
    let _ = write!(out, "{ESCAPE}{byte:02x}");
}

/// The secret of ours that a path of theirs is, below a prefix of ours (empty, or with its slash).
///
/// # Errors
/// [`PathError`] where it is too long or too deep for ours, or has an empty segment.
pub fn secret_path(prefix: &str, text: &str) -> Result<SecretPath, PathError> {
    let mut whole = format!("{prefix}{}", escaped(text));
    let last = whole.rfind('/').map_or(0, |slash| slash + 1);
    let word = whole.get(last..).unwrap_or_default();
    // Only what is theirs may be written otherwise.
    let is_theirs = last >= prefix.len();
    let reserved = RESERVED_LAST.contains(&word) || (last == 0 && RESERVED_ALONE.contains(&word));
    if is_theirs && reserved {
        let mut end = String::new();
        let (first, rest) = word.split_at(1);
        push_escaped(
            &mut end,
            first.as_bytes().first().copied().unwrap_or_default(),
        );
        end.push_str(rest);
        whole.truncate(last);
        whole.push_str(&end);
    }
    SecretPath::parse(&whole)
}

/// The path of theirs that a path of ours below this prefix is; `None` where none is: one that was
/// written here and looks escaped, but is not as [`secret_path`] writes it.
pub fn shown(prefix: &str, path: &SecretPath) -> Option<String> {
    let text = unescaped(path.as_str().strip_prefix(prefix)?)?;
    let back = secret_path(prefix, &text).ok()?;
    (back == *path).then_some(text)
}

/// The same for a folder of ours, with its slash.
pub fn shown_folder(folder: &str) -> Option<String> {
    let text = unescaped(folder)?;
    (escaped(&text) == folder).then_some(text)
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(ESCAPE.as_bytes()) {
            Some(escape) => {
                let (digits, behind) = escape.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(text: &str) -> String {
        secret_path("secret/", text).unwrap().as_str().to_owned()
    }

    #[test]
    fn most_paths_are_the_same_in_both() {
        for same in [
            "a",
            "app/db",
            "a_b/c-d",
            "metadata/x",
            "app/batch",
            "a_",
            "_a",
        ] {
            assert_eq!(ours(same), format!("secret/{same}"));
        }
    }

    #[test]
    fn what_ours_cannot_have_is_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(ours(text), format!("secret/{expect}"));
        check("App/DB", "__41pp/__44__42");
        check("my.app", "my__2eapp");
        check("a b", "a__20b");
        check("a__b", "a__5f_b");
        check("a_B", "a__5f__42");
        check("é", "__c3__a9");
        check("app/metadata", "app/__6detadata");
        check("versions", "__76ersions");
    }

    #[test]
    fn what_is_not_theirs_is_not_shown() {
        let path = |text: &str| SecretPath::parse(text).unwrap();
        assert_eq!(shown("secret/", &path("secret/a__41")), Some("aA".into()));
        assert_eq!(shown("secret/", &path("secret/a__61")), None);
        assert_eq!(shown("secret/", &path("secret/a__zz")), None);
        assert_eq!(shown("secret/", &path("secret/a__f")), None);
        assert_eq!(shown("secret/", &path("secret/a__ff")), None, "not UTF-8");
        assert_eq!(shown("secret/", &path("other/a")), None);
        assert_eq!(shown_folder("__41pp/"), Some("App/".into()));
        assert_eq!(shown_folder("__61pp/"), None);
    }

    #[test]
    fn the_whole_tree_may_be_a_mount() {
        assert_eq!(secret_path("", "batch").unwrap().as_str(), "__62atch");
        assert_eq!(secret_path("", "a/batch").unwrap().as_str(), "a/batch");
        assert_eq!(secret_path("x/", "batch").unwrap().as_str(), "x/batch");
        for bad in ["", "/a", "a/", "a//b"] {
            assert!(secret_path("x/", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(text in "[a-zA-Z0-9_./ %é-]{1,40}", prefix in "(|p/|p/q/)") {
            if let Ok(path) = secret_path(&prefix, &text) {
                prop_assert_eq!(shown(&prefix, &path), Some(text));
            }
        }

        #[test]
        fn no_two_are_one(one in "[aA_mM./]{1,8}", other in "[aA_mM./]{1,8}") {
            let (a, b) = (secret_path("p/", &one), secret_path("p/", &other));
            if let (Ok(a), Ok(b)) = (a, b) {
                prop_assert_eq!(a == b, one == other);
            }
        }

        #[test]
        fn ours_are_shown_once_or_not_at_all(text in "[a-c_0-9/]{1,20}") {
            if let Ok(path) = SecretPath::parse(&text)
                && let Some(theirs) = shown("", &path)
            {
                prop_assert_eq!(secret_path("", &theirs), Ok(path));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = secret_path("p/", &text);
            let _ = shown_folder(&text);
        }

        #[test]
        fn a_beginning_stays_one(text in "[a-zA-Z_.]{1,10}", rest in "[a-zA-Z_.]{0,10}") {
            // Where nothing that follows can turn the last character into another.
            prop_assume!(!text.ends_with('_'));
            let whole = escaped(&format!("{text}{rest}"));
            prop_assert!(whole.starts_with(&escaped(&text)));
        }
    }
}
