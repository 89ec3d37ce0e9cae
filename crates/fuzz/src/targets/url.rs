//! URLs of receivers: one that is accepted leads where a second reader says, and that is nowhere
//! inside; without a user, a fragment or a character that readers repair.

use std::net::{IpAddr, Ipv4Addr};

use scaivault_server::probes;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "url",
    seeds: || {
        texts(&[
            "https://hooks.example.com/a?b=c",
            "https://8.8.8.8:8443/x",
            "https://[2606:4700::1]:9000/",
            "https://0x7f.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://user:pw@2130706433:443/#f",
        ])
    },
    words: &[
        "https://",
        "http://",
        "@",
        "#",
        "\\",
        "//",
        "127.0.0.1",
        "0177.1",
        "0x7f000001",
        "2130706433",
        "localhost",
        "%31%32%37",
        "[::1]",
        "[64:ff9b::",
        "[2002:",
        "169.254.169.254",
        ".internal",
        ":22",
        ":443",
        "\u{3002}",
        "\u{ff11}",
        "\t",
        "xn--",
        "%00",
        "[::ffff:",
        "[fe80::1%25eth0]",
        ".",
        "..",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(to) = probes::receiver_url(text) else {
        return;
    };
    assert!(
        text.is_ascii() && !text.contains(['\\', ' ', '\t', '\n', '#']),
        "{text:?}"
    );
    assert!(
        text.get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case("https://")),
        "{text:?}"
    );
    let authority = text[8..].split(['/', '?']).next().unwrap_or_default();
    assert!(!authority.contains('@'), "{text:?}");
    assert!(
        to.port.is_some_and(|port| port == 443 || port >= 1_024),
        "{to:?}"
    );
    // What was judged is what is requested.
    assert_eq!(probes::receiver_url(&to.url).as_ref(), Ok(&to));
    if let Some(address) = to.address {
        assert!(outside(address), "{address}");
    }
    let host = url::Url::parse(text)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let host = host.expect("it has one");
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    assert!(
        !["localhost", "internal", "local"].contains(&last),
        "{host}"
    );
}

/// A second opinion, by the standard library's words.
fn outside(address: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| {
        let inside = ip.is_loopback()
            || ip.is_private()
            || ip.is_link_local()
            || ip.is_unspecified()
            || ip.is_broadcast()
            || ip.is_multicast()
            || ip.is_documentation()
            || ip.octets()[0] == 0
            || ip.octets()[0] >= 240
            || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64);
        !inside
    };
    match address.to_canonical() {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            let carried = v4(Ipv4Addr::new(a, b, c, d));
            let segments = ip.segments();
            let nat64 = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] && carried;
            nat64 || (segments[0] & 0xe000 == 0x2000 && segments[0] != 0x2002)
        }
    }
}
