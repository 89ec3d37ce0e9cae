//! Rows that were kept for long enough go when they are exported, and what is left proves itself to
//! everybody who looks.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::server::scaivault;
use crate::harness::{Api, SOON, Server, eventually};

fn run(home: &Path, args: &[&str]) -> Output {
    let mut command = scaivault(home);
    command.args(["--json", "audit"]).args(args);
    command.output().expect("the command runs")
}

#[track_caller]
fn printed(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "v" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_rows_go_and_the_rest_verifies() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let of = |name: &str| home.join(name).display().to_string();
    let (store, key, out) = (of("data/scaivault.db"), of("data/root.key"), of("out"));
    let server = Server::dev()
        .data(&home.join("data"))
        .env("SCAIVAULT_AUDIT_RETENTION", "1s")
        .env("SCAIVAULT_AUDIT_EXPORTED_TO", &out)
        .start()
        .await;
    let root = server.root();
    write(root, 0, 20).await;
    let export = |out: &str| {
        let store = ["--database", &store, "--key-file", &key, "--out", out];
        run(home, &[&["export"], &store[..]].concat())
    };
    // Without an export, nothing goes, and it is said why.
    eventually("it looks for the export", SOON, async || {
        let said = server.process().stderr();
        said.contains("no rows of the audit trail are removed")
            .then_some(())
    })
    .await;
    let whole = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(whole.get("removed"), None, "{whole}");
    let exported = printed(&export(&out))["rows"].as_u64().expect("a number");
    let left = eventually("rows go", SOON, async || {
        let left = root.get("/v1/audit/verify").await.ok(200);
        assert_eq!(left["valid"], true, "{left}");
        let removed = left.get("removed")?[0].clone();
        (removed["rows"].as_u64() >= Some(20)).then_some(removed)
    })
    .await;
    let gone = left["rows"].as_u64().expect("a number");
    assert!(gone > 0 && gone <= exported, "{gone} of {exported}");
    let told = root.get("/v1/audit/logs?action=audit_prune").await.ok(200);
    let told = told["logs"]
        .as_array()
        .expect("rows")
        .last()
        .expect("a row")
        .clone();
    assert_eq!(told["identity_id"], "system:retention");
    assert!(
        told["extra_data"]["first_row_id"]
            .as_str()
            .expect("an id")
            .ends_with("_000000000001")
    );
    let (_, _home) = server.stop().await;

    // Without the server: ours, and the independent one.
    let verify = run(home, &["verify", "--database", &store, "--key-file", &key]);
    let verify = printed(&verify);
    let removed = verify["removed"][0]["rows"].as_u64().expect("a number");
    assert!(removed >= gone);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/verify-audit/verify.py"
    );
    let other = std::process::Command::new("python3")
        .args([script, &store])
        .output();
    let other = String::from_utf8(other.expect("Python runs").stdout).expect("text");
    let head = verify["head"].as_str().expect("a hash");
    assert!(
        other.contains(&format!("valid: {} rows, head {head}", verify["rows"])),
        "{other}"
    );
    assert!(
        other.contains(&format!("{removed} rows up to log_")),
        "{other}"
    );

    // The export goes on where it was; a new one begins behind what is gone.
    printed(&export(&out));
    let all = printed(&run(home, &["verify-export", &out]));
    assert_eq!(
        all["rows"].as_u64(),
        verify["rows"].as_u64().map(|rows| rows + removed)
    );
    let fresh = of("fresh");
    assert_eq!(printed(&export(&fresh))["rows"], verify["rows"]);
    let part = printed(&run(home, &["verify-export", &fresh]));
    assert_eq!(part["removed"][0]["last_seq"], removed);
    assert_eq!(part["chains"], all["chains"]);
    // On the way to a collector what is gone is said, and passed over with the key, or when accepted.
    let socket = of("log");
    let collector = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    std::thread::spawn(move || while collector.recv(&mut [0; 1 << 16]).is_ok() {});
    let (mark, to) = (of("mark"), format!("unix://{socket}"));
    let args = [
        "forward",
        "--once",
        "--database",
        &store,
        "--to",
        &to,
        "--mark",
        &mark,
    ];
    let refused = run(home, &args);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--accept-gap"));
    let accepted = of("accepted");
    let unproved = [
        &args[..args.len() - 1],
        &[accepted.as_str(), "--accept-gap"][..],
    ]
    .concat();
    assert_eq!(printed(&run(home, &unproved))["rows"], verify["rows"]);
    let sent = run(
        home,
        &[&args[..], &["--key-file", key.as_str()][..]].concat(),
    );
    assert!(String::from_utf8_lossy(&sent.stderr).contains("removed by retention"));
    assert_eq!(printed(&sent)["rows"], verify["rows"]);
}
