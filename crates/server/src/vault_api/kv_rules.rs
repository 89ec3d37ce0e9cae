//! How versions are kept: the same fields for a mount and for one secret.

use scaivault_core::secret::MAX_VERSIONS_LIMIT;

use super::fields::{Fields, wrong};
use crate::problem::Problem;

/// The fields.
pub(super) const KNOWN: [&str; 4] = [
    "max_versions",
    "cas_required",
    "delete_version_after",
    "custom_metadata",
];
/// The longest that a version is to be read, in seconds: a hundred years.
const DELETE_AFTER_MAX_S: u64 = 100 * 365 * 86_400;

/// What was said of them. 0 says: as when nobody says.
pub(super) struct Given {
    pub(super) max_versions: Option<Option<u32>>,
    pub(super) cas_required: Option<bool>,
    pub(super) delete_after_s: Option<Option<u64>>,
}

impl Given {
    pub(super) fn of(fields: &Fields) -> Result<Self, Problem> {
        let max_versions = match fields.number("max_versions")? {
            None => None,
            Some(0) => Some(None),
            Some(number) => {
                let number = u32::try_from(number).ok();
                let number = number.filter(|number| *number <= MAX_VERSIONS_LIMIT);
                let why = format!("is at most {MAX_VERSIONS_LIMIT}");
                Some(Some(number.ok_or_else(|| wrong("max_versions", &why))?))
            }
        };
        let delete_after_s = match fields.seconds("delete_version_after")? {
            None => None,
            Some(0) => Some(None),
            Some(seconds) if seconds <= DELETE_AFTER_MAX_S => Some(Some(seconds)),
            Some(_) => return Err(wrong("delete_version_after", "is at most a hundred years")),
        };
        Ok(Self {
            max_versions,
            cas_required: fields.flag("cas_required")?,
            delete_after_s,
        })
    }
}

/// As their clients show it.
pub(super) fn span(seconds: Option<u64>) -> String {
    let seconds = seconds.unwrap_or(0);
    if seconds == 0 {
        return "0s".to_owned();
    }
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span(None), "0s");
        assert_eq!(span(Some(59)), "59s");
        assert_eq!(span(Some(90)), "1m30s");
        assert_eq!(span(Some(3_600)), "1h0m0s");
        assert_eq!(span(Some(90_061)), "25h1m1s");
    }
}
