//! Headers: who is asking, from where, and which version is meant. One header on each line.

use std::net::IpAddr;

use scaivault_core::access::Cidr;
use scaivault_server::probes;

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "headers",
    seeds: || {
        texts(&[
            "authorization: Bearer skt_x\nx-forwarded-for: 1.2.3.4, 10.0.0.7\nif-match: \"3\"",
            "authorization: bearer  a b \nuser-agent: curl/8\nx-forwarded-for: ::ffff:10.0.0.9",
            "x-forwarded-for: garbage\nx-forwarded-for: [::1]:80, 10.1.1.1\nif-match: W/\"3\"\nif-match: *",
        ])
    },
    words: &[
        "authorization: ",
        "Bearer ",
        "x-forwarded-for: ",
        "10.0.0.1",
        "::1",
        ",",
        "\n",
        "\"",
        "if-match: ",
        "user-agent: ",
        "traceparent: ",
        "forwarded: for=",
        "\t",
        "\u{e9}",
        "0",
        "+",
        "18446744073709551616",
    ],
    run,
};

fn run(data: &[u8]) {
    let given: Vec<(&str, &[u8])> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let value = line.get(colon + 1..)?;
            Some((
                std::str::from_utf8(&line[..colon]).ok()?,
                value.trim_ascii(),
            ))
        })
        .collect();
    let trusted = [Cidr::parse("10.0.0.0/8").expect("a range")];
    for (peer, trusted) in [("203.0.113.9:1", &trusted[..]), ("10.0.0.1:1", &[])] {
        let Some(seen) = probes::headers(&given, peer.parse().expect("an address"), trusted) else {
            return;
        };
        // Nobody but a trusted proxy says where a request comes from.
        assert_eq!(
            seen.source_ip,
            peer.split(':').next().and_then(|ip| ip.parse().ok())
        );
    }
    let seen = probes::headers(&given, "10.0.0.1:1".parse().expect("an address"), &trusted);
    let Some(seen) = seen else { return };
    let from = seen.source_ip.expect("there is a peer");
    let named: Vec<IpAddr> = values(&given, "x-forwarded-for")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .filter_map(|hop| std::str::from_utf8(hop).ok()?.trim().parse().ok())
        .map(|ip: IpAddr| ip.to_canonical())
        .collect();
    assert!(
        from == IpAddr::from([10, 0, 0, 1]) || named.contains(&from),
        "{from}"
    );
    if let Some(token) = seen.bearer {
        assert!(!token.is_empty() && token.trim_matches(' ') == token && token.len() <= 16 * 1_024);
        let sent: Vec<&[u8]> = values(&given, "authorization").collect();
        assert_eq!(sent.len(), 1, "of two tokens none counts");
        assert!(sent[0].ends_with(token.as_bytes()));
        assert!(sent[0][..6].eq_ignore_ascii_case(b"bearer"));
    }
    if let Some(agent) = seen.user_agent {
        assert!(agent.len() <= 200 && agent.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
    if let Ok(Some(version)) = seen.if_match {
        let sent: Vec<&[u8]> = values(&given, "if-match").collect();
        assert_eq!(sent.len(), 1);
        let sent = std::str::from_utf8(sent[0]).expect("digits");
        let digits = sent.trim_matches('"').trim_start_matches('0');
        assert_eq!(
            digits,
            version.to_string().trim_start_matches('0'),
            "{sent}"
        );
    }
}

fn values<'a>(given: &'a [(&str, &'a [u8])], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let of_name = given
        .iter()
        .filter(move |(have, _)| have.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| *value)
}
