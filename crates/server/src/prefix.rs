//! What may stand before the rest of a path: `/v1/t/{tenant_id}/…` chooses a tenant,
//! `/v1/partner/secrets…` asks for the secrets of the partner.

use axum::http::Uri;

/// What a path begins with. Most begin with neither.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The tenant named, as it is spelled.
    pub(crate) tenant: Option<Box<str>>,
    /// Whether it is what belongs to the partner.
    pub(crate) partner: bool,
}

const TENANT: &str = "/v1/t/";
const PARTNER: &str = "/v1/partner/";
const VERSION: &str = "/v1/";

impl Prefix {
    /// Whether a path may have one: all that ordinary requests pay.
    pub(crate) fn may_be_in(path: &str) -> bool {
        path.starts_with(TENANT) || path.starts_with(PARTNER)
    }

    /// What stands before the path, and the address without it. `None` where there is no route
    /// behind it.
    pub(crate) fn split(uri: &Uri) -> Option<(Self, Uri)> {
        let mut prefix = Self::default();
        let mut path = uri.path().to_owned();
        if let Some((tenant, rest)) = path.strip_prefix(TENANT).and_then(|p| p.split_once('/')) {
            prefix.tenant = Some(tenant.into());
            path = format!("{VERSION}{rest}");
        }
        if let Some(rest) = path.strip_prefix(PARTNER) {
            // Nothing else is the partner's.
            if rest != "secrets" && !rest.starts_with("secrets/") {
                return None;
            }
            prefix.partner = true;
            path = format!("{VERSION}{rest}");
        }
        if prefix == Self::default() || Self::may_be_in(&path) {
            return None;
        }
        let whole = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        Some((prefix, whole.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_taken_off_once() {
        let check = |path: &str, expect: Option<(Option<&str>, bool, &str)>| {
            let split = Prefix::split(&path.parse().unwrap());
            let got = split.map(|(prefix, uri)| (prefix.tenant, prefix.partner, uri.to_string()));
            let want = expect
                .map(|(tenant, partner, rest)| (tenant.map(Box::from), partner, rest.to_owned()));
            assert_eq!(got, want, "{path}");
        };
        check(
            "/v1/t/tnt_a/secrets/x?version=1",
            Some((Some("tnt_a"), false, "/v1/secrets/x?version=1")),
        );
        check("/v1/partner/secrets", Some((None, true, "/v1/secrets")));
        check(
            "/v1/partner/secrets/a/b",
            Some((None, true, "/v1/secrets/a/b")),
        );
        check(
            "/v1/t/tnt_a/partner/secrets/a",
            Some((Some("tnt_a"), true, "/v1/secrets/a")),
        );
        check(
            "/v1/t/tnt_a/policies",
            Some((Some("tnt_a"), false, "/v1/policies")),
        );
        for none in [
            "/v1/t/tnt_a",
            "/v1/t/tnt_a/t/tnt_b/secrets/x",
            "/v1/partner/policies",
            "/v1/partner/secretsx",
            "/v1/partner/t/tnt_a/secrets/x",
            "/v1/partner/partner/secrets/x",
            "/v1/secrets/x",
        ] {
            check(none, None);
        }
    }
}
