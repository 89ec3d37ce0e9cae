//! A store restored from a backup makes and removes nothing until it is resumed, and then finds what
//! was made after the backup.

use serde_json::json;

use super::{CREDS, ENGINE, LEASES, Pg, Target, engine, generate, text};
use crate::harness::{SOON, Server, eventually};
use crate::store::{Places, printed, run, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_touches_nothing_and_finds_what_it_forgot() {
    let (places, pg) = (Places::new(), Pg::start());
    let mut server = Server::dev().data(&places.data).start().await;
    let token = server.root_token().to_owned();
    engine(server.root(), &pg).await;
    let known = generate(server.root(), json!({ "ttl": "1h" }))
        .await
        .ok(201);
    let ending = generate(server.root(), json!({ "ttl": "2s" }))
        .await
        .ok(201);
    let (from, key) = (places.data_file(".db"), places.data_file(".key"));
    let (copy, back) = (places.of("copy.db"), places.of("back.db"));
    let backup = ["store", "backup", "--from", &from, "--to", &copy, "--json"];
    printed(&run(places.home(), &backup), 0);
    let forgotten = generate(server.root(), json!({ "ttl": "1h" }))
        .await
        .ok(201);
    eventually("one ended after the backup", SOON, async || {
        (!pg.exists(text(&ending, "username"))).then_some(())
    })
    .await;
    server.kill();
    let restore = ["store", "restore", "--from", &copy, "--to", &back, "--json"];
    printed(&run(places.home(), &restore), 0);

    let (process, api) = serve(&places, &format!("sqlite://{back}"), &key, &token).await;
    api.post_empty(CREDS).await.refused(409, "store_restored");
    let sweep = format!("{ENGINE}/sweep");
    api.post_empty(&sweep).await.refused(409, "store_restored");
    let id = text(&known, "lease_id");
    api.post_empty(&format!("{LEASES}/{id}/revoke"))
        .await
        .ok(202);
    // That it is to end is known, and nothing is done about it.
    let works = |made: &serde_json::Value| pg.works(text(made, "username"), text(made, "password"));
    assert!(works(&known) && works(&forgotten));

    api.post(
        "/v1/rotation/reconcile/resume",
        json!({ "without_look": true }),
    )
    .await
    .ok(200);
    eventually("what was asked for is done now", SOON, async || {
        (!pg.exists(text(&known, "username"))).then_some(())
    })
    .await;
    let swept = api.post_empty(&sweep).await.ok(200);
    let found = swept["found"].as_array().expect("leases");
    assert_eq!(found.len(), 1, "{swept}");
    assert_eq!(found[0]["account"], forgotten["username"]);
    assert_eq!(found[0]["cause"], "found");
    assert!(works(&forgotten), "whoever has it keeps it for its time");
    assert!(text(&found[0], "expires_at") > text(&forgotten, "expires_at"));
    drop(process);
}
