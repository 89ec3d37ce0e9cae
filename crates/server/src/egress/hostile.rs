//! A hundred thousand URLs that mean the inside, in every notation there is, and name servers that
//! lie: no connection is made. Counted at listeners; that those would see one is shown by the same
//! URLs with the guard open.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::access::Cidr;
use scaivault_core::delivery::AttemptError;
use scaivault_core::ports::{Courier, Parcel, Reach as _};

use super::resolve::Lookup;
use super::{EgressPolicy, GuardedCourier, GuardedReach, TargetPolicy};

const URLS: usize = 100_000;

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn bits(&mut self) -> u32 {
        u32::try_from(self.below(1 << 16) << 16 | self.below(1 << 16)).unwrap()
    }

    /// An address that nothing of a tenant may reach: often loopback, so that a slip connects.
    fn inside(&mut self) -> Ipv4Addr {
        let bits = self.bits();
        let ranges = [
            (0x7f00_0000, 8),
            (0x7f00_0001, 32),
            (0x0a00_0000, 8),
            (0xac10_0000, 12),
            (0xc0a8_0000, 16),
            (0x6440_0000, 10),
            (0xa9fe_a9fe, 32),
            (0xa9fe_0000, 16),
            (0, 8),
            (0x6464_64c8, 32),
            (0xc000_0000, 24),
            (0xc612_0000, 15),
            (0xe000_0000, 4),
            (0xf000_0000, 4),
            (0xa83f_8110, 32),
        ];
        let (base, width): (u32, u32) = ranges[self.below(ranges.len())];
        Ipv4Addr::from(base | bits.checked_shr(width).unwrap_or(0))
    }

    fn part(&mut self, number: u32) -> String {
        match self.below(6) {
            0 => format!("0{number:o}"),
            1 => format!("000{number:o}"),
            2 => format!("0x{number:x}"),
            3 => format!("0X{number:X}"),
            4 => format!("0x0000{number:x}"),
            _ => number.to_string(),
        }
    }

    /// The address, in one of its spellings.
    fn spelled(&mut self, v4: Ipv4Addr) -> String {
        let n = u32::from(v4);
        let [a, b, c, d] = v4.octets().map(u32::from);
        let parts = match self.below(4) {
            0 => vec![n],
            1 => vec![a, n & 0x00ff_ffff],
            2 => vec![a, b, n & 0xffff],
            _ => vec![a, b, c, d],
        };
        let parts: Vec<String> = parts.into_iter().map(|part| self.part(part)).collect();
        let mut text = parts.join(self.one_of(&[".", ".", ".", "\u{3002}", "\u{ff0e}", "%2e"]));
        if self.below(5) == 0 {
            text.push('.');
        }
        match self.below(8) {
            0 => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            1 => text.chars().map(wide).collect(),
            _ => text,
        }
    }

    fn v6(&mut self, v4: Ipv4Addr) -> String {
        let n = u128::from(u32::from(v4));
        let high = u128::from(self.bits());
        let made = match self.below(9) {
            0 => (0xffff << 32) | n,
            1 => n,
            2 => (0xffff << 48) | n,
            3 => (0x2002 << 112) | (n << 80) | high,
            4 => (0x64_ff9b << 96) | n,
            5 => (0x64_ff9b_0001 << 80) | n,
            6 => (0x2001 << 112) | (high << 64) | (n ^ 0xffff_ffff),
            7 => (0x2a00 << 112) | (0x5efe << 32) | n,
            _ => 1,
        };
        let address = Ipv6Addr::from(made);
        let zone = self.one_of(&["", "", "", "%25lo", "%lo", "%251"]);
        let long = address
            .segments()
            .map(|part| format!("{part:04X}"))
            .join(":");
        match self.below(4) {
            0 => format!("[{long}{zone}]"),
            1 => format!("[::ffff:{v4}{zone}]"),
            2 => format!(
                "[{}{zone}]",
                self.one_of(&[
                    "::",
                    "fe80::1",
                    "fc00::1",
                    "fd00:ec2::254",
                    "ff02::1",
                    "::1"
                ])
            ),
            _ => format!("[{address}{zone}]"),
        }
    }

    fn host(&mut self) -> String {
        let v4 = self.inside();
        match self.below(10) {
            0..=3 => self.spelled(v4),
            4..=6 => self.v6(v4),
            7 => self.name().into(),
            // Names that say nothing of themselves; what they lead to is asked.
            8 => format!(
                "{v4}.{}",
                self.one_of(&["nip.example", "rebind.example.", "a.b.c.example"])
            ),
            _ => format!("{}.example", "a".repeat(1 + self.below(60))),
        }
    }

    fn name(&mut self) -> &'static str {
        self.one_of(&[
            "localhost",
            "LocalHost",
            "LOCALHOST.",
            "a.localhost",
            "ip6-localhost",
            "metadata",
            "metadata.google.internal",
            "METADATA.Google.Internal.",
            "db.local",
            "intranet",
            "router.home.arpa",
            "kubernetes.default.svc.cluster.local",
            "host.docker.internal",
        ])
    }

    fn url(&mut self, port: u16) -> String {
        let scheme = self.one_of(&[
            "https://",
            "https://",
            "http://",
            "HTTPS://",
            "https:",
            "https:/",
            "https:\\\\",
            "//",
            "ftp://",
        ]);
        let user = self.one_of(&[
            "",
            "",
            "",
            "",
            "",
            "",
            "public.example@",
            "a:b@",
            "@",
            "public.example\\@",
            "8.8.8.8%40",
        ]);
        let host = self.host();
        let port = match self.below(5) {
            0 => String::new(),
            1 => format!(":{}", [22, 25, 80, 443, 0, 65_535, 65_536][self.below(7)]),
            _ => format!(":{port}"),
        };
        let tail = self.one_of(&[
            "",
            "/",
            "/x?y=z",
            "/#f",
            "?@8.8.8.8/",
            "/..//",
            "\t",
            " ",
            "\r\n",
            "\\x",
            "/%00",
        ]);
        let more = match self.below(400) {
            0 => "a".repeat(3_000),
            _ => String::new(),
        };
        format!("{scheme}{user}{host}{port}{tail}{more}")
    }
}

/// The digit or letter as wide as an ideograph, which readers may fold into the plain one.
fn wide(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
        c => c,
    }
}

/// Answers in turn with addresses of the inside alone, several at once.
struct Liar(AtomicUsize);

#[async_trait]
impl Lookup for Liar {
    async fn addresses(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut chance = Chance(u64::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap());
        chance.below(2);
        let mut all = vec![IpAddr::from(chance.inside())];
        all.push(chance.inside().to_ipv6_mapped().into());
        all.extend([
            Ipv4Addr::LOCALHOST.into(),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ]);
        Ok(all)
    }
}

/// Listeners that nothing may connect to, on one port of every address of this machine.
struct Traps(Vec<TcpListener>);

impl Traps {
    fn set() -> Self {
        let all = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = all.local_addr().unwrap().port();
        let mut traps = vec![all];
        // Where there is IPv6.
        traps.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)));
        for trap in &traps {
            trap.set_nonblocking(true).unwrap();
        }
        Self(traps)
    }

    fn port(&self) -> u16 {
        self.0[0].local_addr().unwrap().port()
    }

    /// Connections made so far.
    fn caught(&self) -> usize {
        let waiting = |trap: &TcpListener| {
            std::iter::from_fn(|| match trap.accept() {
                Ok(_) => Some(()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    None
                }
            })
            .count()
        };
        self.0.iter().map(waiting).sum()
    }
}

fn parcel(url: String) -> Parcel {
    Parcel {
        url,
        headers: Vec::new(),
        body: b"{}".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_hostile_urls_lead_to_no_connection() {
    let traps = Traps::set();
    let liar = Arc::new(Liar(AtomicUsize::new(0)));
    let courier = GuardedCourier::with_lookup(EgressPolicy::default(), liar.clone()).unwrap();
    let mut chance = Chance(1);
    let (mut seen, mut asked) = (BTreeSet::new(), 0);
    while seen.len() < URLS {
        let url = chance.url(traps.port());
        if !seen.insert(url.clone()) {
            continue;
        }
        let is_taken = courier.check_url(&url).is_ok();
        // Only a name can be taken: what it means is known when it is asked. Many such are tried,
        // and all that were not taken are refused without any work.
        if is_taken {
            let host = url::Url::parse(&url).unwrap();
            assert!(host.domain().is_some(), "{url}");
            asked += 1;
            if asked % 4 != 0 {
                continue;
            }
        } else if chance.below(20) != 0 {
            continue;
        }
        let attempted = courier.deliver(&parcel(url.clone())).await;
        assert_eq!(
            attempted.error,
            Some(AttemptError::AddressForbidden),
            "{url}"
        );
        assert_eq!(attempted.response_code, None);
    }
    assert!(asked > 1_000, "{asked} names were taken");
    assert!(liar.0.load(Ordering::Relaxed) >= asked / 4);
    assert_eq!(traps.caught(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_guard_open_such_urls_do_connect() {
    let traps = Traps::set();
    let everything = ["0.0.0.0/0", "::/0"]
        .into_iter()
        .filter_map(Cidr::parse)
        .collect();
    let open = EgressPolicy {
        timeout: Duration::from_secs(2),
        ..EgressPolicy::configured(true, everything, Duration::from_secs(2))
    };
    let liar = Arc::new(Liar(AtomicUsize::new(0)));
    let courier = Arc::new(GuardedCourier::with_lookup(open, liar).unwrap());
    let port = traps.port();
    let urls = [
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://a.localhost:{port}/"),
    ];
    let mut waiting = Vec::new();
    for url in urls.clone() {
        let courier = Arc::clone(&courier);
        waiting.push(tokio::spawn(async move {
            assert_eq!(courier.check_url(&url), Ok(()), "{url}");
            courier.deliver(&parcel(url)).await
        }));
    }
    for one in waiting {
        one.await.unwrap();
    }
    assert!(
        traps.caught() >= urls.len() - 1,
        "the traps see connections"
    );
}

/// Answers with lists in turn.
struct Turns(Vec<Vec<IpAddr>>, AtomicUsize);

#[async_trait]
impl Lookup for Turns {
    async fn addresses(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        let turn = self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0[turn % self.0.len()].clone())
    }
}

/// One address may be reached and serves, the others on the same port are traps. Whatever the name
/// server mixes or changes, and however soon, only the one is connected to.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_rebound_reaches_only_what_may_be_reached() {
    let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = good.local_addr().unwrap().port();
    let traps: Vec<TcpListener> = (2..6)
        .map(|last| {
            let trap = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).unwrap();
            trap.set_nonblocking(true).unwrap();
            trap
        })
        .collect();
    let traps = Traps(traps);
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((stream, _)) = good.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    let list = |last: &[u8]| -> Vec<IpAddr> {
        let addresses = last.iter().map(|last| IpAddr::from([127, 0, 0, *last]));
        addresses.collect()
    };
    let mut answers = vec![
        list(&[1]),
        list(&[2]),
        list(&[1, 2]),
        list(&[3, 1]),
        list(&[4, 5, 2, 3]),
    ];
    answers.push(
        [
            list(&[1]),
            vec![Ipv4Addr::new(127, 0, 0, 2).to_ipv6_mapped().into()],
        ]
        .concat(),
    );
    answers.push(list(&[2, 3, 4, 5, 2, 3, 4, 5, 2, 1]));
    let only = vec![Cidr::parse("127.0.0.1").unwrap()];
    let policy = EgressPolicy {
        ports: vec![1..=u16::MAX],
        ..EgressPolicy::configured(true, only.clone(), Duration::from_secs(5))
    };
    let turns = Arc::new(Turns(answers.clone(), AtomicUsize::new(0)));
    let courier = GuardedCourier::with_lookup(policy, turns.clone()).unwrap();
    let rounds = 20 * answers.len();
    let (mut reached, mut refused) = (0, 0);
    for _ in 0..rounds {
        let attempted = courier
            .deliver(&parcel(format!("http://rebind.example:{port}/")))
            .await;
        match attempted.error {
            Some(AttemptError::AddressForbidden) => refused += 1,
            _ => reached += 1,
        }
    }
    assert_eq!(
        turns.1.load(Ordering::Relaxed),
        rounds,
        "asked once for each attempt"
    );
    assert_eq!((reached, refused), (100, 40));
    assert!(served.load(Ordering::Relaxed) >= reached);
    // The same names as those of targets: connectors are told addresses, each judged.
    let turns = Arc::new(Turns(answers.clone(), AtomicUsize::new(0)));
    let way = GuardedReach::with_lookup(TargetPolicy::configured(only.clone(), Vec::new()), turns);
    for _ in 0..rounds {
        let Ok(pinned) = way.reach("rebind.example", port).await else {
            continue;
        };
        assert!(
            pinned
                .iter()
                .all(|at| *at == SocketAddr::from(([127, 0, 0, 1], port))),
            "{pinned:?}"
        );
    }
    assert_eq!(traps.caught(), 0);
}

/// Hosts of targets come in the same notations, and without a URL's reader before them.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_host_lets_a_target_be_on_this_machine() {
    let liar = Arc::new(Liar(AtomicUsize::new(0)));
    let way = GuardedReach::with_lookup(TargetPolicy::default(), liar);
    let mut chance = Chance(2);
    let mut given = 0;
    for _ in 0..20_000 {
        let host = chance.host();
        for at in way.reach(&host, 5_432).await.unwrap_or_default() {
            // Networks of one's own are open to targets; what is ours alone is not.
            let open = match at.ip() {
                IpAddr::V4(v4) => v4.is_private() || v4.octets()[..1] == [100],
                IpAddr::V6(v6) => v6.is_unique_local() && v6.segments()[1] != 0x0ec2,
            };
            assert!(
                open && at.ip() != IpAddr::from([100, 100, 100, 200]),
                "{host}: {at}"
            );
            given += 1;
        }
    }
    assert!(given > 1_000, "{given}");
}
