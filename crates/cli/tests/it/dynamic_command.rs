//! Credentials on request by command, at a real PostgreSQL: made, seen, prolonged, ended.

use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::sshd::keygen;
use serde_json::{Value, json};

use crate::cli::{AUTHORIZATION, GENERAL, NOT_FOUND, OK, Terminal, VALIDATION};
use crate::harness::{SOON, Server, eventually, text};

/// The password of the account that makes the others, looked for wherever it must not be.
const CANARY: &str = "canary-root-of-the-engine-5b1d";

const MAKE: &str = "\
CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT SELECT ON orders TO \"{{name}}\";
";

/// A database with a table, and an engine `orders` with the role `reader` at it.
pub(crate) fn engine(me: &Terminal<'_>, terms: &str) -> Postgresql {
    let database = Postgresql::start();
    database.sql(&format!(
        "CREATE TABLE orders (id int); INSERT INTO orders VALUES (42); \
         CREATE ROLE vault LOGIN CREATEROLE PASSWORD '{CANARY}'; \
         GRANT pg_signal_backend, pg_read_all_stats TO vault; \
         GRANT SELECT ON orders TO vault WITH GRANT OPTION"
    ));
    me.run_with(
        "secrets write dynamic/root username=vault password=-",
        CANARY,
        OK,
    );
    let create = format!(
        "dynamic engine create orders --plugin postgresql --root dynamic/root \
         --connection-url postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres",
        database.port()
    );
    let made = me.run(&create, OK);
    assert!(made.contains("leases for   1h\n"), "{made}");
    let file = me.home().join("make.sql");
    std::fs::write(&file, MAKE).expect("a file");
    let create = format!(
        "dynamic role create orders/reader --creation @{} {terms}",
        file.display()
    );
    let made = me.run(&create, OK);
    assert!(made.contains("GRANT SELECT ON orders"), "{made}");
    database
}

/// What a login with this credential reads.
pub(crate) fn reads(database: &Postgresql, user: &str, password: &str) -> Result<String, String> {
    database.sql_as(user, password, "postgres", "SELECT id FROM orders")
}

/// Waits until nobody of this name is at the database.
pub(crate) async fn gone(database: &Postgresql, user: &str) {
    let look = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'");
    eventually("the account is gone", SOON, async || {
        (database.sql(&look) == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_from_its_engine_to_its_end() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "--default-ttl 10m --max-ttl 1h");
    let mut shown = String::new();

    for line in [
        "dynamic engine list",
        "dynamic engine show orders",
        "dynamic engine health orders",
        "dynamic engine sweep orders",
        "dynamic role list orders",
        "dynamic role show orders/reader",
    ] {
        shown.push_str(&me.run(line, OK));
        shown.push_str(&me.json(line).to_string());
    }
    assert!(shown.contains("healthy  yes\n"), "{shown}");

    // For a program: the server's JSON. The login works, and may do what the role says.
    let made = me.json("dynamic creds orders/reader --ttl 5m");
    let (user, password) = (text(&made, "username"), text(&made, "password"));
    assert_eq!(reads(&database, user, password), Ok("42".to_owned()));
    assert!(
        database
            .sql_as(user, password, "postgres", "DELETE FROM orders")
            .is_err()
    );
    assert!((298..=300).contains(&made["ttl"].as_u64().expect("a number")));

    // For people.
    let table = me.run("dynamic creds orders/reader", OK);
    assert!(
        table.contains("role             orders/reader\n"),
        "{table}"
    );
    assert!(table.contains("password  "), "{table}");

    let id = text(&made, "lease_id");
    let renewed = me.json(&format!("lease renew {id} --increment 20m"));
    assert!(text(&renewed, "expires_at") > text(&made, "expires_at"));
    let most = me.run(&format!("lease renew {id} --increment 9h"), OK);
    assert!(most.contains("as far as it goes"), "{most}");
    let lease = me.run(&format!("lease show {id}"), OK);
    assert!(lease.contains(user) && lease.contains("status     active\n"));
    assert!(!lease.contains(password), "{lease}");
    let list = me.json("lease list --engine orders --role reader --status active,creating");
    assert_eq!(list["leases"].as_array().map(Vec::len), Some(2));
    assert!(me.run("lease list", OK).contains(user));
    assert!(!me.run("lease list --failing", OK).contains("lse_"));

    let told = me.run(&format!("lease revoke {id} --wait"), OK);
    assert_eq!(told, format!("{id} is gone\n"));
    assert!(reads(&database, user, password).is_err());
    me.run(&format!("lease renew {id}"), GENERAL);
    let again = me.run(&format!("lease revoke {id}"), OK);
    assert_eq!(again, format!("{id} is gone\n"));

    // All that are left; nobody can be asked here, so it has to be said.
    me.run("dynamic engine delete orders", GENERAL);
    me.run("dynamic engine revoke-all orders", VALIDATION);
    let left = me.json("lease list --status active");
    assert_eq!(left["leases"].as_array().map(Vec::len), Some(1));
    let all = me.run("dynamic engine revoke-all orders --role reader --yes", OK);
    assert_eq!(all, "1 lease ends\n");
    gone(&database, text(&left["leases"][0], "account")).await;

    me.run("dynamic role delete orders/reader", OK);
    me.run("dynamic role show orders/reader", NOT_FOUND);
    eventually("the engine can be deleted", SOON, async || {
        let mut delete = me.command("dynamic engine delete orders");
        let ended = delete.output().expect("it runs");
        ended.status.success().then_some(())
    })
    .await;
    me.run("dynamic engine show orders", NOT_FOUND);
    me.run("lease show lse_nothing", NOT_FOUND);
    shown.push_str(&server.process().stderr());
    assert!(!shown.contains(CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_the_forms_of_scripts() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "");

    // A shell reads it.
    let lines = me.run("dynamic creds orders/reader --format shell", OK);
    let script = format!("{lines}printf '%s %s' \"$ORDERS_USERNAME\" \"$ORDERS_PASSWORD\"");
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("a shell");
    let said = String::from_utf8(shell.stdout).expect("text");
    let (user, password) = said.split_once(' ').expect("two words");
    assert_eq!(reads(&database, user, password), Ok("42".to_owned()));

    // A file of variables, with a URL that takes any password.
    let line = "dynamic creds orders/reader --format env --env PGUSER=username --env \
                DATABASE_URL=postgresql://{{username}}:{{password}}@db/orders";
    let lines = me.run(line, OK);
    let names: Vec<&str> = lines
        .lines()
        .map(|line| line.split_once('=').expect("a variable").0)
        .collect();
    assert_eq!(names, ["PGUSER", "DATABASE_URL"]);
    let json = me.run("dynamic creds orders/reader --format json", OK);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["engine"], "orders");
    let prefixed = me.run("dynamic creds orders/reader --format env --prefix DB_", OK);
    assert!(prefixed.contains("DB_USERNAME=v_reader_"), "{prefixed}");

    // What nobody got, nobody has.
    let before = me.json("lease list --status active")["leases"].clone();
    let line = "dynamic creds orders/reader --format env --env T=token";
    me.run(line, VALIDATION);
    assert_eq!(me.json("lease list --status active")["leases"], before);
    let ended = me.json("lease list --status revoking,revoked");
    assert_eq!(ended["leases"][0]["cause"], "asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_engines_change_by_command() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let database = engine(&me, "");
    me.run("dynamic role update orders/reader", VALIDATION);
    me.run(
        "dynamic role update orders/reader --owned-objects drop --default-ttl 5m",
        OK,
    );
    let role = me.json("dynamic role show orders/reader");
    assert_eq!(role["owned_objects"], "drop");
    assert_eq!(role["creation_statements"], json!([MAKE]));
    me.run_with("dynamic role put orders/writer --creation -", MAKE, OK);
    me.run("dynamic role put orders/writer --max-ttl 2h", OK);
    assert_eq!(
        me.json("dynamic role list orders")["roles"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    me.run("dynamic role create orders/reader --creation x", GENERAL);
    me.run("dynamic role create nothing/reader --creation x", NOT_FOUND);
    me.run(
        "dynamic role update orders/reader --default-ttl soon",
        VALIDATION,
    );

    me.run("dynamic engine update orders", VALIDATION);
    me.run(
        "dynamic engine update orders --max-ttl 8h --description d",
        OK,
    );
    let engine = me.json("dynamic engine show orders");
    assert_eq!(
        (&engine["max_ttl"], &engine["description"]),
        (&json!("8h"), &json!("d"))
    );

    // The root credential rotates, and makes others all the while.
    let rotation = me.json("dynamic engine rotate-root orders");
    assert_eq!(rotation["secret_path"], "dynamic/root");
    let looks = "secrets read dynamic/root --field password";
    eventually("nobody knows it any more", SOON, async || {
        (me.run(looks, OK) != CANARY).then_some(())
    })
    .await;
    let made = me.json("dynamic creds orders/reader");
    let (user, password) = (text(&made, "username"), text(&made, "password"));
    assert_eq!(reads(&database, user, password), Ok("42".to_owned()));
    me.run("dynamic engine rotate-root nothing", NOT_FOUND);
    me.run("dynamic engine public-key orders", VALIDATION);
    me.run(
        "dynamic engine revocation-list orders --out list",
        VALIDATION,
    );

    // A target that lets nobody in is told when it is described, and when it is looked at.
    database.sql("ALTER ROLE vault PASSWORD 'another'");
    let line = format!(
        "dynamic engine create other --plugin postgresql --root dynamic/root \
         --setting host=127.0.0.1 --setting port={} --setting database=postgres",
        database.port()
    );
    me.run(&line, VALIDATION);
    me.run(&format!("{line} --no-verify"), OK);
    let sick = me.run("dynamic engine health other", GENERAL);
    assert!(sick.contains("healthy  no\n"), "{sick}");
    me.run("dynamic creds other/reader", NOT_FOUND);
    me.run("dynamic creds other", VALIDATION);

    // Who may have no credential has none.
    let token = me.json("token create --identity sa:app --scope dynamic:generate --ttl 1h");
    let app = Terminal::new(&server, text(&token, "token"));
    app.run("dynamic creds orders/reader", AUTHORIZATION);
    app.run("dynamic engine list", AUTHORIZATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_signed_by_command() {
    let server = Server::dev().start().await;
    let me = Terminal::new(&server, server.root_token());
    let (private, public) = keygen(&["-t", "ed25519"]);
    me.run_with("secrets write ssh/ca private_key=-", &private, OK);
    me.run(
        "dynamic engine create bastion --plugin ssh --root ssh/ca",
        OK,
    );
    let role = "dynamic role create bastion/ops --setting default_user=deploy --default-ttl 5m";
    me.run(role, OK);

    let words = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect();
    let ours: Vec<String> = words(&public);
    let key = me.run("dynamic engine public-key bastion", OK);
    assert_eq!(ours, words(&key) as Vec<String>);
    let json = me.json("dynamic engine public-key bastion");
    assert_eq!(ours, words(text(&json, "public_key")) as Vec<String>);

    // A key of several lines is no line of a file of variables.
    let creds = "dynamic creds bastion/ops --param generate=true --format";
    me.run(&format!("{creds} env"), VALIDATION);
    let lines = me.run(&format!("{creds} shell"), OK);
    assert!(
        lines.contains("export BASTION_PRIVATE_KEY='-----BEGIN"),
        "{lines}"
    );
    let table = me.run("dynamic creds bastion/ops --param generate=true", OK);
    assert!(table.contains("renewable until  -\n"), "{table}");
    assert!(table.contains("\nprivate_key:\n-----BEGIN"), "{table}");

    let list = me.home().join("revoked");
    let write = format!(
        "dynamic engine revocation-list bastion --out {}",
        list.display()
    );
    me.run(&write, OK);
    let before = std::fs::read(&list).expect("the list");
    me.run("dynamic engine revoke-all bastion --yes", OK);
    me.run(&write, OK);
    let after = std::fs::read(&list).expect("the list");
    assert!(after.starts_with(b"SSHKRL\n\0") && after != before);
}
