//! Which addresses a target may be at. Databases live in private networks, so those are open like
//! public ones; this machine and what only this machine can see (link-local, instance metadata)
//! are closed until an operator opens them by name.

use std::net::IpAddr;

use scaivault_core::access::Cidr;

use super::address::{Home, Reach, home, reach};

/// Ranges wider than these do not open what is never meant by "everything": instance metadata,
/// link-local, multicast.
const NAMED_BITS_V4: u8 = 16;
const NAMED_BITS_V6: u8 = 10;

/// The operator's rule for targets. Of the ranges that hold an address the narrowest decides; a
/// range that is both allowed and denied is denied.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetPolicy {
    allow: Vec<Cidr>,
    deny: Vec<Cidr>,
}

impl TargetPolicy {
    /// With what an operator configured.
    pub(crate) fn configured(allow: Vec<Cidr>, deny: Vec<Cidr>) -> Self {
        Self { allow, deny }
    }

    /// The same for the development server: also this host's loopback.
    pub(crate) fn with_loopback(mut self) -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        self.allow
            .extend(loopback.into_iter().filter_map(Cidr::parse));
        self
    }

    /// Whether a connection to this address may be opened.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let narrowest = |ranges: &[Cidr], least: u8| {
            let bits = ranges.iter().filter(|range| range.contains(address));
            bits.map(Cidr::bits).filter(|bits| *bits >= least).max()
        };
        let kind = reach(address);
        let least = match (kind, address) {
            (Reach::Never, IpAddr::V4(_)) => NAMED_BITS_V4,
            (Reach::Never, IpAddr::V6(_)) => NAMED_BITS_V6,
            _ => 0,
        };
        let allowed = narrowest(&self.allow, least);
        let denied = narrowest(&self.deny, 0);
        match (allowed, denied) {
            (Some(allowed), Some(denied)) => allowed > denied,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => match kind {
                Reach::Public => true,
                Reach::Private => home(address) == Home::Network,
                Reach::Never => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> TargetPolicy {
        let ranges = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Cidr::parse(text).unwrap())
                .collect()
        };
        TargetPolicy::configured(ranges(allow), ranges(deny))
    }

    #[track_caller]
    fn check(policy: &TargetPolicy, allowed: bool, addresses: &[&str]) {
        for text in addresses {
            let address = text.parse().unwrap();
            assert_eq!(policy.permits(address), allowed, "{text}");
        }
    }

    const CLOSED: [&str; 22] = [
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "2002:7f00:1::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2001:db8::1",
        "198.51.100.7",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.1",
        "255.255.255.255",
    ];

    #[test]
    fn networks_are_open_and_this_machine_and_its_neighbours_are_not() {
        let strict = policy(&[], &[]);
        check(
            &strict,
            true,
            &[
                "10.0.0.1",
                "172.16.0.1",
                "192.168.1.1",
                "100.64.0.1",
                "fd12:3456::1",
                "8.8.8.8",
                "2606:4700::1",
                "::ffff:10.0.0.1",
            ],
        );
        check(&strict, false, &CLOSED);
    }

    #[test]
    fn everything_does_not_mean_metadata() {
        let wide = policy(&["0.0.0.0/0", "::/0"], &[]);
        check(&wide, true, &["127.0.0.1", "::1", "10.0.0.1"]);
        check(
            &wide,
            false,
            &[
                "169.254.169.254",
                "::ffff:169.254.169.254",
                "168.63.129.16",
                "fe80::1",
                "fd00:ec2::254",
                "0.0.0.0",
                "224.0.0.1",
            ],
        );
        let named = policy(&["169.254.0.0/16", "fe80::/10"], &[]);
        check(&named, true, &["169.254.169.254", "fe80::1"]);
        check(&named, false, &["127.0.0.1", "168.63.129.16"]);
    }

    #[test]
    fn the_narrowest_range_decides_and_a_tie_is_a_no() {
        let only = policy(&["10.1.0.0/16", "10.2.3.4"], &["0.0.0.0/0", "::/0"]);
        check(&only, true, &["10.1.2.3", "10.2.3.4", "::ffff:10.1.0.1"]);
        check(&only, false, &["10.2.3.5", "8.8.8.8", "fd12::1"]);
        let hole = policy(&["10.0.0.0/8"], &["10.9.0.0/16"]);
        check(&hole, true, &["10.8.0.1"]);
        check(&hole, false, &["10.9.0.1"]);
        let both = policy(&["10.0.0.0/8"], &["10.0.0.0/8"]);
        check(&both, false, &["10.0.0.1"]);
        check(&both, true, &["192.168.0.1"]);
    }

    #[test]
    fn the_development_server_reaches_its_own_machine_and_no_more() {
        let dev = policy(&[], &[]).with_loopback();
        check(&dev, true, &["127.0.0.1", "127.3.2.1", "::1", "10.0.0.1"]);
        let still_closed = CLOSED.iter().filter(|text| {
            let address: IpAddr = text.parse().unwrap();
            !address.to_canonical().is_loopback()
        });
        let still_closed: Vec<&str> = still_closed.copied().collect();
        assert!(still_closed.len() > 15);
        check(&dev, false, &still_closed);
    }
}
