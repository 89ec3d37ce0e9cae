//! Signed keys at a real server.

use scaivault_peers::sshd::{Sshd, keygen};
use serde_json::{Value, json};

use super::text;
use crate::harness::{Api, SOON, Server, eventually};

const ENGINE: &str = "/v1/dynamic/engines/bastion";

async fn signed(root: &Api, ttl: &str) -> Value {
    let body = json!({ "ttl": ttl, "params": { "generate": true } });
    let made = root
        .post(&format!("{ENGINE}/creds/ops"), body)
        .await
        .ok(201);
    assert_eq!(made["renewable"], false);
    made
}

fn let_in(sshd: &Sshd, made: &Value) -> bool {
    let data = &made["data"];
    let pair = (text(data, "private_key"), text(data, "signed_key"));
    sshd.run(pair, None, "echo in")
        .is_ok_and(|said| said == "in\n")
}

async fn file(root: &Api, path: &str) -> Vec<u8> {
    let url = format!("{}{path}", root.url());
    let token = root.token().expect("a token");
    let asked = reqwest::Client::new()
        .get(url)
        .bearer_auth(token)
        .send()
        .await;
    let answer = asked.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.expect("a body").to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_key_is_good_until_it_ends_or_is_revoked() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (private, public) = keygen(&["-t", "ed25519"]);
    let secret = json!({ "data": { "private_key": private } });
    root.put("/v1/secrets/ssh/ca", secret).await.ok(201);
    let body = json!({
        "name": "bastion", "type": "ssh",
        "config": { "plugin": "ssh", "root_credentials_path": "ssh/ca" },
        "default_ttl": "5m", "max_ttl": "1h",
    });
    root.post("/v1/dynamic/engines", body).await.ok(201);
    let role = json!({ "name": "ops", "settings": {
        "default_user": "deploy", "default_extensions": { "permit-pty": "" } } });
    root.post(&format!("{ENGINE}/roles"), role).await.ok(201);

    let key = file(root, &format!("{ENGINE}/public-key")).await;
    let key = String::from_utf8(key).expect("a line");
    let bare = |line: &str| {
        line.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(bare(&key), bare(&public));
    let sshd = Sshd::start(&key, "deploy");
    let (one, other) = (signed(root, "5m").await, signed(root, "5m").await);
    assert!(let_in(&sshd, &one), "{}", sshd.log());
    assert!(let_in(&sshd, &other));

    let lease = format!("/v1/dynamic/leases/{}", text(&one, "lease_id"));
    let renewed = root.post_empty(&format!("{lease}/renew")).await;
    assert!(renewed.status >= 400, "its end is signed: {}", renewed.text);
    root.post_empty(&format!("{lease}/revoke")).await.ok(202);
    sshd.revoke(&file(root, &format!("{ENGINE}/revocation-list")).await);
    assert!(!let_in(&sshd, &one), "it is on the list");
    assert!(let_in(&sshd, &other), "this one is not");
    // It stays on the list for as long as it would be accepted.
    assert_eq!(root.get(&lease).await.ok(200)["status"], "revoking");

    let short = signed(root, "3s").await;
    eventually("it ends by itself", SOON, async || {
        (!let_in(&sshd, &short)).then_some(())
    })
    .await;
    root.post_empty(&format!("{ENGINE}/rotate-root"))
        .await
        .refused(400, "invalid_config");
}
