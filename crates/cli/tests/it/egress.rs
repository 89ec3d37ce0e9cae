//! Whatever takes a URL or a host, asked of a production server with thousands of ways to write one
//! of the inside: refused with a sentence, or never connected to. Listeners on every address of this
//! machine count, and another server that may go there shows that they would.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Api, SOON, Server, eventually};
use crate::lifecycle::{Production, Served, plain_http};

/// `SCAIVAULT_HOSTILE_URLS` sets how many are asked with, of each kind of object.
fn count() -> usize {
    std::env::var("SCAIVAULT_HOSTILE_URLS").map_or(300, |text| text.parse().expect("a number"))
}

/// On one port of every address.
struct Traps(Vec<TcpListener>);

impl Traps {
    fn set() -> Self {
        let all = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = all.local_addr().expect("an address").port();
        let mut traps = vec![all];
        traps.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)));
        for trap in &traps {
            trap.set_nonblocking(true).expect("it can be asked");
        }
        Self(traps)
    }

    fn port(&self) -> u16 {
        self.0[0].local_addr().expect("an address").port()
    }

    fn caught(&self) -> usize {
        let waiting = |trap: &TcpListener| std::iter::from_fn(|| trap.accept().ok()).count();
        self.0.iter().map(waiting).sum()
    }
}

/// Hosts of the inside, one spelling after the other.
fn hosts() -> Vec<String> {
    let inside = [
        [127, 0, 0, 1],
        [127, 9, 8, 7],
        [0, 0, 0, 0],
        [10, 1, 2, 3],
        [172, 16, 9, 1],
        [192, 168, 1, 1],
        [169, 254, 169, 254],
        [100, 100, 100, 200],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
    ];
    let mut hosts: Vec<String> = [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "metadata.google.internal",
        "db.local",
        "intranet",
    ]
    .map(str::to_owned)
    .into();
    for octets in inside {
        let [a, b, c, d] = octets;
        let v4 = Ipv4Addr::from(octets);
        let n = u32::from(v4);
        let (high, low) = (n >> 16, n & 0xffff);
        hosts.extend([
            v4.to_string(),
            format!("{v4}."),
            n.to_string(),
            format!("0x{n:x}"),
            format!("0{n:o}"),
            format!("{a}.{}", n & 0x00ff_ffff),
            format!("{a}.{b}.{low}"),
            format!("0x{a:x}.0{b:o}.{c}.0x{d:X}"),
            format!("[::ffff:{v4}]"),
            format!("[::{v4}]"),
            format!("[64:ff9b::{v4}]"),
            format!("[2002:{high:x}:{low:x}::1]"),
            format!("[::ffff:{high:x}:{low:x}%25lo]"),
            format!("public.example@{v4}"),
            v4.to_string()
                .bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect(),
            v4.to_string().replace('.', "\u{3002}"),
            v4.to_string().replace('1', "\u{ff11}"),
        ]);
    }
    hosts
}

fn urls(port: u16) -> Vec<String> {
    let mut urls = Vec::new();
    for host in hosts() {
        for scheme in ["https://", "http://", "HTTPS://", "https:", "https:/\\"] {
            urls.push(format!("{scheme}{host}:{port}/x"));
            urls.push(format!("{scheme}{host}/"));
        }
    }
    urls
}

/// A server as `init` leaves it: nothing private is allowed.
async fn production() -> (Production, Served) {
    let limits = ["WRITE", "DELETE", "WEBHOOK", "SUBSCRIPTION", "ROTATION"];
    let production = Production::init(&[]);
    let mut command = production.server();
    command.envs(limits.map(|category| (format!("SCAIVAULT_RATE_LIMITS_{category}"), "1000000")));
    let served = Served::start(command, &production.token, plain_http(), "http").await;
    (production, served)
}

async fn secret(root: &Api) {
    let value = json!({ "data": { "username": "m", "password": "p" } });
    root.put("/v1/secrets/db/manager", value).await.ok(201);
}

/// Sends what names a URL; whether it was taken, and its id.
async fn offered(root: &Api, kind: &str, number: usize, url: &str) -> Option<String> {
    let name = format!("n{number}");
    let (path, body) = match kind {
        "webhook" => (
            "/v1/webhooks",
            json!({ "name": name, "url": url, "events": ["secret.updated"], "secret": "0123456789abcdef0123456789abcdef" }),
        ),
        "subscription" => (
            "/v1/subscriptions",
            json!({ "name": name, "paths": ["**"], "events": ["secret.updated"],
                    "delivery": { "type": "webhook", "url": url, "secret": "0123456789abcdef0123456789abcdef" } }),
        ),
        _ => {
            let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
            let host = rest.split('/').next().unwrap_or_default();
            let settings = match kind {
                "http_key" => json!({ "base_url": url, "service": "generic" }),
                _ => {
                    let (host, port) = host.rsplit_once(':').unwrap_or((host, "6379"));
                    json!({ "host": host, "port": port.parse::<u16>().unwrap_or(6_379) })
                }
            };
            (
                "/v1/rotation/targets",
                json!({ "name": format!("{kind}{number}"), "connector": kind, "manager_path": "db/manager", "settings": settings }),
            )
        }
    };
    let reply = root.post(path, body).await;
    if reply.status == 201 {
        return Some(reply.body["id"].as_str().expect("an id").to_owned());
    }
    let told = reply.error().to_string();
    assert!(matches!(reply.status, 400 | 422), "{kind} {url}: {told}");
    // A sentence of what is wrong, without what was sent.
    assert!(!told.contains(url), "{told}");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_a_host_never_connects_to_the_inside() {
    let traps = Traps::set();
    let (_production, server) = production().await;
    let root = &server.api;
    secret(root).await;
    let urls = urls(traps.port());
    let step = (urls.len() / count()).max(1);
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in ["postgresql", "mysql", "redis", "http_key"] {
        for (number, url) in urls.iter().enumerate().step_by(step * 4) {
            let Some(id) = offered(root, kind, number, url).await else {
                continue;
            };
            *taken.entry(kind).or_default() += 1;
            let path = format!("/v1/rotation/targets/{id}");
            let checked = root.post(&format!("{path}/check"), json!({})).await.ok(200);
            assert_eq!(checked["ready"], false, "{url}");
            let kind = checked["trouble"]["kind"].as_str().unwrap_or_default();
            let refused = [
                "not_permitted",
                "unreachable",
                "settings",
                "tls",
                "timed_out",
                "credential",
            ];
            assert!(refused.contains(&kind), "{url}: {checked}");
            root.delete(&path).await.ok(204);
        }
    }
    assert!(taken.values().sum::<usize>() > 20, "{taken:?}");
    assert_eq!(traps.caught(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_receiver_is_taken_at_the_inside() {
    let traps = Traps::set();
    let (_production, server) = production().await;
    let root = &server.api;
    let webhook = json!({ "name": "there", "url": "https://hooks.example.com/", "events": ["secret.updated"],
                          "secret": "0123456789abcdef0123456789abcdef" });
    let made = root.post("/v1/webhooks", webhook).await.ok(201);
    let there = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    let urls = urls(traps.port());
    let step = (urls.len() / count()).max(1);
    let mut refused = 0;
    for (number, url) in urls.iter().enumerate().step_by(step) {
        for kind in ["webhook", "subscription"] {
            assert_eq!(
                offered(root, kind, number, url).await,
                None,
                "{kind}: {url} was taken"
            );
        }
        let moved = root
            .send(Method::PATCH, &there, Some(json!({ "url": url })))
            .await;
        moved.refused(422, "validation_error");
        refused += 3;
    }
    assert!(refused >= 3 * count(), "{refused}");
    let unchanged = root.get(&there).await.ok(200);
    assert_eq!(unchanged["url"], "https://hooks.example.com/");
    assert_eq!(traps.caught(), 0);
}

/// The same listeners see whom a server may reach.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_does_connect() {
    let traps = Traps::set();
    let server = Server::dev().start().await;
    let root = server.root();
    secret(root).await;
    let url = format!("http://0x7f.1:{}/x", traps.port());
    let id = offered(root, "webhook", 1, &url)
        .await
        .expect("loopback is allowed here");
    root.post(&format!("/v1/webhooks/{id}/test"), json!({}))
        .await;
    eventually("a delivery connects", SOON, async || {
        (traps.caught() > 0).then_some(())
    })
    .await;
    let url = format!("//127.0.0.1:{}", traps.port());
    let id = offered(root, "redis", 2, &url)
        .await
        .expect("loopback is allowed here");
    let path = format!("/v1/rotation/targets/{id}/check");
    let asked = root.clone();
    let checking = tokio::spawn(async move { asked.post(&path, json!({})).await });
    eventually("a check connects", SOON, async || {
        (traps.caught() > 0).then_some(())
    })
    .await;
    checking.abort();
}
