//! Names of the other API in ours. Its paths may have any character; ours have `a-z 0-9 - _`.
//!
//! They are written as in [`crate::vault_path`], segment by segment.

use crate::identity::Identity;
use crate::path::{RESERVED_ALONE, RESERVED_LAST};
use crate::vault_path::escaped;

/// What no policy may be called: what these names mean is fixed, there and here.
const FIXED: [&str; 4] = ["root", "default", "response-wrapping", "control-group"];
/// The longest name of a policy.
const POLICY_CHARS_MAX: usize = 128;

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

/// A segment as it stands in our paths; `is_last` when it ends the path.
pub fn escape(segment: &str, is_last: bool) -> String {
    let written = escaped(segment);
    match is_last && RESERVED_LAST.contains(&&*written) {
        true => first_escaped(&written),
        false => written,
    }
}

/// The same for a whole path of ours that is one segment.
pub(super) fn escape_alone(segment: &str) -> String {
    let written = escape(segment, true);
    match RESERVED_ALONE.contains(&&*written) {
        true => first_escaped(&written),
        false => written,
    }
}

fn first_escaped(word: &str) -> String {
    format!("__{:02x}{}", word.as_bytes()[0], &word[1..])
}

/// The segment that [`escape`] made this of. Others are themselves.
pub fn unescape(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let (mut read, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let coded = bytes[at..]
            .strip_prefix(b"__")
            .and_then(|rest| rest.get(..2));
        let coded = coded.and_then(|two| std::str::from_utf8(two).ok());
        let coded = coded.and_then(|two| u8::from_str_radix(two, 16).ok());
        match coded {
            Some(coded) => {
                read.push(coded);
                at += 4;
            }
            None => {
                read.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(read).unwrap_or_else(|_| segment.to_owned())
}

/// A mount of databases as it stands in our names: without `-`, which divides it from what follows.
/// So no mount's name begins another's, and an engine `{this}-{connection}` is of one mount.
pub fn mount_word(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let word = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("__{byte:02x}"),
    };
    path.trim_matches('/').bytes().map(word).collect()
}

/// How segments begin, here, that begin with this text there, and the names that do so by themselves.
pub(super) struct Beginnings {
    /// Beginnings.
    pub(super) open: Vec<String>,
    /// A whole name.
    pub(super) whole: Option<String>,
    /// Whole names at the end of a path.
    pub(super) words: Vec<String>,
}

/// See [`Beginnings`]. A text that ends in `_` needs all that may follow spelled out: written as it
/// is, it would also begin what is written with `__`. `is_alone`: nothing stands before it.
pub(super) fn beginnings(text: &str, is_alone: bool) -> Beginnings {
    let alone = RESERVED_ALONE.iter().filter(|_| is_alone);
    let reserved = RESERVED_LAST.iter().chain(alone);
    let reserved = reserved.filter(|word| word.starts_with(text));
    let words: Vec<String> = reserved.map(|word| first_escaped(word)).collect();
    let written = escape(text, false);
    if !text.ends_with('_') {
        return Beginnings {
            open: vec![written],
            whole: None,
            words,
        };
    }
    let mut open: Vec<String> = (0..=u8::MAX)
        .filter(|byte| is_plain(*byte))
        .map(|byte| format!("{written}{}", char::from(byte)))
        .collect();
    open.push(format!("{}__5f", &written[..written.len() - 1]));
    Beginnings {
        open,
        whole: Some(written),
        words,
    }
}

/// Whether a policy may be called so: lower case, as there.
pub fn is_policy_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    (1..=POLICY_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| plain(byte) && !matches!(byte, b'/' | b'\\' | b'"' | b'%'))
        && !FIXED.contains(&name)
}

/// What groups are called whose members hold a policy by its name.
pub const POLICY_GROUP: &str = "group:acl/";
/// What identities are called that have no rights but by their policies: nothing is bound to them.
pub const HOLDER: &str = "sa:acl/";

/// The group whose members hold the policy of this name; `None` for what no policy is called.
pub fn group_of(policy: &str) -> Option<Identity> {
    let name = Some(policy).filter(|name| is_policy_name(name))?;
    Identity::parse(&format!("{POLICY_GROUP}{name}")).ok()
}

/// The policy that members of this group hold by its name.
pub fn policy_of(group: &Identity) -> Option<&str> {
    let name = group.as_str().strip_prefix(POLICY_GROUP)?;
    Some(name).filter(|name| is_policy_name(name))
}

/// Whether a group is called as those are whose members hold a policy, be there such a policy or not.
pub fn is_policy_group(group: &Identity) -> bool {
    group.as_str().starts_with(POLICY_GROUP)
}
