//! What kind of place an address is. Pure, total, and deliberately short on trust: an IPv6
//! address is public only inside the global unicast block and outside every carved-out range,
//! and an address that carries an IPv4 address is what the address inside is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The open Internet.
    Public,
    /// Ourselves, our network, or a range without public meaning. An operator may allow it.
    Private,
    /// Instance metadata, link-local, multicast, broadcast, unspecified: no receiver of ours is
    /// ever there, so a range an operator allowed too widely does not open it.
    Never,
}

/// Judges an address in whatever notation it came.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

/// Whose an address is that is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// An ordinary private network.
    Network,
    /// This machine, or a range without an ordinary use.
    Other,
}

/// Judges a [`Reach::Private`] address.
pub(super) fn home(address: IpAddr) -> Home {
    let network = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || (u32::from(v4) >> 22) == SHARED_V4,
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    if network { Home::Network } else { Home::Other }
}

/// The first bits of 100.64.0.0/10, carrier-grade NAT: pods and nodes of some clouds.
const SHARED_V4: u32 = 0x6440_0000 >> 22;

type Range<T> = (T, u32);

const NEVER_V4: &[Range<Ipv4Addr>] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8), // "this network"; 0.0.0.0 reaches loopback on Linux
    (Ipv4Addr::new(169, 254, 0, 0), 16), // link-local, instance metadata
    (Ipv4Addr::new(100, 100, 100, 200), 32), // instance metadata (Alibaba), inside CGNAT
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's host agent, on a public number
    (Ipv4Addr::new(192, 0, 0, 192), 32), // instance metadata (Oracle)
    (Ipv4Addr::new(224, 0, 0, 0), 4), // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4), // reserved and broadcast
];

const PRIVATE_V4: &[Range<Ipv4Addr>] = &[
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10), // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24), // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24), // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24), // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
];

const NEVER_V6: &[Range<Ipv6Addr>] = &[
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), // link-local
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),  // multicast
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32), // instance metadata (Amazon)
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254), 128), // instance metadata (Google)
];

/// Inside 2000::/3, yet not the open Internet. Tunnels (6to4, Teredo) are refused whole: what
/// they carry is an IPv4 address that we could be made to reach by a detour.
const CARVED_OUT_V6: &[Range<Ipv6Addr>] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // Teredo, benchmarking, ORCHID and kin
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

const GLOBAL_UNICAST: Range<Ipv6Addr> = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NAT64: Range<Ipv6Addr> = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn reach_v4(address: Ipv4Addr) -> Reach {
    let within = |range: &Range<Ipv4Addr>| {
        (u32::from(address) ^ u32::from(range.0)).leading_zeros() >= range.1
    };
    if NEVER_V4.iter().any(within) {
        Reach::Never
    } else if PRIVATE_V4.iter().any(within) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let within = |range: &Range<Ipv6Addr>| {
        (u128::from(address) ^ u128::from(range.0)).leading_zeros() >= range.1
    };
    if within(&NAT64) {
        // On an IPv6-only network every IPv4 receiver looks like this. Only the public ones pass:
        // an allowed private IPv4 range is not meant to be reached through a translator.
        return match reach_v4(low_v4(address)) {
            Reach::Public => Reach::Public,
            Reach::Private | Reach::Never => Reach::Never,
        };
    }
    if NEVER_V6.iter().any(within) {
        return Reach::Never;
    }
    let public =
        within(&GLOBAL_UNICAST) && !CARVED_OUT_V6.iter().any(within) && !is_isatap(address);
    if public {
        Reach::Public
    } else {
        Reach::Private
    }
}

/// ISATAP: any prefix, interface id `[02]00:5efe:<IPv4>`.
fn is_isatap(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    matches!(parts[4], 0 | 0x0200) && parts[5] == 0x5efe
}

fn low_v4(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(expect: Reach, addresses: &[&str]) {
        for text in addresses {
            assert_eq!(reach(text.parse().unwrap()), expect, "{text}");
        }
    }

    #[test]
    fn the_open_internet_is_public() {
        check(
            Reach::Public,
            &[
                "1.1.1.1",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.167.255.255",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2606:4700:4700::1111",
                "2a00:1450::1",
                "2001:200::1",
                "2001:4860:4860::8888",
                "::ffff:8.8.8.8",
                "64:ff9b::8.8.8.8",
            ],
        );
    }

    #[test]
    fn our_own_network_and_ranges_without_meaning_are_private() {
        check(
            Reach::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "127.0.0.1",
                "127.255.255.254",
                "172.16.0.0",
                "172.31.255.255",
                "192.0.0.8",
                "192.0.2.1",
                "192.88.99.1",
                "192.168.0.0",
                "192.168.255.255",
                "198.18.0.0",
                "198.19.255.255",
                "198.51.100.7",
                "203.0.113.7",
                "::1",
                "::2",
                "::127.0.0.1",
                "::10.0.0.1",
                "::8.8.8.8",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "::ffff:0:127.0.0.1",
                "fc00::1",
                "fd12:3456::1",
                "fec0::1",
                "100::1",
                "2001::1",
                "2001:0:4136:e378::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "2002:7f00:1::1",
                "2002:808:808::1",
                "3fff::1",
                "5f00::1",
                "64:ff9b:1::10.0.0.1",
                "4000::1",
                "2a00:1450::5efe:10.0.0.1",
                "2a00:1450::200:5efe:10.0.0.1",
            ],
        );
    }

    #[test]
    fn metadata_link_local_multicast_and_nothing_are_never_reached() {
        check(
            Reach::Never,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "169.254.169.254",
                "169.254.0.1",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "fe80::1",
                "febf::1",
                "ff02::1",
                "fd00:ec2::254",
                "fd20:ce::254",
                "::ffff:169.254.169.254",
                "::ffff:0.0.0.0",
                "64:ff9b::169.254.169.254",
                "64:ff9b::10.0.0.1",
                "64:ff9b::127.0.0.1",
            ],
        );
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_what_it_maps(v4 in any::<u32>()) {
            let v4 = Ipv4Addr::from(v4);
            prop_assert_eq!(reach(v4.into()), reach(v4.to_ipv6_mapped().into()));
        }

        #[test]
        fn no_notation_makes_a_closed_ipv4_address_public(
            range in 0..NEVER_V4.len() + PRIVATE_V4.len(),
            host in any::<u32>(),
            high in any::<u32>(),
        ) {
            let (base, bits) = *NEVER_V4.iter().chain(PRIVATE_V4).nth(range).unwrap();
            let v4 = Ipv4Addr::from(u32::from(base) | host.checked_shr(bits).unwrap_or(0));
            prop_assert_ne!(reach(v4.into()), Reach::Public);
            let low = u128::from(u32::from(v4));
            let six_to_four = (0x2002u128 << 112) | (low << 80) | u128::from(high);
            let teredo = (0x2001u128 << 112) | (u128::from(high) << 64) | (low ^ 0xFFFF_FFFF);
            let nat64 = (0x64_ff9bu128 << 96) | low;
            let isatap = (0x2a00u128 << 112) | (u128::from(high) << 64) | (0x5efeu128 << 32) | low;
            for made in [low, six_to_four, teredo, nat64, isatap, (0xffffu128 << 48) | low] {
                let made = IpAddr::V6(Ipv6Addr::from(made));
                prop_assert_ne!(reach(made), Reach::Public, "{}", made);
            }
        }
    }
}
