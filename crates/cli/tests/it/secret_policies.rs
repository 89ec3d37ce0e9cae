//! Generation policies over the real server: written, sampled, used by rotations and by writes, on
//! the command line; refusals that name the field; nothing made is told to anyone but readers.

use std::process::Command;

use serde_json::{Value, json};

use crate::cli::{NOT_FOUND, OK, Terminal, VALIDATION};
use crate::first_integration::{grant, service};
use crate::harness::{Api, Receiver, SOON, Server, eventually, text};

async fn create(root: &Api, body: Value) -> Value {
    root.post("/v1/secret-policies", body).await.ok(201)
}

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn recipes_from_the_first_to_the_last_request() {
    let server = Server::dev().start().await;
    let root = server.root();
    let fields = json!([{
        "name": "password", "generator": "random",
        "config": { "length": 24, "charset": "safe", "require_digit": true },
    }]);
    let made = create(
        root,
        json!({ "name": "strong", "policy_type": "password", "fields": fields }),
    )
    .await;
    assert!(id(&made).starts_with("sp_"), "{made}");
    assert_eq!(made["fields"][0]["config"]["charset"], "safe");
    assert_eq!(made["fields"][0]["config"]["require_upper"], false);
    assert_eq!(made["keys"], json!(["password"]));
    let bits = made["entropy_bits"]["password"].as_f64().expect("bits");
    assert!(
        (141.0..141.8).contains(&bits),
        "24 of 60 characters, one a digit: {bits}"
    );
    assert_eq!(made["is_active"], true);
    // What is answered can be sent back.
    let again = json!({ "name": "again", "fields": made["fields"] });
    let again = create(root, again).await;
    assert_eq!(again["policy_type"], "custom");
    assert_eq!(again["fields"], made["fields"]);

    let page = root.get("/v1/secret-policies?limit=1").await.ok(200);
    assert_eq!(page["secret_policies"][0]["id"], made["id"]);
    assert_eq!(page["has_more"], true);
    let next = format!(
        "/v1/secret-policies?limit=1&cursor={}",
        text(&page, "cursor")
    );
    let page = root.get(&next).await.ok(200);
    assert_eq!(page["secret_policies"][0]["id"], again["id"]);
    assert_eq!(
        (&page["has_more"], &page["cursor"]),
        (&json!(false), &Value::Null)
    );

    let one = format!("/v1/secret-policies/{}", id(&made));
    assert_eq!(root.get(&one).await.ok(200), made);
    assert_eq!(root.get("/v1/secret-policies/strong").await.ok(200), made);
    let changed = root
        .patch(
            &one,
            json!({ "description": "for databases", "is_active": false }),
        )
        .await
        .ok(200);
    assert_eq!(changed["description"], "for databases");
    assert_eq!(changed["fields"], made["fields"]);
    let active = root
        .get("/v1/secret-policies?active_only=true")
        .await
        .ok(200);
    assert_eq!(active["secret_policies"].as_array().map(Vec::len), Some(1));
    let cleared = root
        .patch(&one, json!({ "description": null }))
        .await
        .ok(200);
    assert_eq!(cleared["description"], Value::Null);
    let body = json!({ "name": "strong", "fields": [{ "name": "t", "generator": "hex" }] });
    let replaced = root.put(&one, body).await.ok(200);
    assert_eq!(replaced["fields"][0]["config"]["length"], 32);
    assert_eq!(
        (&replaced["is_active"], &replaced["policy_type"]),
        (&json!(true), &json!("custom"))
    );

    let body = json!({ "name": "strong", "fields": fields });
    let taken = root.post("/v1/secret-policies", body).await;
    taken.refused(409, "name_exists");
    root.delete(&one).await.ok(204);
    root.get(&one).await.refused(404, "secret_policy_not_found");
    root.delete(&one)
        .await
        .refused(404, "secret_policy_not_found");
    for action in ["create", "update", "delete"] {
        let rows = format!("/v1/audit/logs?action=secret_policy_{action}&success=true");
        let rows = root.get(&rows).await.ok(200);
        let ids = rows["logs"].as_array().expect("rows").iter();
        let mut ids = ids.map(|row| &row["extra_data"]["secret_policy_id"]);
        assert!(ids.any(|id| *id == made["id"]), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_field() {
    let server = Server::dev().start().await;
    let root = server.root();
    let one = |config: Value| json!([{ "name": "a", "generator": "random", "config": config }]);
    let cases = [
        (json!([]), "fields"),
        (
            json!([{ "name": "a b", "generator": "uuid" }]),
            "fields[0].name",
        ),
        (
            json!([{ "name": "a", "generator": "rot13" }]),
            "fields[0].generator",
        ),
        (one(json!({ "length": 0 })), "fields[0].config.length"),
        (
            one(json!({ "charset": "alpha", "require_digit": true })),
            "fields[0].config.require_digit",
        ),
        (one(json!({ "lenght": 8 })), "fields[0].config.lenght"),
        (
            json!([{ "name": "t", "generator": "template", "config": { "template": "{{env}}" } }]),
            "fields[0].config.template",
        ),
        (
            json!([{ "name": "k", "generator": "rsa_keypair", "config": { "bits": 1024 } }]),
            "fields[0].config.bits",
        ),
        (
            json!([
                { "name": "private_key", "generator": "ec_keypair" },
                { "name": "public_key", "generator": "uuid" },
            ]),
            "fields[1].name",
        ),
    ];
    for (fields, at) in cases {
        for path in ["/v1/secret-policies", "/v1/secret-policies/preview"] {
            let body = json!({ "name": "x", "fields": fields });
            let error = root.post(path, body).await.refused(422, "validation_error");
            assert!(error["details"]["fields"][at].is_string(), "{at}: {error}");
        }
    }
    let body = json!({ "name": "x", "policy_type": "odd", "fields": one(json!({})) });
    let error = root
        .post("/v1/secret-policies", body)
        .await
        .refused(422, "validation_error");
    assert!(
        error["details"]["fields"]["policy_type"].is_string(),
        "{error}"
    );

    let path = "/v1/secrets/app/made";
    let none = root
        .put(path, json!({}))
        .await
        .refused(422, "validation_error");
    assert!(none["details"]["fields"]["data"].is_string(), "{none}");
    let body = json!({ "data": { "a": "b" }, "options": { "generate_from": "x" } });
    let both = root.put(path, body).await.refused(422, "validation_error");
    assert!(
        both["details"]["fields"]["options.generate_from"].is_string(),
        "{both}"
    );
    let body = json!({ "options": { "generate_from": "nobody" } });
    root.put(path, body)
        .await
        .refused(404, "secret_policy_not_found");
    for id in ["sp_1", "rot_1", "nobody"] {
        let body = json!({ "name": "r", "interval": "90d", "secret_policy_id": id });
        let made = root.post("/v1/rotation/policies", body).await;
        made.refused(404, "secret_policy_not_found");
    }
    root.get(path).await.refused(404, "secret_not_found");
}

/// Every generator once; what is sampled is stored nowhere and told nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn samples_of_every_generator() {
    let server = Server::dev().start().await;
    let root = server.root();
    let fields = json!([
        { "name": "password", "generator": "random", "config": { "charset": "ascii", "length": 40 } },
        { "name": "token", "generator": "hex", "config": { "length": 63 } },
        { "name": "client_id", "generator": "uuid", "config": { "version": 7 } },
        { "name": "key", "generator": "template",
          "config": { "template": "sk_{{random:30}}_{{hex:6}}_{{timestamp}}_{{uuid}}" } },
        { "name": "rsa", "generator": "rsa_keypair", "config": { "bits": 2048 } },
        { "name": "ec_private_key", "generator": "ec_keypair", "config": { "curve": "P-384" } },
        { "name": "private_key", "generator": "ssh_keypair", "config": { "comment": "ci@build" } },
        { "name": "login", "generator": "bcrypt_hash", "config": { "rounds": 5 } },
        { "name": "host", "generator": "static", "config": { "value": "db.internal" } },
    ]);
    let reply = root
        .post("/v1/secret-policies/preview", json!({ "fields": fields }))
        .await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let preview = reply.ok(200);
    assert_eq!(preview["secret_policy_id"], Value::Null);
    assert!(text(&preview, "notice").contains("sample"));
    let data = &preview["data"];
    let mut keys: Vec<_> = data.as_object().expect("an object").keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "client_id",
            "ec_private_key",
            "ec_public_key",
            "host",
            "key",
            "login",
            "login_hash",
            "password",
            "private_key",
            "public_key",
            "rsa_private",
            "rsa_public",
            "token",
        ]
    );
    assert_eq!(text(data, "token").len(), 63);
    assert!(text(data, "rsa_private").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(text(data, "ec_public_key").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(text(data, "private_key").starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    assert!(text(data, "public_key").starts_with("ssh-ed25519 "));
    assert!(text(data, "login_hash").starts_with("$2b$05$"));
    assert_eq!(text(data, "host"), "db.internal");
    let bits = &preview["entropy_bits"];
    assert_eq!(
        (&bits["token"], &bits["host"]),
        (&json!(252.0), &json!(0.0))
    );
    assert_eq!(
        (&bits["rsa"], &bits["client_id"]),
        (&json!(112.0), &json!(74.0))
    );

    let logs = root
        .get("/v1/audit/logs?limit=1000")
        .await
        .ok(200)
        .to_string();
    assert!(logs.contains("secret_policy_preview"), "{logs}");
    let all = root.get("/v1/secrets?recursive=true").await.ok(200);
    assert_eq!(all["secrets"], json!([]));
    let out = server.process().stdout().join("\n");
    let (stderr, _home) = server.stop().await;
    for key in ["password", "token", "login", "login_hash", "client_id"] {
        let told = [&logs, &out, &stderr]
            .iter()
            .any(|said| said.contains(text(data, key)));
        assert!(!told, "{key} was told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_and_the_rotations_after_it_by_a_recipe() {
    let server = Server::dev().start().await;
    let root = server.root();
    let recipe = create(
        root,
        json!({ "name": "deploy-key", "policy_type": "ssh_key", "fields": [
            { "name": "private_key", "generator": "ssh_keypair", "config": { "comment": "deploy" } },
        ]}),
    )
    .await;
    let writer = service(root, "sa:writer", &["secrets:write", "secrets:read"]).await;
    grant(root, "sa:writer", "app/**", &["read", "write"]).await;
    let path = "/v1/secrets/app/deploy";
    let body = json!({
        "secret_type": "ssh_key", "metadata": { "tags": ["ci"] },
        "options": { "generate_from": "deploy-key", "cas": 0 },
    });
    let reply = writer.put(path, body).await;
    assert!(!reply.text.contains("OPENSSH"), "no value is answered");
    let written = reply.ok(201);
    assert_eq!(written["secret_policy_id"], recipe["id"]);
    assert_eq!(
        (&written["version"], &written["secret_type"]),
        (&json!(1), &json!("ssh_key"))
    );
    let first = writer.get(path).await.ok(200)["data"].clone();
    accepted_by_ssh_keygen(&first);
    writer
        .post("/v1/secret-policies", json!({ "name": "x", "fields": [] }))
        .await
        .refused(403, "insufficient_scope");
    let elsewhere = json!({ "options": { "generate_from": id(&recipe) } });
    writer
        .put("/v1/secrets/other/deploy", elsewhere)
        .await
        .refused(403, "access_denied");

    // A further key of one's own stays where the recipe's are replaced.
    let mut mine = first.clone();
    mine["user"] = json!("git");
    writer.put(path, json!({ "data": mine })).await.ok(200);
    let receiver = Receiver::start().await;
    let delivery =
        json!({ "type": "webhook", "url": receiver.url(), "secret": "0123456789abcdef" });
    let subscription = json!({
        "name": "s", "paths": ["app/**"], "events": ["secret.rotated"], "delivery": delivery,
    });
    root.post("/v1/subscriptions", subscription).await.ok(201);
    let policy = json!({
        "name": "monthly", "interval": "30d", "grace_period": "48h", "auto_generate": true,
        "secret_policy_id": recipe["id"],
    });
    let policy = root.post("/v1/rotation/policies", policy).await.ok(201);
    assert_eq!(policy["secret_policy_id"], recipe["id"]);
    let attach = format!("/v1/rotation/policies/{}/secrets", id(&policy));
    root.post(&attach, json!({ "secret_path": "app/deploy" }))
        .await
        .ok(201);
    root.post_empty(&format!("{path}/rotate")).await.ok(202);
    let told = receiver
        .event("secret.rotated", &json!({ "auto_generated": true }))
        .await;
    assert_eq!(told.event["data"]["new_version"], 3);
    let second = writer.get(path).await.ok(200)["data"].clone();
    assert_eq!(second["user"], "git");
    assert_ne!(second["public_key"], first["public_key"]);
    accepted_by_ssh_keygen(&second);
    assert!(!told.text().contains(text(&second, "private_key")));

    // In use by both; forced away the rotation stops and says why.
    let one = format!("/v1/secret-policies/{}", id(&recipe));
    root.delete(&one).await.refused(409, "policy_in_use");
    root.delete(&format!("{one}?force=true")).await.ok(204);
    root.post_empty(&format!("{path}/rotate")).await.ok(202);
    let stopped = eventually("the rotation stops", SOON, async || {
        let list = root
            .get("/v1/rotations?path=app/deploy&phase=parked")
            .await
            .ok(200);
        list["data"].get(0).cloned()
    })
    .await;
    assert_eq!(stopped["reason"], "recipe_unusable");
    assert!(
        text(&stopped, "advice").contains("secret_policy_id"),
        "{stopped}"
    );
    assert_eq!(writer.get(path).await.ok(200)["data"], second);

    // Without a recipe on either side nothing of a customary name is there to be made.
    let patched = root
        .patch(
            &format!("{path}/metadata"),
            json!({ "secret_policy_id": null }),
        )
        .await
        .ok(200);
    assert_eq!(patched["secret_policy_id"], Value::Null);
    let patch = format!("/v1/rotation/policies/{}", id(&policy));
    let patched = root
        .patch(&patch, json!({ "secret_policy_id": null }))
        .await
        .ok(200);
    assert_eq!(patched["secret_policy_id"], Value::Null);
}

fn accepted_by_ssh_keygen(data: &Value) {
    let desk = tempfile::tempdir().expect("a directory");
    let file = desk.path().join("id");
    std::fs::write(&file, text(data, "private_key")).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).expect("our own file");
    let output = match Command::new("ssh-keygen")
        .arg("-y")
        .arg("-f")
        .arg(&file)
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: ssh-keygen is not installed here");
            return;
        }
        Err(error) => panic!("ssh-keygen: {error}"),
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let derived = String::from_utf8(output.stdout).expect("text");
    assert_eq!(derived.trim_end(), text(data, "public_key").trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn recipes_on_the_command_line() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let made = me.run(
        "secret-policy create login --type password --description databases \
         --field username=static,value=app --field password=random,length=24,charset=safe",
        OK,
    );
    assert!(made.contains("sp_") && made.contains("length=24"), "{made}");
    assert!(made.contains("keys         username, password\n"), "{made}");
    let sample = me.run("secret-policy preview login", OK);
    assert!(
        sample.contains("do not use it") && sample.contains("username: app\n"),
        "{sample}"
    );
    me.run("secret-policy preview --field k=hex,length=8", OK);
    let written = me.run("secrets write app/db --generate-from login --cas 0", OK);
    assert!(written.contains("wrote app/db version 1"), "{written}");
    let read = me.json("secrets read app/db");
    assert_eq!(read["data"]["username"], "app");
    assert_eq!(text(&read["data"], "password").len(), 24);

    let recipe = json!({ "name": "from-file", "fields": [{ "name": "id", "generator": "uuid" }] });
    let text = recipe.to_string();
    let made = me.run_with("secret-policy create --file -", &text, OK);
    assert!(made.contains("from-file"), "{made}");
    me.run(
        "secret-policy update from-file --active false --name other",
        OK,
    );
    let list = me.run("secret-policy list", OK);
    assert!(
        list.contains("login") && list.contains("other") && list.contains("no"),
        "{list}"
    );
    let shown = me.run("secret-policy show other", OK);
    assert!(shown.contains("uuid version=4, 122 bits"), "{shown}");
    let id = me.json("secret-policy show login")["id"].clone();
    let policy = format!(
        "rotation policy create --name p --interval 30d --auto-generate --secret-policy {}",
        id.as_str().expect("an id")
    );
    assert!(me.run(&policy, OK).contains("recipe"), "it is shown");
    me.run("rotation policy update p --secret-policy=", OK);

    me.run(
        "secret-policy create bad --field a=hex,length=0",
        VALIDATION,
    );
    me.run("secret-policy update other", VALIDATION);
    me.run("secret-policy delete other", OK);
    me.run("secret-policy show other", NOT_FOUND);
    me.run("secret-policy delete login --force", OK);
}
