//! The database lacks something: room, connections. What is refused is not there, what was
//! acknowledged is, and the nodes go on by themselves.

use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::postgresql_pair::PostgresqlPair;
use serde_json::json;

use crate::cluster::{Cluster, prepare, settings, url};
use crate::harness::{Api, Reply, SOON, eventually};

/// Writes until one is refused; how many were not.
async fn write_until_refused(root: &Api, from: usize) -> (usize, Reply) {
    let padding = "x".repeat(60_000);
    for number in from.. {
        let body = json!({ "data": { "number": number, "padding": padding } });
        let reply = root.put(&format!("/v1/secrets/n/n{number}"), body).await;
        if reply.status != 201 {
            return (number, reply);
        }
        assert!(number < 5_000, "no end of room");
    }
    unreachable!()
}

async fn all_there(root: &Api, count: usize) {
    for number in 0..count {
        let read = root.get(&format!("/v1/secrets/n/n{number}")).await.ok(200);
        assert_eq!(read["data"]["number"], number);
    }
    let verified = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(verified["valid"], true, "{verified}");
}

async fn ready_again(root: &Api) {
    let root = root.anonymous();
    eventually("it is ready again", SOON * 3, async || {
        (root.get("/v1/health/ready").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_databases_disk_is_full_writes_are_refused() {
    let _alone = crate::alone().await;
    let settings = [
        settings(),
        vec!["max_wal_size=16MB".into(), "min_wal_size=2MB".into()],
    ];
    let mut server = Postgresql::start_on_small_disk(150, &settings.concat());
    if server.disk().is_none() {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    }
    prepare(&server);
    let cluster = Cluster::start(2, server.port(), &[]).await;
    let (a, b) = (cluster.root(0), cluster.root(1));
    // It grows into the room there is until there is none.
    for number in 0..20 {
        let body = json!({ "data": { "number": number } });
        let to = format!("/v1/secrets/n/n{number}");
        a.put(&to, body).await.ok(201);
    }
    server.disk().expect("a disk").fill();
    let (kept, refused) = write_until_refused(&a, 20).await;
    refused.refused(503, "service_unavailable");
    server.disk().expect("a disk").free();
    for root in [&a, &b] {
        eventually("it is ready again", SOON * 3, async || {
            // A database that found no room for its log ends, at once or when it recovers.
            if server.is_gone() {
                tokio::task::block_in_place(|| server.start_again());
            }
            let ready = root.anonymous().get("/v1/health/ready").await;
            (ready.status == 200).then_some(())
        })
        .await;
    }
    all_there(&b, kept).await;
    let lost = b.get(&format!("/v1/secrets/n/n{kept}")).await;
    assert!(matches!(lost.status, 200 | 404), "{}", lost.text);
    println!("{kept} writes were acknowledged before the disk was full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_database_takes_no_connections_nothing_is_answered_that_is_not_so() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(2, server.port(), &[]).await;
    let (a, b) = (cluster.root(0), cluster.root(1));
    let put = |value: &str| json!({ "data": { "number": 0, "k": value } });
    a.put("/v1/secrets/n/n0", put("one")).await.ok(201);
    server.sql("ALTER ROLE scaivault CONNECTION LIMIT 0");
    let theirs = "FROM pg_stat_activity WHERE usename = 'scaivault'";
    eventually("their sessions have ended", SOON, async || {
        server.sql(&format!("SELECT pg_terminate_backend(pid) {theirs}"));
        (server.sql(&format!("SELECT count(*) {theirs}")) == "0").then_some(())
    })
    .await;
    for root in [&a, &b] {
        root.get("/v1/secrets/n/n0")
            .await
            .refused(503, "service_unavailable");
        root.put("/v1/secrets/n/n0", put("lost"))
            .await
            .refused(503, "service_unavailable");
    }
    server.sql("ALTER ROLE scaivault CONNECTION LIMIT -1");
    ready_again(&a).await;
    ready_again(&b).await;
    let read = b.get("/v1/secrets/n/n0").await.ok(200);
    assert_eq!(read["data"]["k"], "one");
    all_there(&a, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_with_two_hosts_follows_the_one_that_takes_writes() {
    let _alone = crate::alone().await;
    let mut pair = PostgresqlPair::start(&settings(), None);
    prepare(pair.primary());
    let ports = [
        pair.primary().port(),
        pair.standby().expect("a standby").port(),
    ];
    let urls = [url(&ports), url(&[ports[1], ports[0]])];
    let cluster = Cluster::start_at(&urls, &[], Vec::new()).await;
    let body = |number: usize| json!({ "data": { "number": number } });
    for number in 0..20 {
        let root = cluster.root(number % 2);
        let to = format!("/v1/secrets/n/n{number}");
        root.put(&to, body(number)).await.ok(201);
    }
    tokio::task::block_in_place(|| pair.fail_over());
    for node in 0..2 {
        ready_again(&cluster.root(node)).await;
        all_there(&cluster.root(node), 20).await;
        let to = format!("/v1/secrets/after/n{node}");
        cluster.root(node).put(&to, body(node)).await.ok(201);
    }
}
