//! The audit trail as files that prove themselves, and as a stream of lines.

use std::path::Path;
use std::process::Output;

use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};

use crate::harness::server::scaivault;
use crate::harness::{Api, Process, SOON, Server, eventually};
use crate::streams::{initialised, node};

struct Places(tempfile::TempDir);

impl Places {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn of(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("text").to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = scaivault(self.0.path());
        command.args(["--json", "audit"]).args(args);
        command.output().expect("the command runs")
    }

    fn export(&self, out: &str, more: &[&str]) -> Output {
        let (store, key) = (self.of("data/scaivault.db"), self.of("data/root.key"));
        let args = [
            "export",
            "--database",
            &store,
            "--key-file",
            &key,
            "--out",
            out,
        ];
        self.run(&[&args, more].concat())
    }
}

fn printed(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains(why), "{err}");
}

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "v" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

/// The lines of all files, in the order of the manifest.
fn lines(out: &str) -> Vec<Value> {
    let manifest = std::fs::read(Path::new(out).join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let files = manifest["files"].as_array().expect("files");
    let text = files.iter().map(|file| {
        let name = file["name"].as_str().expect("a name");
        std::fs::read_to_string(Path::new(out).join(name)).expect("a file")
    });
    let text: String = text.collect();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_it_was_and_proves_itself() {
    let places = Places::new();
    let data = places.0.path().join("data");
    let server = Server::dev().data(&data).start().await;
    write(server.root(), 0, 20).await;
    let out = places.of("out");
    // Beside the running server, in small files.
    let first = printed(&places.export(&out, &["--rows-per-file", "5"]));
    assert_eq!(first["signed"], true);
    let rows = first["rows"].as_u64().expect("a number");
    assert!(rows >= 21 && first["files"].as_u64() >= Some(4), "{first}");
    assert_eq!(first["rows_in_all"], rows);
    let whole = printed(&places.run(&["verify-export", &out]));
    assert_eq!(
        (&whole["valid"], &whole["rows"]),
        (&json!(true), &json!(rows))
    );
    let asked = server.root().get("/v1/audit/verify").await.ok(200);
    assert!(asked["rows"].as_u64() >= Some(rows));

    // Nothing new is nothing new; then only what is.
    let then = printed(&places.export(&out, &[]))["rows"]
        .as_u64()
        .expect("a number");
    assert!(
        then <= 1,
        "the verification above left one row at most: {then}"
    );
    write(server.root(), 20, 23).await;
    let more = printed(&places.export(&out, &[]));
    assert_eq!((&more["rows"], &more["files"]), (&json!(3), &json!(1)));
    let key = places.of("pinned.pem");
    std::fs::copy(Path::new(&out).join("signing-key.pem"), &key).expect("a copy");
    let whole = printed(&places.run(&["verify-export", &out, "--public-key", &key]));
    assert_eq!(whole["rows"], rows + then + 3);
    let all = lines(&out);
    let paths: Vec<_> = all
        .iter()
        .filter_map(|row| row["secret_path"].as_str())
        .collect();
    assert_eq!(paths.len(), 23);
    assert_eq!(paths[22], "app/n22");
    assert!(
        all.iter()
            .all(|row| row["id"].as_str().is_some_and(|id| id.starts_with("log_")))
    );

    // Another store's chain is not behind it, and another store's key does not fit.
    let (_, _home) = server.stop().await;
    let fresh = places.of("fresh");
    std::fs::create_dir(&fresh).expect("a directory");
    let another = Server::dev().data(Path::new(&fresh)).start().await;
    let (store, out_arg) = (format!("{fresh}/scaivault.db"), ["--out", &out]);
    let args = [&["export", "--database", &store][..], &out_arg].concat();
    refused(&places.run(&args), "is not in this store");
    drop(another);
    let wrong_key = format!("{fresh}/root.key");
    let args = [
        "export",
        "--database",
        &places.of("data/scaivault.db"),
        "--key-file",
        &wrong_key,
    ];
    refused(&places.run(&[&args[..], &out_arg].concat()), "key");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_touched_is_refused() {
    let places = Places::new();
    let data = places.0.path().join("data");
    let server = Server::dev().data(&data).start().await;
    write(server.root(), 0, 12).await;
    let out = places.of("out");
    printed(&places.export(&out, &["--rows-per-file", "5"]));
    let manifest = Path::new(&out).join("manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let names: Vec<String> = {
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let files = read["files"].as_array().expect("files").clone();
        files
            .iter()
            .map(|file| file["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let file = Path::new(&out).join(&names[1]);
    let rows = std::fs::read_to_string(&file).expect("rows");
    let check = |why: &str| refused(&places.run(&["verify-export", &out]), why);

    // A row changed, a row removed, two exchanged, a file gone.
    std::fs::write(
        &file,
        rows.replacen("\"success\":true", "\"success\":fals", 1),
    )
    .expect("written");
    check("is not the file that was exported");
    let mut split: Vec<&str> = rows.split_inclusive('\n').collect();
    split.swap(0, 1);
    std::fs::write(&file, split.concat()).expect("written");
    check("is not the file that was exported");
    std::fs::write(&file, split[1..].concat()).expect("written");
    check("is not the file that was exported");
    std::fs::remove_file(&file).expect("removed");
    check(&names[1]);
    std::fs::write(&file, &rows).expect("written");
    printed(&places.run(&["verify-export", &out]));

    // A manifest that was changed, its signature taken away or made with another key.
    std::fs::write(&manifest, text.replacen("\"rows\"", "\"rows\" ", 1)).expect("written");
    check("not the one that was signed");
    std::fs::write(&manifest, &text).expect("written");
    let other = places.of("other");
    std::fs::create_dir(&other).expect("a directory");
    let another = Server::dev().data(Path::new(&other)).start().await;
    let (store, key) = (format!("{other}/scaivault.db"), format!("{other}/root.key"));
    let elsewhere = places.of("elsewhere");
    let args = [
        "export",
        "--database",
        &store,
        "--key-file",
        &key,
        "--out",
        &elsewhere,
    ];
    printed(&places.run(&args));
    drop(another);
    let pinned = format!("{elsewhere}/signing-key.pem");
    let output = places.run(&["verify-export", &out, "--public-key", &pinned]);
    refused(&output, "not the one that was signed");
    std::fs::remove_file(Path::new(&out).join("manifest.sig")).expect("removed");
    check("manifest.sig");

    // Not gone on with by somebody who has no key.
    std::fs::write(Path::new(&out).join("manifest.sig"), [0; 64]).expect("written");
    let store = places.of("data/scaivault.db");
    let output = places.run(&["export", "--database", &store, "--out", &out]);
    refused(&output, "give --key-file");
    // Without its signature it counts as far as the files prove it: as after a crash between the two.
    let more = printed(&places.export(&out, &[]));
    assert_eq!(more["signed"], true);
    printed(&places.run(&["verify-export", &out]));
    // With files that do not, it is not signed again.
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let changed = rows.replacen("\"success\":true", "\"success\":fals", 1);
    std::fs::write(&file, changed).expect("written");
    std::fs::write(&manifest, text.replacen("\"rows\"", "\"rows\" ", 1)).expect("written");
    refused(&places.export(&out, &[]), "do not prove it");
    std::fs::write(&manifest, &text).expect("written");
    std::fs::write(&file, &rows[1..]).expect("written");
    refused(
        &places.export(&out, &[]),
        "is not the file that was exported",
    );
    std::fs::remove_file(&file).expect("removed");
    refused(&places.export(&out, &[]), &names[1]);
    std::fs::write(&file, &rows).expect("written");
    std::fs::copy(&pinned, Path::new(&out).join("signing-key.pem")).expect("copied");
    refused(&places.export(&out, &[]), "signed with another key");

    // Not into a directory that holds something else.
    let foreign = places.of("data");
    refused(&places.export(&foreign, &[]), "no export");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_put_back_does_not_continue_what_was_exported() {
    let places = Places::new();
    let data = places.0.path().join("data");
    let server = Server::dev().data(&data).start().await;
    write(server.root(), 0, 5).await;
    let (_, _home) = server.stop().await;
    let (store, older) = (places.of("data/scaivault.db"), places.of("older.db"));
    std::fs::copy(&store, &older).expect("a copy of a store that nobody has open");
    let server = Server::dev().data(&data).start().await;
    write(server.root(), 5, 10).await;
    let (_, _home) = server.stop().await;
    let out = places.of("out");
    printed(&places.export(&out, &[]));
    std::fs::copy(&older, &store).expect("put back");
    refused(
        &places.export(&out, &[]),
        "does not continue what was taken of it",
    );
    // Also when it has grown past that since: another past.
    let server = Server::dev().data(&data).start().await;
    write(server.root(), 5, 30).await;
    let (_, _home) = server.stop().await;
    refused(
        &places.export(&out, &[]),
        "does not continue what was taken of it",
    );
    printed(&places.run(&["verify-export", &out]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chains_of_all_nodes_are_exported() {
    let places = Places::new();
    let (home, key) = (places.0.path(), places.0.path().join("root.key"));
    let peer = Postgresql::start();
    let (store, token) = initialised(home, &peer, &key);
    let (_one, one) = node(home, &store, &key, "node-1").await;
    let (_two, two) = node(home, &store, &key, "node-2").await;
    let (here, there) = (Api::new(&one, &token), Api::new(&two, &token));
    let (out, key) = (places.of("out"), key.display().to_string());
    let export = || {
        let args = [
            "export",
            "--database",
            &store,
            "--key-file",
            &key,
            "--out",
            &out,
        ];
        printed(&places.run(&args))
    };
    write(&here, 0, 4).await;
    write(&there, 4, 8).await;
    export();
    write(&there, 8, 10).await;
    assert_eq!(export()["rows"], 2);
    let whole = printed(&places.run(&["verify-export", &out]));
    assert!(
        whole["chains"]
            .as_array()
            .is_some_and(|chains| chains.len() >= 2),
        "{whole}"
    );
    let mut paths: Vec<String> = lines(&out)
        .iter()
        .filter_map(|row| row["secret_path"].as_str().map(str::to_owned))
        .collect();
    paths.sort();
    let expect: Vec<String> = (0..10).map(|n| format!("app/n{n}")).collect();
    assert_eq!(paths, expect);

    // A chain whose end was removed is not passed over: not by an export that goes on, nor by a new
    // one, nor on the way to a collector.
    let args = ["export", "--database", &store, "--out"];
    let fresh = places.of("fresh");
    printed(&places.run(&[&args[..], &[&fresh]].concat()));
    let mark = places.of("mark");
    let socket = places.of("log");
    let _collector = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    let to = format!("unix://{socket}");
    let forward = |mark: &str, more: &[&str]| {
        let args = [
            "forward",
            "--once",
            "--database",
            &store,
            "--to",
            &to,
            "--mark",
            mark,
        ];
        places.run(&[&args[..], more].concat())
    };
    printed(&forward(&mark, &["--from-now"]));
    peer.sql("DELETE FROM store_head WHERE node = 'node-2'");
    refused(
        &places.run(&[&args[..], &[&fresh]].concat()),
        "is not in this store",
    );
    refused(&forward(&mark, &[]), "is not in this store");
    let (none, unmarked) = (places.of("none"), places.of("unmarked"));
    refused(
        &places.run(&[&args[..], &[&none]].concat()),
        "has rows and no end",
    );
    refused(&forward(&unmarked, &["--from-now"]), "has rows and no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_what_comes() {
    let server = Server::dev().start().await;
    let root = server.root();
    write(root, 0, 3).await;
    let mut command = scaivault(server.home());
    command
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", server.root_token())
        .args([
            "--json", "audit", "tail", "--follow", "-n", "2", "--every", "1", "--path", "app/",
        ]);
    let process = Process::start("scaivault audit tail", command);
    let shown = async |count: usize| {
        eventually("the rows are shown", SOON, async || {
            let lines = process.stdout();
            let rows = lines.iter().map(|line| serde_json::from_str::<Value>(line));
            let rows: Vec<Value> = rows.map(|row| row.expect("a row")).collect();
            (rows.len() >= count).then_some(rows)
        })
        .await
    };
    let paths = |rows: &[Value]| -> Vec<String> {
        let paths = rows
            .iter()
            .map(|row| row["secret_path"].as_str().expect("a path"));
        paths.map(str::to_owned).collect()
    };
    assert_eq!(paths(&shown(2).await), ["app/n1", "app/n2"]);
    write(root, 3, 5).await;
    root.get("/v1/secrets/other/one")
        .await
        .refused(404, "secret_not_found");
    write(root, 5, 6).await;
    let rows = shown(5).await;
    assert_eq!(
        paths(&rows),
        ["app/n1", "app/n2", "app/n3", "app/n4", "app/n5"]
    );
}
