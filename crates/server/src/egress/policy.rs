//! What may be reached: the rule, and the check of a URL against it.
//!
//! A URL is judged twice by the same policy: [`EgressPolicy::check_url`] when it is registered
//! and again at each delivery, and [`EgressPolicy::permits`] for every address a name resolves
//! to. The first keeps nonsense out of the store and tells the user why; only the second counts
//! for safety, because only it sees where the connection goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use scaivault_core::access::Cidr;
use url::{Host, Url};

use super::address::{Reach, reach};

/// Longest URL looked at, in bytes.
pub(crate) const URL_BYTES_MAX: usize = 2_048;
/// The longest that we make: tokens of temporary credentials have a kilobyte or more.
const SIGNED_URL_BYTES_MAX: usize = 16_384;

/// Names that mean "inside" wherever they are asked. A name is not proof of anything, its
/// addresses are judged too; refusing these early gives a clear answer at registration.
const INNER_ZONES: &[&str] = &[
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "corp",
    "home.arpa",
];

/// The operator's rule for deliveries. [`Default`] is the strict one of a production server.
#[derive(Debug, Clone)]
pub(crate) struct EgressPolicy {
    /// Whether `http://` is accepted at all. Even then it is only ever spoken to addresses inside
    /// `allow_private`: events do not cross the open Internet in clear text.
    pub allow_http: bool,
    /// Ranges that may be reached although they are not public. Link-local and metadata addresses
    /// stay closed whatever is written here.
    pub allow_private: Vec<Cidr>,
    /// Ports that may be reached. By default 443 and everything from 1024: what listens below is
    /// mail, shells and file shares, never a webhook.
    pub ports: Vec<RangeInclusive<u16>>,
    /// A whole attempt: name, connection, handshake, answer.
    pub timeout: Duration,
    /// How much of an answer's body is read before it is dropped.
    pub answer_bytes_max: usize,
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_private: Vec::new(),
            ports: vec![443..=443, 1024..=u16::MAX],
            timeout: Duration::from_secs(10),
            answer_bytes_max: 64 * 1024,
        }
    }
}

impl EgressPolicy {
    /// The development server's: also `http://` and any port, on this host's loopback only.
    pub(crate) fn dev() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            allow_http: true,
            allow_private: loopback.into_iter().filter_map(Cidr::parse).collect(),
            ports: vec![1..=u16::MAX],
            ..Self::default()
        }
    }

    /// The strict policy with what an operator configured. Port 80 comes with `allow_http`.
    pub(crate) fn configured(
        allow_http: bool,
        allow_private: Vec<Cidr>,
        timeout: Duration,
    ) -> Self {
        let mut policy = Self {
            allow_http,
            allow_private,
            timeout,
            ..Self::default()
        };
        if allow_http {
            policy.ports.push(80..=80);
        }
        policy
    }

    /// Whether a connection to this address may be opened.
    pub(crate) fn permits(&self, address: IpAddr, scheme: Scheme) -> bool {
        let listed = || {
            self.allow_private
                .iter()
                .any(|range| range.contains(address))
        };
        match (reach(address), scheme) {
            (Reach::Never, _) => false,
            (Reach::Public, Scheme::Https) => true,
            (Reach::Public, Scheme::Http) => self.allow_http && listed(),
            (Reach::Private, Scheme::Https) => listed(),
            (Reach::Private, Scheme::Http) => self.allow_http && listed(),
        }
    }

    /// Reads a URL and judges all of it that can be judged without asking a name server.
    ///
    /// # Errors
    /// A sentence for whoever sent the URL; it repeats nothing of it.
    pub(crate) fn check_url(&self, text: &str) -> Result<(Url, Scheme), &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("the URL is longer than 2048 bytes");
        }
        self.check_signed_url(text)
    }

    /// As [`Self::check_url`], for one that we made: with a signature, and a token for it, in its query.
    ///
    /// # Errors
    /// As there.
    pub(super) fn check_signed_url(&self, text: &str) -> Result<(Url, Scheme), &'static str> {
        if text.len() > SIGNED_URL_BYTES_MAX {
            return Err("the URL is longer than 16384 bytes: is the session token one?");
        }
        // The parser would quietly repair these; two parsers that repair differently are a hole.
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return Err("the URL holds white space, a backslash or a character outside ASCII");
        }
        if !has_plain_start(text) {
            return Err("the URL must begin with https:// and a host");
        }
        let url = Url::parse(text).map_err(|_| "the URL is malformed")?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" if self.allow_http => Scheme::Http,
            _ => return Err("the URL must begin with https://"),
        };
        if !url.username().is_empty() || url.password().is_some() || has_user_sign(text) {
            return Err("the URL must not hold a user name or password");
        }
        if url.fragment().is_some() {
            return Err("the URL must not hold a fragment");
        }
        match url.port_or_known_default() {
            Some(port) if self.ports.iter().any(|range| range.contains(&port)) => {}
            _ => return Err("the URL names a port that is not allowed"),
        }
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check_literal(IpAddr::V4(v4), scheme)?,
            Some(Host::Ipv6(v6)) => self.check_literal(IpAddr::V6(v6), scheme)?,
            Some(Host::Domain(name)) => self.check_name(name)?,
            None => return Err("the URL names no host"),
        }
        Ok((url, scheme))
    }

    fn check_literal(&self, address: IpAddr, scheme: Scheme) -> Result<(), &'static str> {
        if self.permits(address, scheme) {
            Ok(())
        } else {
            Err("the URL names an address that deliveries may not go to")
        }
    }

    fn check_name(&self, name: &str) -> Result<(), &'static str> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > 253 || name.split('.').any(str::is_empty) {
            return Err("the URL's host name is malformed");
        }
        let inner = !name.contains('.') || INNER_ZONES.iter().any(|zone| is_within(name, zone));
        let opened = if is_within(name, "localhost") {
            [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]
            .into_iter()
            .any(|address| self.permits(address, Scheme::Https))
        } else {
            !self.allow_private.is_empty()
        };
        if inner && !opened {
            return Err("the URL names a host inside our own network");
        }
        Ok(())
    }
}

/// How a receiver is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// TLS.
    Https,
    /// Clear text, where the policy allows it.
    Http,
}

/// `https:host`, `https:/host` and `https:///host` are all repaired to one with two slashes.
fn has_plain_start(text: &str) -> bool {
    let behind = text
        .split_once(':')
        .and_then(|(_, rest)| rest.strip_prefix("//"));
    behind.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// `https://@host/` parses as having no user; what it is meant to fool is not us, but refuse it.
fn has_user_sign(text: &str) -> bool {
    let authority = text.split_once("//").map_or("", |(_, rest)| rest);
    authority
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

fn is_within(name: &str, zone: &str) -> bool {
    let suffix = name
        .len()
        .checked_sub(zone.len())
        .map(|at| name.split_at(at));
    suffix.is_some_and(|(head, tail)| {
        tail.eq_ignore_ascii_case(zone) && (head.is_empty() || head.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &EgressPolicy, url: &str, allowed: bool) {
        assert_eq!(
            policy.check_url(url).is_ok(),
            allowed,
            "{url}: {:?}",
            policy.check_url(url)
        );
    }

    #[test]
    fn an_ordinary_receiver_is_accepted() {
        let strict = EgressPolicy::default();
        for url in [
            "https://hooks.example.com/a?b=c",
            "https://hooks.example.com:443/",
            "https://hooks.example.com.:8443/",
            "https://xn--e1afmkfd.example/x",
            "https://8.8.8.8/x",
            "https://[2606:4700::1]:9000/",
            "https://notlocalhost.example/",
            "https://internal.example.com/",
        ] {
            check(&strict, url, true);
        }
    }

    #[test]
    fn schemes_users_fragments_ports_and_inner_names_are_refused() {
        let strict = EgressPolicy::default();
        for url in [
            "",
            "https://",
            "https:///",
            "http://hooks.example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "javascript:1",
            "//example.com/",
            "https:example.com",
            "https:/example.com/",
            "https:///example.com/",
            "https:////example.com/",
            "https://user@example.com/",
            "https://:pw@example.com/",
            "https://@example.com/",
            "https://example.com@127.0.0.1/",
            "https://example.com/#x",
            "https://example.com:0/",
            "https://example.com:22/",
            "https://example.com:25/",
            "https://example.com:80/",
            "https://example.com:65536/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://metadata.google.internal/",
            "https://printer.local/",
            "https://intranet/",
            "https://router.home.arpa/",
            "https://a..b/",
            "https://exa mple.com/",
            "https://example.com\t/",
            "https:\\\\example.com/",
            "https://пример.example/",
            "https://１２７.0.0.1/",
            " https://example.com/",
            "https://example.com/\u{0}",
        ] {
            check(&strict, url, false);
        }
        check(
            &strict,
            &format!("https://example.com/{}", "a".repeat(2_048)),
            false,
        );
    }

    #[test]
    fn the_development_server_allows_clear_text_on_loopback_only() {
        let dev = EgressPolicy::dev();
        for url in [
            "http://127.0.0.1:9000/x",
            "http://[::1]:80/",
            "http://localhost:3000/",
            "https://127.8.9.1:1/",
            "https://hooks.example.com/",
        ] {
            check(&dev, url, true);
        }
        for url in [
            "http://10.0.0.1/",
            "http://8.8.8.8/",
            "https://192.168.0.1/",
            "http://169.254.169.254/",
            "https://0.0.0.0/",
        ] {
            check(&dev, url, false);
        }
        assert!(!dev.permits("8.8.8.8".parse().unwrap(), Scheme::Http));
    }

    #[test]
    fn an_operators_ranges_open_exactly_themselves_and_never_metadata() {
        let everything = ["0.0.0.0/0", "::/0"]
            .into_iter()
            .filter_map(Cidr::parse)
            .collect();
        let wide = EgressPolicy::configured(true, everything, Duration::from_secs(5));
        check(&wide, "http://10.0.0.1/", true);
        check(&wide, "https://receiver.internal/", true);
        for url in [
            "http://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[fd00:ec2::254]/",
            "https://168.63.129.16/",
            "http://0/",
            "https://[::ffff:169.254.169.254]/",
        ] {
            check(&wide, url, false);
        }
        let one = vec![Cidr::parse("10.1.0.0/16").unwrap()];
        let narrow = EgressPolicy::configured(false, one, Duration::from_secs(5));
        check(&narrow, "https://10.1.2.3/", true);
        check(&narrow, "https://10.2.2.3/", false);
        check(&narrow, "https://localhost/", false);
        check(&narrow, "http://10.1.2.3/", false);
    }
}
