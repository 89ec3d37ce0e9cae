//! Rules and calendar of rotation policies, and attachments, from the outside.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::server::scaivault;

const POLICIES: &str = "/v1/rotation/policies";

/// Runs the command line with these arguments; answers with its JSON.
#[track_caller]
fn cli(server: &Server, arguments: &[&str]) -> Value {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command: Command = scaivault(home.path());
    let output = command
        .args(arguments)
        .arg("--json")
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", server.root_token())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_it_does_and_changes_part_by_part() {
    let server = Server::dev().start().await;
    let root = server.root();
    // Whoever knows none of it gets the defaults.
    let plain = json!({"name": "plain", "interval": "90d"});
    let plain = root.post(POLICIES, plain).await.ok(201);
    assert_eq!(
        plain["rules"],
        json!({
            "accept_gap": false, "approval": false, "consumers": {"live": "24h"}, "ignore": [],
            "quiet_period": "1m", "deadline": "grace_period", "on_deadline": "hold",
            "on_failure": "hold", "propagation_bound": "30m", "poll": "10s"
        })
    );
    assert_eq!(
        plain["calendar"],
        json!({"windows": [], "cron": null, "time_zone": "UTC"})
    );
    assert_eq!(plain["drift_check"], "1h");
    assert_eq!(plain["interval"], "90d");

    let one = format!("{POLICIES}/{}", plain["id"].as_str().expect("an id"));
    let changed = json!({
        "rules": {"consumers": {"count": 3}, "deadline": "6h", "on_deadline": "roll_back"},
        "calendar": {"windows": [{"days": ["sat", "sun"], "from": "22:00", "to": "04:00"}]},
        "drift_check": "off"
    });
    root.patch(&one, changed).await.ok(200);
    let changed =
        json!({"rules": {"quiet_period": "5m"}, "calendar": {"time_zone": "Europe/Berlin"}});
    let changed = root.patch(&one, changed).await.ok(200);
    assert_eq!(changed["rules"]["consumers"], json!({"count": 3}));
    assert_eq!(changed["rules"]["deadline"], "6h");
    assert_eq!(changed["rules"]["quiet_period"], "5m");
    assert_eq!(
        changed["calendar"]["windows"][0]["days"],
        json!(["sat", "sun"])
    );
    assert_eq!(changed["calendar"]["time_zone"], "Europe/Berlin");
    assert_eq!(changed["drift_check"], "off");
    // What is answered can be sent back.
    let echo =
        json!({"rules": changed["rules"], "calendar": {"windows": changed["calendar"]["windows"]}});
    let again = root.patch(&one, echo).await.ok(200);
    assert_eq!(again["rules"], changed["rules"]);

    let cron = json!({"name": "cron", "calendar": {"cron": "0 3 * * sun"}});
    let cron = root.post(POLICIES, cron).await.ok(201);
    assert_eq!(cron["interval"], "cron");
    let one = format!("{POLICIES}/{}", cron["id"].as_str().expect("an id"));
    let error = root.patch(&one, json!({"calendar": {"cron": ""}})).await;
    let error = error.refused(422, "validation_error");
    assert!(error["details"]["fields"]["interval"].is_string());
    let back = json!({"calendar": {"cron": ""}, "interval": "7d"});
    let back = root.patch(&one, back).await.ok(200);
    assert_eq!(back["interval"], "7d");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_field() {
    let server = Server::dev().start().await;
    let root = server.root();
    let cases = [
        (json!({"rules": {"poll": "2h"}}), "rules.poll"),
        (
            json!({"rules": {"quiet_period": "8d"}}),
            "rules.quiet_period",
        ),
        (json!({"rules": {"deadline": "30s"}}), "rules.deadline"),
        (
            json!({"rules": {"on_deadline": "wait"}}),
            "rules.on_deadline",
        ),
        (
            json!({"rules": {"on_failure": "force"}}),
            "rules.on_failure",
        ),
        (
            json!({"rules": {"consumers": {"listed": []}}}),
            "rules.consumers.listed",
        ),
        (
            json!({"rules": {"consumers": {"listed": ["nobody"]}}}),
            "rules.consumers.listed[0]",
        ),
        (
            json!({"rules": {"consumers": {"count": 0}}}),
            "rules.consumers.count",
        ),
        (
            json!({"calendar": {"time_zone": "Mars/Base"}}),
            "calendar.time_zone",
        ),
        (json!({"calendar": {"cron": "0 3 30 2 *"}}), "calendar.cron"),
        (
            json!({"calendar": {"windows": [{"days": ["day"], "from": "1:00", "to": "2:00"}]}}),
            "calendar.windows[0].days",
        ),
        (
            json!({"calendar": {"windows": [{"from": "24:00", "to": "02:00"}]}}),
            "calendar.windows[0].from",
        ),
        (json!({"drift_check": "10s"}), "drift_check"),
    ];
    for (part, field) in cases {
        let mut body = json!({"name": "p", "interval": "1d"});
        for (key, value) in part.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let error = root.post(POLICIES, body).await;
        let error = error.refused(422, "validation_error");
        let fields = &error["details"]["fields"];
        assert!(fields[field].is_string(), "{field}: {fields}");
    }
    let neither = root.post(POLICIES, json!({"name": "p"})).await;
    let neither = neither.refused(422, "validation_error");
    assert!(neither["details"]["fields"]["interval"].is_string());
    let unknown = json!({"name": "p", "interval": "1d", "rules": {"quiet": "1m"}});
    root.post(POLICIES, unknown)
        .await
        .refused(400, "invalid_request");
    let nothing = root.get(POLICIES).await.ok(200);
    assert_eq!(nothing["data"], json!([]));

    let policy = root
        .post(POLICIES, json!({"name": "p", "interval": "1d"}))
        .await;
    let policy = policy.ok(201)["id"].as_str().expect("an id").to_owned();
    root.put("/v1/secrets/a/b", json!({"data": {"password": "x"}}))
        .await
        .ok(201);
    let secrets = format!("{POLICIES}/{policy}/secrets");
    let cases = [
        (json!({"target": "nowhere"}), "target"),
        (json!({"strategy": "none"}), "target"),
        (json!({"create": true}), "target"),
        (
            json!({"target": "nowhere", "strategy": "three_users"}),
            "strategy",
        ),
        (json!({"group": {"name": ""}}), "group.name"),
    ];
    for (part, field) in cases {
        let mut body = json!({"secret_path": "a/b"});
        for (key, value) in part.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let error = root.post(&secrets, body).await;
        let error = error.refused(422, "validation_error");
        let fields = &error["details"]["fields"];
        assert!(fields[field].is_string(), "{field}: {fields}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_all_of_it() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/a/b", json!({"data": {"password": "x"}}))
        .await
        .ok(201);
    let create = [
        "rotation",
        "policy",
        "create",
        "--name",
        "weekends",
        "--cron",
        "0 3 * * sun",
        "--window",
        "sat,sun 22:00-04:00",
        "--time-zone",
        "Europe/Berlin",
        "--approval",
        "--consumers",
        "listed=sa:a,sa:b",
        "--quiet-period",
        "2m",
        "--on-deadline",
        "force",
    ];
    let made = cli(&server, &create);
    assert_eq!(
        made["rules"]["consumers"],
        json!({"listed": ["sa:a", "sa:b"]})
    );
    assert_eq!(made["rules"]["approval"], true);
    assert_eq!(made["calendar"]["windows"][0]["from"], "22:00");
    let id = made["id"].as_str().expect("an id");
    let update = [
        "rotation",
        "policy",
        "update",
        id,
        "--no-windows",
        "--approval=false",
    ];
    let changed = cli(&server, &update);
    assert_eq!(changed["calendar"]["windows"], json!([]));
    assert_eq!(changed["calendar"]["cron"], "0 3 * * sun");
    assert_eq!(changed["rules"]["approval"], false);
    let assign = [
        "rotation", "assign", "a/b", "--policy", id, "--group", "g", "--order", "2",
    ];
    let assigned = cli(&server, &assign);
    assert_eq!(assigned["group"], json!({"name": "g", "order": 2}));
    assert_eq!(assigned["target"], Value::Null);
    cli(&server, &["rotation", "unassign", "a/b", "--policy", id]);
    let one = root.get(&format!("{POLICIES}/{id}")).await.ok(200);
    assert_eq!(one["secrets_count"], 0);
    server.stop().await;
}
