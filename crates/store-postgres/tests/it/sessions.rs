//! What the store asks of its sessions.

use std::time::Duration;

use scaivault_core::ports::{Claims, KeyReads, Record, Store, Unit, UnitName};
use scaivault_store_postgres::PostgresOptions;
use scaivault_testkit::store_conformance::samples::{T0, assignment, rotation_policy, tenant};

use crate::database::{Database, RUNTIME};

/// Commits and claims are durable on every server that is waited for, whatever the database says.
#[test]
fn commits_and_claims_are_durable() {
    for default in ["off", "local", "remote_write", "remote_apply"] {
        RUNTIME.block_on(async {
            let database = Database::new();
            let url = database.url(Database::port());
            let with = format!("options=-c%20synchronous_commit%3D{default}%20");
            let url = url.replace("options=", &with);
            let store = Database::open_with(PostgresOptions::new(url, "node-1")).await;
            database.sql(
                "CREATE TABLE noted (level text);
                 CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
                     INSERT INTO noted VALUES (tg_op || current_setting('synchronous_commit'));
                     RETURN NULL;
                 END$$;
                 CREATE TRIGGER note AFTER INSERT OR UPDATE ON assignment FOR EACH ROW
                     EXECUTE FUNCTION note()",
            );
            let policy = rotation_policy(&tenant("a"), "1");
            let row = Record::Assignment(assignment(&policy, "s/1", Some(T0)));
            let unit = Unit::new(UnitName::SecretWrite).put(row);
            store.commit(unit).await.unwrap();
            let claimed = store.assignment_claim(T0, Duration::from_secs(60), 9).await;
            assert_eq!(claimed.unwrap().len(), 1);
            let expect = match default {
                "remote_apply" => "INSERTremote_apply UPDATEremote_apply",
                _ => "INSERTon UPDATEon",
            };
            let noted = database.sql("SELECT string_agg(level, ' ' ORDER BY level) FROM noted");
            assert_eq!(noted, expect, "{default}");
        });
    }
}

/// The database does not go on with what nobody waits for.
#[test]
fn a_read_that_is_given_up_ends_in_the_database() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = Database::open_with(PostgresOptions {
            read_timeout: Duration::from_millis(500),
            ..PostgresOptions::new(database.url(Database::port()), "node-1")
        });
        let store = store.await;
        assert_eq!(store.key_list().await.unwrap().len(), 0);
        database.sql(
            "ALTER TABLE keyring RENAME TO hidden;
             CREATE VIEW keyring AS SELECT hidden.* FROM pg_sleep(60), hidden",
        );
        store.key_list().await.unwrap_err();
        let running = "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = current_schema() AND wait_event = 'PgSleep'";
        database.await_value(running, "0");
    });
}
