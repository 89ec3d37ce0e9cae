//! A program that runs with a credential of its own, at a real PostgreSQL: the credential works
//! while it runs, and does not when it has ended, however it ended.

use std::path::Path;
use std::process::ExitStatus;

use scaivault_peers::postgresql::Postgresql;
use serde_json::Value;

use crate::cli::Terminal;
use crate::dynamic_command::{engine, gone, reads};
use crate::harness::{Process, SOON, Server, eventually};

/// Tells what it was given, reads with it as an application would, then does as it is told.
const BEGINNING: &str = "\
echo \"$PGUSER $PGPASSWORD\" >> given
echo \"token ${SCAIVAULT_TOKEN-none}\"
psql -X -qAt -w -c 'SELECT id FROM orders'
";

/// A script in the directory that commands run in.
fn script(me: &Terminal<'_>, rest: &str) -> &'static str {
    let text = format!("{BEGINNING}{rest}");
    std::fs::write(me.home().join("program"), text).expect("a script");
    "sh program"
}

fn start(me: &Terminal<'_>, database: &Postgresql, options: &str, program: &str) -> Process {
    let line = format!(
        "dynamic run orders/reader --env PGUSER=username --env PGPASSWORD=password {options} \
         -- {program}"
    );
    let mut command = me.command(&line);
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", database.port().to_string())
        .env("PGDATABASE", "postgres");
    Process::start("scaivault dynamic run", command)
}

/// The credentials that lives of the program were given, in order.
fn given(home: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(home.join("given")).unwrap_or_default();
    let pair = |line: &str| {
        let (user, password) = line.split_once(' ')?;
        Some((user.to_owned(), password.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

async fn first(me: &Terminal<'_>, process: &Process) -> (String, String) {
    // Its third line is what it read.
    eventually("the program has read", SOON, async || {
        process
            .stdout()
            .iter()
            .any(|line| line == "42")
            .then_some(())
    })
    .await;
    given(me.home()).remove(0)
}

fn lease(me: &Terminal<'_>, user: &str) -> Value {
    let all = me.json("lease list");
    let leases = all["leases"].as_array().expect("leases");
    let found = leases.iter().find(|lease| lease["account"] == user);
    found.expect("its lease").clone()
}

/// Nobody gets in any more, and the lease says why.
async fn ended(me: &Terminal<'_>, database: &Postgresql, (user, password): &(String, String)) {
    let lease = lease(me, user);
    assert_ne!(lease["status"], "active", "{lease}");
    assert_eq!(lease["cause"], "asked", "{lease}");
    gone(database, user).await;
    assert!(reads(database, user, password).is_err());
}

async fn exited(process: &mut Process) -> (Option<i32>, String) {
    let status: ExitStatus = process.exited(SOON).await;
    (status.code(), process.stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_ends_with_the_program() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "");

    // Its code is passed on, and nothing is said beside it.
    let program = script(&me, "exit 7\n");
    let mut process = start(&me, &database, "", program);
    assert_eq!(exited(&mut process).await, (Some(7), String::new()));
    assert_eq!(process.stdout(), ["token none", "42"]);
    ended(&me, &database, &given(me.home())[0]).await;
    let program = script(&me, "exit 0\n");
    let mut process = start(&me, &database, "--keep-token", program);
    assert_eq!(exited(&mut process).await, (Some(0), String::new()));
    let token = format!("token {}", server.root_token());
    assert_eq!(process.stdout()[0], token);
    ended(&me, &database, &given(me.home())[1]).await;

    // One that is killed.
    let program = script(&me, "kill -KILL $$\n");
    let mut process = start(&me, &database, "", program);
    assert_eq!(exited(&mut process).await, (Some(137), String::new()));
    ended(&me, &database, &given(me.home())[2]).await;

    // One that is not there, and one that asks for what is not there.
    let mut process = start(&me, &database, "", "no-such-program");
    let (code, told) = exited(&mut process).await;
    assert_eq!(code, Some(127));
    assert!(
        told.contains("'no-such-program' cannot be started"),
        "{told}"
    );
    let mut process = start(&me, &database, "--env T=token", "true");
    let (code, told) = exited(&mut process).await;
    assert_eq!(code, Some(5));
    assert!(told.contains("there is no field 'token'"), "{told}");
    let active = me.json("lease list --status active,creating");
    assert_eq!(active["leases"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_passed_on() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "");

    // It takes its time to end, and ends in its own way.
    let waits = "trap 'echo asked; exit 9' TERM\ntrap 'echo told' USR1\n\
                 echo ready\nwhile :; do sleep 0.05; done\n";
    let program = script(&me, waits);
    let mut process = start(&me, &database, "", program);
    let credential = first(&me, &process).await;
    let says = async |process: &Process, word: &str| {
        eventually(word, SOON, async || {
            process
                .stdout()
                .iter()
                .any(|line| line == word)
                .then_some(())
        })
        .await;
    };
    says(&process, "ready").await;
    assert_eq!(
        reads(&database, &credential.0, &credential.1),
        Ok("42".to_owned())
    );
    process.signal(rustix::process::Signal::USR1);
    says(&process, "told").await;
    assert_eq!(lease(&me, &credential.0)["status"], "active");
    process.terminate();
    assert_eq!(exited(&mut process).await, (Some(9), String::new()));
    assert!(process.stdout().iter().any(|line| line == "asked"));
    ended(&me, &database, &credential).await;

    // One that does nothing about it ends by it.
    let program = script(&me, "echo ready\nexec sleep 600\n");
    let mut process = start(&me, &database, "", program);
    says(&process, "ready").await;
    process.terminate();
    assert_eq!(exited(&mut process).await, (Some(143), String::new()));
    ended(&me, &database, &given(me.home())[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_renewed_while_it_runs() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "--default-ttl 3s --max-ttl 1h");
    let program = script(&me, "exec sleep 600\n");
    let mut process = start(&me, &database, "", program);
    let credential = first(&me, &process).await;
    let began = lease(&me, &credential.0);
    // More than two terms are over, and it is as good as new.
    let issued: jiff::Timestamp = parse(&began, "issued_at");
    eventually("it was renewed over and over", SOON, async || {
        let now = lease(&me, &credential.0);
        assert_eq!(now["status"], "active", "{now}");
        let renewed = now["renewed_at"].as_str()?;
        let renewed: jiff::Timestamp = renewed.parse().expect("a time");
        (renewed.duration_since(issued).as_secs() >= 7).then_some(())
    })
    .await;
    assert_eq!(
        reads(&database, &credential.0, &credential.1),
        Ok("42".to_owned())
    );
    process.terminate();
    assert_eq!(exited(&mut process).await, (Some(143), String::new()));
    ended(&me, &database, &credential).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_outlives_its_credential() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "--default-ttl 4s --max-ttl 4s");

    // It is told of, and nothing is done about it.
    let program = script(&me, "exec sleep 600\n");
    let mut process = start(&me, &database, "", program);
    first(&me, &process).await;
    eventually("the end is told of", SOON, async || {
        let told = process.stderr();
        told.contains("cannot be renewed any further").then_some(())
    })
    .await;
    assert!(!process.is_gone());
    process.terminate();
    assert_eq!(exited(&mut process).await.0, Some(143));

    // Or it is started anew, with another one each time.
    std::fs::remove_file(me.home().join("given")).expect("it was written");
    let mut process = start(&me, &database, "--restart", program);
    eventually("it is started anew", SOON, async || {
        (given(me.home()).len() >= 3).then_some(())
    })
    .await;
    let all = given(me.home());
    assert!(all[0] != all[1] && all[1] != all[2]);
    gone(&database, &all[0].0).await;
    assert!(!process.is_gone());
    process.terminate();
    assert_eq!(exited(&mut process).await.0, Some(143));
    gone(&database, &given(me.home()).pop().expect("the last").0).await;
    let active = me.json("lease list --status active,creating");
    assert_eq!(active["leases"], serde_json::json!([]));
}

fn parse(value: &Value, field: &str) -> jiff::Timestamp {
    let text = value[field].as_str().expect("a text");
    text.parse().expect("a time")
}
