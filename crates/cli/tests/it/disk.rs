//! A disk that fails or is full: writes and reads of values are refused, the reason is told, and
//! when there is room again the same process serves again.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::{Api, SOON, Server, eventually};

/// Lets no file of the process grow past `bytes` (`unlimited`: as before).
fn limit_file_size(server: &Server, bytes: &str) {
    let status = Command::new("prlimit")
        .args([
            "--pid",
            &server.process().pid().to_string(),
            &format!("--fsize={bytes}:"),
        ])
        .status()
        .expect("prlimit (util-linux) is installed");
    assert!(status.success(), "prlimit: {status}");
}

async fn ready_again(root: &Api) {
    eventually("it is ready again", SOON, async || {
        let ready = root.get("/v1/health/ready").await;
        (ready.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_write_to_disk_fails_no_value_goes_in_or_out() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::dev().data(data.path()).start().await;
    let root = server.root().clone();
    let secret = "/v1/secrets/app/db";
    root.put(secret, json!({ "data": { "password": "one" } }))
        .await
        .ok(201);
    root.get(secret).await.ok(200);

    limit_file_size(&server, "1");
    let write = root
        .put(secret, json!({ "data": { "password": "lost" } }))
        .await;
    write.refused(503, "service_unavailable");
    let read = root.get(secret).await;
    assert!(!read.text.contains("one"), "a value left without its row");
    read.refused(503, "service_unavailable");
    root.put("/v1/secrets/app/new", json!({ "data": { "k": "lost" } }))
        .await
        .refused(503, "service_unavailable");
    let token = json!({
        "identity_type": "service_account", "identity_id": "sa:x", "scopes": ["secrets:read"],
    });
    root.post("/v1/auth/tokens", token)
        .await
        .refused(503, "service_unavailable");
    let ready = eventually("it says that it is not ready", SOON, async || {
        let ready = root.anonymous().get("/v1/health/ready").await;
        (ready.status == 503).then_some(ready.body)
    })
    .await;
    assert_eq!(ready["status"], "not_ready");
    assert_eq!(ready["checks"]["database"], "error");
    assert!(
        ready["errors"]["database"]
            .as_str()
            .is_some_and(|why| !why.is_empty()),
        "{ready}"
    );
    assert_eq!(
        root.anonymous().get("/v1/health").await.ok(200)["status"],
        "healthy"
    );

    limit_file_size(&server, "unlimited");
    ready_again(&root).await;
    assert_eq!(root.get(secret).await.ok(200)["data"]["password"], "one");
    let written = root
        .put(secret, json!({ "data": { "password": "two" } }))
        .await
        .ok(200);
    assert_eq!(written["version"], 2, "the refused write had no effect");
    root.get("/v1/secrets/app/new")
        .await
        .refused(404, "secret_not_found");
    assert_eq!(root.get("/v1/audit/verify").await.ok(200)["valid"], true);

    // And once more, now that the files have a history; this time it is killed meanwhile.
    limit_file_size(&server, "1");
    root.put(secret, json!({ "data": { "password": "lost" } }))
        .await
        .refused(503, "service_unavailable");
    server.kill();
    let server = Server::dev().data(data.path()).start().await;
    let read = server.root().get(secret).await.ok(200);
    assert_eq!(
        (&read["version"], &read["data"]["password"]),
        (&json!(2), &json!("two"))
    );
    assert_eq!(
        server.root().get("/v1/audit/verify").await.ok(200)["valid"],
        true
    );
    server.stop().await;
}

/// A small file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_recovers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(_disk) = SmallDisk::mount(directory.path()) else {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    };
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("a directory on the small disk");
    let server = Server::dev().data(&data).start().await;
    let root = server.root();
    let filler = directory.path().join("filler");
    fill(&filler);

    let padding = "x".repeat(60_000);
    let mut kept = 0;
    let refused = loop {
        let body = json!({ "data": { "number": kept, "padding": padding } });
        let reply = root.put(&format!("/v1/secrets/disk/n{kept}"), body).await;
        if reply.status != 201 {
            break reply;
        }
        kept += 1;
        assert!(kept < 200, "4 MiB hold no 12 MB");
    };
    refused.refused(503, "service_unavailable");
    assert_eq!(
        root.anonymous().get("/v1/health").await.ok(200)["status"],
        "healthy"
    );

    std::fs::remove_file(&filler).expect("the filler goes");
    ready_again(root).await;
    root.put("/v1/secrets/disk/after", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    for number in 0..kept {
        let read = root
            .get(&format!("/v1/secrets/disk/n{number}"))
            .await
            .ok(200);
        assert_eq!(read["data"]["number"], number);
    }
    root.get(&format!("/v1/secrets/disk/n{kept}"))
        .await
        .refused(404, "secret_not_found");
    assert_eq!(root.get("/v1/audit/verify").await.ok(200)["valid"], true);
    server.stop().await;
}

/// Writes a file until nothing fits any more.
fn fill(file: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(file).expect("room for a name");
    let block = [0_u8; 4096];
    while file.write_all(&block).is_ok() {}
}
