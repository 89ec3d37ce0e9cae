//! What keys are called at the service: the rotation's id and the epoch that made the key, so that
//! what a lost answer left behind is found again and a worker that was overtaken touches nothing.

use scaivault_core::ports::Call;

use crate::value;

/// What the names of throw-away keys begin with.
pub(super) const REHEARSAL: &str = "scaivault_rehearsal_";

/// What the names of our other keys begin with; the rotation's id follows.
pub(super) const PREFIX: &str = "scaivault_";

/// What the names of keys made on request begin with; the account's name follows. It is not
/// [`PREFIX`]: no rotation takes such a key for its own.
const LEASE: &str = "lease_";

/// The field of a call that is about an account: what its key is called.
pub(super) const LEASE_FIELD: &str = "lease";

/// The attachment's field that makes it a rehearsal.
pub(super) const REHEARSAL_FIELD: &str = "rehearsal";

/// The longest part of a tag that is kept in a rehearsal's name.
const TAG_MAX: usize = 48;

/// The name that all keys of a call's rotation have in common.
pub(super) fn base(call: &Call<'_>) -> String {
    let own = [REHEARSAL_FIELD, LEASE_FIELD];
    let own = own
        .iter()
        .find_map(|field| value::setting(call.account, field));
    match own {
        Some(name) => name.to_owned(),
        None => format!("{PREFIX}{}", call.tag),
    }
}

/// The name of a key made by this call.
pub(super) fn of(call: &Call<'_>) -> String {
    format!("{}.e{}", base(call), call.epoch)
}

/// The name that the key of an account has.
pub(super) fn lease(account: &str) -> String {
    format!("{LEASE}{account}")
}

/// The account of such a name.
pub(super) fn lease_name(base: &str) -> Option<&str> {
    base.strip_prefix(LEASE)
}

/// The name of a rehearsal.
pub(super) fn rehearsal(tag: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let part: String = tag.chars().filter(plain).take(TAG_MAX).collect();
    format!("{REHEARSAL}{part}")
}

/// Whether this is the name of a rehearsal, and nothing else.
pub(super) fn is_rehearsal(name: &str) -> bool {
    name.strip_prefix(REHEARSAL).is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 2 * TAG_MAX
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

/// Splits a key's name into base and epoch. `None` for names that are not ours.
pub(super) fn split(name: &str) -> Option<(&str, u64)> {
    let (base, epoch) = name.rsplit_once(".e")?;
    let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
    Some((base, digits.then(|| epoch.parse().ok())??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_they_were_put_together() {
        assert_eq!(split("scaivault_rot_1.e12"), Some(("scaivault_rot_1", 12)));
        for other in [
            "",
            "x",
            "x.e",
            "x.e+1",
            "x.e1 ",
            "x.e99999999999999999999999",
        ] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn only_plain_names_with_the_prefix_are_rehearsals() {
        assert!(is_rehearsal(&rehearsal("rot_01/../\"x")));
        for other in [
            "",
            REHEARSAL,
            "scaivault_rot_1",
            "scaivault_rehearsal_a b",
            "x_scaivault_rehearsal_a",
        ] {
            assert!(!is_rehearsal(other), "{other}");
        }
    }
}
