//! A browser shows its client certificate to whoever a page makes it talk to. So a certificate, unlike a
//! token, does not show that the page meant to ask: another site's page could have it ask for anything,
//! without reading the answer. Browsers say which page asks; programs say nothing.

use axum::http::{HeaderMap, header};
use scaivault_api::ErrorCode;

use crate::problem::Problem;

const SITE: &str = "sec-fetch-site";

/// Refuses what a page of another origin has a browser ask.
///
/// # Errors
/// `forbidden`, with the way that is open.
pub(crate) fn refuse_foreign_page(headers: &HeaderMap) -> Result<(), Problem> {
    if is_own_or_none(headers) {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::Forbidden,
        "a page of another origin cannot ask by the browser's client certificate: send a token in \
         Authorization",
    ))
}

fn is_own_or_none(headers: &HeaderMap) -> bool {
    let only = |name: &str| {
        let mut all = headers.get_all(name).iter();
        let first = all.next().map(|value| value.to_str().unwrap_or_default());
        // Of two, the worse one counts.
        all.next().map_or(first, |_| Some(""))
    };
    if let Some(site) = only(SITE) {
        return matches!(site, "same-origin" | "none");
    }
    // Of a browser that does not say the site; where it asks in HTTP/2 there is no host to compare
    // with, and such a browser is an old one.
    let Some(origin) = only(header::ORIGIN.as_str()) else {
        return true;
    };
    let host = only(header::HOST.as_str()).unwrap_or_default();
    let own = origin.strip_prefix("https://").unwrap_or_default();
    !host.is_empty() && own.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        refuse_foreign_page(&headers.collect()).is_ok()
    }

    #[test]
    fn a_program_and_the_own_page_ask_and_no_other_page_does() {
        let host = ("host", "vault.example:8200");
        assert!(asked(&[host]));
        assert!(asked(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(asked(&[host, ("sec-fetch-site", "none")]));
        assert!(asked(&[host, ("origin", "https://Vault.example:8200")]));
        for foreign in ["cross-site", "same-site", "Same-Origin", ""] {
            assert!(!asked(&[host, ("sec-fetch-site", foreign)]), "{foreign}");
        }
        // What the browser says of the site goes before what it says of the origin.
        let own = ("origin", "https://vault.example:8200");
        assert!(!asked(&[host, ("sec-fetch-site", "cross-site"), own]));
        for foreign in [
            "https://vault.example",
            "https://evil.example:8200",
            "http://vault.example:8200",
            "null",
        ] {
            assert!(!asked(&[host, ("origin", foreign)]), "{foreign}");
        }
        assert!(!asked(&[own]));
        assert!(!asked(&[("origin", "https://")]));
    }

    #[test]
    fn of_two_answers_neither_counts() {
        let mut headers = HeaderMap::new();
        headers.append(SITE, "same-origin".parse().unwrap());
        headers.append(SITE, "cross-site".parse().unwrap());
        assert!(refuse_foreign_page(&headers).is_err());
    }
}
