//! Ranges of addresses: they print and read back, and hold what counting bits says. The input is a
//! range, a space and an address.

use std::net::IpAddr;

use scaivault_core::access::Cidr;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "addresses",
    seeds: || {
        texts(&[
            "10.0.0.0/8 10.1.2.3",
            "192.0.2.7 192.0.2.7",
            "2001:db8::/32 2001:db8:1::1",
            "0.0.0.0/0 ::ffff:8.8.8.8",
            "::/0 ::1",
            "::ffff:10.0.0.0/104 10.1.2.3",
        ])
    },
    words: &[
        "/", "/0", "/8", "/32", "/96", "/128", "::", "::ffff:", "10.", "255", ".0.0.0", " ",
        "0x7f", "010",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some((range, address)) = text(data).and_then(|text| text.split_once(' ')) else {
        return;
    };
    let Some(parsed) = Cidr::parse(range) else {
        return;
    };
    let printed = format!("{parsed:?}");
    assert!(Cidr::parse(&printed) == Some(parsed), "{range} {printed}");
    let (net, bits) = printed.split_once('/').expect("a range prints as one");
    let net: IpAddr = net.parse().expect("an address");
    let count: usize = bits.parse().expect("a number");
    assert_eq!(usize::from(parsed.bits()), count);
    // What is written in IPv6 for an IPv4 range is that range: a list of what is closed has no holes.
    let written: IpAddr = range
        .split('/')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("it was read");
    assert!(
        parsed.contains(written),
        "{range} holds its own first address"
    );
    let Ok(address) = address.parse::<IpAddr>() else {
        return;
    };
    let expect = match (bits_of(net), bits_of(address.to_canonical())) {
        (net, address) if net.len() == address.len() => net[..count] == address[..count],
        _ => false,
    };
    assert_eq!(parsed.contains(address), expect, "{range} {address}");
}

fn bits_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.octets().map(|octet| format!("{octet:08b}")).concat(),
        IpAddr::V6(v6) => v6.octets().map(|octet| format!("{octet:08b}")).concat(),
    }
}
