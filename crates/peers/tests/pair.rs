//! What the promises of the pair rest on, with the pair alone.

use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use scaivault_peers::postgresql_pair::PostgresqlPair;

#[test]
fn what_was_committed_survives_failovers() {
    let mut pair = PostgresqlPair::start(&["log_statement=none".into()], None);
    pair.primary().sql("CREATE TABLE t (n int PRIMARY KEY)");
    for n in 0..2 {
        let insert = format!("INSERT INTO t VALUES ({n})");
        pair.primary().sql(&insert);
        pair.fail_over();
        let rows = pair.primary().sql("SELECT count(*) FROM t");
        assert_eq!(rows, (n + 1).to_string());
        pair.add_standby();
    }
    // Also when it ends and comes back.
    pair.primary_mut().kill_hard();
    pair.primary_mut().start_again();
    assert_eq!(pair.primary().sql("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_full_disk_refuses_and_serves_again() {
    let mut server = Postgresql::start_on_small_disk(100, &[]);
    let Some(disk) = server.disk() else {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    };
    let fill = "CREATE TABLE t AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 9999) n";
    let attempt = |server: &Postgresql| server.sql_as(SUPERUSER, PASSWORD, "postgres", fill);
    disk.fill();
    assert!(attempt(&server).is_err());
    server.disk().expect("a disk").free();
    // One that found no room for its log ends.
    server.revive();
    attempt(&server).expect("there is room again");
    assert_eq!(server.sql("SELECT count(*) FROM t"), "9999");
}
